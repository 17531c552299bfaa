"""A small task, a real store, and ways to write files for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from journeyman.core.canonical import Json
from journeyman.data.imports import ImportReport, import_files
from journeyman.data.lines import Source
from journeyman.store.database import Store, open_store
from journeyman.task.task import Task

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture
def task() -> Task:
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {"intent": {"enum": ["refund", "card", "other"]}, "urgent": {"type": "boolean"}},
        "required": ["intent", "urgent"],
        "additionalProperties": False,
    }
    return Task("tickets", "Sort a customer's message.", {"message": {"type": "string"}}, schema)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'journeyman.db'}") as opened:
        yield opened


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write rows (objects as JSON, text as it is) as lines of a file."""

    def write_rows(name: str, rows: Iterable[object]) -> Path:
        path = tmp_path / name
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return write_rows


@pytest.fixture
def take(task: Task, store: Store, tmp_path: Path) -> Callable[..., ImportReport]:
    """Import paths or sources into the store."""

    def import_into(*sources: Source | Path, **options: object) -> ImportReport:
        return import_files(
            task,
            list(sources),
            store,
            quarantine_folder=tmp_path / "quarantine",
            now=NOW,
            **options,  # type: ignore[arg-type]
        )

    return import_into
