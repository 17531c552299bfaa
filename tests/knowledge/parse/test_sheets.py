from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import CELL, Document
from journeyman.knowledge.parse.sheets import read_sheets
from tests.knowledge.parse.office_files import container, open_document, sheet, workbook

LOOKS = (
    '<numFmts count="1"><numFmt numFmtId="170" formatCode="0.0%"/></numFmts>'
    '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="9"/><xf numFmtId="170"/><xf numFmtId="22"/></cellXfs>'
)


def read(sheets: dict[str, str], **options: object) -> Document:
    return read_sheets("a.xlsx", workbook(sheets, **options))  # type: ignore[arg-type]


def blocks(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def test_cells_as_they_are_shown() -> None:
    cells = (
        '<c r="A1" s="1"><v>45293</v></c><c r="B1" s="4"><v>45293.5</v></c><c r="C1" s="2"><v>0.07</v></c>'
        '<c r="D1" s="3"><f>1/4</f><v>0.256</v></c><c r="E1" t="e"><v>#DIV/0!</v></c><c r="F1" t="b"><v>1</v></c>'
        '<c r="G1"><v>0.30000000000000004</v></c><c r="H1"><v>12</v></c><c r="I1" t="str"><f>A1</f><v>t="e"</v></c>'
        '<c r="J1"><f>B9</f></c>'
    )
    document = read({"Data": f'<row r="1">{cells}</row>'}, styles=LOOKS)
    shown = '2024-01-02 | 2024-01-02 12:00:00 | 7% | 25.6% | #DIV/0! | TRUE | 0.3 | 12 | t="e"'
    assert blocks(document) == [("heading", "Data"), ("table", shown)]
    assert document.notes == ("formulas without a stored value: 1",)


def test_blank_rows_and_columns_part_a_sheet() -> None:
    rows = [
        ["Sales of the year", None, None, None, None, None],
        ["region", "sold", None, "name", "age", None],
        ["north", 3, None, "Ann", 41, None],
        [None, None, None, "Bo", 7, None],
        [None, None, None, None, None, None],
        ["remark", None, None, None, None, None],
        ["second line", None, None, None, None, None],
    ]
    assert blocks(read({"Data": sheet(rows)})) == [
        ("heading", "Data"),
        ("paragraph", "Sales of the year"),
        ("table", "region | sold\nnorth | 3"),
        ("table", "name | age\nAnn | 41\nBo | 7"),
        ("paragraph", "remark\nsecond line"),
    ]


def test_a_long_table_is_blocks_with_nothing_but_a_line_end_between() -> None:
    rows: list[list[str | float | None]] = [["number", "square"], *([n, n * n] for n in range(120))]
    document = read({"Data": sheet(rows)})
    tables = [block for block in document.blocks if block.kind == "table"]
    assert [document.text[block.start : block.end].count("\n") + 1 for block in tables] == [50, 50, 21]
    assert [document.text[left.end : right.start] for left, right in itertools.pairwise(tables)] == ["\n"] * 2
    whole = document.text[tables[0].start : tables[-1].end]
    assert whole == "\n".join(["number | square", *(f"{n} | {n * n}" for n in range(120))])


def test_sheets_that_are_hidden_empty_or_reach_too_far() -> None:
    far = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
    document = read(
        {"Shown": sheet([["a"]]), "Empty": "", "Quiet": sheet([["b"]]), "Far": far}, states={"Quiet": "hidden"}
    )
    assert blocks(document) == [("heading", "Shown"), ("paragraph", "a"), ("heading", "Quiet"), ("paragraph", "b")]
    assert sorted(document.notes) == [
        "sheet Far not read: its cells reach over 1,048,576 rows and 16,384 columns",
        "sheet Quiet is hidden",
    ]


def test_cells_without_a_place_are_counted() -> None:
    document = read({"Data": "<row><c><v>1</v></c><c><v>2</v></c></row><row><c><v>3</v></c><c><v>4</v></c></row>"})
    assert blocks(document)[1:] == [("table", "1 | 2\n3 | 4")]
    wide = "<row>" + "<c><v>1</v></c>" * 10_000 + "</row>" + "<row/>" * 10_000
    assert "10,001 columns" not in read({"Data": wide}).notes[0]
    assert read({"Data": wide}).notes[0].startswith("sheet Data not read: its cells reach over")


def test_other_files_are_refused_with_their_reason() -> None:
    with pytest.raises(KnowledgeError) as found:
        read_sheets("a.xlsx", container("EncryptedPackage"))
    assert found.value.code == "JM-935"
    with pytest.raises(KnowledgeError) as found:
        read_sheets("a.xls", container("Workbook"))
    assert (found.value.code, found.value.where) == ("JM-940", "a.xls")
    with pytest.raises(KnowledgeError) as found:
        read_sheets("a.xls", container("WordDocument"))
    assert found.value.code == "JM-941"


def test_spreadsheets_of_open_document() -> None:
    body = (
        '<table:table table:name="Data"><table:table-row>'
        "<table:table-cell><text:p>when</text:p></table:table-cell>"
        "<table:table-cell><text:p>share</text:p></table:table-cell>"
        '<table:table-cell table:number-columns-repeated="16382"/></table:table-row><table:table-row table:number-rows-repeated="2">'
        '<table:table-cell office:value-type="date" office:date-value="2024-01-02T00:00:00"><text:p>02/01/24</text:p></table:table-cell>'
        '<table:table-cell office:value-type="percentage" office:value="0.25"><text:p>25%</text:p></table:table-cell></table:table-row>'
        '<table:table-row table:number-rows-repeated="1048572"><table:table-cell table:number-columns-repeated="16384"/></table:table-row>'
        '<table:table-row><table:table-cell office:value-type="float" office:value="0.1"><text:p>0.10</text:p></table:table-cell></table:table-row>'
        "</table:table>"
    )
    document = read_sheets("a.ods", open_document("spreadsheet", body))
    assert blocks(document) == [
        ("heading", "Data"),
        ("table", "when | share\n2024-01-02 | 25%\n2024-01-02 | 25%"),
        ("paragraph", "0.1"),
    ]


CELLS = st.one_of(
    st.text(
        st.characters(codec="utf-8", categories=["L", "N", "P", "S"], exclude_characters="|_"), min_size=1, max_size=8
    ),
    st.integers(-(10**12), 10**12).map(float),
)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 5).flatmap(
        lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=6)
    )
)
def test_a_table_survives(rows: list[list[str | float]]) -> None:
    document = read({"Data": sheet(rows)})
    shown = [[value if isinstance(value, str) else str(int(value)) for value in row] for row in rows]
    assert [line.split(CELL) for line in document.text.split("\n")[2:]] == shown


FILLED = st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(FILLED)
def test_no_cell_is_lost_or_written_twice(grid: list[list[bool]]) -> None:
    rows = [[f"c{y}x{x}" if is_filled else None for x, is_filled in enumerate(row)] for y, row in enumerate(grid)]
    document = read({"Data": sheet(rows)})
    expected = [text for row in rows for text in row if text]
    words = [word for word in document.text.replace("|", " ").split() if word != "Data"]
    assert sorted(words) == sorted(expected)
