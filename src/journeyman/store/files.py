"""What callers uploaded: a row for each file. The bytes lie elsewhere, under the file's id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from sqlalchemy import Connection, Row, delete, insert, select

from journeyman.core.canonical import Json
from journeyman.core.errors import StoreError
from journeyman.store.tables import FILES


@dataclass(frozen=True, slots=True)
class StoredFile:
    """``owner`` is a key's id, empty where there are none; ``created`` is ISO 8601 in UTC; ``facts`` is what was found when it was read."""

    id: str
    owner: str
    name: str
    purpose: str
    created: str
    bytes: int
    facts: Json = None


COLUMNS = tuple(FILES.c[name] for name in StoredFile.__slots__)


def add_file(connection: Connection, file: StoredFile) -> None:
    connection.execute(insert(FILES).values({name: getattr(file, name) for name in file.__slots__}))


def read_file(connection: Connection, id: str, owner: str) -> StoredFile | None:
    row = connection.execute(select(*COLUMNS).where(FILES.c.id == id, FILES.c.owner == owner)).one_or_none()
    return None if row is None else _to_file(row)


def read_page(
    connection: Connection, owner: str, purpose: str, after: str, limit: int, *, is_ascending: bool
) -> list[StoredFile]:
    """An owner's files (of a purpose, or of any) that come after the one named, by when they were made.

    Raises:
        StoreError: JM-813, ``after`` is no file of this owner.
    """
    mine = FILES.c.owner == owner
    if after:
        seq = connection.scalar(select(FILES.c.seq).where(mine, FILES.c.id == after))
        if seq is None:
            raise StoreError("JM-813", "there is no such file", got=after, hint="list the files")
        mine &= FILES.c.seq > seq if is_ascending else FILES.c.seq < seq
    if purpose:
        mine &= FILES.c.purpose == purpose
    order = FILES.c.seq.asc() if is_ascending else FILES.c.seq.desc()
    return [_to_file(row) for row in connection.execute(select(*COLUMNS).where(mine).order_by(order).limit(limit))]


def delete_file(connection: Connection, id: str, owner: str) -> bool:
    return connection.execute(delete(FILES).where(FILES.c.id == id, FILES.c.owner == owner)).rowcount == 1


def _to_file(row: Row[*tuple[object, ...]]) -> StoredFile:
    values = row._mapping
    return StoredFile(
        id=values["id"],
        owner=values["owner"],
        name=values["name"],
        purpose=values["purpose"],
        created=values["created"],
        bytes=values["bytes"],
        facts=cast(Json, values["facts"]),
    )
