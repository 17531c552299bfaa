"""Task files that change while the server runs: read whole, and taken over between two calls.

A file that cannot be read leaves its task as it was, and what is wrong with it is said: in the log, and by `/readyz`. Files are looked at every half second and taken when they have rested for as
long, so that one that is half written, or several that belong together, are not taken by halves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from journeyman.core.errors import JourneymanError
from journeyman.core.settings import FILE_NAME, Project
from journeyman.task.file import load_task
from journeyman.task.task import Task

LOG = logging.getLogger("journeyman.gateway")
EVERY_S = 0.5
Stamp = Mapping[Path, tuple[int, int, int]]
RESTART = f"{FILE_NAME} has changed; a restart takes that over"


@dataclass(frozen=True, slots=True)
class _Read:
    """What the files say: the tasks, those of broken files as they were before, and what is wrong by the file's name."""

    tasks: tuple[Task, ...]
    problems: Mapping[str, JourneymanError]
    has_new_settings: bool


class Reloader:
    """``tasks`` are those that are served, ``take_over`` makes others of them; it is called in the event loop and must not wait. ``problems`` is kept up to date, by file
    name. `watch` runs until ``stack`` closes."""

    def __init__(
        self,
        stack: AsyncExitStack,
        project: Project,
        tasks: Sequence[Task],
        take_over: Callable[[Sequence[Task]], None],
        every_s: float = EVERY_S,
    ) -> None:
        self._project = project
        self._tasks = {task.name: task for task in tasks}
        self._take_over = take_over
        self._every_s = every_s
        self._settings = _read_bytes(project.root / FILE_NAME)
        self.problems: dict[str, str] = {}
        self._stack = stack

    def watch(self) -> None:
        """Called in the server's event loop."""
        work = asyncio.create_task(self._watch())
        self._stack.callback(work.cancel)

    async def _watch(self) -> None:
        taken: Stamp = {}
        seen: Stamp = {}
        while True:
            await asyncio.sleep(self._every_s)
            try:
                now = await asyncio.to_thread(_stamp, self._project)
                if now == seen and now != taken:
                    self._take(await asyncio.to_thread(self._read))
                    taken = now  # else it is tried again
                seen = now
            except Exception:
                LOG.exception("the task files were not taken over")

    def _read(self) -> _Read:
        tasks: dict[str, Task] = {}
        problems: dict[str, JourneymanError] = {}
        for path in sorted(self._project.tasks.glob("*.yaml")):
            try:
                tasks[path.stem] = load_task(path)
            except JourneymanError as error:
                problems[path.name] = error
                if path.stem in self._tasks:
                    tasks[path.stem] = self._tasks[path.stem]
        has_new = _read_bytes(self._project.root / FILE_NAME) != self._settings
        return _Read(tuple(tasks.values()), problems, has_new)

    def _take(self, read: _Read) -> None:
        told = {name: f"{error.code} {error.what}" for name, error in read.problems.items()}
        told |= {FILE_NAME: RESTART} if read.has_new_settings else {}
        for name, error in read.problems.items():
            if self.problems.get(name) != told[name]:
                LOG.warning("tasks/%s is not taken over: %s", name, error)
        if read.has_new_settings and FILE_NAME not in self.problems:
            LOG.warning(RESTART)
        changed = {task.name: task for task in read.tasks}
        if changed != self._tasks:
            try:
                self._take_over(read.tasks)
            except JourneymanError as error:
                LOG.warning("the task files are not taken over: %s", error)
                told["tasks"] = f"{error.code} {error.what}"
            else:
                for line in _compare(self._tasks, changed):
                    LOG.warning(line)
                self._tasks = changed
        self.problems.clear()
        self.problems.update(told)


def _compare(before: Mapping[str, Task], after: Mapping[str, Task]) -> list[str]:
    return [
        *(f"{name}: its file is new, and the task is served" for name in after if name not in before),
        *(f"{name}: its file is gone, and the task is served no more" for name in before if name not in after),
        *(
            f"{name}: its file has changed and is taken over"
            for name in after
            if before.get(name, after[name]) != after[name]
        ),
    ]


def _stamp(project: Project) -> Stamp:
    """What tells that a file is another: when it was written, its size, its number."""
    found = {}
    for path in (project.root / FILE_NAME, *project.tasks.glob("*.yaml")):
        try:
            state = path.stat()
        except OSError:
            continue
        found[path] = state.st_mtime_ns, state.st_size, state.st_ino
    return found


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
