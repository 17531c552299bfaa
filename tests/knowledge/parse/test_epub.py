from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.parse.epub import read_epub

CONTAINER = '<container xmlns="urn:x"><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
PACKAGE = """<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title>A  Book</dc:title><dc:creator>Ann</dc:creator><dc:creator>Ben</dc:creator><dc:language>en</dc:language>
<dc:subject>one</dc:subject></metadata><manifest>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="b" href="text/b.xhtml" media-type="application/xhtml+xml"/>
<item id="a" href="text/a%20a.xhtml" media-type="application/xhtml+xml"/>
<item id="c" href="gone.xhtml" media-type="application/xhtml+xml"/>
<item id="i" href="i.png" media-type="image/png"/></manifest>
<spine><itemref idref="nav"/><itemref idref="b"/><itemref idref="a"/><itemref idref="c"/><itemref idref="i"/></spine></package>"""
PAGE = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/><script src="x.js"/></head><body><h1><a id="x"/>{0}</h1><p>text {0}</p></body></html>'
BOOK = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": CONTAINER,
    "OEBPS/book.opf": PACKAGE,
    "OEBPS/nav.xhtml": PAGE.format("nav"),
    "OEBPS/text/a a.xhtml": PAGE.format("second"),
    "OEBPS/text/b.xhtml": PAGE.format("first"),
}


def make(members: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return packed.getvalue()


def test_chapters_come_in_the_order_of_the_spine() -> None:
    document = read_epub("a.epub", make(BOOK))
    assert document.text == "first\n\ntext first\n\nsecond\n\ntext second"
    assert [block.kind for block in document.blocks] == ["heading", "paragraph"] * 2
    assert document.title == "A Book"
    assert document.facts == {"author": "Ann, Ben", "lang": "en", "tags": ("one",)}
    assert document.notes == ("OEBPS/gone.xhtml could not be read: it is not in the archive",)


def test_encrypted_chapters_are_said() -> None:
    locked = '<encryption><CipherReference URI="OEBPS/text/b.xhtml"/></encryption>'
    document = read_epub("a.epub", make(BOOK | {"META-INF/encryption.xml": locked}))
    assert document.text.startswith("second")
    assert "OEBPS/text/b.xhtml is encrypted" in document.notes


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><package>&b;</package>'


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"META-INF/container.xml": "<x/>"}, "JM-910"),
        ({"META-INF/container.xml": "<x"}, "META-INF/container.xml: "),
        ({"OEBPS/book.opf": BOMB}, "defines entities"),
        ({"OEBPS/book.opf": "<package/>"}, "no chapter with text"),
        ({"OEBPS/book.opf": "<a>" * 200_000 + "</a>" * 200_000}, "JM-910"),
    ],
)
def test_what_is_no_book_is_refused(change: Mapping[str, str], reason: str) -> None:
    with pytest.raises(KnowledgeError, match=reason):
        read_epub("a.epub", make(BOOK | change))


def test_bombs_and_cut_books_are_refused() -> None:
    bomb = make(BOOK | {"OEBPS/text/a a.xhtml": "<p>" + "a" * 30_000_000})
    assert any("more than 200 times" in note for note in read_epub("a.epub", bomb).notes)
    with pytest.raises(KnowledgeError, match="JM-904"):
        read_epub("a.epub", make(BOOK)[:-30])
