"""The recorder: a trace is on disk before its answer is acknowledged, and many share one commit.

One thread writes. While it commits, calls queue up; the next commit takes them all. A commit that fails fails every
call in it: nothing is acknowledged that is not stored.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from journeyman.core.errors import ServeError
from journeyman.core.trace import Trace
from journeyman.store.budgets import Spend

BATCH_LIMIT = 256


class Traces(Protocol):
    """The part of the store that is written to."""

    def add_traces(self, traces: Iterable[Trace], spends: Sequence[Spend] = (), /) -> int: ...


class _Waiting:
    """A trace, what it spent, and who waits for it."""

    def __init__(self, trace: Trace, spends: Sequence[Spend]) -> None:
        self.trace = trace
        self.spends = spends
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()

    def settle(self, error: BaseException | None) -> None:
        """Called by the writer's thread."""
        try:
            self.loop.call_soon_threadsafe(self._settle, error)
        except RuntimeError:  # the loop has ended: nobody waits any more, and the trace is stored
            return

    def _settle(self, error: BaseException | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class Recorder:
    """Made around an open store, which stays the caller's to close; `close` the recorder first."""

    def __init__(self, store: Traces, observe: Callable[[Trace], None] = lambda _trace: None) -> None:
        """``observe`` is told of each trace soon after it is stored."""
        self._store = store
        self._observe = observe
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="recorder", daemon=True)
        self._is_closed = False
        self._thread.start()

    async def record(self, trace: Trace, spends: Sequence[Spend] = ()) -> None:
        """Returns when the trace is committed, and with it what the call spent.

        Raises:
            StoreError: the commit failed; the call must not be acknowledged.
            ServeError: JM-716 the recorder is closed.
        """
        if self._is_closed:
            raise ServeError("JM-716", "the server is stopping", hint="call again in a moment", retryable=True)
        waiting = _Waiting(trace, spends)
        self._queue.put(waiting)
        await waiting.done
        waiting.loop.call_soon(self._observe, trace)  # after the answer has gone out

    @property
    def waiting(self) -> int:
        """Traces that wait for the next commit."""
        return self._queue.qsize()

    def close(self) -> None:
        """Write what is queued, then stop."""
        if not self._is_closed:
            self._is_closed = True
            self._queue.put(None)
            self._thread.join()

    def _write(self) -> None:
        is_last = False
        while not is_last:
            batch, is_last = self._next_batch()
            if not batch:
                continue
            error: BaseException | None = None
            try:
                spends = [spend for item in batch for spend in item.spends]
                self._store.add_traces([item.trace for item in batch], *([spends] if spends else []))
            except BaseException as problem:  # noqa: BLE001  # handed to every caller of the batch, who raises it
                error = problem
            for item in batch:
                item.settle(error)

    def _next_batch(self) -> tuple[list[_Waiting], bool]:
        """Wait for one, take what else is there; True after the end mark."""
        batch: list[_Waiting] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == BATCH_LIMIT or self._queue.empty():
                return batch, False
            item = self._queue.get()
        return batch, True
