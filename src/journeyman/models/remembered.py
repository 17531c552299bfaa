"""What takes long to find out about a file of weights: its hash, once per content, and the threads that suit it here, once a day."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

from journeyman.core.canonical import file_hash
from journeyman.core.cores import count_cores
from journeyman.core.errors import StoreError
from journeyman.core.files import write_atomic
from journeyman.core.settings import cache_folder

DAY_S = 86_400.0


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


def recall_threads(sha256: str) -> int | None:
    """What `remember_threads` noted for this model within a day, on as many cores; None else."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(_threads_note(sha256).read_text(encoding="utf-8"))
        if known["cores"] == count_cores() and 0 <= time.time() - known["time"] < DAY_S:
            return max(1, int(known["threads"]))
    return None


def remember_threads(sha256: str, threads: int) -> None:
    """A folder that cannot be written costs the next start a few seconds, no more."""
    note = _threads_note(sha256)
    with contextlib.suppress(OSError, StoreError):
        note.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(note, json.dumps({"threads": threads, "cores": count_cores(), "time": time.time()}))


def _threads_note(sha256: str) -> Path:
    return cache_folder() / "threads" / f"{sha256[:16]}.json"
