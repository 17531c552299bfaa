"""CSV with a header line (separated by comma, semicolon or tab, quoted as in RFC 4180).

Columns: the task's input fields by name (or ``input``, for a task with one), then ``output`` and ``gold`` as JSON text
or plain text, or the answer's fields one by one as ``output.FIELD`` and ``gold.FIELD``. ``id``, ``time`` and ``model``
are optional. A cell of a field that is not text is read as JSON. An empty cell is no value; where the schema requires a
text it is the empty text. Row numbers are those of the line that a row starts on.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.core.example import Target, object_target, text_target
from journeyman.data.columnar import refuse_repeated
from journeyman.data.lines import Line
from journeyman.data.record import (
    Record,
    hash_content,
    hash_row,
    parse_json,
    read_alternatives,
    read_feedback,
    read_group,
    read_target,
    read_time,
    row_error,
)
from journeyman.task.task import Task

DELIMITERS = (",", ";", "\t")
EXTRA = ("output", "gold", "group", "id", "time", "model")
ROW_LINES = 200


@dataclass(frozen=True, slots=True)
class Header:
    names: tuple[str, ...]
    delimiter: str


def read_headers(line: str) -> Iterator[Header]:
    """What the line would be as a header, by each of the delimiters."""
    for delimiter in DELIMITERS:
        with suppress(csv.Error):
            names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
            yield Header(tuple(names), delimiter)


def has_fields(names: Collection[str], task: Task) -> bool:
    """Whether these columns hold the task's input, each field by its name or by ``input.NAME``."""
    return bool(task.input) and all(name in names or f"input.{name}" in names for name in task.asked)


def has_input(names: Collection[str], task: Task) -> bool:
    return has_fields(names, task) or (len(task.asked) == 1 and "input" in names)


def check_header(header: Header, where: str) -> None:
    """Raises: DataError: JM-303, a column name comes twice."""
    refuse_repeated(header.names, where)


def unused_columns(header: Header, task: Task) -> frozenset[str]:
    known = {*task.input, *EXTRA, "input", *(f"input.{name}" for name in task.input)}
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
    for name, schema in _present(task, row).items():
        fields[name] = _read_cell(str(_field(row, name)), schema, name)
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


def read_values(row: dict[str, Json], task: Task) -> Record:
    """A row whose values have types, of a Parquet file or of JSON with the task's fields as keys. A text is JSON where its field is none.

    Raises:
        DataError: JM-311, a value is not what its field needs.
    """
    fields: dict[str, Json] = {}
    for name, schema in _present(task, row).items():
        value = _field(row, name)
        fields[name] = _read_cell(value, schema, name) if isinstance(value, str) else value
    is_free = _is_free(row, "group", task)
    return Record(
        key="",
        content=(hash_content if is_free else hash_row)(row),
        input=fields,
        output=_read_value(row, "output", task),
        gold=_read_value(row, "gold", task),
        alternatives=() if "alternatives" in task.input else read_alternatives(row.get("alternatives")),
        feedback="" if "feedback" in task.input else read_feedback(row.get("feedback")),
        group=read_group(row.get("group")) if is_free else "",
        is_restricted=_is_free(row, "terms", task) and row.get("terms") == "restricted",
        model="" if "model" in task.input else str(row.get("model") or ""),
        time=read_time(row.get("time")) if _is_free(row, "time", task) else "",
        unused=unused_columns(Header(tuple(row), ""), task) - {"alternatives", "feedback"},
    )


def _read_value(row: Mapping[str, Json], column: str, task: Task) -> Target | None:
    if _is_free(row, column, task) and row.get(column) is not None:
        return read_target(row[column])
    prefix = f"{column}."
    values: dict[str, Json] = {
        name[len(prefix) :]: value for name, value in row.items() if name.startswith(prefix) and value is not None
    }
    return object_target(values) if values else None


def _is_free(row: Mapping[str, Json], column: str, task: Task) -> bool:
    """Whether the column is not the input field of that name, which may stand as ``input.NAME``."""
    return column not in task.input or f"input.{column}" in row


def _present(task: Task, row: Mapping[str, object]) -> Mapping[str, Mapping[str, Json]]:
    """The input fields; the one that retrieval fills only where it has a column, and says something in it."""
    is_there = bool(task.filled) and any(row.get(key) for key in (f"input.{task.filled}", task.filled))
    return task.input if is_there else task.asked


def _field(row: Mapping[str, Json], name: str) -> Json:
    return next((row[key] for key in (f"input.{name}", name, "input") if key in row), None)


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
