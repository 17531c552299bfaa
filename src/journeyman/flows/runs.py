"""A run's folder: settings that are decided once, events, checkpoints, results. ``runs/<task>-<kind>-<hash>/``.

The folder's name is the hash of everything that decides the result, so the same command finds its own unfinished work and
another command never touches it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from journeyman.core.canonical import Json, content_hash
from journeyman.core.errors import StoreError
from journeyman.core.files import disk_errors, write_atomic

try:
    import fcntl
except ImportError:  # Windows: best effort, no lock
    fcntl = None  # type: ignore[assignment]

# What a tuning run leaves: the student's folder, and one document per decision or result.
STUDENT = "student"
BASE_ROWS = 150  # sealed rows that the untuned base is asked: it is slow
MATERIAL, PLAN, MACHINE, RESULT, PARITY = "material.json", "plan.json", "machine.json", "tuned.json", "parity.json"
METHOD, CHECKPOINT = "method.json", "checkpoint.safetensors"
LADDER, NAMED, EVALUATION, SUBJECT = "ladder.json", "named.json", "evaluation.json", "subject.json"
ATTACHMENTS = "attachments"  # of a release: what refers to it and is no part of its hash


@dataclass(frozen=True, slots=True)
class RunFolder:
    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    def read(self, name: str) -> dict[str, Json] | None:
        """A JSON file of the run, None when it is not there yet."""
        path = self.path / name
        if not path.is_file():
            return None
        try:
            return cast(dict[str, Json], json.loads(path.read_text(encoding="utf-8")))
        except json.JSONDecodeError as error:
            raise StoreError(
                "JM-820",
                "a file of this run is damaged",
                where=str(path),
                got=str(error),
                hint="delete it and run again",
            ) from error

    def write(self, name: str, document: Mapping[str, Json]) -> None:
        write_atomic(self.path / name, json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def decide(self, name: str, make: Callable[[], Mapping[str, Json]]) -> dict[str, Json]:
        """What was decided when the run began; made and stored the first time."""
        stored = self.read(name)
        if stored is None:
            stored = dict(make())
            self.write(name, stored)
        return stored

    def events(self) -> list[dict[str, Json]]:
        """Steps and looks of tuning, whole lines only."""
        path = self.path / "events.jsonl"
        if not path.is_file():
            return []
        text = path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One process at a time works in a run.

        Raises:
            StoreError: JM-821 another process is at it.
        """
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("w")
        with file:
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    raise StoreError(
                        "JM-821",
                        "another process works on this run",
                        where=str(self.path),
                        hint="wait for it, or stop it; this command then continues",
                        retryable=True,
                    ) from error
            yield


def find_run(runs: Path, task: str, kind: str, key: Mapping[str, Json]) -> RunFolder:
    """The folder that belongs to ``key``."""
    return RunFolder(runs / f"{task}-{kind}-{content_hash(dict(key))[:12]}")
