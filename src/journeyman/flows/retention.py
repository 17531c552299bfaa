"""While the server runs: what tasks keep for so many days goes when they are over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from journeyman.core.errors import JourneymanError
from journeyman.flows.erasing import find_limit
from journeyman.flows.workspace import Workspace
from journeyman.task.task import Task

EVERY_S = 3600.0


@contextmanager
def retaining(
    workspace: Workspace, tasks: Sequence[Task], every_s: float = EVERY_S
) -> Iterator[Callable[[Sequence[Task]], None]]:
    """Delete recorded calls that are too old, now and every ``every_s`` seconds, in a thread of its own, until the block is left. Gives what takes over other tasks."""
    current = [list(tasks)]
    stopped, woken = threading.Event(), threading.Event()

    def take_over(changed: Sequence[Task]) -> None:
        current[0] = list(changed)
        woken.set()

    def work() -> None:
        while not stopped.is_set():
            for task in current[0]:
                if task.records.keep_days is not None:
                    _delete(workspace, task, stopped)
            woken.wait(every_s)
            woken.clear()

    thread = threading.Thread(target=work, name="retention", daemon=True)
    thread.start()
    try:
        yield take_over
    finally:
        stopped.set()
        woken.set()
        thread.join()


def _delete(workspace: Workspace, task: Task, stopped: threading.Event) -> None:
    """A failure is said, and tried again the next time."""
    days, gone = task.records.keep_days, 0
    assert days is not None
    try:
        for count in workspace.store.delete_old(task.name, find_limit(days)):
            gone += count
            if stopped.is_set():
                return
    except JourneymanError as error:
        workspace.progress.note(f"{task.name}: old calls are still there: {error.code} {error.what}")
        return
    if gone:
        workspace.progress.note(f"{task.name}: {gone:,} calls older than {days} days deleted")
