"""The server's log: a line for each call once its trace is stored, and what the server notes, as JSON or as text for a terminal.

A line says who was asked, who answered and what it took; never what was said. Whatever a caller may choose (a model's name) cannot end a line or move the cursor. Lines are
written by a thread of their own, since who reads them may be slow; where it is too slow, lines are dropped and counted.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal, TextIO

from journeyman.core.canonical import Json
from journeyman.core.trace import Trace
from journeyman.gateway.summary import CallSummary, summarize

Form = Literal["json", "text"]
MOST_WAITING = 10_000
LONGEST_NAME = 200
CLOSE_S = 2.0


class Writer:
    """Writes lines to ``stream``, one after the other and each whole. `close` waits for those that are queued, for ``CLOSE_S`` seconds at the most."""

    def __init__(self, stream: TextIO, most_waiting: int = MOST_WAITING) -> None:
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(most_waiting)
        self.dropped = 0
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Returns at once."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        try:
            self._lines.put(None, timeout=CLOSE_S)
        except queue.Full:
            return
        self._thread.join(CLOSE_S)

    def _write(self) -> None:
        line: str | None = ""
        while line is not None:
            line = self._lines.get()
            try:
                self._stream.write("" if line is None else line + "\n")
                if line is None or self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):  # nobody reads it any more: calls go on
                self.dropped += 1


class Journal:
    """Of calls. ``write`` takes a line."""

    def __init__(self, form: Form, writer: Writer) -> None:
        self._describe = write_json if form == "json" else write_text
        self._writer = writer

    def observe(self, trace: Trace) -> None:
        self._writer.write(self._describe(summarize(trace)))


def write_json(call: CallSummary) -> str:
    """ASCII alone, so that no character means anything to whatever shows it."""
    return _dump({"time": call.time, "level": "info", "event": "call", **call.to_json()})


def write_text(call: CallSummary) -> str:
    tokens = f"{call.input_tokens or 0}+{call.output_tokens or 0} tokens"
    took = "" if call.latency_ms is None else f"{call.latency_ms:.0f} ms"
    cost = "" if call.cost_usd is None else f"${call.cost_usd:.6f}"
    route = f"{call.by}: {call.why}" if call.why else call.by
    parts = (call.time[11:19], call.status, shown(call.task), route, shown(call.model), took, tokens, cost, call.trace)
    return "  ".join(part for part in parts if part)


def shown(name: str) -> str:
    """A name that a caller may have chosen, as one word of visible characters."""
    kept = name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "..."
    return "".join(
        letter if letter.isprintable() and letter != " " else ascii(letter)[1:-1].replace(" ", "\\x20")
        for letter in kept
    )


class Notes(logging.Handler):
    """What the server and its libraries note."""

    def __init__(self, form: Form, writer: Writer) -> None:
        super().__init__()
        self._is_json = form == "json"
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        trouble = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        level = record.levelname.lower()
        if self._is_json:
            note: dict[str, Json] = {
                "time": moment,
                "level": level,
                "event": "note",
                "logger": record.name,
                "message": said,
            }
            self._writer.write(_dump(note | ({"exception": trouble} if trouble else {})))
            return
        lines = [
            f"{moment[11:19]}  {level}  {_visible(said)}",
            *(f"    {_visible(line)}" for line in trouble.splitlines()),
        ]
        self._writer.write("\n".join(lines))


class Noting:
    """Progress as notes of the log; bars have no place in it."""

    def __init__(self) -> None:
        self._log = logging.getLogger("journeyman.serve")

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
        pass

    def advance(self, amount: float = 1.0, detail: str = "") -> None:
        pass

    def finish(self, detail: str = "") -> None:
        pass

    def note(self, text: str) -> None:
        self._log.info(text)


@contextmanager
def keeping_log(form: Form, stream: TextIO) -> Iterator[Journal]:
    """The log of this process, from here to the end of the block: notes of ours from ``info`` on, of others from ``warning`` on."""
    writer = Writer(stream)
    handler, root, ours = Notes(form, writer), logging.getLogger(), logging.getLogger("journeyman")
    level = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield Journal(form, writer)
    finally:
        if writer.dropped:
            ours.warning("%d lines of this log were dropped: its reader was too slow", writer.dropped)
        logging.captureWarnings(False)
        ours.setLevel(level)
        root.removeHandler(handler)
        writer.close()


def _visible(text: str) -> str:
    """One line, whatever stands in it."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _dump(line: Mapping[str, Json]) -> str:
    return json.dumps(line, ensure_ascii=True, separators=(",", ":"))
