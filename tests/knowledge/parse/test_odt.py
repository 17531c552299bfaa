from __future__ import annotations

import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document
from journeyman.knowledge.parse.odt import read_odt
from tests.knowledge.parse.office_files import ODF, open_document, pack

SPANNED = ' table:number-rows-spanned="2"'
STYLES = (
    '<style:style style:name="P1" style:family="paragraph" style:parent-style-name="Title"/>'
    '<style:style style:name="P2" style:family="paragraph" style:parent-style-name="Quotations"/>'
    '<text:list-style style:name="L1"><text:list-level-style-number text:level="1" style:num-format="1" style:num-suffix="."/>'
    '<text:list-level-style-bullet text:level="2"/></text:list-style>'
)


def read(body: str, **parts: str) -> Document:
    return read_odt("a.odt", open_document("text", body, STYLES, parts))


def blocks(document: Document) -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, document.text[block.start : block.end]) for block in document.blocks]


def test_headings_paragraphs_and_white_space() -> None:
    document = read(
        '<text:p text:style-name="P1">The plan</text:p><text:h text:outline-level="2">Costs</text:h>'
        '<text:p>one\n  <text:span>two</text:span> <text:s text:c="3"/>three<text:tab/>four<text:line-break/>five</text:p>'
        '<text:p text:style-name="P2">said</text:p><text:section><text:p>inside</text:p></text:section>'
    )
    assert blocks(document) == [
        ("heading", 1, "The plan"),
        ("heading", 2, "Costs"),
        ("paragraph", 0, "one two    three\tfour\nfive"),
        ("quote", 0, "said"),
        ("paragraph", 0, "inside"),
    ]
    assert document.title == "The plan"
    assert document.facts == {"author": "Ann Lee", "keywords": ("plan",)}


def test_lists_links_notes_and_comments() -> None:
    entry = "<text:list-item><text:p>{}</text:p>{}</text:list-item>"
    inner = f"<text:list>{entry.format('a', '')}</text:list>"
    note = "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>In euros.</text:p></text:note-body></text:note>"
    document = read(
        f'<text:list text:style-name="L1">{entry.format("one", inner)}{entry.format("two", "")}</text:list>'
        f'<text:p>It costs 5{note}, <text:a xlink:href="https://example.org">see</text:a>'
        "<office:annotation><text:p>really?</text:p></office:annotation>.</text:p>"
        "<text:tracked-changes><text:changed-region><text:deletion><text:p>old</text:p></text:deletion></text:changed-region></text:tracked-changes>"
    )
    assert document.text == "1. one\n  • a\n2. two\n\nIt costs 5[1], see.\n\n[1] In euros."
    assert [(document.text[link.start : link.end], link.target) for link in document.links] == [
        ("see", "https://example.org")
    ]
    assert document.notes == ("comments left out: 1", "deletions left out: 1")


def test_tables_boxes_and_pictures() -> None:
    cell = "<table:table-cell{}><text:p>{}</text:p></table:table-cell>"
    rows = (
        f"<table:table-header-rows><table:table-row>{cell.format('', 'a')}{cell.format('', 'b')}</table:table-row></table:table-header-rows>"
        f"<table:table-row>{cell.format(SPANNED, 'north')}{cell.format('', '1')}</table:table-row>"
        f"<table:table-row><table:covered-table-cell/>{cell.format('', '2')}</table:table-row>"
    ).replace("\n", "")
    box = "<draw:frame><draw:text-box><text:p>in the box</text:p></draw:text-box></draw:frame>"
    picture = "<draw:frame><draw:image/><svg:desc>A map</svg:desc></draw:frame>"
    document = read(f"<table:table>{rows}</table:table><text:p>x{box}</text:p><text:p>{picture}</text:p>")
    assert document.text == "a | b\nnorth | 1\nnorth | 2\n\nx\n\nin the box\n\n[image: A map]"


def test_pages_headers_and_repeated_cells_are_bounded() -> None:
    master = (
        f"<office:document-styles {ODF}><office:master-styles><style:master-page>"
        "<style:header><text:p>Secret</text:p></style:header></style:master-page></office:master-styles></office:document-styles>"
    )
    many = '<table:table-cell table:number-columns-repeated="999999999"><text:p>x</text:p></table:table-cell>'
    row = f'<table:table-row table:number-rows-repeated="999999999">{many}</table:table-row>'
    document = read(
        f'<text:p>one<text:soft-page-break/> on</text:p><text:p><text:s text:c="999999999"/>two</text:p><table:table>{row}</table:table>',
        styles=master,
    )
    assert [(block.kind, block.page) for block in document.blocks] == [
        ("paragraph", 1),
        ("paragraph", 2),
        ("table", 2),
        ("paragraph", 0),
    ]
    assert document.text.endswith("\n\nSecret")
    assert document.text.count("x") == 1_024 * 100
    assert document.notes == ("a row that is repeated 999,999,999 times is read 100 times",)


def test_a_password_and_another_kind() -> None:
    manifest = "<manifest><file-entry><encryption-data/></file-entry></manifest>"
    with pytest.raises(KnowledgeError, match="protected by a password"):
        read("<text:p>x</text:p>", **{"META-INF__manifest": manifest})
    with pytest.raises(KnowledgeError) as found:
        read_odt("a.odt", open_document("spreadsheet", ""))
    assert (found.value.code, found.value.got) == ("JM-937", "application/vnd.oasis.opendocument.spreadsheet")
    with pytest.raises(KnowledgeError, match="JM-937"):
        read_odt("a.odt", pack({"content.xml": "<a/>"}))
