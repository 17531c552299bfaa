"""The quarantine file: every row that an import could not use, with file, line and reason, without secrets and personal data."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from journeyman.core.files import disk_errors
from journeyman.data.lines import Line
from journeyman.data.redaction import remove_secrets

SHOWN_CHARACTERS = 2_000
KEPT_CHARACTERS = 8_000  # looked at for secrets, so that one is not cut in two before it is seen


class Quarantine:
    """A JSONL file that comes into being with its first row. Close it after use (it is a context manager)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    @property
    def path(self) -> Path | None:
        """The file, if anything was put into it."""
        return self._path if self._file is not None else None

    def add(self, file: str, line: Line) -> None:
        """Raises: StoreError: JM-801 disk full, JM-802 not writable."""
        row = {
            "file": file,
            "line": line.number,
            "reason": line.problem,
            "detail": remove_secrets(line.detail),
            "raw": remove_secrets(line.text[:KEPT_CHARACTERS])[:SHOWN_CHARACTERS],
        }
        written = json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace")
        with disk_errors(self._path):
            self._open().write(written + b"\n")

    def flush(self) -> None:
        if self._file is not None:
            with disk_errors(self._path):
                self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with disk_errors(self._path):
                self._file.close()

    def _open(self) -> BinaryIO:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab")
        return self._file
