"""Files for fine-tuning as OpenAI has them: JSON lines of chats that end in an answer, or of pairs of a better and a worse one.

    {"messages": [{"role": "system", ...}, {"role": "user", ...}, {"role": "assistant", ...}]}
    {"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}

Every row is looked at, and the first that cannot be tuned on is named. A student answers one message of text: rows of longer conversations, of tools and
of pictures are none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError, ServeError
from journeyman.core.example import Target
from journeyman.core.messages import Message
from journeyman.data import openai, preferences
from journeyman.data.answers_schema import Shape, merge_shapes, read_shape, write_schema
from journeyman.data.lines import Line, file_source, open_source
from journeyman.data.record import Record, parse_json, parse_object, row_error

FileShape = Literal["chat", "preference"]
SHOWN: Mapping[FileShape, str] = {
    "chat": '{"messages": [...]} that ends in the assistant\'s answer',
    "preference": '{"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}',
}


@dataclass(frozen=True, slots=True)
class TuningFile:
    """``system`` is the rows' system text, empty where they have none; ``other_row`` the first row that has another one, 0 where all have the same. ``schema`` is what
    all (preferred) answers fit where each is a JSON object with the same keys, else None."""

    rows: int
    shape: FileShape
    system: str
    other_row: int
    schema: Mapping[str, Json] | None

    def to_json(self) -> dict[str, Json]:
        schema = dict(self.schema) if self.schema is not None else None
        return {
            "rows": self.rows,
            "shape": self.shape,
            "system": self.system,
            "other_row": self.other_row,
            "schema": schema,
        }

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> TuningFile:
        return TuningFile(**raw)  # type: ignore[arg-type]


def read_tuning_file(path: Path) -> TuningFile:
    """Look at every row.

    Raises:
        ServeError: JM-771 a row that cannot be tuned on, with its number, or no row at all.
    """
    try:
        source = file_source(path)
        with open_source(source) as reader:
            return _look(iter(reader))
    except DataError as error:
        raise ServeError(
            "JM-771",
            error.what,
            expected=error.expected or f"JSON lines, each {SHOWN['chat']}",
            got=error.got,
            hint="send another file",
        ) from error


def _look(lines: Iterator[Line]) -> TuningFile:
    rows, other_row, first_shape, system = 0, 0, None, ""
    answers: Shape | None = None
    for line in lines:
        if line.is_blank:
            continue
        shape, record = _read(line)
        rows += 1
        if first_shape is None:
            first_shape, system = shape, _system(record)
            answers = read_shape(_value(record))
            continue
        if shape != first_shape:
            raise _bad_row(line.number, "this row has another shape than the first", SHOWN[first_shape], SHOWN[shape])
        if not other_row and _system(record).split() != system.split():
            other_row = line.number
        answers = merge_shapes(answers, read_shape(_value(record))) if answers is not None else None
    if first_shape is None:
        raise ServeError("JM-771", "the file has no row", expected="JSON lines", hint="send another file")
    return TuningFile(rows, first_shape, system, other_row, write_schema(answers))


def _read(line: Line) -> tuple[FileShape, Record]:
    if line.problem:
        raise _bad_row(line.number, line.problem, "a line of JSON in UTF-8", line.detail)
    try:
        row = parse_object(line.text)
        if "preferred_output" in row or "non_preferred_output" in row:
            return "preference", _read_pair(row)
        return "chat", _read_chat(row)
    except DataError as error:
        raise _bad_row(line.number, error.what, error.expected, error.got, error.where) from error


def _read_chat(row: dict[str, Json]) -> Record:
    _check_keys(row, ("messages", "tools", "parallel_tool_calls", "functions"), "chat")
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise row_error("the row has no messages", where="messages", expected=SHOWN["chat"])
    last = messages[-1]
    if isinstance(last, dict) and last.get("weight", 1) != 1:
        raise row_error(
            "the answer is left out of the loss, so there is nothing to learn", where="weight", expected="1"
        )
    record = openai.read(row)
    if record.output is None:
        raise row_error("the last message is no answer of the assistant", where="messages", expected=SHOWN["chat"])
    _check(record, row, record.output)
    return record


def _read_pair(row: dict[str, Json]) -> Record:
    _check_keys(row, ("input", "preferred_output", "non_preferred_output"), "preference")
    inner = row.get("input")
    if not preferences.matches(row) or not isinstance(inner, dict) or not isinstance(inner.get("messages"), list):
        raise row_error("the row is no pair", where="input", expected=SHOWN["preference"], got=list(row))
    record = preferences.read(row)
    assert record.output is not None, "a pair has a preferred answer"
    _check(record, inner, record.output)
    return record


def _check_keys(row: Mapping[str, Json], known: tuple[str, ...], shape: FileShape) -> None:
    if unknown := [key for key in row if key not in known]:
        raise row_error("the row has a key that is not known", where=unknown[0][:80], expected=SHOWN[shape])


def _check(record: Record, row: Mapping[str, Json], answer: Target) -> None:
    if row.get("tools") or row.get("functions") or answer.kind == "tool_calls":
        raise row_error("the row has tools, which students do not use", where="tools", expected="text in, text out")
    if not answer.text.strip():
        raise row_error("the answer is empty", where="messages", expected="text")
    kinds = [_kind(message) for message in record.messages]
    if kinds not in (["user"], ["system", "user"]):
        raise row_error(
            "a student answers one message of text, with a system text before it or not",
            where="messages",
            expected="system, user, assistant",
            got=", ".join([*kinds, "assistant"]),
        )
    if not record.messages[-1].is_plain_text:
        raise row_error("the row has a picture", where="messages", expected="text")
    if not record.messages[-1].text.strip():
        raise row_error("the user's message is empty", where="messages", expected="text")


def _kind(message: Message) -> str:
    return "system" if message.role == "developer" else message.role


def _system(record: Record) -> str:
    return record.messages[0].text if len(record.messages) > 1 else ""


def _value(record: Record) -> Json:
    """The answer as JSON, or the text that it is."""
    text = record.output.text if record.output is not None else ""
    try:
        return parse_json(text) if text.lstrip().startswith("{") else text
    except DataError:
        return text


def _bad_row(number: int, what: str, expected: str, got: str, where: str = "") -> ServeError:
    place = f"row {number}" + (f", {where}" if where else "")
    return ServeError(
        "JM-771", what, where=place, expected=expected, got=got, hint="mend this row and send the file again"
    )
