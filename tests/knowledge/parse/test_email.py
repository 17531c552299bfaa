from __future__ import annotations

from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document
from journeyman.knowledge.parse.email import read_email


def make(subject: str = "Grüße – hello") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "Änne Bär <anne@example.org>"
    message["To"] = "b@example.org, C D <c@example.org>"
    message["Date"] = "Mon, 06 May 2024 10:00:00 +0200"
    message["Message-ID"] = "<1@example.org>"
    return message


def shown(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def test_headers_text_and_attachments() -> None:
    message = make()
    message.set_content("Hello,\n\nfine.\n> you said\n> this\nYes.\n")
    message.add_alternative("<p>not <b>this</b></p>", subtype="html")
    message.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="a/b ü.pdf")
    document = read_email("a.eml", message.as_bytes())
    assert shown(document) == [
        (
            "field",
            "Subject: Grüße – hello\nFrom: Änne Bär <anne@example.org>\nTo: b@example.org, C D <c@example.org>\n"
            "Date: Mon, 06 May 2024 10:00:00 +0200",
        ),
        ("paragraph", "Hello,"),
        ("paragraph", "fine."),
        ("quote", "> you said\n> this"),
        ("paragraph", "Yes."),
    ]
    assert document.title == "Grüße – hello"
    assert document.facts == {
        "author": "Änne Bär <anne@example.org>",
        "to": ("b@example.org", "c@example.org"),
        "message_id": "<1@example.org>",
        "date": "2024-05-06T08:00:00+00:00",
        "attachments": ("a_b ü.pdf",),
    }
    assert document.notes == ("attachment: a_b ü.pdf (application/pdf)",)
    assert document.attached == {"a_b ü.pdf": b"%PDF-1.4"}


def test_attachments_of_one_name_are_numbered_and_pictures_of_the_text_left_out() -> None:
    message = make()
    message.set_content("See.")
    message.add_attachment(b"one", maintype="application", subtype="pdf", filename="a.pdf")
    message.add_attachment(b"two", maintype="application", subtype="pdf", filename="a.pdf")
    message.add_attachment(b"png", maintype="image", subtype="png", filename="logo.png", disposition="inline")
    message.add_attachment(b"png", maintype="image", subtype="png", filename="scan.png")
    message.add_attachment(b"sig", maintype="application", subtype="pkcs7-signature", filename="smime.p7s")
    document = read_email("a.eml", message.as_bytes())
    assert document.attached == {"a.pdf": b"one", "3/a.pdf": b"two", "scan.png": b"png"}
    assert document.facts["attachments"] == ("a.pdf", "3/a.pdf", "scan.png")


def test_html_is_read_where_there_is_no_text() -> None:
    message = make("x")
    message.set_content(" \n")
    message.add_alternative('<h1>Hi</h1><p>see <a href="http://x.y">it</a><script>no</script>', subtype="html")
    document = read_email("a.eml", message.as_bytes())
    assert shown(document)[1:] == [("heading", "Hi"), ("paragraph", "see it")]
    (link,) = document.links
    assert document.text[link.start : link.end] == "it"


def test_attached_mails_are_mails_of_their_own() -> None:
    inner, outer = make("inner"), make("outer")
    inner.set_content("inner text")
    outer.set_content("outer text")
    outer.add_attachment(inner)
    document = read_email("a.eml", outer.as_bytes())
    assert "inner text" not in document.text
    assert document.notes == ("attachment: message.eml (message/rfc822)",)
    assert "inner text" in read_email("b.eml", document.attached["message.eml"]).text


def test_flowed_lines_and_old_encodings() -> None:
    head = b"Subject: =?iso-8859-1?q?gr=FCn?=\r\nContent-Type: text/plain; charset=iso-8859-1; format=flowed\r\n"
    document = read_email("a.eml", head + b"Content-Transfer-Encoding: quoted-printable\r\n\r\none \r\ntwo =FC\r\n")
    assert document.title == "grün"
    assert shown(document)[1:] == [("paragraph", "one two ü")]


@given(
    st.lists(
        st.sampled_from(
            [
                b"Content-Type: ",
                b"multipart/mixed; boundary=b",
                b"text/html",
                b"\n\n",
                b"\n",
                b"--b",
                b"--b--",
                b"x",
                b"Subject: =?utf-8?b?w?=",
                b"; charset=\xff",
                b"\xff\xfe",
                b": ",
                b"Date: 1",
                b"; filename*=x'y'%ff",
            ]
        ),
        max_size=30,
    ).map(b"".join)
)
def test_any_mail_is_read_or_refused(data: bytes) -> None:
    try:
        document = read_email("a.eml", data)
    except KnowledgeError:
        with pytest.raises(KnowledgeError, match="JM-909"):
            read_email("a.eml", data)
        return
    assert document.text or document.notes
    document.text.encode()
    assert all(name.encode() for name in document.attached)


@pytest.mark.timeout(30)
def test_hostile_mail() -> None:
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(250))
    assert read_email("a.eml", b"Subject: s\n" + nested + b"\nend").text == "Subject: s"
    with pytest.raises(KnowledgeError, match=r"JM-909 a\.eml"):
        read_email("a.eml", nested * 2)
    many = b"Subject: s\nContent-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 20_000 + b"--b--\n"
    assert "only 1000 parts were read" in read_email("a.eml", many).notes
    with pytest.raises(KnowledgeError, match="neither headers nor a text"):
        read_email("a.eml", b"Content-Type: multipart/mixed; boundary=b\n\n")
    assert len(read_email("a.eml", b"To: " + b"<a@b>," * 100_000 + b"\n\nx").facts["to"]) <= 100  # type: ignore[arg-type]
