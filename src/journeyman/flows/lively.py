"""What a project's tasks are doing: who answers, how much, how fast, and what it costs, over the last minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from journeyman.core.keys import NANO
from journeyman.flows.routing import find_hold
from journeyman.flows.workspace import Workspace
from journeyman.store.activity import OTHERS, Activity
from journeyman.task.task import Task

CALLS = ("serve", "ask", "task")
"""Origins that are somebody's calls; audits and evaluations are our own."""


@dataclass(frozen=True, slots=True)
class Lively:
    """A task, or (``name`` empty) all other models, over some minutes. ``student_share`` is of the calls that were answered; None where there were none, and likewise the
    latencies. ``usd`` is what the calls cost by the stated prices, ``usd_today`` what the budget of the day counts: None without one."""

    name: str
    release: str
    policy: str
    held: str
    calls_per_minute: float
    student_share: float | None
    p50_ms: float | None
    p95_ms: float | None
    errors: int
    usd: float
    usd_today: float | None
    usd_per_day: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """A line per task, then one for other models where they were asked; and the project's budget of the day, where it has one."""

    minutes: float
    tasks: tuple[Lively, ...]
    usd_today: float | None
    usd_per_day: float | None


def read_overview(workspace: Workspace, tasks: Sequence[Task], minutes: float) -> Overview:
    """Of the last ``minutes``."""
    now = datetime.now(UTC)
    found = {item.task: item for item in workspace.store.activity(now - timedelta(minutes=minutes), CALLS)}
    day = now.date().isoformat()
    lines = [
        _line(
            found.get(task.name),
            minutes,
            name=task.name,
            release=workspace.store.alias(task.name) or "",
            policy=task.route.policy,
            held=find_hold(workspace, task.name),
            budget=_read_budget(workspace, f"task/{task.name}", day, task.route.usd_per_day),
        )
        for task in tasks
    ]
    if others := found.get(OTHERS):
        lines.append(_line(others, minutes, name="", release="", policy="", held="", budget=(None, None)))
    project = _read_budget(workspace, "project", day, workspace.project.number("budget", "usd_per_day"))
    return Overview(minutes, tuple(lines), *project)


Budget = tuple[float | None, float | None]
"""Spent, and the limit."""


def _read_budget(workspace: Workspace, scope: str, day: str, limit: float | None) -> Budget:
    return (None, None) if limit is None else (workspace.store.spent(scope, day) / NANO, limit)


def _line(
    found: Activity | None, minutes: float, *, name: str, release: str, policy: str, held: str, budget: Budget
) -> Lively:
    answered = found.calls - found.failed if found else 0
    return Lively(
        name,
        release,
        policy,
        held,
        calls_per_minute=found.calls / minutes if found else 0.0,
        student_share=found.student / answered if found and answered else None,
        p50_ms=found.p50_ms if found else None,
        p95_ms=found.p95_ms if found else None,
        errors=found.failed if found else 0,
        usd=found.usd if found else 0.0,
        usd_today=budget[0],
        usd_per_day=budget[1],
    )
