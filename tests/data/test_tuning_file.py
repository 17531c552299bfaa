"""Files for fine-tuning: which rows are taken, how the first bad one is named, and what schema answers show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from journeyman.core.errors import ServeError
from journeyman.data.tuning_file import TuningFile, read_tuning_file

UNLEARNED = {"role": "assistant", "content": "x", "weight": 0}


def chat(answer: str, user: Any = "two red", system: str = "Sort it.", **more: Any) -> dict[str, Any]:
    said = [{"role": "system", "content": system}] if system else []
    last = {"role": "assistant", "content": answer}
    return {"messages": [*said, {"role": "user", "content": user}, last], **more}


def pair(better: str, worse: str) -> dict[str, Any]:
    def said(text: str) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": text}]

    asked = {"messages": [{"role": "user", "content": "two red"}]}
    return {"input": asked, "preferred_output": said(better), "non_preferred_output": said(worse)}


def read(folder: Path, *rows: Any) -> TuningFile:
    path = folder / "rows.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return read_tuning_file(path)


def test_answers_that_are_objects_show_a_schema(tmp_path: Path) -> None:
    first = {"colour": "red", "count": 1, "tags": [], "who": None, "size": {"cm": 1.5}}
    second = {"count": 2.5, "colour": "blue", "tags": ["a"], "who": "ada", "size": {"cm": 2}}
    found = read(tmp_path, chat(json.dumps(first)), "", chat(json.dumps(second), system="Sort\n it."))
    assert (found.rows, found.shape, found.system, found.other_row) == (2, "chat", "Sort it.", 0)
    assert found.schema == {
        "type": "object",
        "properties": {
            "colour": {"type": "string"},
            "count": {"type": "number"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "who": {"type": ["string", "null"]},
            "size": {
                "type": "object",
                "properties": {"cm": {"type": "number"}},
                "required": ["cm"],
                "additionalProperties": False,
            },
        },
        "required": ["colour", "count", "tags", "who", "size"],
        "additionalProperties": False,
    }
    assert TuningFile.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize(
    "answers",
    [
        ('{"a": 1}', '{"b": 1}'),
        ('{"a": 1}', '{"a": "x"}'),
        ('{"a": 1}', "plain"),
        ("plain", '{"a": 1}'),
        ('{"a": [1, "x"]}', '{"a": [1]}'),
        ("[1]", "[2]"),
        ('{"a": 1', '{"a": 1}'),
        ("{}", "{}"),
    ],
)
def test_other_answers_are_text(tmp_path: Path, answers: tuple[str, str]) -> None:
    assert read(tmp_path, *(chat(answer) for answer in answers)).schema is None


def test_pairs_and_another_system_text(tmp_path: Path) -> None:
    assert read(tmp_path, pair('{"a": true}', "no"), pair('{"a": false}', "never")).shape == "preference"
    assert read(tmp_path, chat("x"), chat("y"), chat("z", system="Else.")).other_row == 3


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("{broken", "JM-771 row 2: "),
        ('["x"]', "row 2: this row is not a JSON object"),
        ({"prompt": "a", "completion": "b"}, "row 2, prompt: the row has a key that is not known"),
        ({"messages": []}, "row 2, messages: the row has no messages"),
        ({"messages": [{"role": "user", "content": "a"}]}, "row 2, messages: the last message is no answer"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "row 2"),
        (chat(" "), "row 2, messages: the answer is empty"),
        (chat("x", user=" "), "the user's message is empty"),
        (chat("x", user=[{"type": "image_url", "image_url": {"url": "http://a/b"}}]), "the row has a picture"),
        (chat("x", tools=[{"type": "function", "function": {"name": "f"}}]), "the row has tools"),
        ({"messages": [*chat("x")["messages"], *chat("y")["messages"]]}, "a student answers one message of text"),
        ({"messages": [*chat("x")["messages"][:-1], UNLEARNED]}, "left out of the loss"),
        (pair("x", "y"), "another shape than the first"),
        (pair("x", "x"), "row 2, chosen: the two answers are the same"),
        ({"preferred_output": [], "non_preferred_output": []}, "row 2, input: the row is no pair"),
    ],
)
def test_the_first_bad_row_is_named(tmp_path: Path, bad: Any, told: str) -> None:
    with pytest.raises(ServeError) as caught:
        read(tmp_path, chat("fine"), bad, "{worse")
    assert caught.value.code == "JM-771"
    assert told in str(caught.value)


def test_a_file_without_rows(tmp_path: Path) -> None:
    for rows in ((), ("", " ")):
        with pytest.raises(ServeError, match="JM-771"):
            read(tmp_path, *rows)
