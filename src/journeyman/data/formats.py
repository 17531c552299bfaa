"""Which format a file is in, told by its content, and its rows as Records.

To add a format of JSON lines: one module with ``matches`` and ``read``, one line in ``JSON_FORMATS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Literal

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.data import openai, pairs, preferences, table
from journeyman.data.lines import Line
from journeyman.data.record import Record, detail_of, parse_object, row_error
from journeyman.data.redaction import remove_secrets
from journeyman.task.task import Task

LOOKED_AT_LINES = 200
Matches = Callable[[Mapping[str, Json]], bool]
Read = Callable[[dict[str, Json]], Record]
JSON_FORMATS: dict[str, tuple[Matches, Read]] = {
    "preferences": (preferences.matches, preferences.read),
    "chat completions": (openai.matches, openai.read),
    "pairs": (pairs.matches, pairs.read),
}
EXPECTED = 'JSON lines with {"request", "response"}, {"messages"} or {"input", "output", "gold"}, or CSV with a header that names'


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: a Record, or the line's ``problem``. A blank line is neither."""

    line: Line
    record: Record | None = None
    is_blank: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """A file's format and its rows. ``unused`` are columns that no reader looks at."""

    format: Literal["JSON lines", "CSV"]
    rows: Iterator[Row]
    unused: frozenset[str] = frozenset()


def read_rows(lines: Iterable[Line], task: Task, name: str) -> Rows:
    """Detect the format and read.

    Raises:
        DataError: JM-302 only blank lines, JM-303 no format that we know.
    """
    every = iter(lines)
    head = list(islice(every, LOOKED_AT_LINES))
    everything = chain(head, every)
    if any(_is_json_row(line) for line in head):
        return Rows("JSON lines", _read_json(everything))
    first = next((line for line in head if not line.is_blank), None)
    if first is None:
        raise DataError("JM-302", "this file is empty", where=name, expected="at least one row")
    header = None if first.problem else table.read_header(first.text, task)
    if header is None:
        raise _unknown(head, first, task, name)
    table.check_header(header, f"{name}:{first.number}")
    rest = (line for line in everything if line.number > first.number)
    return Rows("CSV", _read_table(rest, header, task), table.unused_columns(header, task))


def _is_json_row(line: Line) -> bool:
    if line.problem or not line.text.lstrip().startswith("{"):
        return False
    try:
        row = parse_object(line.text)
    except DataError:
        return False
    return any(matches(row) for matches, _ in JSON_FORMATS.values())


def _read_json(lines: Iterable[Line]) -> Iterator[Row]:
    for line in lines:
        if line.problem or line.is_blank:
            yield Row(line, is_blank=line.is_blank)
            continue
        try:
            yield Row(line, _read_object(line.text))
        except DataError as error:
            yield Row(replace(line, problem=error.what, detail=detail_of(error)))


def _read_object(text: str) -> Record:
    row = parse_object(text)
    for matches, read in JSON_FORMATS.values():
        if matches(row):
            return read(row)
    raise row_error("this row has none of the known shapes", expected="messages, request or input", got=list(row)[:8])


def _read_table(lines: Iterator[Line], header: table.Header, task: Task) -> Iterator[Row]:
    for line, cells in table.split_rows(lines, header):
        if cells is None:
            yield Row(line, is_blank=line.is_blank)
            continue
        try:
            yield Row(line, table.read(cells, header, task))
        except DataError as error:
            yield Row(replace(line, problem=error.what, detail=detail_of(error)))


def _unknown(head: list[Line], first: Line, task: Task, name: str) -> DataError:
    got, hint = first.problem or f"{first.text[:60]!r}", "see `journeyman import --help` for an example of each format"
    for line in head:
        try:
            keys = list(parse_object(line.text)) if not line.problem else []
        except DataError:
            continue
        if keys:
            got, hint = f"JSON lines with the keys {', '.join(keys)[:120]}", "rename the keys"
            break
    if first.text.lstrip().startswith("[") or first.text.strip() == "{":
        got, hint = "JSON over several lines", "write one object per line, e.g. `jq -c '.[]' FILE > FILE.jsonl`"
    return DataError(
        "JM-303",
        "this is no format that can be imported",
        where=name,
        expected=f"{EXPECTED} {', '.join(task.input)}",
        got=remove_secrets(got),
        hint=hint,
    )
