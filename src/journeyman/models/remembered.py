"""The hash of a large file, computed once per content."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from journeyman.core.canonical import file_hash
from journeyman.core.errors import StoreError
from journeyman.core.files import write_atomic


def remembered_hash(path: Path, notes: Path | None = None) -> str:
    """SHA-256 of a file, hashed once per (size, modification time) and noted in a small file: beside it, or in the folder ``notes``."""
    stamp = path.stat()
    note = (notes or path.parent) / f".{path.name}.sha256.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(note.read_text(encoding="utf-8"))
        if (known["size"], known["mtime_ns"]) == (stamp.st_size, stamp.st_mtime_ns):
            return str(known["sha256"])
    found = file_hash(path)
    # A read-only folder only costs the next caller the same second again.
    with contextlib.suppress(OSError, StoreError):
        write_atomic(note, json.dumps({"size": stamp.st_size, "mtime_ns": stamp.st_mtime_ns, "sha256": found}))
    return found
