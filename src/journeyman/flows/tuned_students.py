"""The students of fine-tuning jobs in a running server: the last few, each under its own name alone, without a restart.

A student that is released stays loaded; of the others the oldest goes when there are more than are kept.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError
from journeyman.flows.loading import Load, close_later
from journeyman.flows.student import Student
from journeyman.flows.workspace import Workspace
from journeyman.gateway.registry import Registry
from journeyman.gateway.tuning_request import KIND
from journeyman.models.manifest import load_manifest
from journeyman.store.jobs import Job

LOG = logging.getLogger("journeyman.gateway")
MOST_STUDENTS = 4


@dataclass(frozen=True, slots=True)
class Tuned:
    task: str
    hash: str
    owner: str


class TunedStudents:
    """``load`` starts what answers for students. Closed with what it started."""

    def __init__(self, workspace: Workspace, registry: Registry, load: Load) -> None:
        self._workspace = workspace
        self._registry = registry
        self._load = load
        self._loaded: dict[Tuned, AsyncExitStack] = {}
        self._failed: set[str] = set()
        self._turn = asyncio.Lock()
        self._goodbyes: set[asyncio.Task[None]] = set()

    async def follow(self) -> None:
        """Serve what jobs made since, here or on another server over the same store."""
        done = await asyncio.to_thread(self._workspace.store.desk.done_jobs, KIND, MOST_STUDENTS)
        for job in reversed(done):
            await self.serve(read_tuned(job, cast("dict[str, Json]", job.result)))

    async def serve(self, tuned: Tuned) -> None:
        """Returns when it answers, or cannot be loaded, which is said once."""
        async with self._turn:
            if tuned in self._loaded or tuned.hash in self._failed or self._registry.has(tuned.task, tuned.hash):
                return
            stack = AsyncExitStack()
            try:
                folder = self._workspace.project.releases / tuned.task / tuned.hash
                student = Student(folder, await asyncio.to_thread(load_manifest, folder))
                for item in await self._load(stack, [student]):
                    self._registry.add(replace(item, owner=tuned.owner))
            except (JourneymanError, OSError) as error:
                self._failed.add(tuned.hash)
                await stack.aclose()
                LOG.warning("the student %s@%s cannot be loaded: %s", tuned.task, tuned.hash[:12], error)
                return
            self._loaded[tuned] = stack
            self._let_go()

    def _let_go(self) -> None:
        own = [tuned for tuned in self._loaded if self._registry.live(tuned.task) != tuned.hash]
        for tuned in own[:-MOST_STUDENTS]:
            self._registry.remove(tuned.task, tuned.hash)
            goodbye = asyncio.create_task(close_later(self._loaded.pop(tuned)))
            self._goodbyes.add(goodbye)
            goodbye.add_done_callback(self._goodbyes.discard)

    async def close(self) -> None:
        for goodbye in list(self._goodbyes):
            goodbye.cancel()
        await asyncio.gather(*self._goodbyes, return_exceptions=True)
        for stack in self._loaded.values():
            await stack.aclose()


def read_tuned(job: Job, result: dict[str, Json]) -> Tuned:
    return Tuned(str(result["task"]), str(result["student"]), job.owner)
