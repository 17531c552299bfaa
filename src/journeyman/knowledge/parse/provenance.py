"""Which Git commit changed each file of a folder last, from one bounded ``git log`` a repository.

The repository may be a stranger's: nothing in its settings is run (no pager, no signature program, no filter, no fetching).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

LONGEST_S = 20.0
MOST_BYTES = 64_000_000
CHUNK_BYTES = 1 << 16
COMMAND = (
    "git",
    "--no-pager",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "protocol.allow=never",
    "-c",
    f"core.hooksPath={os.devnull}",
    "log",
    "-z",
    "--name-only",
    "--no-renames",
    "--no-show-signature",
    "--no-ext-diff",
    "--no-textconv",
    "--format=%x01%H",
)


class Commits:
    """``find`` asks each repository once, when its first file comes."""

    def __init__(self) -> None:
        self._roots: dict[Path, Path | None] = {}
        self._commits: dict[Path, dict[str, str]] = {}

    def find(self, path: Path) -> str:
        """The hash of the last commit that changed the file at the resolved ``path``; empty where it is in none, or Git is absent."""
        root = self._find_root(path.parent)
        if root is None:
            return ""
        if root not in self._commits:
            self._commits[root] = read_commits(root)
        return self._commits[root].get(path.relative_to(root).as_posix(), "")

    def _find_root(self, folder: Path) -> Path | None:
        if folder not in self._roots:
            if (folder / ".git").exists():
                self._roots[folder] = folder
            else:
                self._roots[folder] = None if folder.parent == folder else self._find_root(folder.parent)
        return self._roots[folder]


def read_commits(root: Path) -> dict[str, str]:
    """Path below ``root`` to the last commit that changed it; of a long history what was read within the limits, the latest first."""
    try:
        process = subprocess.Popen(
            COMMAND, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return {}
    clock = Timer(LONGEST_S, process.kill)
    clock.start()
    try:
        return _read_log(_chunks(process))
    finally:
        clock.cancel()
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _chunks(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    taken = 0
    while process.stdout is not None and taken < MOST_BYTES and (chunk := process.stdout.read(CHUNK_BYTES)):
        taken += len(chunk)
        yield chunk


def _read_log(chunks: Iterator[bytes]) -> dict[str, str]:
    found: dict[str, str] = {}
    commit, rest = "", b""
    for chunk in chunks:
        *parts, rest = (rest + chunk).split(b"\0")
        for part in parts:
            part = part.lstrip(b"\n")
            if part.startswith(b"\x01"):
                commit = part[1:].decode("ascii", "replace").strip()
            elif part:
                found.setdefault(os.fsdecode(part), commit)
    return found
