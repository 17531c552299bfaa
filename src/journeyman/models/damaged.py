"""The error of a student's file that cannot be read: missing, cut off, changed, or of another edition."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from journeyman.core.errors import ModelError


@contextmanager
def refuse_damaged(name: str, path: Path, expected: str, also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """``also`` are the classes that a file format's own library raises.

    Raises:
        ModelError: JM-436.
    """
    damages: tuple[type[Exception], ...] = (OSError, ValueError, KeyError, TypeError, *also)
    try:
        yield
    except damages as error:
        raise ModelError(
            "JM-436",
            f"these {name} cannot be read",
            where=str(path),
            expected=expected,
            got=str(error)[:300],
            hint="restore the folder from a copy, or tune again",
        ) from error
