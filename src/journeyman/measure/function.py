"""A user's Python function as a metric: in a process of its own, a row at a time, each within a limit.

The function gets ``input`` (the task's fields), ``expected`` and ``got`` (JSON values or texts; None where the answer is missing or
unreadable) and returns a number from 0 to 1, or a truth value. What it prints goes to stderr. Whatever it does wrong is told by the row.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from journeyman.core.canonical import Json
from journeyman.core.errors import GateError
from journeyman.core.example import Target
from journeyman.measure.metrics import Pair, Part, call_values

LIMIT_S = 10.0
START_S = 60.0  # importing what the file imports
MOST_BYTES = 65_536


def score_with_function(
    path: Path,
    function: str,
    name: str,
    pairs: Sequence[Pair],
    known: dict[str, float] | None = None,
    limit_s: float = LIMIT_S,
) -> list[Part]:
    """The function's score of each pair, over 1. ``known`` keeps scores from call to call: the same question is not asked twice.

    Raises:
        GateError: JM-611 no such file or function, JM-612 it raised, JM-613 no number from 0 to 1, JM-614 it took too long or ended.
    """
    if not path.is_file():
        raise GateError(
            "JM-611", f"the metric {name} has no file", where=str(path), hint="write it, or mend `metrics:`"
        )
    known = {} if known is None else known
    lines = [
        json.dumps({"input": dict(pair.input), "expected": _plain(pair.expected), "got": _plain(pair.got)})
        for pair in pairs
    ]
    if not all(line in known for line in lines):
        _score_new(path, function, name, lines, known, limit_s)
    return [(known[line], 1.0) for line in lines]


def _score_new(
    path: Path, function: str, name: str, lines: Sequence[str], known: dict[str, float], limit_s: float
) -> None:
    command = [sys.executable, "-m", "journeyman.measure.worker", str(path), function]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        try:
            worker = _Worker(process, name, str(path))
            started = worker.answer(START_S, "starting")
            if "error" in started:
                raise GateError(
                    "JM-611",
                    f"the metric {name} cannot be loaded",
                    where=str(path),
                    expected=f"a function {function}(input, expected, got)",
                    got=str(started["error"]),
                )
            for row, line in enumerate(lines):
                if line not in known:
                    known[line] = worker.score(row, line, limit_s)
        finally:
            process.kill()
            with suppress(BrokenPipeError):  # what was not written any more
                process.stdin.close()  # type: ignore[union-attr]


class _Worker:
    """Lines of JSON to and from the process."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, where: str) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.asking: IO[bytes] = process.stdin
        self.answers: IO[bytes] = process.stdout
        self.name, self.where, self.rest = name, where, b""
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.answers, selectors.EVENT_READ)

    def score(self, row: int, line: str, limit_s: float) -> float:
        where = f"row {row}"
        try:
            self.asking.write(line.encode() + b"\n")
            self.asking.flush()
        except BrokenPipeError:
            raise self._ended(where) from None
        answer = self.answer(limit_s, where)
        if "error" in answer:
            raise GateError(
                "JM-612",
                f"the metric {self.name} failed",
                where=f"{self.where}, {where}",
                got=str(answer["error"]),
                hint="mend the function, then run the same command again: no answer is lost",
            )
        value = answer["value"]
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise GateError(
                "JM-613",
                f"the metric {self.name} returned no score",
                where=f"{self.where}, {where}",
                expected="a number from 0 to 1, or a truth value",
                got=f"{answer['shown']!s:.120}",
            )
        return float(value)

    def answer(self, limit_s: float, where: str) -> dict[str, Json]:
        """The next line, or an error once ``limit_s`` seconds went by without anything."""
        while b"\n" not in self.rest:
            if not self.selector.select(limit_s):
                raise GateError(
                    "JM-614",
                    f"the metric {self.name} took too long",
                    where=f"{self.where}, {where}",
                    expected=f"an answer within {limit_s:g} s",
                    hint="mend the function, then run the same command again: no answer is lost",
                )
            read = os.read(self.answers.fileno(), MOST_BYTES)
            if not read:
                raise self._ended(where)
            self.rest += read
        line, _, self.rest = self.rest.partition(b"\n")
        answer: dict[str, Json] = json.loads(line)
        return answer

    def _ended(self, where: str) -> GateError:
        return GateError(
            "JM-614",
            f"the metric {self.name} ended its process",
            where=f"{self.where}, {where}",
            expected="a function that returns",
            hint="mend the function, then run the same command again: no answer is lost",
        )


def _plain(target: Target | None) -> Json:
    if target is None or target.kind == "abstain":
        return None
    if target.kind == "text":
        return target.text
    return list(call_values(target)) if target.kind == "tool_calls" else target.value
