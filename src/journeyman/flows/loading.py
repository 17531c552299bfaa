"""A release that is made live, or a candidate, while the server runs is loaded beside the others; calls go to it once it is there. Those that it followed go after a while."""

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
MOST_BEFORE = 3
"""Releases that stay loaded for a rollback, besides the live one."""
GRACE_S = 30.0
Load = Callable[[AsyncExitStack, Sequence[Student]], Awaitable[Sequence[Served]]]


class Loader:
    """``load`` starts what answers for students of ``releases``. One at a time: two engines that start together wait for each other. ``stack`` ends what is under way."""

    def __init__(self, stack: AsyncExitStack, releases: Path, load: Load) -> None:
        self._stack = stack
        self._releases = releases
        self._start = load
        self._since: dict[str, dict[str, AsyncExitStack]] = {}
        self._turn = asyncio.Lock()
        self._works: set[asyncio.Task[None]] = set()
        self.registry: Registry | None = None
        stack.push_async_callback(self._stop)

    async def load_first(self, students: Sequence[Student]) -> list[Served]:
        """What the server begins with. Raises: as ``load``."""
        return list(await self._start(self._stack, students))

    def want(self, task: str, release: str) -> None:
        """Returns at once. Called in the server's event loop."""
        work = asyncio.create_task(self._load(task, release))
        self._works.add(work)
        work.add_done_callback(self._works.discard)

    async def _load(self, task: str, release: str) -> None:
        folder, own = self._releases / task / release, AsyncExitStack()
        async with self._turn:
            try:
                if not (folder / MANIFEST).is_file():
                    LOG.warning("%s: the release %s is not in %s", task, release[:12], folder.parent)
                    return
                student = Student(folder, await asyncio.to_thread(load_manifest, folder))
                served = await self._start(own, [student])
            except JourneymanError as error:
                await own.aclose()
                LOG.warning("%s: the release %s cannot be loaded: %s", task, release[:12], error)
                return
            except Exception:
                await own.aclose()
                LOG.exception("%s: the release %s cannot be loaded", task, release[:12])
                return
            assert self.registry is not None, "set before the first call"
            for item in served:
                self.registry.add(item)
            LOG.warning("%s: the release %s is loaded, and may answer", task, release[:12])
            self._since.setdefault(task, {})[release] = own
            await self._let_go(task, self.registry)

    async def _let_go(self, task: str, registry: Registry) -> None:
        """Of the releases that came while the server runs the last few stay."""
        since = self._since[task]
        for release in [name for name in since if name != registry.live(task)][:-MOST_BEFORE]:
            registry.remove(task, release)
            work = asyncio.create_task(close_later(since.pop(release)))
            self._works.add(work)
            work.add_done_callback(self._works.discard)

    async def _stop(self) -> None:
        for work in list(self._works):
            work.cancel()
        await asyncio.gather(*self._works, return_exceptions=True)
        for since in self._since.values():
            for own in since.values():
                await own.aclose()


async def close_later(own: AsyncExitStack) -> None:
    """Calls under way end first."""
    try:
        await asyncio.sleep(GRACE_S)
    finally:
        await own.aclose()
