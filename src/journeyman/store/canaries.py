"""Canaries: a candidate release answers a share of a task's calls beside the live one, until it is promoted, rolled back or stopped.

One row of runs each (``kind=canary``), so that it has a time and a state and stays when it has ended. Every change is one transaction under the lock of the task's alias:
of several servers that come to a verdict one moves the alias, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast

from sqlalchemy import Connection, func, select

from journeyman.core.canonical import Json
from journeyman.store.aliases import read_live, set_alias
from journeyman.store.runs import Run, add_run, read_latest, update_run
from journeyman.store.statements import lock
from journeyman.store.tables import TRACES

KIND = "canary"
Sticky = Literal["person", "key", "input"]
Outcome = Literal["", "promoted", "rolled back", "stopped"]


@dataclass(frozen=True, slots=True)
class Step:
    """Somebody (``by``) set the share at ``time``, because of ``reason``."""

    time: str
    share: float
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Canary:
    """``release`` answers ``share`` of the task's calls beside ``live``: those whose hash with ``salt`` is low, by what they are ``sticky`` to. ``audit`` is the share of calls of either
    that is compared; ``is_promoting``: a verdict is acted on. ``after`` is the number of the last call before it began, ``why`` says why it ended."""

    id: str
    task: str
    release: str
    live: str
    share: float
    salt: str
    sticky: Sticky
    audit: float
    is_promoting: bool
    time: str
    steps: tuple[Step, ...]
    after: int = 0
    outcome: Outcome = ""
    ended: str = ""
    why: str = ""

    def to_json(self) -> dict[str, Json]:
        return cast(dict[str, Json], asdict(self) | {"steps": [asdict(step) for step in self.steps]})

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> Canary:
        steps = tuple(Step(**step) for step in cast(list[dict[str, Any]], raw["steps"]))
        return Canary(**cast(dict[str, Any], dict(raw) | {"steps": steps}))


def begin(connection: Connection, canary: Canary) -> Canary | None:
    """Add it; None where one is running, or its ``live`` release is not live."""
    lock(connection, f"alias/{canary.task}")
    live = read_live(connection, canary.task)
    if read_running(connection, canary.task) is not None or live is None or live.release != canary.live:
        return None
    last = connection.scalar(select(func.max(TRACES.c.seq)).where(TRACES.c.task == canary.task))
    begun = replace(canary, after=last or 0)
    add_run(connection, Run(begun.id, begun.task, KIND, begun.time, begun.to_json()))
    return begun


def change(connection: Connection, task: str, step: Step, *, is_promoting: bool) -> Canary | None:
    """Another share for the canary that is running; None where none is."""
    lock(connection, f"alias/{task}")
    known = read_running(connection, task)
    if known is None:
        return None
    changed = replace(known, share=step.share, is_promoting=is_promoting, steps=(*known.steps, step))
    update_run(connection, known.id, changed.to_json())
    return changed


def end(connection: Connection, canary: Canary, outcome: Outcome, why: str, time: str) -> Canary | None:
    """End it, unless it has ended; where it is ``promoted`` its release is live from then on."""
    lock(connection, f"alias/{canary.task}")
    known = read_running(connection, canary.task)
    if known is None or known.id != canary.id:
        return None
    ended = replace(known, outcome=outcome, ended=time, why=why)
    update_run(connection, known.id, ended.to_json())
    if outcome == "promoted":
        set_alias(connection, known.task, known.release, f"{known.id}: {why}", time)
    return ended


def end_stale(connection: Connection, task: str, time: str) -> None:
    """A canary ends where another release was made live than the one beside it."""
    known, live = read_running(connection, task), read_live(connection, task)
    if known is not None and live is not None and live.release != known.live:
        why = f"{live.release[:12]} was made live: {live.reason}"
        update_run(connection, known.id, replace(known, outcome="stopped", ended=time, why=why).to_json())


def read_running(connection: Connection, task: str) -> Canary | None:
    """The one that has not ended."""
    known = read_last(connection, task)
    return None if known is None or known.outcome else known


def read_last(connection: Connection, task: str) -> Canary | None:
    """The latest, ended or not."""
    run = read_latest(connection, task, KIND)
    return Canary.from_json(run.state) if run else None
