"""The file that people label comes back as it went, through spreadsheets too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.core.errors import DataError, GateError
from journeyman.data.sheet import Question, read_sheet, write_sheet

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=5), st.sampled_from([".csv", ".jsonl"]))
def test_what_is_shown_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], ending: str
) -> None:
    path = tmp_path_factory.mktemp("sheet") / f"labels{ending}"
    questions = [Question(f"{place:012x}", *row) for place, row in enumerate(rows)]
    write_sheet(path, questions)
    filled = read_sheet(path)
    assert [item.question.hash for item in filled] == [question.hash for question in questions]
    assert {item.right + item.answer for item in filled} == {""}


def test_a_cell_that_a_spreadsheet_would_run(tmp_path: Path) -> None:
    question = Question("a", "=HYPERLINK(1)", "+1", "'quoted")
    write_sheet(tmp_path / "labels.csv", [question])
    assert "\n" + "a,'=HYPERLINK(1),'+1,''quoted,," in (tmp_path / "labels.csv").read_text("utf-8-sig")
    assert read_sheet(tmp_path / "labels.csv")[0].question == question


def test_what_a_spreadsheet_makes_of_it(tmp_path: Path) -> None:
    """Semicolons, no byte order mark, other line ends and columns in another order."""
    path, question = tmp_path / "labels.csv", Question("a", "two\nlines; and more", "x", "y")
    text = 'right;row;input;first;second;answer;notes\r\nFIRST ;a;"two\r\nlines; and more";x;y;;ok\r\n;;;;;;\r\n\r\nboth;b;i;x;y;;\r\n'
    path.write_text(text, newline="")
    one, two = read_sheet(path)
    assert (one.question.hash, one.right, one.line, two.line) == (question.hash, "first", 2, 6)


def test_an_answer_may_be_a_value_of_json(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    row = {"row": "a", "input": "i", "first": "x", "second": "y", "answer": {"colour": "red"}}
    path.write_text(json.dumps(row) + "\n\n")
    assert [(item.right, item.answer) for item in read_sheet(path)] == [("", '{"colour":"red"}')]


@pytest.mark.parametrize(
    ("name", "content", "code", "names"),
    [
        ("labels.txt", b"x", "JM-673", "ending"),
        ("labels.csv", b"", "JM-302", "empty"),
        ("labels.csv", b"PK\x03\x04", "JM-303", "spreadsheet"),
        ("labels.csv", b"row,input\n1,2\n", "JM-673", r"labels.csv:1"),
        ("labels.csv", b"row,input,first,second,right,answer\na,b\n", "JM-673", r"labels.csv:2[\s\S]*2 cells"),
        ("labels.csv", b'row,input,first,second,right,answer\na,"b\n', "JM-673", r"labels.csv:2"),
        ("labels.csv", b"row,\xff", "JM-673", "not UTF-8"),
        ("labels.jsonl", b"{}\n", "JM-673", r"labels.jsonl:1"),
        ("labels.jsonl", b"\n{\n", "JM-673", r"labels.jsonl:2[\s\S]*no JSON"),
    ],
)
def test_other_files_are_refused_by_line(tmp_path: Path, name: str, content: bytes, code: str, names: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises((GateError, DataError), match=rf"{code}[\s\S]*{names}"):
        read_sheet(tmp_path / name)


def test_a_document_of_many_lines_and_letters(tmp_path: Path) -> None:
    question = Question("a", "line of a document\n" * 20_000, "x", "y")
    write_sheet(tmp_path / "labels.csv", [question])
    assert read_sheet(tmp_path / "labels.csv")[0].question.hash == question.hash
