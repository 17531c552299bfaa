"""While the server runs: its canaries are looked at, and one that was told to is promoted or rolled back. What a look takes is loaded where there is a canary."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from journeyman.core.errors import JourneymanError
from journeyman.flows.workspace import Workspace
from journeyman.store.canaries import Canary
from journeyman.task.task import Task

if TYPE_CHECKING:
    from journeyman.flows.canaries import Evidence

EVERY_S = 2.0


class Jury:
    """Looks at running canaries; what it has counted of each is kept."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: dict[str, Evidence] = {}

    def look(self, task_name: str) -> Canary | None:
        """The canary that ended by this look, if one did."""
        canary = self._workspace.store.canary(task_name)
        if canary is None:
            return None
        from journeyman.flows.canaries import act, catch_up, open_evidence

        if canary.id not in self._known:
            self._known[canary.id] = open_evidence(self._workspace, canary)
        evidence = self._known[canary.id]
        catch_up(self._workspace, evidence)
        ended = act(self._workspace, evidence)
        if ended is not None:
            del self._known[canary.id]
        return ended


@contextmanager
def deciding(
    workspace: Workspace, tasks: Sequence[Task], every_s: float = EVERY_S
) -> Iterator[Callable[[Sequence[Task]], None]]:
    """Look at the canaries every few seconds, in a thread of its own, until the block is left. A failure is said once, and tried again. Gives what takes over other tasks."""
    current = [list(tasks)]
    jury, stopped, said = Jury(workspace), threading.Event(), set[str]()

    def take_over(changed: Sequence[Task]) -> None:
        current[0] = list(changed)

    def work() -> None:
        while not stopped.wait(every_s):
            for task in current[0]:
                try:
                    jury.look(task.name)
                except JourneymanError as error:
                    if error.code not in said:
                        workspace.progress.note(f"{task.name}: its canary cannot be judged: {error.code} {error.what}")
                    said.add(error.code)

    thread = threading.Thread(target=work, name="canaries", daemon=True)
    thread.start()
    try:
        yield take_over
    finally:
        stopped.set()
        thread.join()
