"""Parquet and Arrow files as rows of typed values, a batch in memory at a time, whatever the size of a row group.

Batches are cut so that one holds about ``BATCH_BYTES`` of values. Moments become ISO 8601 with microseconds at the most, decimals texts, bytes UTF-8 texts, NaN no value; a
column without a value is left out of its row. A row with a value that Python has none for (a year after 9999, broken text) is named, the others are read. This module knows
nothing about tasks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.data.lines import show_path, unreadable

PARQUET, ARROW_FILE, ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
BATCH_BYTES, BATCH_ROWS = 8_000_000, 1_000
UNREADABLE = (ValueError, OverflowError, KeyError)
"""What pyarrow raises for a value that Python has none for; its own ArrowInvalid is a ValueError."""
BUFFER_BYTES = 1 << 18  # of a column's pages; without it a whole row group would be read at once


@dataclass(frozen=True, slots=True)
class Columns:
    """``rows`` may be read once; a text among them says why a row cannot be read, or that the file is damaged from there on. ``read_bytes`` is how much of the
    file's size has been given out."""

    format: str
    names: tuple[str, ...]
    rows: Iterator[dict[str, Json] | str]
    read_bytes: Callable[[], int]


def is_columnar(path: Path) -> bool:
    try:
        if not path.is_file():  # a pipe would be read, or waited for
            return False
        with path.open("rb") as file:
            return file.read(6).startswith((PARQUET, ARROW_FILE, ARROW_STREAM))
    except OSError:
        return False


@contextmanager
def open_columns(path: Path) -> Iterator[Columns]:
    """Open for one pass.

    Raises:
        DataError: JM-301 not readable, JM-302 no row, JM-303 the file is damaged, or of a version that pyarrow does not read, or has a column twice.
    """
    import pyarrow as pa

    try:
        opened = path.open("rb")
    except OSError as error:
        raise unreadable(show_path(path), error) from error
    with opened as file:
        is_parquet = file.read(4) == PARQUET
        file.seek(0)
        try:
            columns = _open_parquet(file, path) if is_parquet else _open_arrow(path)
        except (pa.ArrowException, OSError) as error:
            raise damaged(_said(error), show_path(path)) from error
        yield columns


def _open_parquet(file: Any, path: Path) -> Columns:
    import pyarrow.parquet as pq

    opened = pq.ParquetFile(file, buffer_size=BUFFER_BYTES, pre_buffer=False)
    meta = opened.metadata
    if not meta.num_rows:
        raise _empty(path)
    groups = [meta.row_group(place) for place in range(meta.num_row_groups)]
    row_bytes = sum(group.total_byte_size for group in groups) / meta.num_rows
    batch = int(min(BATCH_ROWS, max(1.0, BATCH_BYTES / max(row_bytes, 1.0))))
    batches = opened.iter_batches(batch_size=batch, use_threads=False)
    return _columns("Parquet", opened.schema_arrow, batches, meta.num_rows, path)


def _open_arrow(path: Path) -> Columns:
    """Its batches are as large as who wrote them made them, but only looked at where they are read."""
    import pyarrow as pa

    source = pa.memory_map(str(path))
    if source.read(6) == ARROW_FILE:
        opened = pa.ipc.open_file(source)
        batches = (opened.get_batch(place) for place in range(opened.num_record_batches))
        return _columns("Arrow", opened.schema, batches, None, path)
    source.seek(0)
    stream = pa.ipc.open_stream(source)
    return _columns("Arrow", stream.schema, iter(stream), None, path)


def _columns(format: str, schema: Any, batches: Iterator[Any], total: int | None, path: Path) -> Columns:
    size, taken = path.stat().st_size, [0, 0]  # rows, bytes of values
    refuse_repeated(schema.names, show_path(path))
    needs_change = any(_needs_change(field.type) for field in schema)

    def rows() -> Iterator[dict[str, Json] | str]:
        for batch in _whole(batches):
            if isinstance(batch, str):
                yield batch
                return
            step = int(min(BATCH_ROWS, max(1.0, BATCH_BYTES / max(batch.nbytes / max(batch.num_rows, 1), 1.0))))
            for start in range(0, batch.num_rows, step):
                for row in _read_rows(batch.slice(start, step)):
                    taken[0] += 1
                    if isinstance(row, str):
                        yield row
                        continue
                    kept = {name: value for name, value in row.items() if value is not None}
                    yield cast(dict[str, Json], _change(kept) if needs_change else kept)
            taken[1] += batch.nbytes
        if not taken[0]:
            raise _empty(path)

    def read_bytes() -> int:
        return int(size * taken[0] / total) if total else min(taken[1], size)

    return Columns(format, tuple(schema.names), rows(), read_bytes)


def refuse_repeated(names: Sequence[str], where: str) -> None:
    """Raises: DataError: JM-303, a column name comes twice."""
    twice = sorted({name for name, count in Counter(names).items() if count > 1 and name})
    if twice:
        raise DataError("JM-303", "a column of this table comes twice", where=where, got=", ".join(twice)[:300])


def damaged(said: str, where: str) -> DataError:
    return DataError(
        "JM-303",
        "this is no format that can be imported",
        where=where,
        expected="a whole Parquet or Arrow file",
        got=said,
        hint="write the file again",
    )


def _read_rows(batch: Any) -> Iterator[dict[str, Any] | str]:
    """The rows of a batch; of one with a value that cannot be read in which column that is."""
    import pyarrow as pa

    columns = [_without_nanoseconds(column) for column in batch.columns]
    try:
        yield from pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
        return
    except UNREADABLE:
        pass
    for place in range(batch.num_rows):
        row, problem = dict[str, Any](), ""
        for name, column in zip(batch.schema.names, columns, strict=True):
            try:
                row[name] = column[place].as_py()
            except UNREADABLE:
                problem = f"a value of the column {name} cannot be read"
        yield problem or row


def _without_nanoseconds(column: Any) -> Any:
    """Python's moments have microseconds."""
    import pyarrow as pa

    kind = column.type
    if not pa.types.is_temporal(kind) or getattr(kind, "unit", "") != "ns":
        return column
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", kind.tz), safe=False)
    return column.cast(pa.time64("us") if pa.types.is_time(kind) else pa.duration("us"), safe=False)


def _whole(batches: Iterator[Any]) -> Iterator[Any]:
    """The batches, up to one that cannot be read: why stands in its place."""
    import pyarrow as pa

    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as error:
            yield f"the file is damaged here: {_said(error)}"
            return
        if batch is None:
            return
        yield batch


def _said(error: Exception) -> str:
    return str(error).split("\n")[0][:200]


def _needs_change(kind: Any) -> bool:
    """Whether values of this type are not JSON already."""
    import pyarrow.types as types

    if types.is_nested(kind):
        return types.is_map(kind) or any(_needs_change(kind.field(place).type) for place in range(kind.num_fields))
    if types.is_dictionary(kind):
        return _needs_change(kind.value_type)
    is_plain = types.is_string(kind) or types.is_large_string(kind) or types.is_integer(kind) or types.is_boolean(kind)
    return not (is_plain or types.is_null(kind))


def _change(value: Any) -> Json:
    match value:
        case dict():
            return {str(name): _change(inner) for name, inner in value.items() if not _is_nan(inner)}
        case list():
            return [_change(item) for item in value]
        case tuple() if len(value) == 2:  # an entry of a map
            return [_change(item) for item in value]
        case datetime() | date() | time():
            return value.isoformat()
        case bytes():
            return value.decode("utf-8", "surrogateescape")
        case Decimal():
            return str(value)
        case float():
            return None if math.isnan(value) else value
        case str() | int() | bool() | None:
            return value
        case _:
            return str(value)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _empty(path: Path) -> DataError:
    return DataError("JM-302", "this file is empty", where=show_path(path), expected="at least one row")
