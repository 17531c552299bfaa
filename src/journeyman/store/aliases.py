"""A task's live release, and the way back.

History only grows: a rollback is an entry of its own. The way back is the stack that the history describes: ``set`` puts
a release on it, ``rollback`` takes the live one off, so that a second rollback goes further back and never forward again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

from sqlalchemy import Connection, insert, select

from journeyman.core.errors import StoreError
from journeyman.store.statements import lock
from journeyman.store.tables import ALIASES

Action = Literal["set", "rollback"]


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


def read_history(connection: Connection, task: str) -> list[AliasEntry]:
    """Newest first."""
    columns = (ALIASES.c.release, ALIASES.c.action, ALIASES.c.reason, ALIASES.c.time)
    query = select(*columns).where(ALIASES.c.task == task).order_by(ALIASES.c.seq.desc())
    return [
        AliasEntry(release, cast(Action, action), reason, time)
        for release, action, reason, time in connection.execute(query)
    ]


def read_alias(connection: Connection, task: str) -> str | None:
    query = select(ALIASES.c.release).where(ALIASES.c.task == task).order_by(ALIASES.c.seq.desc()).limit(1)
    return connection.scalar(query)


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
