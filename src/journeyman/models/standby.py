"""An engine that is there when it is called: its worker starts with the first call, sleeps when idle, stops later, and starts anew after a crash.

    off ─► starting ─► warm ─► asleep ─► off
             ▲          │ ▲       │
             └─ crash ──┘ └─ wake ┘

Calls wait for a worker in a queue that ends somewhere, each for as long as it may: who has a teacher behind it is sent there at once where the wake would take longer.
Weights are hashed again where their file has changed before a worker reads them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from journeyman.core.errors import ModelError
from journeyman.core.grammar import write_grammar
from journeyman.core.nodes import Node
from journeyman.models.footprint import estimate_bytes, read_resident_bytes
from journeyman.models.llamacpp import GREEDY, Generation, LlamaCpp, Piece
from journeyman.models.pool import Pool, Running, State
from journeyman.models.protocol import Decoding
from journeyman.models.remembered import recall_threads, remember_threads, remembered_hash

LOG = logging.getLogger("journeyman.models")
FIRST_S, BYTES_PER_S = 3.0, 1e8
"""What a start is believed to take until one was seen: several processes are tried for the number of threads."""
WAKE_SHARE = 0.5
LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class EngineState:
    """For those who run the server: ``starts`` and ``wakes`` so far, and the calls that wait now."""

    name: str
    state: State
    waiting: int
    bytes: int
    starts: int
    wakes: int
    crashes: int


class Standby:
    """One file of weights, with adapters that come and go; workers belong to ``pool``. Used in one event loop."""

    def __init__(
        self,
        pool: Pool,
        base: Path,
        adapters: Mapping[str, Path] | None = None,
        *,
        threads: int | None = None,
        slots: int = 1,
        context: int = 2048,
        is_probing: bool = True,
        name: str = "",
    ) -> None:
        """``name`` is what people see; the file's without one. ``threads`` None measures at the first start; unless it ``is_probing``, what was measured for this model within a day holds. Raises: OSError, the file cannot
        be read."""
        self.base = base
        self.name = name or base.name
        self._pool = pool
        self._sha256 = remembered_hash(base)
        self._adapters = dict(adapters or {})
        self._threads = threads
        self._is_probing = is_probing
        self._slots = slots
        self._context = context
        self._current: Running | None = None
        self._task: asyncio.Task[Running] | None = None
        self._waiting = 0
        self._start_s = FIRST_S + base.stat().st_size / BYTES_PER_S
        self._wake_s = WAKE_SHARE * self._start_s
        self._starts = self._wakes = self._crashes = self._crashes_in_a_row = 0
        self._failure: tuple[float, ModelError] | None = None
        self._is_closed = False

    @property
    def is_warm(self) -> bool:
        """Whether a call now would not wait for weights."""
        found = self._up()
        return found is not None and not self._pool.is_asleep(found)

    @property
    def state(self) -> EngineState:
        found = self._up()
        state: State = "off" if found is None else "asleep" if self._pool.is_asleep(found) else "warm"
        if state != "warm" and self._task is not None and not self._task.done():
            state = "starting"
        size = found.bytes if found is not None else 0
        counts = self._starts, self._wakes, self._crashes
        return EngineState(self.name, state, self._waiting, size, *counts)

    def extend(self, adapters: Mapping[str, Path]) -> None:
        """Further adapters, for the next worker: `bring_up` starts it."""
        self._adapters |= adapters

    def forget(self, adapters: Sequence[str]) -> None:
        """Adapters that nobody asks for any more: the next worker has them not."""
        for name in adapters:
            self._adapters.pop(name, None)

    async def bring_up(self) -> None:
        """Returns when a worker with all adapters is warm; one that lacks some answers until then, and ends when its calls have.

        Raises:
            ModelError: JM-409, JM-416 a file was changed, JM-420 not loadable, JM-429 too large.
        """
        found = await asyncio.shield(self._begin())
        while any(self._lacks(found, name) for name in self._adapters):  # they came while it started
            found = await asyncio.shield(self._begin())

    async def generate(
        self,
        prompt_ids: Sequence[int],
        decoding: Decoding = GREEDY,
        *,
        adapter: str | None = None,
        write: Callable[[Node], str] = write_grammar,
        patience_s: float | None = None,
    ) -> Generation:
        """As `LlamaCpp.generate`.

        Raises:
            ModelError: JM-427 too many calls wait, JM-428 it would not be there in ``patience_s`` seconds (both retryable), as `bring_up`, and as the engine does.
        """
        async with self._held(adapter, patience_s) as engine:
            return await engine.generate(prompt_ids, decoding, adapter=adapter, write=write, patience_s=patience_s)

    async def choose(
        self,
        prompt_ids: Sequence[int],
        tokens: Sequence[int],
        *,
        adapter: str | None = None,
        patience_s: float | None = None,
    ) -> list[float]:
        """As `LlamaCpp.choose`; raises as `generate`."""
        async with self._held(adapter, patience_s) as engine:
            return await engine.choose(prompt_ids, tokens, adapter=adapter, patience_s=patience_s)

    async def stream(
        self,
        prompt_ids: Sequence[int],
        decoding: Decoding = GREEDY,
        *,
        adapter: str | None = None,
        patience_s: float | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """As `LlamaCpp.stream`; raises as `generate`."""
        async with (
            self._held(adapter, patience_s) as engine,
            aclosing(engine.stream(prompt_ids, decoding, adapter=adapter, patience_s=patience_s)) as pieces,
        ):
            async for piece in pieces:
                yield piece

    async def close(self) -> None:
        """Its worker stops; one that is being started ends too."""
        self._is_closed = True
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._current is not None:
            await self._pool.stop(self._current)

    @asynccontextmanager
    async def _held(self, adapter: str | None, patience_s: float | None) -> AsyncIterator[LlamaCpp]:
        """A warm worker for one call, which cannot stop meanwhile."""
        found = self._up()
        if self._waiting + (found.busy if found else 0) >= self._pool.habits.most_waiting:
            raise _busy(self._pool.habits.most_waiting)
        if found is None or self._pool.is_asleep(found) or self._lacks(found, adapter):
            found = await self._wait(adapter, patience_s)
        found.busy += 1
        try:
            yield found.engine
            self._crashes_in_a_row = 0
        except ModelError as error:
            if error.code == "JM-421":
                self._drop(found)
            raise
        finally:
            found.busy -= 1
            found.used = self._pool.clock()
            self._pool.tell()

    async def _wait(self, adapter: str | None, patience_s: float | None) -> Running:
        self._begin()
        if patience_s is not None and self._expected_s() > patience_s:
            raise _starting(f"about {self._expected_s():.1f} s to start, {patience_s:g} s to wait")
        self._waiting += 1
        limit = self._pool.habits.patience_s if patience_s is None else patience_s
        try:
            return await asyncio.wait_for(self._come(adapter), limit)
        except TimeoutError:
            raise _starting(f"not there after {limit:g} s") from None
        finally:
            self._waiting -= 1

    async def _come(self, adapter: str | None) -> Running:
        found = await asyncio.shield(self._begin())
        while self._lacks(found, adapter):
            found = await asyncio.shield(self._begin())
        return found

    def _begin(self) -> asyncio.Task[Running]:
        """The start or wake that is under way, or a new one."""
        if self._task is None or self._task.done():
            if self._failure is not None and self._pool.clock() < self._failure[0]:
                raise self._failure[1]
            self._task = asyncio.create_task(self._bring_up())
            self._task.add_done_callback(self._note)
        return self._task

    async def _bring_up(self) -> Running:
        if self._is_closed:
            raise ModelError("JM-421", "the local engine was closed", hint="start the server again")
        found, began = self._up(), self._pool.clock()
        if found is not None and not any(self._lacks(found, name) for name in self._adapters):
            await self._wake(found)
            self._wake_s = self._pool.clock() - began
            return found
        size = await asyncio.to_thread(estimate_bytes, self.base, self._adapters, self._slots, self._context)
        await self._pool.make_room(size)
        began = self._pool.clock()
        try:
            current = await self._start(size)
        finally:
            self._pool.give_back(size)
        self._start_s = self._pool.clock() - began
        self._current, old = current, self._up()
        if old is not None:
            self._pool.retire(old)
        return current

    async def _start(self, size: int) -> Running:
        await asyncio.to_thread(self._verify)
        adapters = dict(self._adapters)
        after = self._pool.habits.sleep_after_s
        if self._threads is None and not self._is_probing:
            self._threads = await asyncio.to_thread(recall_threads, self._sha256)
        is_measured = self._threads is None
        engine = await LlamaCpp.start(
            self.base,
            adapters,
            threads=self._threads,
            slots=self._slots,
            context=self._context,
            sleep_after_s=None if after is None else max(1, round(after)),
        )
        self._threads = engine.threads.value
        if is_measured:
            await asyncio.to_thread(remember_threads, self._sha256, engine.threads.value)
        self._starts += 1
        held = max(size, read_resident_bytes(engine.worker_pid))
        current = Running(engine, frozenset(adapters), held, self._pool.clock(), lambda: self._waiting > 0)
        self._pool.add(current)
        return current

    async def _wake(self, found: Running) -> None:
        if not self._pool.is_asleep(found):
            return
        found.busy += 1  # it counts as awake from here on, and nobody stops it
        try:
            await self._pool.make_room(0, found)
            await asyncio.to_thread(self._verify)
            await found.engine.wake()
            self._wakes += 1
        except ModelError as error:
            if error.code == "JM-421":
                self._drop(found)
            raise
        finally:
            found.busy -= 1
            found.used = self._pool.clock()

    def _verify(self) -> None:
        got = remembered_hash(self.base)
        if got != self._sha256:
            raise ModelError(
                "JM-409",
                "the weights are not those that this server began with",
                where=str(self.base),
                expected=self._sha256,
                got=got,
                hint="restore the file, then start the server again",
            )

    def _up(self) -> Running | None:
        """The worker that takes calls."""
        found = self._current
        return found if found is not None and self._pool.has(found) and found.engine.is_alive else None

    def _lacks(self, found: Running, adapter: str | None) -> bool:
        return adapter in self._adapters and adapter not in found.adapters

    def _expected_s(self) -> float:
        found = self._up()
        is_wake = found is not None and self._pool.is_asleep(found)
        return self._wake_s if is_wake else self._start_s

    def _drop(self, found: Running) -> None:
        """It crashed: the next call starts another, later and later where that crashes too."""
        if self._current is not found:
            return
        self._current = None
        self._crashes += 1
        self._crashes_in_a_row += 1
        self._pool.retire(found)
        if self._crashes_in_a_row > 1:
            error = ModelError(
                "JM-421",
                "the local engine stopped several times in a row",
                got=f"{self._crashes_in_a_row} times",
                hint="check memory and the last calls, or call again later",
            )
            self._pause(error)

    def _pause(self, error: ModelError) -> None:
        wait = min(LONGEST_PAUSE_S, 2.0 ** min(self._crashes_in_a_row, 10))
        self._failure = self._pool.clock() + wait, error

    def _note(self, task: asyncio.Task[Running]) -> None:
        """Of a start that nobody may have waited for."""
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        LOG.warning("%s cannot be started: %s", self.name, error)
        if isinstance(error, ModelError) and error.code != "JM-429":
            self._crashes_in_a_row += 1
            self._pause(error)


def _busy(most: int) -> ModelError:
    return ModelError(
        "JM-427",
        "too many calls wait for this model",
        expected=f"fewer than {most}",
        hint="call again in a moment, or raise serve.queue in journeyman.toml",
        retryable=True,
    )


def _starting(got: str) -> ModelError:
    return ModelError(
        "JM-428",
        "the model is not in memory, and is being started",
        got=got,
        hint="call again in a moment",
        retryable=True,
    )
