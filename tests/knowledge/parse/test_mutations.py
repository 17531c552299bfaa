"""Valid files of each format with a few bytes changed, cut or doubled: a document whose spans are its text's, or one reason. Seeded; a defect of ours says JM-934."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document
from journeyman.knowledge.parse.process import Limits, ReadingProcess
from journeyman.knowledge.parse.reader import Reader
from journeyman.knowledge.parse.sources import Refused, unpack
from journeyman.knowledge.parse.table import find_reader
from tests.knowledge.parse.office_files import open_document, p, shape, sheet, slides, table, word, workbook
from tests.knowledge.parse.pdf_writer import Page, write_pdf
from tests.knowledge.parse.test_sources import make_zip

EACH = 25
MAIL = (
    b"From: a@x\nTo: b@x\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
    b"--b\nContent-Type: text/plain; charset=utf-8\n\nwords\n--b\nContent-Type: text/html\n\n<p>words</p>\n--b--\n"
)
NOTE = b"---\ntitle: Note\ntags: [a, b]\nyear: 2020\n---\n# One\n\nText [[Page|alias]] ![[x]] `code` [a](b) #tag\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n"
HTML = b"<html lang=en><head><meta charset=utf-8><title>T</title></head><body><h1>One</h1><ul><li>a<li>b</ul><table><tr><th>a<th>b<tr><td>1<td>2</table><p>x<a href=y>z</a></body></html>"
RTF = rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 A;}}{\info{\title T}}\pard\outlinelevel0 Head\par Text \u252\'fc {\field{\*\fldinst HYPERLINK \"http://x\"}{\fldrslt link}}\par\intbl a\cell b\cell\row}"
EPUB = make_zip(
    {
        "mimetype": b"application/epub+zip",
        "META-INF/container.xml": b'<container><rootfiles><rootfile full-path="b.opf"/></rootfiles></container>',
        "b.opf": b'<package><metadata><title>B</title></metadata><manifest><item id="c" href="c.xhtml"/></manifest><spine><itemref idref="c"/></spine></package>',
        "c.xhtml": HTML,
    },
    0,
)
SAMPLES: dict[str, Callable[[], bytes]] = {
    "a.md": lambda: NOTE,
    "a.html": lambda: HTML,
    "a.rtf": lambda: RTF,
    "a.eml": lambda: MAIL,
    "a.csv": lambda: b'name,said\na,"one\ntwo"\nb,three\n',
    "a.epub": lambda: EPUB,
    "a.docx": lambda: word(p("text") + table([["a", "b"], ["c", "d"]])),
    "a.pptx": lambda: slides([shape("text", "title")]),
    "a.xlsx": lambda: workbook({"Data": sheet([["a", "b"], ["c", 1]])}),
    "a.odt": lambda: open_document("text", "<text:p>text</text:p>"),
    "a.pdf": lambda: write_pdf([Page().text(50, 50, "Words in a file")]),
}


def mutate(data: bytes, draw: random.Random) -> bytes:
    """One to four changes: bytes, numbers at their ends, stretches that go, come twice or move, text that formats give a meaning to."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at, length = draw.randrange(len(changed) + 1), draw.choice((1, 2, 4, 8, 40))
        match draw.randrange(7):
            case 0:
                changed[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                changed[at : at + length] = draw.choice((b"\xff", b"\0", b"\x7f")) * length
            case 2:
                del changed[at : at + length * 4]
            case 3:
                changed[at:at] = changed[at : at + length * 10] * draw.randint(1, 30)
            case 4:
                del changed[at:]
            case 5:
                changed[at:at] = draw.choice(
                    (
                        b"<",
                        b"]]>",
                        b"&#xD800;",
                        b"\\u55357 ",
                        b"{",
                        b'"',
                        b"---\n",
                        b"99999999999",
                        b"-1",
                        b"\\bin9 ",
                        b"=?x?b?!?=",
                    )
                )
            case _:
                other = draw.randrange(len(changed) + 1)
                changed[at : at + length] = changed[other : other + length]
        changed = changed or bytearray(b"x")
    return bytes(changed)


@pytest.fixture(scope="module")
def process() -> Iterator[ReadingProcess]:
    with ReadingProcess(Limits(seconds=10, memory_bytes=1 << 30)) as made:
        yield made


@pytest.mark.parametrize("name", SAMPLES)
def test_changed_files_give_documents_or_reasons(process: ReadingProcess, name: str) -> None:
    data, draw = SAMPLES[name](), random.Random(name)
    reader = find_reader(name, data)
    assert reader is not None
    assert process.read(reader, name, data).text
    for number in range(EACH):
        found = read(process, reader, name, mutate(data, draw))
        if isinstance(found, Document):
            check(found)
        else:
            assert found.code not in ("JM-931", "JM-933", "JM-934"), f"{name} {number}: {found}"


def read(process: ReadingProcess, reader: Reader, name: str, data: bytes) -> Document | KnowledgeError:
    try:
        return process.read(reader, name, data)
    except KnowledgeError as error:
        return error


def check(document: Document) -> None:
    starts = [block.start for block in document.blocks]
    assert starts == sorted(starts)
    for part in (*document.blocks, *document.links):
        assert 0 <= part.start <= part.end <= len(document.text)


def test_changed_archives_and_mailboxes_are_opened_in_this_process() -> None:
    """So nothing but a reason may come out of them."""
    draw = random.Random(1)
    box = b"From a@x Mon\nSubject: one\n\ntext\n\nFrom b@x Tue\nSubject: two\n\nbody\n"
    packs = [
        make_zip({"a.txt": b"some text " * 9, "b.zip": make_zip({"c.md": b"c"}), "m.mbox": box}, way)
        for way in (0, 8, 12, 14)
    ]
    for number in range(400):
        for found in unpack("p.zip", mutate(packs[number % 4], draw)):
            if not isinstance(found, Refused):
                with suppress(KnowledgeError):
                    found.read()
        for found in unpack("m.mbox", mutate(box, draw)):
            if not isinstance(found, Refused):
                found.read()
