"""Which format a file is in, told by its content, and its rows as Records.

To add a format of JSON rows: one module with ``matches`` and ``read``, one line in ``JSON_FORMATS``; one in ``FOLDED`` where one document of it holds
several rows, one in ``TABLE_FORMATS`` where it also comes as CSV.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.data import openai, pairs, preferences, table
from journeyman.data.columnar import Columns, damaged, is_columnar, open_columns
from journeyman.data.documents import HEAD, is_document, split_document
from journeyman.data.lines import BROKEN, Line, Reader, Source, open_source
from journeyman.data.readers import (
    alpaca,
    anthropic,
    chatml,
    langfuse,
    litellm,
    mlflow,
    openpipe,
    pages,
    sharegpt,
    spans,
    tensorzero,
    turns,
    unreadable,
)
from journeyman.data.record import Record, detail_of, parse_object, row_error
from journeyman.data.redaction import remove_secrets
from journeyman.task.task import Task

LOOKED_AT_LINES = 200
Matches = Callable[[Mapping[str, Json]], bool]
Read = Callable[[dict[str, Json]], Record | None]
"""None for what is no call of a language model."""
Unfold = Callable[[Mapping[str, Json]], list[Json] | None]
# The more a format asks of a row, the earlier it stands.
JSON_FORMATS: dict[str, tuple[Matches, Read]] = {
    "MLflow": (mlflow.matches, mlflow.read),
    "spans": (spans.matches, spans.read),
    "Langfuse": (langfuse.matches, langfuse.read),
    "LiteLLM": (litellm.matches, litellm.read),
    "TensorZero": (tensorzero.matches, tensorzero.read),
    "Anthropic messages": (anthropic.matches, anthropic.read),
    "preferences": (preferences.matches, preferences.read),
    "OpenPipe": (openpipe.matches, openpipe.read),
    "chat completions": (openai.matches, openai.read),
    "ShareGPT": (sharegpt.matches, sharegpt.read),
    "ChatML": (chatml.matches, chatml.read),
    "Alpaca": (alpaca.matches, alpaca.read),
    "turns": (turns.matches, turns.read),
    "pairs": (pairs.matches, pairs.read),
}
FOLDED: tuple[Unfold, ...] = (spans.unfold, mlflow.unfold, langfuse.unfold, pages.unfold)
TABLE_FORMATS: tuple[tuple[Matches, Read], ...] = (
    JSON_FORMATS["Langfuse"],
    JSON_FORMATS["TensorZero"],
    JSON_FORMATS["spans"],
    JSON_FORMATS["Alpaca"],
)
EXPECTED = 'JSON lines with {"request", "response"}, {"messages"} or {"input", "output", "gold"}, or CSV with a header that names'
FORMATS_PAGE = "docs/import.md lists every format that can be imported"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: a Record, or the line's ``problem``. A blank line is neither, nor is one that ``is_other``: no call of a
    language model."""

    line: Line
    record: Record | None = None
    is_blank: bool = False
    is_other: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """A file's format and its rows. ``unused`` are columns that no reader looks at."""

    format: str
    rows: Iterator[Row]
    unused: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Opened:
    """``position_bytes`` is how much of the file has been taken, for progress."""

    rows: Rows
    position_bytes: Callable[[], int]


@contextmanager
def open_rows(source: Source, task: Task) -> Iterator[Opened]:
    """Open for one pass: a table of columns, JSON in any arrangement, or CSV.

    Raises:
        DataError: JM-301 not readable, JM-302 no row, JM-303 no format that we know, JM-313 one that we know, in a form that we do not.
    """
    if source.path is not None and is_columnar(source.path):
        with open_columns(source.path) as columns:
            yield Opened(read_columns(columns, task, source.name), columns.read_bytes)
        return
    with open_source(source) as reader:
        if is_document(reader.look(HEAD)):
            rows = _read_document(_split(reader), task, source.name)
        else:
            rows = read_rows(reader, task, source.name)
        yield Opened(rows, lambda: reader.position_bytes)


def read_rows(lines: Iterable[Line], task: Task, name: str) -> Rows:
    """Detect the format of lines and read.

    Raises:
        DataError: JM-302 only blank lines, JM-303 no format that we know, JM-313 one that we know, in a form that we do not.
    """
    every = iter(lines)
    head = list(islice(every, LOOKED_AT_LINES))
    everything = chain(head, every)
    if any(_is_json_row(line, task) for line in head):
        return Rows("JSON lines", _read_json(everything, task))
    first = next((line for line in head if not line.is_blank), None)
    if first is None:
        raise DataError("JM-302", "this file is empty", where=name, expected="at least one row")
    _refuse_unreadable(head, name)
    headers = [] if first.problem else list(table.read_headers(first.text))
    rest = (line for line in everything if line.number > first.number)
    for header in headers:
        if table.has_fields(header.names, task):
            return _read_table(header, first, rest, task, name)
    for header in headers:
        row: Mapping[str, Json] = dict.fromkeys(header.names, "")
        for matches, read in TABLE_FORMATS:
            if matches(row):
                return Rows("CSV", _read_cells(rest, header, read))
    for header in headers:
        if table.has_input(header.names, task):
            return _read_table(header, first, rest, task, name)
    raise _unknown(head, first, task, name)


def read_columns(columns: Columns, task: Task, name: str) -> Rows:
    """Rows of typed values: the task's own columns first, then the formats of JSON rows by what the first row is.

    Raises:
        DataError: JM-302 no row, JM-303 columns that no format has, JM-313 those of a form that we do not read.
    """
    head = list(islice(columns.rows, 1))
    while isinstance(head[-1], str) and len(head) < LOOKED_AT_LINES and (more := next(columns.rows, None)) is not None:
        head.append(more)
    first = head[-1]
    if isinstance(first, str):
        raise damaged(first, name)
    rows = enumerate(chain(head, columns.rows), 1)
    if table.has_fields(columns.names, task):
        unused = table.unused_columns(table.Header(columns.names, ""), task)
        return Rows(columns.format, (_read_values(number, row, task) for number, row in rows), unused)
    if _is_known(first, task):
        return Rows(columns.format, (read for number, row in rows for read in _read_row(number, row, task)))
    unreadable.refuse(first, name)
    raise DataError(
        "JM-303",
        "this is no format that can be imported",
        where=name,
        expected=f"columns {', '.join(task.input)} and output or gold; or messages, conversations, instruction, prompt ...",
        got=f"the columns {', '.join(columns.names)}"[:300],
        hint=f"rename the columns; {FORMATS_PAGE}",
    )


def _split(reader: Reader) -> Iterator[Line]:
    """A document's elements, and that the file is broken behind them."""
    number = 0
    for line in split_document(reader.chunks()):
        number = line.number
        yield line
    if reader.is_broken:
        yield Line(number + 1, "", BROKEN)


def _read_document(elements: Iterator[Line], task: Task, name: str) -> Rows:
    head = list(islice(elements, LOOKED_AT_LINES))
    if not any(_is_json_row(line, task) for line in head):
        if not head:
            raise DataError("JM-302", "this file is empty", where=name, expected="at least one row")
        _refuse_unreadable(head, name)
        raise _unknown(head, head[0], task, name)
    return Rows("JSON document", _read_json(chain(head, elements), task))


def _refuse_unreadable(head: list[Line], name: str) -> None:
    for line in head:
        if not line.problem and line.text.lstrip().startswith("{"):
            try:
                row = parse_object(line.text)
            except DataError:
                continue
            unreadable.refuse(row, name)


def _is_json_row(line: Line, task: Task) -> bool:
    if line.problem or not line.text.lstrip().startswith("{"):
        return False
    try:
        row = parse_object(line.text)
    except DataError:
        return False
    return _is_known(row, task)


def _is_known(row: Mapping[str, Json], task: Task) -> bool:
    return (
        any(matches(row) for matches, _ in JSON_FORMATS.values())
        or any(_is_known(inner, task) for inner in _unfold(row) or [] if isinstance(inner, dict))
        or table.has_fields(row, task)
    )


def _unfold(row: Mapping[str, Json]) -> list[Json] | None:
    return next((inner for unfold in FOLDED if (inner := unfold(row)) is not None), None)


def _read_json(lines: Iterable[Line], task: Task) -> Iterator[Row]:
    for line in lines:
        if line.problem or line.is_blank:
            yield Row(line, is_blank=line.is_blank)
            continue
        try:
            row = parse_object(line.text)
        except DataError as error:
            yield Row(replace(line, problem=error.what, detail=detail_of(error)))
            continue
        yield from _read_object(row, line, task)


def _read_object(row: dict[str, Json], line: Line, task: Task) -> Iterator[Row]:
    """One row, or those that are folded in it."""
    inner = _unfold(row)
    if inner is None:
        yield _read_one(row, line, task)
        return
    for item in inner:
        if isinstance(item, dict):
            yield from _read_object(item, replace(line, text=json.dumps(item, ensure_ascii=False)), task)
        else:
            yield Row(replace(line, problem="this row is not a JSON object"))


def _read_one(row: dict[str, Json], line: Line, task: Task) -> Row:
    try:
        for matches, read in JSON_FORMATS.values():
            if matches(row) and not _is_field_alone(row, read, task):
                record = read(row)
                return Row(line, record, is_other=record is None)
        if table.has_fields(row, task):
            return Row(line, table.read_values(row, task))
        raise row_error(
            "this row has none of the known shapes", expected="messages, request or input", got=list(row)[:8]
        )
    except DataError as error:
        return Row(replace(line, problem=error.what, detail=detail_of(error)))


def _is_field_alone(row: Mapping[str, Json], read: Read, task: Task) -> bool:
    """Whether the text under ``input`` is one of several fields that the row has by their names."""
    return read is pairs.read and len(task.asked) > 1 and isinstance(row["input"], str) and table.has_fields(row, task)


def _read_row(number: int, row: dict[str, Json] | str, task: Task) -> Iterator[Row]:
    line = _show(number, row)
    if isinstance(row, str) or line.problem:
        return iter((Row(line),))
    return _read_object(row, line, task)


def _read_values(number: int, row: dict[str, Json] | str, task: Task) -> Row:
    line = _show(number, row)
    if isinstance(row, str) or line.problem:
        return Row(line)
    try:
        return Row(line, table.read_values(row, task))
    except DataError as error:
        return Row(replace(line, problem=error.what, detail=detail_of(error)))


def _show(number: int, row: Mapping[str, Json] | str) -> Line:
    """A row of columns as the line of JSON that it could be."""
    if isinstance(row, str):
        return Line(number, "", row)
    try:
        line = Line(number, json.dumps(row, ensure_ascii=False))
        line.text.encode()
    except UnicodeEncodeError:
        return Line(number, repr(row)[:2_000], "a value of this row is not UTF-8")
    return line


def _read_table(header: table.Header, first: Line, rest: Iterator[Line], task: Task, name: str) -> Rows:
    table.check_header(header, f"{name}:{first.number}")
    read = (_read_cell_row(line, cells, header, task) for line, cells in table.split_rows(rest, header))
    return Rows("CSV", read, table.unused_columns(header, task))


def _read_cell_row(line: Line, cells: list[str] | None, header: table.Header, task: Task) -> Row:
    if cells is None:
        return Row(line, is_blank=line.is_blank)
    try:
        return Row(line, table.read(cells, header, task))
    except DataError as error:
        return Row(replace(line, problem=error.what, detail=detail_of(error)))


def _read_cells(rest: Iterator[Line], header: table.Header, read: Read) -> Iterator[Row]:
    """Rows of a table in another tool's form; an empty cell is no value."""
    for line, cells in table.split_rows(rest, header):
        if cells is None:
            yield Row(line, is_blank=line.is_blank)
            continue
        try:
            row: dict[str, Json] = {name: cell or None for name, cell in zip(header.names, cells, strict=True)}
            record = read(row)
            yield Row(line, record, is_other=record is None)
        except DataError as error:
            yield Row(replace(line, problem=error.what, detail=detail_of(error)))


def _unknown(head: list[Line], first: Line, task: Task, name: str) -> DataError:
    got, hint = first.problem or f"{first.text[:60]!r}", FORMATS_PAGE
    for line in head:
        try:
            keys = list(parse_object(line.text)) if not line.problem else []
        except DataError:
            continue
        if keys:
            got, hint = f"JSON lines with the keys {', '.join(keys)[:120]}", f"rename the keys; {FORMATS_PAGE}"
            break
    return DataError(
        "JM-303",
        "this is no format that can be imported",
        where=name,
        expected=f"{EXPECTED} {', '.join(task.input)}",
        got=remove_secrets(got),
        hint=hint,
    )
