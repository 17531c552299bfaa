"""Files named by the SHA-256 of their bytes, in one folder."""

from __future__ import annotations

import re
from pathlib import Path

from journeyman.core.canonical import bytes_hash
from journeyman.core.errors import StoreError
from journeyman.core.files import disk_errors, write_atomic

NAME = re.compile(r"[0-9a-f]{64}")


def write_blob(folder: Path, data: bytes) -> str:
    """Store bytes and return their SHA-256 in hex. A sound blob that is there is left alone, a damaged one replaced.

    Raises:
        StoreError: JM-801 disk full, JM-802 not writable.
    """
    name = bytes_hash(data)
    if not _is_stored(folder / name, data):
        write_atomic(folder / name, data)
    return name


def read_blob(folder: Path, sha256: str) -> bytes:
    """The bytes of a blob, verified.

    Raises:
        StoreError: JM-813 missing (or not a blob's name), JM-804 damaged.
    """
    path = folder / sha256
    if not NAME.fullmatch(sha256):
        raise StoreError("JM-813", "this is not a blob's name", expected="64 hex digits", got=f"{sha256!r:.80}")
    try:
        with disk_errors(path):
            data = path.read_bytes()
    except FileNotFoundError as error:
        raise StoreError(
            "JM-813", "this blob is missing", where=str(path), hint="run the command again that made it"
        ) from error
    if (found := bytes_hash(data)) != sha256:
        raise StoreError(
            "JM-804",
            "this blob is damaged",
            where=str(path),
            expected=f"SHA-256 {sha256}",
            got=f"{found} over {len(data)} bytes",
            hint="delete the file and run the command again that made it",
        )
    return data


def _is_stored(path: Path, data: bytes) -> bool:
    with disk_errors(path):
        return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
