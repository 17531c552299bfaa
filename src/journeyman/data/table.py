"""CSV with a header line (separated by comma, semicolon or tab, quoted as in RFC 4180).

Columns: the task's input fields by name (or ``input``, for a task with one), then ``output`` and ``gold`` as JSON text
or plain text, or the answer's fields one by one as ``output.FIELD`` and ``gold.FIELD``. ``id``, ``time`` and ``model``
are optional. A cell of a field that is not text is read as JSON. An empty cell is no value; where the schema requires a
text it is the empty text. Row numbers are those of the line that a row starts on.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.core.example import Target, object_target, text_target
from journeyman.data.lines import Line
from journeyman.data.record import Record, hash_content, hash_row, parse_json, read_time, row_error
from journeyman.task.task import Task

DELIMITERS = (",", ";", "\t")
EXTRA = ("output", "gold", "group", "id", "time", "model")
ROW_LINES = 200


@dataclass(frozen=True, slots=True)
class Header:
    names: tuple[str, ...]
    delimiter: str


def read_header(line: str, task: Task) -> Header | None:
    """The header, if this line names the task's input."""
    for delimiter in DELIMITERS:
        try:
            names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
        except csv.Error:
            continue
        if set(task.input) <= set(names) or (len(task.input) == 1 and "input" in names):
            return Header(tuple(names), delimiter)
    return None


def check_header(header: Header, where: str) -> None:
    """Raises: DataError: JM-303, a column name comes twice."""
    twice = sorted({name for name in header.names if header.names.count(name) > 1 and name})
    if twice:
        raise DataError("JM-303", "a column of this table comes twice", where=where, got=", ".join(twice))


def unused_columns(header: Header, task: Task) -> frozenset[str]:
    known = {*task.input, *EXTRA, "input"}
    return frozenset(name for name in header.names if name not in known and not name.startswith(("output.", "gold.")))


def split_rows(lines: Iterator[Line], header: Header) -> Iterator[tuple[Line, list[str] | None]]:
    """Rows of cells, each with the line it starts on; None for a line that makes no row.

    A quote that never closes costs its own line only: reading starts again on the next one.
    """
    waiting: deque[Line] = deque()
    while True:
        line = waiting.popleft() if waiting else next(lines, None)
        if line is None:
            return
        if line.problem or line.is_blank:
            yield line, None
            continue
        yield _take_row(line, waiting, lines, header)


def _take_row(
    first: Line, waiting: deque[Line], lines: Iterator[Line], header: Header
) -> tuple[Line, list[str] | None]:
    """One row, which may run over several lines; lines read ahead in vain go back to ``waiting``."""
    taken: list[Line] = []
    texts = [first.text]
    while True:
        try:
            cells = _split(texts, header.delimiter)
        except csv.Error as error:
            waiting.extendleft(reversed(taken))
            return replace(first, problem="this is not a CSV row", detail=str(error)), None
        if cells is not None:
            return _fit(first, cells, header)
        following = waiting.popleft() if waiting else next(lines, None)
        if following is not None:
            taken.append(following)
        if following is None or following.problem or len(taken) >= ROW_LINES:
            waiting.extendleft(reversed(taken))
            return replace(first, problem="a quote is opened here and never closed"), None
        texts.append(following.text)


def _split(texts: Sequence[str], delimiter: str) -> list[str] | None:
    """Cells, or None while a quoted cell is still open.

    Raises:
        csv.Error: no row, however many lines follow.
    """
    try:
        return next(csv.reader(["\n".join(texts)], delimiter=delimiter, strict=True))
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return None
        raise


def _fit(first: Line, cells: list[str], header: Header) -> tuple[Line, list[str] | None]:
    if len(cells) != len(header.names):
        detail = f"the row has {len(cells)}, the header {len(header.names)}"
        return replace(first, problem="the row has another number of cells than the header", detail=detail), None
    return first, cells


def read(cells: Sequence[str], header: Header, task: Task) -> Record:
    """Raises: DataError: JM-311, a cell is not what its column needs."""
    row = dict(zip(header.names, cells, strict=True))
    fields: dict[str, Json] = {}
    for name, schema in task.input.items():
        cell = row[name] if name in row else row["input"]
        fields[name] = _read_cell(cell, schema, name)
    return Record(
        key="",
        content=(hash_row if "group" in task.input else hash_content)(cast(dict[str, Json], row)),
        input=fields,
        output=_read_answer(row, "output", task),
        gold=_read_answer(row, "gold", task),
        group="" if "group" in task.input else row.get("group", "").strip(),
        model=row.get("model", ""),
        time=read_time(row.get("time", "")),
    )


def _read_answer(row: Mapping[str, str], column: str, task: Task) -> Target | None:
    if cell := row.get(column, "").strip():
        return text_target(cell)
    prefix = f"{column}."
    cells = {name[len(prefix) :]: cell for name, cell in row.items() if name.startswith(prefix)}
    if not any(cell.strip() for cell in cells.values()):
        return None
    schema = task.schema or {}
    properties = cast(Mapping[str, Mapping[str, Json]], schema.get("properties") or {})
    required = cast(Sequence[str], schema.get("required") or ())
    # In the schema's order, for that is the order in which a student learns to write the fields.
    order = [name for name in properties if name in cells] + [name for name in cells if name not in properties]
    value: dict[str, Json] = {}
    for name in order:
        if cells[name] or (name in required and _is_text(properties.get(name, {}))):
            value[name] = _read_cell(cells[name], properties.get(name, {}), prefix + name)
    return object_target(value)


def _read_cell(cell: str, schema: Mapping[str, Json], name: str) -> Json:
    if _is_text(schema):
        return cell
    try:
        return parse_json(cell)
    except DataError:
        raise row_error(
            "this cell does not hold what its column needs", where=name, expected="JSON", got=cell
        ) from None


def _is_text(schema: Mapping[str, Json]) -> bool:
    """Whether a value of this field is written as it stands: text, or one of several texts."""
    kind, choices = schema.get("type"), schema.get("enum")
    if isinstance(choices, list):
        return all(isinstance(item, str) for item in choices)
    return kind == "string" or kind is None or (isinstance(kind, list) and "string" in kind)
