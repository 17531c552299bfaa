"""The local models of a running server: a `Standby` for each file of weights, or a few copies of it, shared by all that answer on it.

llama.cpp decodes calls of different adapters one after the other, with every core: where several adapters are busy, copies with some of the cores each are faster
(docs/results/workers.md)."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

from journeyman.core.cores import count_cores
from journeyman.core.errors import ModelError
from journeyman.core.settings import Project
from journeyman.models.footprint import machine_bytes
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.pool import Habits, Pool
from journeyman.models.standby import EngineState, Standby

LOG = logging.getLogger("journeyman.gateway")
MEMORY_SHARE = 0.5
Copy = tuple[Path, int]
"""A file of weights, and which of its copies."""


class Engines(Protocol):
    """Where engines come from; what one is asked for ends with ``stack``. ``copies`` of the same weights may be open."""

    @property
    def copies(self) -> int: ...

    async def open(self, stack: AsyncExitStack, base: Path, adapters: Mapping[str, Path]) -> LlamaCpp | Standby: ...


class Started:
    """Each at once, and alone."""

    copies = 1

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads

    async def open(self, stack: AsyncExitStack, base: Path, adapters: Mapping[str, Path]) -> LlamaCpp:
        engine = await LlamaCpp.start(base, adapters, threads=self._threads)
        stack.push_async_callback(engine.close)
        return engine


class Fleet:
    """``eager``: what is opened is warm when `open` returns, as far as memory goes; else it starts with its first call. ``copies`` of the same weights share out their
    adapters, and the cores unless ``threads`` are given; ``slots`` calls of ``context`` tokens are answered at once by each adapter. To be entered; what runs ends with it."""

    def __init__(
        self,
        habits: Habits,
        threads: int | None = None,
        *,
        eager: bool = True,
        copies: int = 1,
        slots: int = 1,
        context: int = 2048,
    ) -> None:
        self.copies = copies
        self._pool = Pool(habits)
        self._threads = max(1, count_cores() // copies) if threads is None and copies > 1 else threads
        self._slots = slots
        self._context = context
        self._eager = eager
        self._standing: dict[Copy, Standby] = {}
        self._users: Counter[Copy] = Counter()
        self._adapters: Counter[tuple[Copy, str]] = Counter()
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
        """What answers on these weights until ``stack`` closes, with others or alone: the copy that has the adapters, or else the fewest. An engine that runs already goes
        on until one with the new adapters is there.

        Raises:
            ModelError: as `Standby.bring_up` where it starts now; too little memory is no failure yet.
        """
        copy = base, self._choose(base, adapters)
        self._users[copy] += 1
        self._adapters.update((copy, name) for name in adapters)
        stack.push_async_callback(self._leave, copy, tuple(adapters))
        standby = self._standing.get(copy)
        if standby is None:
            made = await asyncio.to_thread(self._stand_by, copy)
            standby = self._standing.setdefault(copy, made)
        standby.extend(adapters)
        if self._eager:
            await self._bring_up(standby)
        return standby

    def stand_by(self, base: Path) -> Standby:
        """The engine of weights that may never be asked, which starts with its first call."""
        copy = base, 0
        self._users[copy] += 1
        if copy not in self._standing:
            self._standing[copy] = self._stand_by(copy)
        return self._standing[copy]

    def _choose(self, base: Path, adapters: Mapping[str, Path]) -> int:
        held = [
            {name for (copy, name), users in self._adapters.items() if users and copy == (base, place)}
            for place in range(self.copies)
        ]
        return max(
            range(self.copies), key=lambda place: (len(held[place] & adapters.keys()), -len(held[place]), -place)
        )

    def _stand_by(self, copy: Copy) -> Standby:
        base, place = copy
        name = f"{base.name} #{place + 1}" if place else base.name
        return Standby(
            self._pool,
            base,
            threads=self._threads,
            slots=self._slots,
            context=self._context,
            is_probing=self._eager,
            name=name,
        )

    async def _bring_up(self, standby: Standby) -> None:
        try:
            await standby.bring_up()
        except ModelError as error:
            if error.code != "JM-429":
                raise
            LOG.warning("%s is not started: %s", standby.name, error)

    async def _leave(self, copy: Copy, adapters: tuple[str, ...]) -> None:
        self._users[copy] -= 1
        self._adapters.subtract((copy, name) for name in adapters)
        if (standby := self._standing.get(copy)) is None:  # it could not be made
            return
        standby.forget([name for name in adapters if not self._adapters[copy, name]])
        if not self._users[copy]:
            del self._standing[copy]
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
