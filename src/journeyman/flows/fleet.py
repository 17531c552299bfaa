"""The local models of a running server: one `Standby` for each file of weights, shared by all that answer on it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

from journeyman.core.errors import ModelError
from journeyman.core.settings import Project
from journeyman.models.footprint import machine_bytes
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.pool import Habits, Pool
from journeyman.models.standby import EngineState, Standby

LOG = logging.getLogger("journeyman.gateway")
MEMORY_SHARE = 0.5


class Engines(Protocol):
    """Where engines come from; what one is asked for ends with ``stack``."""

    async def open(self, stack: AsyncExitStack, base: Path, adapters: Mapping[str, Path]) -> LlamaCpp | Standby: ...


class Started:
    """Each at once, and alone."""

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads

    async def open(self, stack: AsyncExitStack, base: Path, adapters: Mapping[str, Path]) -> LlamaCpp:
        engine = await LlamaCpp.start(base, adapters, threads=self._threads)
        stack.push_async_callback(engine.close)
        return engine


class Fleet:
    """``eager``: what is opened is warm when `open` returns, as far as memory goes; else it starts with its first call. To be entered; what runs ends with it."""

    def __init__(self, habits: Habits, threads: int | None = None, *, eager: bool = True) -> None:
        self._pool = Pool(habits)
        self._threads = threads
        self._eager = eager
        self._standing: dict[Path, Standby] = {}
        self._users: Counter[Path] = Counter()
        self._adapters: Counter[tuple[Path, str]] = Counter()
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Fleet:
        self._keeping = asyncio.create_task(self._pool.keep())
        return self

    async def __aexit__(self, *_failure: object) -> None:
        assert self._keeping is not None, "it was entered"
        self._keeping.cancel()
        await asyncio.gather(*(standby.close() for standby in self._standing.values()))
        await self._pool.close()

    def states(self) -> list[EngineState]:
        return [standby.state for standby in self._standing.values()]

    async def open(self, stack: AsyncExitStack, base: Path, adapters: Mapping[str, Path]) -> Standby:
        """What answers on these weights until ``stack`` closes, with others or alone; an engine that runs already goes on until one with the new adapters is there.

        Raises:
            ModelError: as `Standby.bring_up` where it starts now; too little memory is no failure yet.
        """
        standby = self._standing.get(base)
        if standby is None:
            standby = self._standing[base] = await asyncio.to_thread(self._stand_by, base)
        standby.extend(adapters)
        self._users[base] += 1
        self._adapters.update((base, name) for name in adapters)
        stack.push_async_callback(self._leave, base, tuple(adapters))
        if self._eager:
            await self._bring_up(standby)
        return standby

    def stand_by(self, base: Path) -> Standby:
        """The engine of weights that may never be asked, which starts with its first call."""
        self._users[base] += 1
        if base not in self._standing:
            self._standing[base] = self._stand_by(base)
        return self._standing[base]

    def _stand_by(self, base: Path) -> Standby:
        return Standby(self._pool, base, threads=self._threads, is_probing=self._eager)

    async def _bring_up(self, standby: Standby) -> None:
        try:
            await standby.bring_up()
        except ModelError as error:
            if error.code != "JM-429":
                raise
            LOG.warning("%s is not started: %s", standby.base.name, error)

    async def _leave(self, base: Path, adapters: tuple[str, ...]) -> None:
        self._users[base] -= 1
        self._adapters.subtract((base, name) for name in adapters)
        standby = self._standing[base]
        standby.forget([name for name in adapters if not self._adapters[base, name]])
        if not self._users[base]:
            del self._standing[base]
            await standby.close()


def read_habits(project: Project) -> Habits:
    """As the project's settings say."""

    def seconds(name: str) -> float | None:
        return project.number("serve", name) or None

    most = project.number("serve", "memory_mb")
    return Habits(
        int(MEMORY_SHARE * machine_bytes() if most is None else most * 1e6),
        seconds("sleep_after_s"),
        seconds("stop_after_s"),
        int(project.number("serve", "queue") or 1),
        project.number("serve", "wait_s") or 0.0,
    )
