"""Files of cases: what is read, and one message with file and line for what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from journeyman.core.canonical import Json
from journeyman.core.errors import GateError
from journeyman.core.example import object_target, text_target
from journeyman.evaluation.cases import Key, read_cases
from journeyman.task.task import Task

SCHEMA: dict[str, Json] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TASK = Task("t", "Count.", {"line": {"type": "string"}}, SCHEMA)


def write(folder: Path, *lines: object) -> Path:
    path = folder / "cases.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_pairs_of_one_input_are_one_unit(tmp_path: Path) -> None:
    a, b, c = ({"line": text} for text in "abc")
    path = write(tmp_path, {"input": a, "changed": b}, "", {"input": "a", "changed": "c"}, {"input": a, "changed": b})
    (unit,) = read_cases(path, TASK, "reworded", "changed")
    assert (unit.input, unit.changed, unit.place) == (a, (b, c), f"{path}:1")
    path = write(tmp_path, {"input": a, "changed": b}, {"input": b, "changed": a})
    assert [unit.place for unit in read_cases(path, TASK, "reworded", "changed")] == [f"{path}:1", f"{path}:2"]


def test_answers_are_read_as_imported_ones_are(tmp_path: Path) -> None:
    path = write(tmp_path, {"input": "two", "output": {"n": 2}}, *[{"input": "three", "output": '{"n": 3}'}] * 2)
    assert [unit.expected for unit in read_cases(path, TASK, "least", "output")] == [
        object_target({"n": 2}),
        object_target({"n": 3}),
    ]
    text = Task("t", "Say it.", TASK.input, None)
    path = write(tmp_path, {"input": "two", "output": '{"n": 2}'})
    assert read_cases(path, text, "least", "output")[0].expected == text_target('{"n": 2}')


def test_a_case_is_redacted_as_a_row_is(tmp_path: Path) -> None:
    path = write(
        tmp_path, {"input": "write to jo@firm.example", "changed": "write to jo@firm.example, now, jo@firm.example"}
    )
    (unit,) = read_cases(path, TASK, "reworded", "changed")
    before, after = str(unit.input["line"]), str(unit.changed[0]["line"])
    assert "jo@firm" not in before + after
    assert after.count(before.removeprefix("write to ")) == 2, "one surrogate for one address"
    plain = Task("t", "Count.", TASK.input, SCHEMA, redact=False)
    assert "jo@firm.example" in str(read_cases(path, plain, "reworded", "changed")[0].input["line"])


GOOD = {"input": "one", "changed": "uno"}
RIGHT = {"input": "one", "output": {"n": 1}}
REFUSED: list[tuple[Key, object, str, str]] = [
    ("changed", '{"input": "two", "changed"', "JM-641", "Expecting"),
    ("changed", "[1]", "JM-641", "list"),
    ("changed", {"input": "two"}, "JM-641", "got: the keys input"),
    ("changed", {"input": "two", "changed": "duo", "note": "x"}, "JM-641", "input, changed, note"),
    ("output", {"input": "two", "changed": "duo"}, "JM-641", '"output"'),
    ("changed", {"input": {"lin": "two"}, "changed": "duo"}, "JM-642", "unknown input field 'lin'"),
    ("changed", {"input": {}, "changed": "duo"}, "JM-642", "'line' is missing"),
    ("changed", {"input": "two", "changed": {"line": 2}}, "JM-642", "wrong value"),
    ("changed", {"input": 2, "changed": "duo"}, "JM-642", "the fields line"),
    ("output", {"input": "two", "output": {"n": "2"}}, "JM-642", "n: "),
    ("output", {"input": "two", "output": None}, "JM-642", "null is no answer"),
    ("changed", {"input": "two", "changed": "two"}, "JM-643", "changes nothing"),
    ("output", {"input": "one", "output": {"n": 2}}, "JM-644", "cases.jsonl:1"),
]


@pytest.mark.parametrize(("key", "line", "code", "text"), REFUSED)
def test_a_line_that_is_no_case_is_named(tmp_path: Path, key: Key, line: object, code: str, text: str) -> None:
    path = write(tmp_path, GOOD if key == "changed" else RIGHT, "", line)
    with pytest.raises(GateError, match=code) as caught:
        read_cases(path, TASK, "some", key)
    assert caught.value.where == f"{path}:3"
    assert text in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("what", ["missing", "empty", "blank", "folder", "zip"])
def test_a_file_without_cases_is_named(tmp_path: Path, what: str) -> None:
    path = tmp_path / "cases.jsonl"
    if what == "folder":
        path.mkdir()
    elif what != "missing":
        path.write_bytes({"empty": b"", "blank": b"\n \n", "zip": b"PK\x03\x04...."}[what])
    with pytest.raises(GateError, match="JM-640") as caught:
        read_cases(path, TASK, "reworded", "changed")
    assert str(path) in str(caught.value)
    assert "the test reworded has no cases" in str(caught.value)
    assert '"changed"' in str(caught.value)


def test_a_line_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n\xff\xfa\n")
    with pytest.raises(GateError, match="JM-641") as caught:
        read_cases(path, TASK, "reworded", "changed")
    assert "cases.jsonl:2" in str(caught.value)
    assert "UTF-8" in str(caught.value)
