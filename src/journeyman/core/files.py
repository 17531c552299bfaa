"""Writing files so that a crash leaves either the old content or the new, never half of it."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from journeyman.core.errors import StoreError


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write to a temporary file beside ``path``, fsync, rename.

    Raises:
        StoreError: JM-801 disk full, JM-802 not writable. The old file, if any, is untouched.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data.encode() if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        fsync_folder(path.parent)


def fsync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def refuse_existing(out: Path, *, is_file: bool = False) -> None:
    """Raises: StoreError JM-822 when there is a file, or a folder that is not empty; with ``is_file`` any folder."""
    if out.exists() and (is_file or any(out.iterdir() if out.is_dir() else [out])):
        raise StoreError("JM-822", "the target exists", where=str(out), hint="choose another target")


def read_whole_lines(path: Path) -> list[str]:
    """The lines of a file that grows by lines; the last one is left out when a kill has cut it. No line when there is no file."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1].splitlines()


def mend_lines(path: Path) -> list[str]:
    """The whole lines of a file that grows by lines; what a kill has cut is cut off the file, so that the next one begins a line.

    Raises:
        StoreError: JM-802 not writable.
    """
    lines = read_whole_lines(path)
    with disk_errors(path):
        if path.is_file():
            os.truncate(path, sum(len(line.encode()) + 1 for line in lines))
    return lines


def append_line(path: Path, line: str) -> None:
    """Add one line to a file that grows by lines, and make the file where it is not there.

    Raises:
        StoreError: JM-801 disk full, JM-802 not writable.
    """
    mend_lines(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into one clear error."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreError(
                "JM-801",
                "the disk is full",
                where=str(path),
                hint="free some space and run the same command again; finished work is kept",
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise StoreError(
                "JM-802",
                "this folder cannot be written",
                where=str(path),
                got=error.strerror or "",
                hint="check the folder's permissions, then run the same command again",
            ) from error
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock that the system frees when its holder dies. Where there is none, a rename still is atomic."""
    with path.open("ab") as file:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
