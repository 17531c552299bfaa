"""What calls cost, how many there are, and in how many days a student has earned what making it cost: from recorded calls, and from what the user states."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from journeyman.core.trace import Trace
from journeyman.evaluation.ladder import break_even_days, usd_per_1000
from journeyman.flows.runs import RESULT, RunFolder
from journeyman.flows.upstream import find_upstream
from journeyman.flows.workspace import Workspace
from journeyman.measure.metrics import Call
from journeyman.task.task import Task

PRICED = 1000  # recorded calls, the latest, that the teacher's price is taken from
OF_TEACHER = ("import", "task")  # origins of recorded calls that are the teacher's
OF_USERS = (*OF_TEACHER, "serve", "ask")
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """The teacher's recorded calls: ``usd`` per 1,000, median latency, and how many calls a day people make. None: not known."""

    usd: float | None
    p50_ms: float | None
    per_day: float | None


@dataclass(frozen=True, slots=True)
class Prices:
    """What the settings state, in US dollars: an hour of this machine, and a million of the teacher's tokens on either side. None: not stated."""

    hour: float | None
    input: float | None
    output: float | None

    @staticmethod
    def read(workspace: Workspace, task: Task | None = None) -> Prices:
        """``task``: whose teacher is asked; without one the project's."""
        sides = find_upstream(workspace.project, task).price or (None, None)
        return Prices(workspace.project.number("serve", "machine_usd_per_hour"), *sides)

    def usd(self, call: Call) -> float | None:
        """Of one call: its tokens where these are paid for, else the machine's time, busy with nothing else. None: not known."""
        if not call.is_paid:
            known = call.latency_ms is not None and self.hour is not None
            return usd_per_1000(cast(float, call.latency_ms), cast(float, self.hour)) / 1000 if known else None
        if None in (call.input_tokens, call.output_tokens, self.input, self.output):
            return None
        tokens, prices = (call.input_tokens, call.output_tokens), (self.input, self.output)
        return sum(cast(int, count) * cast(float, price) for count, price in zip(tokens, prices, strict=True)) / 1e6


def read_traffic(workspace: Workspace, task_name: str) -> Traffic:
    recorded = workspace.store.traces(task_name, origins=OF_TEACHER)
    calls = list(deque((call for call in recorded if is_teachers(call)), PRICED))
    latencies = [call.latency_ms for call in calls if call.latency_ms]
    return Traffic(
        _price(workspace, task_name, calls),
        statistics.median(latencies) if latencies else None,
        _calls_per_day(workspace, task_name),
    )


def is_teachers(call: Trace) -> bool:
    """Whether a recorded call of these origins was answered, and not by a release of ours or from memory."""
    return not call.release and call.status == "ok" and "cached_of" not in call.meta


def find_break_even(workspace: Workspace, traffic: Traffic, run_id: str, usd: float | None) -> float | None:
    """Days until a student at ``usd`` per 1,000 calls has earned its tuning and ``serve.setup_usd``, if it answers every call; None where a figure is not
    known, or it saves nothing."""
    hourly = workspace.project.number("serve", "machine_usd_per_hour")
    result = RunFolder(workspace.project.runs / run_id).read(RESULT) or {}
    if None in (hourly, usd, traffic.usd, traffic.per_day):
        return None
    made = cast(float, result.get("seconds") or 0.0) / 3600 * cast(float, hourly)
    setup = made + (workspace.project.number("serve", "setup_usd") or 0.0)
    return break_even_days(setup, cast(float, traffic.per_day), cast(float, traffic.usd), cast(float, usd))


def _calls_per_day(workspace: Workspace, task_name: str) -> float | None:
    """As stated, else of the recorded calls that have a time, where they span a day or more."""
    stated = workspace.project.number("serve", "calls_per_day")
    if stated is not None:
        return stated
    times = [
        _seconds(call.time)
        for call in workspace.store.traces(task_name, origins=OF_USERS)
        if not call.meta.get("undated")
    ]
    days = (max(times) - min(times)) / DAY_S if times else 0.0
    return len(times) / days if days >= 1 else None


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def _price(workspace: Workspace, task_name: str, calls: Sequence[Trace]) -> float | None:
    """US dollars per 1,000 calls: as recorded, else by the prices in the settings."""
    recorded = [call.cost_usd for call in calls if call.cost_usd is not None]
    if recorded:
        return 1000 * statistics.fmean(recorded)
    prices = Prices.read(workspace, workspace.task(task_name))
    counted = [
        prices.usd(Call(None, call.input_tokens, call.output_tokens, is_paid=True))
        for call in calls
        if call.input_tokens and call.output_tokens
    ]
    known = [usd for usd in counted if usd is not None]
    return 1000 * statistics.fmean(known) if known else None
