from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document
from journeyman.knowledge.parse.rtf import read_rtf


def read(body: str) -> Document:
    return read_rtf("a.rtf", b"{\\rtf1\\ansi\\ansicpg1252 " + body.encode("cp1252") + b"}")


def blocks(document: Document) -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, document.text[block.start : block.end]) for block in document.blocks]


def test_paragraphs_headings_and_what_is_left_out() -> None:
    document = read(
        r"{\fonttbl{\f0 Arial;}}{\info{\title The plan}{\author Ann Lee}}{\header Secret}{\*\generator x}"
        r"\pard\outlinelevel1\b Costs\b0\par\pard It costs \'80 5 \{net\}\emdash\u26085?\uc2\u-10179 ??\u-8704 ??.\par{\v hidden}shown\par"
    )
    assert blocks(document) == [
        ("heading", 2, "Costs"),
        ("paragraph", 0, "It costs € 5 {net}—日😀."),
        ("paragraph", 0, "shown"),
    ]
    assert (document.title, document.facts) == ("The plan", {"author": "Ann Lee"})


def test_tables_and_links() -> None:
    row = r"\trowd\cellx1\cellx2\pard\intbl {}\cell {}\cell\row "
    link = r'{\field{\*\fldinst{HYPERLINK "https://example.org"}}{\fldrslt our page}}'
    document = read(
        row.format("a", "b")
        + row.format("c", "two\\par lines")
        + r"\pard {\listtext 1.\tab}see {\deleted old }"
        + link
        + r" here\par"
    )
    assert blocks(document) == [("table", 0, "a | b\nc | two lines"), ("paragraph", 0, "1.\tsee our page here")]
    assert [(document.text[found.start : found.end], found.target) for found in document.links] == [
        ("our page", "https://example.org")
    ]


def test_files_that_are_none_or_nested_too_deeply() -> None:
    with pytest.raises(KnowledgeError, match="JM-942 bad: this file is no Rich Text"):
        read_rtf("bad", b"hello")
    with pytest.raises(KnowledgeError, match="nested more than 1,000 deep"):
        read("{" * 5_000)
    assert read("}}}} text").text == "text"
    assert read(r"{\pict\bin4 }}}}}text").text == "text"
    assert read("{{{ text").text == "text"


@given(st.text(r"\{}'u1a *parcellrowfield" + "\n", max_size=80))
def test_any_text_is_read(body: str) -> None:
    document = read(body)
    document.text.encode()
    assert all(document.text[block.start : block.end].strip() for block in document.blocks)
