"""The tables of the database, and how text and JSON lie in their columns.

A trace or an example is one JSON document plus the columns that queries need. Documents are text, not a database's own
JSON type: that keeps the order of keys (an answer's fields have one) and every character that a user may send.
A change here needs a revision in ``migrations/versions``; a test compares the two.
"""

from __future__ import annotations

import json

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from journeyman.core.canonical import Json
from journeyman.core.errors import StoreError

VERSION_TABLE = "journeyman_schema"
METADATA = MetaData()
SEQUENCE = BigInteger().with_variant(Integer(), "sqlite")


def is_encodable(text: str) -> bool:
    """Whether UTF-8 can hold the text: a lone surrogate, as broken clients send, cannot be."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escape(text: str) -> str:
    """The text as a column holds it: NUL and lone surrogates, which databases refuse, as backslash escapes."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


UNICODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
ASCII = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def encode(value: object) -> str:
    """JSON text in the order of the value's own keys.

    Raises:
        StoreError: JM-815, not a JSON value.
    """
    try:
        text = UNICODE.encode(value)
        return text if is_encodable(text) else ASCII.encode(value)
    except (TypeError, ValueError) as error:
        raise StoreError(
            "JM-815", "this value cannot be stored", expected="a JSON value", got=str(error), hint="mend the row"
        ) from error


def decode(text: str) -> Json:
    """Read what ``encode`` wrote.

    Raises:
        StoreError: JM-804, the column holds something else.
    """
    try:
        value: Json = json.loads(text)
    except ValueError as error:
        raise StoreError(
            "JM-804",
            "the database holds a damaged document",
            expected="JSON",
            got=f"{len(text)} characters: {error}",
            hint="restore a copy of the database",
        ) from error
    return value


class PlainText(TypeDecorator[str]):
    """Text that every database takes (see ``escape``)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else escape(value)


class JsonText(TypeDecorator[Json]):
    """A JSON document; None is NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Json, dialect: Dialect) -> str | None:
        return None if value is None else encode(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Json:
        return None if value is None else decode(value)


def _text(name: str, *, primary_key: bool = False) -> Column[str]:
    return Column(name, PlainText, primary_key=primary_key, nullable=False)


TRACES = Table(
    "traces",
    METADATA,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    _text("id"),
    _text("task"),
    _text("origin"),
    _text("time"),
    Column("row_key", PlainText),
    _text("release"),
    _text("model"),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cost_usd", Double),
    Column("latency_ms", Double),
    _text("status"),
    Column("document", JsonText, nullable=False),
    Column("key", Text, nullable=False, server_default=""),
    Column("person", Text, nullable=False, server_default=""),
    UniqueConstraint("id", name="traces_id"),
    UniqueConstraint("task", "row_key", name="traces_row_key"),
    Index("traces_task", "task", "seq"),
    Index("traces_person", "person", sqlite_where=text("person <> ''"), postgresql_where=text("person <> ''")),
)

EXAMPLES = Table(
    "examples",
    METADATA,
    _text("hash", primary_key=True),
    _text("task"),
    Column("document", JsonText, nullable=False),
)

ASSIGNMENTS = Table(
    "assignments",
    METADATA,
    _text("task", primary_key=True),
    _text("key", primary_key=True),
    _text("group"),
    _text("split"),
)

# ``place`` orders the datasets of a task by when they were last prepared.
DATASETS = Table(
    "datasets",
    METADATA,
    _text("task", primary_key=True),
    _text("hash", primary_key=True),
    _text("time"),
    Column("place", BigInteger, nullable=False),
    Column("manifest", JsonText, nullable=False),
    Index("datasets_hash", "hash"),
)

LOOKS = Table(
    "looks",
    METADATA,
    _text("task", primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    _text("dataset"),
    _text("release"),
    _text("time"),
    Column("level", Double, nullable=False),
    Column("verdict", JsonText),
    Column("rule", Text, nullable=False, server_default=""),
    UniqueConstraint("task", "dataset", "release", "rule", name="looks_once"),
)

REVEALS = Table(
    "reveals",
    METADATA,
    _text("task", primary_key=True),
    _text("row_hash", primary_key=True),
    _text("reason"),
    _text("time"),
)

TOMBSTONES = Table(
    "tombstones",
    METADATA,
    _text("task", primary_key=True),
    _text("hash", primary_key=True),
    _text("reason"),
    _text("time"),
)

ALIASES = Table(
    "alias_entries",
    METADATA,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    _text("task"),
    _text("release"),
    _text("action"),
    _text("reason"),
    _text("time"),
    Index("alias_entries_task", "task", "seq"),
)

RUNS = Table(
    "runs",
    METADATA,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    _text("id"),
    _text("task"),
    _text("kind"),
    _text("time"),
    Column("state", JsonText, nullable=False),
    UniqueConstraint("id", name="runs_id"),
    Index("runs_task", "task", "seq"),
)

# ``lease_until`` is in seconds since 1970, UTC.
JOBS = Table(
    "jobs",
    METADATA,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    _text("id"),
    _text("kind"),
    Column("payload", JsonText),
    _text("status"),
    _text("worker"),
    Column("lease_until", Double),
    Column("attempts", Integer, nullable=False),
    Column("result", JsonText),
    _text("error"),
    Column("owner", Text, nullable=False, server_default=""),
    Column("created", Text, nullable=False, server_default=""),
    Column("finished", Text, nullable=False, server_default=""),
    Column("state", JsonText),
    UniqueConstraint("id", name="jobs_id"),
    Index("jobs_status", "status", "seq"),
)

JOB_EVENTS = Table(
    "job_events",
    METADATA,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    _text("job"),
    _text("time"),
    _text("level"),
    _text("message"),
    Column("data", JsonText),
    Index("job_events_job", "job", "seq"),
)

FILES = Table(
    "files",
    METADATA,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    _text("id"),
    _text("owner"),
    _text("name"),
    _text("purpose"),
    _text("created"),
    Column("bytes", BigInteger, nullable=False),
    Column("facts", JsonText),
    UniqueConstraint("id", name="files_id"),
    Index("files_owner", "owner", "seq"),
)

KEYS = Table(
    "keys",
    METADATA,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    _text("id"),
    _text("name"),
    _text("hash"),
    _text("hint"),
    _text("time"),
    _text("expires"),
    _text("revoked"),
    Column("rights", JsonText, nullable=False),
    UniqueConstraint("id", name="keys_id"),
    UniqueConstraint("hash", name="keys_hash"),
)

# Amounts are billionths of a US dollar; ``until`` is in seconds since 1970, UTC.
SPENT = Table(
    "spent",
    METADATA,
    _text("scope", primary_key=True),
    _text("period", primary_key=True),
    Column("amount", BigInteger, nullable=False),
)

LEASES = Table(
    "leases",
    METADATA,
    _text("id", primary_key=True),
    _text("scope"),
    _text("period"),
    Column("amount", BigInteger, nullable=False),
    Column("until", Double, nullable=False),
    Index("leases_scope", "scope", "period"),
)
