"""A task's live release, and the way back.

History only grows: a rollback is an entry of its own. The way back is the stack that the history describes: ``set`` puts
a release on it, ``rollback`` takes the live one off, so that a second rollback goes further back and never forward again.
A release that is live may be held (its task's calls go to the teacher) and resumed; that moves nothing, and lasts when it becomes live again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

from sqlalchemy import Connection, insert, select

from journeyman.core.errors import StoreError
from journeyman.store.statements import lock
from journeyman.store.tables import ALIASES

Action = Literal["set", "rollback", "hold", "resume"]


@dataclass(frozen=True, slots=True)
class AliasEntry:
    """One move of a task's alias: from ``time`` on, ``release`` is live."""

    release: str
    action: Action
    reason: str
    time: str


def set_alias(connection: Connection, task: str, release: str, reason: str, time: str) -> AliasEntry:
    lock(connection, f"alias/{task}")
    return _add(connection, task, AliasEntry(release, "set", reason, time))


def roll_back(connection: Connection, task: str, reason: str, time: str) -> AliasEntry:
    """Make the release live that was live before the current one.

    Raises:
        StoreError: JM-814, there is none.
    """
    lock(connection, f"alias/{task}")
    stack = stack_releases(reversed(read_history(connection, task)))
    if len(stack) < 2:
        raise StoreError(
            "JM-814",
            "there is no earlier release to go back to",
            where=f"task {task}",
            expected="at least two releases that were live",
            got=f"only {stack[0]}" if stack else "no release",
            hint=f"run `journeyman release {task}` first",
        )
    return _add(connection, task, AliasEntry(stack[-2], "rollback", reason, time))


def hold(connection: Connection, task: str, release: str, reason: str, time: str) -> AliasEntry | None:
    """Hold the release if it is live and not held yet; the entry that was added, or None."""
    lock(connection, f"alias/{task}")
    live = read_live(connection, task)
    if live is None or live.release != release or read_hold(connection, task) is not None:
        return None
    return _add(connection, task, AliasEntry(release, "hold", reason, time))


def resume(connection: Connection, task: str, reason: str, time: str) -> AliasEntry | None:
    """End the hold on the live release; the entry that was added, or None where nothing is held."""
    lock(connection, f"alias/{task}")
    held = read_hold(connection, task)
    if held is None:
        return None
    return _add(connection, task, AliasEntry(held.release, "resume", reason, time))


def read_history(connection: Connection, task: str) -> list[AliasEntry]:
    """Newest first."""
    columns = (ALIASES.c.release, ALIASES.c.action, ALIASES.c.reason, ALIASES.c.time)
    query = select(*columns).where(ALIASES.c.task == task).order_by(ALIASES.c.seq.desc())
    return [
        AliasEntry(release, cast(Action, action), reason, time)
        for release, action, reason, time in connection.execute(query)
    ]


def read_live(connection: Connection, task: str) -> AliasEntry | None:
    """The newest entry: its release is live."""
    columns = (ALIASES.c.release, ALIASES.c.action, ALIASES.c.reason, ALIASES.c.time)
    query = select(*columns).where(ALIASES.c.task == task).order_by(ALIASES.c.seq.desc()).limit(1)
    found = connection.execute(query).one_or_none()
    return found and AliasEntry(found[0], cast(Action, found[1]), found[2], found[3])


def read_hold(connection: Connection, task: str) -> AliasEntry | None:
    """The hold on the live release: its last one that was not resumed, however often it has become live since."""
    live = read_live(connection, task)
    entry = live and _last_of(connection, task, live.release, ("hold", "resume"))
    return entry if entry and entry.action == "hold" else None


def read_resume(connection: Connection, task: str, release: str) -> AliasEntry | None:
    """When somebody last let this release answer again."""
    return _last_of(connection, task, release, ("resume",))


def _last_of(connection: Connection, task: str, release: str, actions: tuple[Action, ...]) -> AliasEntry | None:
    query = (
        select(ALIASES.c.action, ALIASES.c.reason, ALIASES.c.time)
        .where(ALIASES.c.task == task, ALIASES.c.release == release, ALIASES.c.action.in_(actions))
        .order_by(ALIASES.c.seq.desc())
        .limit(1)
    )
    found = connection.execute(query).one_or_none()
    return found and AliasEntry(release, cast(Action, found[0]), found[1], found[2])


def stack_releases(entries: Iterable[AliasEntry]) -> list[str]:
    """The way back, the live release last. ``entries`` come oldest first; no two neighbours of the result are equal."""
    stack: list[str] = []
    for entry in entries:
        if entry.action == "rollback":
            stack.pop()
        elif not stack or stack[-1] != entry.release:
            stack.append(entry.release)
    return stack


def _add(connection: Connection, task: str, entry: AliasEntry) -> AliasEntry:
    values = {"release": entry.release, "action": entry.action, "reason": entry.reason, "time": entry.time}
    connection.execute(insert(ALIASES).values(task=task, **values))
    return entry
