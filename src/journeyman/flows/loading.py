"""A release that is made live while the server runs is loaded beside the others; calls go to it once it is there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from journeyman.core.errors import JourneymanError
from journeyman.flows.student import Student
from journeyman.gateway.registry import Registry, Served
from journeyman.models.manifest import MANIFEST, load_manifest

LOG = logging.getLogger("journeyman.gateway")


class Loader:
    """``load`` starts what answers for a student of ``releases``. One at a time: two engines that start together wait for each other. ``stack`` ends what is under way."""

    def __init__(
        self, stack: AsyncExitStack, releases: Path, load: Callable[[Student], Awaitable[Sequence[Served]]]
    ) -> None:
        self._releases = releases
        self._start = load
        self._turn = asyncio.Lock()
        self._works: set[asyncio.Task[None]] = set()
        self.registry: Registry | None = None
        stack.callback(self._stop)

    def want(self, task: str, release: str) -> None:
        """Returns at once. Called in the server's event loop."""
        work = asyncio.create_task(self._load(task, release))
        self._works.add(work)
        work.add_done_callback(self._works.discard)

    async def _load(self, task: str, release: str) -> None:
        folder = self._releases / task / release
        async with self._turn:
            try:
                if not (folder / MANIFEST).is_file():
                    LOG.warning("%s: the live release %s is not in %s", task, release[:12], folder.parent)
                    return
                student = Student(folder, await asyncio.to_thread(load_manifest, folder))
                served = await self._start(student)
            except JourneymanError as error:
                LOG.warning("%s: the live release %s cannot be loaded: %s", task, release[:12], error)
                return
            except Exception:
                LOG.exception("%s: the live release %s cannot be loaded", task, release[:12])
                return
            assert self.registry is not None, "set before the first call"
            for item in served:
                self.registry.add(item)
            LOG.warning("%s: the release %s is loaded and answers", task, release[:12])

    def _stop(self) -> None:
        for work in self._works:
            work.cancel()
