"""Callers' keys. The secret itself is nowhere: a key is found by its hash."""

from __future__ import annotations

from typing import cast

from sqlalchemy import Connection, Row, insert, select, update

from journeyman.core.canonical import Json
from journeyman.core.errors import StoreError
from journeyman.core.keys import Key
from journeyman.store.tables import KEYS

COLUMNS = (
    KEYS.c.id,
    KEYS.c.name,
    KEYS.c.hash,
    KEYS.c.hint,
    KEYS.c.time,
    KEYS.c.expires,
    KEYS.c.revoked,
    KEYS.c.rights,
)


def add_key(connection: Connection, key: Key) -> None:
    connection.execute(
        insert(KEYS).values(
            id=key.id,
            name=key.name,
            hash=key.hash,
            hint=key.hint,
            time=key.time,
            expires=key.expires,
            revoked=key.revoked,
            rights=key.to_json(),
        )
    )


def find_key(connection: Connection, hash: str) -> Key | None:
    row = connection.execute(select(*COLUMNS).where(KEYS.c.hash == hash)).one_or_none()
    return None if row is None else _to_key(row)


def read_keys(connection: Connection) -> list[Key]:
    """Oldest first, revoked ones too."""
    return [_to_key(row) for row in connection.execute(select(*COLUMNS).order_by(KEYS.c.seq))]


def revoke_key(connection: Connection, id: str, time: str) -> None:
    """For good; a key that was revoked keeps its time.

    Raises:
        StoreError: JM-813, no such key.
    """
    if connection.scalar(select(KEYS.c.id).where(KEYS.c.id == id)) is None:
        raise StoreError("JM-813", "there is no such key", got=id, hint="journeyman key list")
    connection.execute(update(KEYS).where(KEYS.c.id == id, KEYS.c.revoked == "").values(revoked=time))


def _to_key(row: Row[*tuple[object, ...]]) -> Key:
    values = row._mapping
    rights = cast(dict[str, Json], values["rights"])
    return Key(
        id=values["id"],
        name=values["name"],
        hash=values["hash"],
        hint=values["hint"],
        time=values["time"],
        tasks=tuple(cast(list[str], rights["tasks"])),
        models=tuple(cast(list[str], rights["models"])),
        usd=cast(float | None, rights["usd"]),
        usd_per_day=cast(float | None, rights["usd_per_day"]),
        calls_per_minute=cast(int | None, rights["calls_per_minute"]),
        expires=values["expires"],
        revoked=values["revoked"],
        may_tune=bool(rights.get("may_tune", False)),
    )
