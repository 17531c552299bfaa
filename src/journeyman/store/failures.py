"""What a database or its disk can do to us, as one clear error each.

| code   | is                                                        |
|--------|-----------------------------------------------------------|
| JM-801 | disk full                                                 |
| JM-802 | not writable, not to be opened                            |
| JM-804 | damaged file                                              |
| JM-805 | locked for too long (retryable)                           |
| JM-816 | database server not reached (retryable)                   |
| JM-817 | the disk failed to read or write                          |
| JM-815 | a value that a column cannot hold                         |

What is none of these (a wrong statement, a broken constraint) passes through: it is a defect, or the caller's to read.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from journeyman.core.errors import StoreError

FULL_DISK_BYTES = 1 << 16

# SQLite's primary result codes, https://www.sqlite.org/rescode.html
SQLITE_CODES = {
    "SQLITE_FULL": "JM-801",
    "SQLITE_READONLY": "JM-802",
    "SQLITE_CANTOPEN": "JM-802",
    "SQLITE_PERM": "JM-802",
    "SQLITE_AUTH": "JM-802",
    "SQLITE_CORRUPT": "JM-804",
    "SQLITE_NOTADB": "JM-804",
    "SQLITE_BUSY": "JM-805",
    "SQLITE_LOCKED": "JM-805",
    "SQLITE_IOERR": "JM-817",
}

# SQLSTATE by longest prefix, https://www.postgresql.org/docs/current/errcodes-appendix.html
POSTGRES_CODES = {
    "53100": "JM-801",
    "25006": "JM-802",
    "42501": "JM-802",
    "XX001": "JM-804",
    "XX002": "JM-804",
    "55P03": "JM-805",
    "40P01": "JM-805",
    "40001": "JM-805",
    "58030": "JM-817",
    "22003": "JM-815",
    "08": "JM-816",
    "28": "JM-816",
    "3D": "JM-816",
    "53": "JM-816",
    "57P": "JM-816",
}

TEXTS = {
    "JM-801": ("the disk is full", "free some space and run the same command again; what was acknowledged is kept"),
    "JM-802": ("the database cannot be opened for writing", "check the permissions of the file and of its folder"),
    "JM-804": (
        "the database file is damaged",
        "restore a copy, or move the file away and import again; releases and blobs are files of their own",
    ),
    "JM-805": ("the database was locked for too long", "find the process that holds it, then try again"),
    "JM-816": ("the database server cannot be reached", "check that it runs, and the store's url in journeyman.toml"),
    "JM-817": ("the disk failed while the database was read or written", "check the disk, then try again"),
    "JM-815": ("this value cannot be stored", "mend the row"),
}
UNREADABLE = "Could not decode to UTF-8 column"
RETRYABLE = ("JM-805", "JM-816")


@contextmanager
def store_errors(where: str) -> Iterator[None]:
    """Turn failures of the database into ``StoreError``; ``where`` is its path or address, without a password."""
    try:
        yield
    except IntegrityError:
        raise
    except PoolTimeout as error:
        raise make_failure("JM-805", where, "no free connection") from error
    except OverflowError as error:
        raise make_failure("JM-815", where, str(error)) from error
    except StatementError as error:
        if isinstance(error.orig, StoreError):
            raise error.orig from None
        code = _code(error.orig, where, is_statement=isinstance(error, DBAPIError))
        if not code:
            raise
        raise make_failure(code, where, _first_line(error.orig)) from error
    except sqlite3.Error as error:
        code = _code(error, where, is_statement=False)
        if not code:
            raise
        raise make_failure(code, where, _first_line(error)) from error


def make_failure(code: str, where: str, got: str) -> StoreError:
    what, hint = TEXTS[code]
    return StoreError(code, what, where=where, got=got, hint=hint, retryable=code in RETRYABLE)


def _code(error: BaseException | None, where: str, *, is_statement: bool) -> str:
    if isinstance(error, sqlite3.Error):
        if UNREADABLE in str(error):
            return "JM-804"
        name = getattr(error, "sqlite_errorname", None) or ""
        code = SQLITE_CODES.get("_".join(name.split("_")[:2]), "")
        return "JM-801" if code == "JM-817" and _is_full(where) else code
    state = getattr(error, "sqlstate", None)
    if state:
        return next((POSTGRES_CODES[state[:size]] for size in (5, 3, 2) if state[:size] in POSTGRES_CODES), "")
    is_connection = is_statement and type(error).__name__ in ("OperationalError", "ConnectionTimeout")
    return "JM-816" if is_connection else ""


def _is_full(where: str) -> bool:
    folder = Path(where).parent
    return folder.is_dir() and shutil.disk_usage(folder).free < FULL_DISK_BYTES


def _first_line(error: BaseException | None) -> str:
    """What the database said, without the text of a column that it could not read."""
    line = str(error).strip().partition("\n")[0]
    return line.partition(" with text ")[0] if line.startswith(UNREADABLE) else line
