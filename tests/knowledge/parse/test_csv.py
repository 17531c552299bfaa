from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.knowledge.parse.csv import read_csv

CELLS = st.text(alphabet='ab1 ,;"\n\t|é', max_size=8)


@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=130), st.sampled_from(",;\t|"))
def test_blocks_are_whole_rows_of_the_file(rows: list[list[str]], delimiter: str) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=delimiter).writerows(rows)
    text = written.getvalue()
    document = read_csv("a.csv", text.encode())
    assert document.text == text
    position, read = 0, list[list[str]]()
    for block in document.blocks:
        assert position <= block.start < block.end
        assert not text[position : block.start].strip()
        read += csv.reader(io.StringIO(text[block.start : block.end], newline=""), delimiter=delimiter)
        position = block.end
    assert not text[position:].strip()
    assert [row for row in _stripped(read) if any(row)] == [row for row in _stripped(rows) if any(row)]


def _stripped(rows: list[list[str]]) -> list[list[str]]:
    return [[cell for cell in (cell.strip() for cell in row) if cell] for row in rows]


def test_long_tables_are_cut_and_the_columns_known() -> None:
    text = "name;size\n" + "".join(f'row {number};"{number}\nmore"\n' for number in range(120)) + "\nother;table\n"
    document = read_csv("a.csv", text.encode())
    assert [block.kind for block in document.blocks] == ["table"] * 4
    shown = [document.text[block.start : block.end] for block in document.blocks]
    assert shown[0].startswith("name;size\nrow 0;")
    assert shown[0].endswith('row 48;"48\nmore"')
    assert shown[1].startswith("row 49;")
    assert shown[3] == "other;table"
    assert document.facts == {"columns": ("name", "size")}


@pytest.mark.parametrize("head", ["1,2", "a,", "a,a"])
def test_a_first_row_of_data_names_no_columns(head: str) -> None:
    assert read_csv("a.csv", f"{head}\nx,y\n".encode()).facts == {}


@pytest.mark.timeout(20)
def test_hostile_tables() -> None:
    never_closed = 'a,b\n"' + "x,y\n" * 100_000
    document = read_csv("a.csv", never_closed.encode())
    assert document.notes == ("a quote is never closed; each line was read as a row",)
    assert len(document.blocks) == 2_001
    assert len(read_csv("a.csv", b"," * 1_000_000).blocks) == 1
    assert read_csv("a.csv", b'"' * 999_999).text == '"' * 999_999
    assert read_csv("a.csv", b"").blocks == ()
