"""Who may call which slot of the engine now: first come, first served, from any event loop.

Waiting happens here and not in the engine, so that a busy adapter never holds up the others' connections.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from journeyman.core.errors import ModelError

Waiter = asyncio.Future[int]


class Slots:
    """``lanes`` groups (one per adapter) of ``per_lane`` slots; slot ids count through the lanes."""

    def __init__(self, lanes: int, per_lane: int) -> None:
        self._lock = threading.Lock()
        self._free = [deque(range(lane * per_lane, (lane + 1) * per_lane)) for lane in range(lanes)]
        self._waiting: list[deque[Waiter]] = [deque() for _ in range(lanes)]

    @asynccontextmanager
    async def hold(self, lane: int, patience_s: float | None = None) -> AsyncIterator[int]:
        """Wait for a slot of the lane, at most ``patience_s`` seconds, and keep it for the block.

        Raises:
            ModelError: JM-427 none was free in time.
        """
        try:
            slot = await asyncio.wait_for(self._take(lane), patience_s)
        except TimeoutError:
            raise ModelError(
                "JM-427",
                "every slot of this model is taken",
                expected=f"a free one within {patience_s:g} s",
                hint="call again in a moment",
                retryable=True,
            ) from None
        try:
            yield slot
        finally:
            self._give(lane, slot)

    async def _take(self, lane: int) -> int:
        with self._lock:
            if self._free[lane]:
                return self._free[lane].popleft()
            waiter: Waiter = asyncio.get_running_loop().create_future()
            self._waiting[lane].append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._give(lane, waiter.result())
            raise

    def _give(self, lane: int, slot: int) -> None:
        with self._lock:
            if not self._waiting[lane]:
                # Last used, first taken: its cache is warm.
                self._free[lane].appendleft(slot)
                return
            waiter = self._waiting[lane].popleft()
        try:
            waiter.get_loop().call_soon_threadsafe(self._hand_over, waiter, lane, slot)
        except RuntimeError:  # that loop has ended with its callers
            self._give(lane, slot)

    def _hand_over(self, waiter: Waiter, lane: int, slot: int) -> None:
        if waiter.done():
            self._give(lane, slot)
        else:
            waiter.set_result(slot)
