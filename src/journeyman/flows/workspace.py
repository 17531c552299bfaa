"""A project opened for work: settings, tasks, database, clock. Every recipe takes one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from journeyman.core.errors import TaskError
from journeyman.core.progress import Progress, Silent
from journeyman.core.settings import Project, open_project
from journeyman.store.database import Store, open_store

if TYPE_CHECKING:
    from journeyman.task.task import Task


def utc_now() -> str:
    """ISO 8601 in UTC, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Workspace:
    project: Project
    store: Store
    progress: Progress
    now: Callable[[], str] = utc_now

    def task(self, name: str) -> Task:
        """Load ``tasks/NAME.yaml``.

        Raises:
            TaskError: JM-260 no such task, or what the file's check says.
        """
        path = self.project.tasks / f"{name}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in self.project.tasks.glob("*.yaml"))) or "none yet"
            raise TaskError(
                "JM-260",
                f"there is no task {name}",
                where=str(path),
                expected=f"one of: {known}",
                hint=f"journeyman new {name}",
            )
        return _load(path)

    def tasks(self) -> list[Task]:
        return [_load(path) for path in sorted(self.project.tasks.glob("*.yaml"))]


def _load(path: Path) -> Task:
    """What reads task files is loaded with the first of them: commands on documents alone need none of it."""
    from journeyman.task.file import load_task

    return load_task(path)


@contextmanager
def open_workspace(start: Path | None = None, progress: Progress | None = None) -> Iterator[Workspace]:
    """Find the project, open its database, close it after."""
    project = open_project(start)
    durability = cast(Literal["wal", "full"], project.text("store", "durability"))
    with open_store(project.store_url, durability=durability) as store:
        yield Workspace(project, store, progress or Silent())
