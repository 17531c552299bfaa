"""What a person sees: bars and notes on stderr, results on stdout; with ``--json`` one document on stdout and nothing else."""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Mapping

import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from journeyman.core.errors import JourneymanError

SLOW_LOG_S = 15.0
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Bars:
    """Progress bars with remaining time on a terminal; elsewhere a line every 15 s."""

    def __init__(self, console: Console | None = None, is_quiet: bool = False) -> None:
        self.console = console or Console(stderr=True)
        self.is_quiet = is_quiet
        self.bars: Progress | None = None
        self.current: TaskID | None = None
        self.logged = 0.0
        self.stage, self.unit, self.done = "", "", 0.0
        self.total: float | None = None

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
        stage = _one_line(stage)
        self.stage, self.total, self.unit, self.done = stage, total, unit, 0.0
        self.logged = time.monotonic()
        if self.is_quiet or not self.console.is_terminal:
            return
        self.bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<10}", style="bold", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=self.console,
            transient=True,
        )
        self.bars.start()
        self.current = self.bars.add_task(stage, total=total, detail="")

    def advance(self, amount: float = 1.0, detail: str = "") -> None:
        self.done += amount
        detail = _one_line(detail)
        if self.bars is not None and self.current is not None:
            self.bars.update(self.current, advance=amount, detail=detail)
        elif not self.is_quiet and time.monotonic() - self.logged > SLOW_LOG_S:
            self.logged = time.monotonic()
            of = f"/{self.total:.0f}" if self.total else ""
            self.note(f"  {self.stage}: {self.done:.0f}{of} {self.unit} {detail}".rstrip())

    def finish(self, detail: str = "") -> None:
        if self.bars is not None:
            self.bars.stop()
            self.bars = None
        if detail:
            self.note(f"{self.stage}: {detail}")

    def note(self, text: str) -> None:
        if not self.is_quiet:
            self.console.print(plain(text), highlight=False, markup=False, emoji=False)


def print_json(document: Mapping[str, object]) -> None:
    """One JSON document on stdout."""
    try:
        data = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except (
        TypeError
    ):  # half a character, as in names of files, or a number of more than 64 bits: JSON has escapes and digits for both
        data = json.dumps(_finite(document), indent=2).encode("ascii") + b"\n"
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def _finite(value: object) -> object:
    """As orjson writes it: what is no number is null."""
    match value:
        case dict():
            return {name: _finite(item) for name, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value


def print_lines(*lines: str) -> None:
    """A terminal gets no control characters, which data may hold; a pipe gets the text as it is."""
    for line in lines:
        sys.stdout.write((plain(line) if sys.stdout.isatty() else line) + "\n")


def plain(text: str) -> str:
    """Without what moves a cursor, colours or renames a terminal: it is shown instead."""
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _one_line(text: str) -> str:
    return plain(text).replace("\n", "\\n")


def print_table(table: Table) -> None:
    """Text as it is: a name such as ``[red]`` or ``:red_car:`` is no markup."""
    Console(markup=False, emoji=False).print(table)


def print_error(error: JourneymanError, is_json: bool) -> None:
    """To stderr for people; with ``--json`` also the document ``{"error": …}`` on stdout."""
    if is_json:
        print_json({"error": error.to_json()})
    sys.stderr.write(plain(error.message()) + "\n")
