"""`key add|list|revoke`: who may call the server, and at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite

from journeyman.core.errors import SettingsError
from journeyman.core.ids import make_id
from journeyman.core.keys import SHOWN, Key, hash_secret, make_secret
from journeyman.flows.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Known:
    """A key, and the US dollars that it has spent in all and today (UTC)."""

    key: Key
    usd: float
    usd_today: float
    is_valid: bool


def add_key(
    workspace: Workspace,
    name: str,
    *,
    tasks: Sequence[str] = ("*",),
    models: Sequence[str] = ("*",),
    usd: float | None = None,
    usd_per_day: float | None = None,
    calls_per_minute: int | None = None,
    expires: str = "",
    may_tune: bool = False,
) -> tuple[Key, str]:
    """The key and its secret, which is nowhere else and cannot be shown again.

    Raises:
        SettingsError: JM-110 a date that cannot be read, or is over; JM-111 a budget that is no number. TaskError: no such task.
    """
    for value in (usd, usd_per_day):
        if value is not None and not isfinite(value):
            raise SettingsError(
                "JM-111", "a budget is a number of US dollars", got=str(value), hint="without --usd there is no limit"
            )
    for task in tasks:
        if task != "*":
            workspace.task(task)
    secret, now = make_secret(), datetime.now(UTC)
    key = Key(
        id=make_id("key", now),
        name=name,
        hash=hash_secret(secret),
        hint=secret[:SHOWN],
        time=now.isoformat(),
        tasks=tuple(tasks),
        models=tuple(models),
        usd=usd,
        usd_per_day=usd_per_day,
        calls_per_minute=calls_per_minute,
        expires=_read_time(expires, now) if expires else "",
        may_tune=may_tune,
    )
    workspace.store.add_key(key)
    return key, secret


def list_keys(workspace: Workspace) -> list[Known]:
    """Oldest first, those that are not valid any more too."""
    now, store = datetime.now(UTC), workspace.store
    in_all, today = store.costs(), store.costs(now.date().isoformat())
    return [Known(key, in_all.get(key.id, 0.0), today.get(key.id, 0.0), key.is_valid(now)) for key in store.all_keys()]


def revoke_key(workspace: Workspace, id: str) -> None:
    """From the next second on it is refused. Raises: StoreError JM-813 no such key."""
    workspace.store.revoke_key(id, datetime.now(UTC).isoformat())


def _read_time(text: str, now: datetime) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _bad_time(text, "it cannot be read") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment <= now:
        raise _bad_time(text, "it is over")
    return moment.astimezone(UTC).isoformat()


def _bad_time(text: str, why: str) -> SettingsError:
    return SettingsError(
        "JM-110",
        f"a key cannot expire then: {why}",
        expected="a date or a time in ISO 8601, such as 2027-01-31",
        got=text,
        hint="without --expires a key is valid until it is revoked",
    )
