"""Worker processes that share one budget of memory: who is idle longest goes first, who is idle long enough goes anyway.

An engine of a `Standby` is one worker. A worker that sleeps has given its weights back and counts little; a second one that takes over from a first counts beside it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from journeyman.core.errors import ModelError
from journeyman.models.llamacpp import LlamaCpp

LOG = logging.getLogger("journeyman.models")
State = Literal["off", "starting", "warm", "asleep"]
ASLEEP_BYTES = 80_000_000
"""What the process of a sleeping worker still holds: 66 MB were measured."""
SLEEPY_S = 1.0
"""The engine's own clock decides when it sleeps: a moment later it is believed to."""
FAIR_S = 5.0
"""How long one that needs memory waits for another to be idle before that one takes no more calls."""
EVERY_S = 1.0
DRAIN_S = 120.0
"""The longest that calls under way hold up the end of a worker that takes no more."""


@dataclass(frozen=True, slots=True)
class Habits:
    """When workers sleep and stop (seconds without a call; None: never), what all may hold, how many calls may wait for one, and for how long where nobody else would
    answer them."""

    memory_bytes: int
    sleep_after_s: float | None = None
    stop_after_s: float | None = None
    most_waiting: int = 64
    patience_s: float = 30.0


@dataclass(eq=False, slots=True)
class Running:
    """A worker with the adapters that it was started with. ``used`` is when its last call ended, ``is_wanted`` tells whether calls wait for it."""

    engine: LlamaCpp
    adapters: frozenset[str]
    bytes: int
    used: float
    is_wanted: Callable[[], bool]
    busy: int = 0
    is_leaving: bool = False

    @property
    def is_idle(self) -> bool:
        return not (self.busy or self.is_wanted() or self.is_leaving)


class Pool:
    """All workers of a server, in one event loop. ``clock`` never jumps."""

    def __init__(self, habits: Habits, clock: Callable[[], float] = time.monotonic) -> None:
        self.habits = habits
        self.clock = clock
        self._running: list[Running] = []
        self._promised = 0
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._goodbyes: set[asyncio.Task[None]] = set()

    @property
    def held_bytes(self) -> int:
        """Of all workers, and of those about to start."""
        return self._promised + sum(self._weigh(item) for item in self._running)

    def is_asleep(self, item: Running) -> bool:
        after = self.habits.sleep_after_s
        return after is not None and not item.busy and self.clock() - item.used > after + SLEEPY_S

    async def make_room(self, size: int, kept: Running | None = None) -> None:
        """Promise ``size`` bytes more; workers that nobody uses stop for it, the one unused for longest first. ``kept`` stays.

        Raises:
            ModelError: JM-429 the budget holds less.
        """
        base = 0 if kept is None else ASLEEP_BYTES
        if base + size > self.habits.memory_bytes:
            raise ModelError(
                "JM-429",
                "this model needs more memory than all workers may hold",
                expected=f"at most {self.habits.memory_bytes / 1e6:.0f} MB (serve.memory_mb)",
                got=f"{(base + size) / 1e6:.0f} MB",
                hint="raise serve.memory_mb in journeyman.toml, or serve a smaller model",
            )
        async with self._turn:
            until = self.clock() + FAIR_S
            while self.held_bytes + size > self.habits.memory_bytes:
                others = [item for item in self._running if item is not kept and not item.is_leaving]
                idle = [item for item in others if item.is_idle]
                if idle:
                    await self.stop(min(idle, key=lambda item: item.used))
                elif others and self.clock() >= until:
                    self.retire(min(others, key=lambda item: item.used))
                else:
                    await self._wait(until)
            self._promised += size

    def give_back(self, size: int) -> None:
        """What was promised and is not needed, or is counted as a worker's now."""
        self._promised -= size
        self.tell()

    def add(self, item: Running) -> None:
        self._running.append(item)
        self.tell()

    def has(self, item: Running) -> bool:
        """Whether it takes calls."""
        return not item.is_leaving and item in self._running

    def tell(self) -> None:
        """A call has ended, or memory is free."""
        self._changed.set()

    def retire(self, item: Running) -> None:
        """It takes no more calls, and stops when those under way have ended."""
        if item.is_leaving or item not in self._running:
            return
        item.is_leaving = True
        goodbye = asyncio.create_task(self._drain(item))
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)

    async def stop(self, item: Running) -> None:
        """Now. Its memory counts until the process has ended."""
        item.is_leaving = True
        try:
            await item.engine.close()
        finally:
            if item in self._running:
                self._running.remove(item)
            self.tell()

    async def keep(self) -> None:
        """Stop those that were idle for long, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            after = self.habits.stop_after_s
            for item in list(self._running) if after is not None else ():
                if item.is_idle and self.clock() - item.used >= (after or 0):
                    await self.stop(item)

    async def close(self) -> None:
        for goodbye in list(self._goodbyes):
            goodbye.cancel()
        await asyncio.gather(*self._goodbyes, return_exceptions=True)
        await asyncio.gather(*(self.stop(item) for item in list(self._running)))

    def _weigh(self, item: Running) -> int:
        return min(item.bytes, ASLEEP_BYTES) if self.is_asleep(item) else item.bytes

    async def _drain(self, item: Running) -> None:
        until = self.clock() + DRAIN_S
        while item.busy and self.clock() < until:
            await self._wait(until)
        await self.stop(item)

    async def _wait(self, until: float) -> None:
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), max(0.05, min(EVERY_S, until - self.clock())))
        except TimeoutError:
            return
