"""The file that people label: a row per question with two answers in random order, as CSV or JSON lines by the file's ending.

Columns: ``row``, ``input``, ``first``, ``second``, and two to fill: ``right`` (first, second, both or neither) or ``answer`` (the right one, where it is neither;
as JSON where the task answers in JSON). Nothing in it says whose an answer is. A CSV cell that a spreadsheet would take for a formula begins with an apostrophe.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from journeyman.core.canonical import Json, content_hash, dump
from journeyman.core.errors import GateError
from journeyman.core.files import write_atomic
from journeyman.data.lines import file_source
from journeyman.data.table import DELIMITERS

SHOWN = ("row", "input", "first", "second")
COLUMNS = (*SHOWN, "right", "answer")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
LONGEST_CELL = 10_000_000


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is shown: ``row`` is a name that says nothing, the answers are text."""

    row: str
    input: str
    first: str
    second: str

    @property
    def hash(self) -> str:
        """Of what is shown; white space does not count, for spreadsheets change it."""
        return content_hash([" ".join(text.split()) for text in (self.row, self.input, self.first, self.second)])


@dataclass(frozen=True, slots=True)
class Filled:
    """A row that came back, with the line that it begins on."""

    line: int
    question: Question
    right: str
    answer: str


def check_ending(path: Path) -> None:
    """Raises: GateError JM-673, neither .csv nor .jsonl."""
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise GateError(
            "JM-673",
            "the ending of this file says no form",
            where=str(path),
            expected=".csv or .jsonl",
            got=path.suffix or "none",
            hint="choose another name",
        )


def write_sheet(path: Path, questions: Sequence[Question]) -> None:
    """Raises: GateError JM-673 the file's ending. StoreError: JM-801, JM-802."""
    check_ending(path)
    rows = [asdict(question) | {"right": "", "answer": ""} for question in questions]
    if path.suffix.lower() == ".jsonl":
        write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([_guard(row[name]) for name in COLUMNS] for row in rows)
    write_atomic(path, text.getvalue().encode("utf-8-sig"))


def read_sheet(path: Path) -> list[Filled]:
    """The rows of a file that was filled in.

    Raises:
        GateError: JM-673 it is no such file, or a line of it no such row. DataError: JM-301 to JM-303 it cannot be read at all.
    """
    check_ending(path)
    file_source(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _no_sheet(path, 0, f"not UTF-8 at byte {error.start + 1}", "save it as UTF-8") from error
    rows = _read_lines(path, text) if path.suffix.lower() == ".jsonl" else _read_table(path, text)
    return [
        Filled(
            line, Question(*(cells[name] for name in SHOWN)), cells["right"].strip().lower(), cells["answer"].strip()
        )
        for line, cells in rows
    ]


def _read_table(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    csv.field_size_limit(LONGEST_CELL)
    first = text.split("\n", 1)[0]
    for delimiter in DELIMITERS:
        names = [name.strip() for name in first.rstrip("\r").split(delimiter)]
        if set(COLUMNS) <= {name.strip('"') for name in names}:
            break
    else:
        raise _no_sheet(
            path, 1, first[:80], "give the file that `journeyman label TASK --draw` wrote, with its columns"
        )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        header = [name.strip() for name in next(reader)]
        for cells in reader:
            begin, line = line + 1, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise _no_sheet(path, begin, f"{len(cells)} cells, the header has {len(header)}", "mend that line")
            yield begin, {name: _plain(cell) for name, cell in zip(header, cells, strict=True)}
    except csv.Error as error:
        raise _no_sheet(path, line + 1, str(error), "mend that line") from error


def _read_lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for line, written in enumerate(text.split("\n"), start=1):
        if not written.strip():
            continue
        try:
            row: Json = json.loads(written)
        except ValueError as error:
            raise _no_sheet(path, line, f"no JSON: {error}", "mend that line") from error
        if not isinstance(row, dict) or not set(SHOWN) <= row.keys():
            raise _no_sheet(path, line, f"{written[:80]}", "give the file that `journeyman label TASK --draw` wrote")
        yield line, {name: _text(row.get(name)) for name in COLUMNS}


def _text(value: Json) -> str:
    """A corrected answer may stand as the JSON value itself."""
    return value if isinstance(value, str) else "" if value is None else dump(value)


def _guard(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def _plain(cell: str) -> str:
    return cell.removeprefix("'")


def _no_sheet(path: Path, line: int, got: str, hint: str) -> GateError:
    return GateError(
        "JM-673",
        "this is no file of questions to label",
        where=f"{path}:{line}" if line else str(path),
        expected=f"the columns {', '.join(COLUMNS)}",
        got=got,
        hint=hint,
    )
