"""A provider that fails call after call is left alone for a while: callers hear so at once instead of waiting, and it can recover."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable

from journeyman.core.errors import ModelError
from journeyman.models.protocol import Model, Reply, Request

LOG = logging.getLogger("journeyman.models")
FAILING = ("JM-430", "JM-431")
"""Not reached or too slow, busy or failing: what asking again at once makes worse."""
MOST_FAILURES = 5
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 60.0


class Breaker:
    """Of one provider. After ``MOST_FAILURES`` in a row it is not asked for ``FIRST_WAIT_S``; then one call may try, and each failure of that doubles the wait."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._failures = 0
        self._wait_s = 0.0
        self._until = 0.0

    def check(self) -> None:
        """Raises: ModelError JM-442 it is left alone for now."""
        if not self._wait_s:
            return
        left = self._until - self._clock()
        if left > 0:
            error = ModelError(
                "JM-442",
                "the provider failed several times in a row and is left alone for a while",
                where=self._name,
                got=f"{self._failures} failures, {left:.1f} s to wait",
                hint="call again then",
                retryable=True,
            )
            error.retry_after_s = left
            raise error
        self._until = self._clock() + self._wait_s  # this call tries, the others wait for what it finds

    def note(self, *, is_failure: bool) -> None:
        """What came of a call that was made."""
        if not is_failure:
            if self._wait_s:
                LOG.warning("%s answers again", self._name)
            self._failures, self._wait_s = 0, 0.0
            return
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            self._wait_s = min(max(2 * self._wait_s, FIRST_WAIT_S), LONGEST_WAIT_S)
            self._until = self._clock() + self._wait_s
            LOG.warning("%s failed %d times in a row: not asked for %g s", self._name, self._failures, self._wait_s)


class Sheltered:
    """A model behind a breaker."""

    def __init__(self, model: Model, breaker: Breaker) -> None:
        self._model = model
        self._breaker = breaker

    @property
    def name(self) -> str:
        return self._model.name

    async def complete(self, request: Request) -> Reply:
        """Raises: ModelError JM-442 the provider is left alone for now; what the model raises."""
        self._breaker.check()
        try:
            reply = await self._model.complete(request)
        except ModelError as error:
            # A provider that has enough of one caller is well: 429 is told per model and key.
            self._breaker.note(is_failure=error.code in FAILING and not error.got.startswith("429"))
            raise
        self._breaker.note(is_failure=False)
        return reply

    async def stream(self, request: Request) -> AsyncIterator[str]:
        self._breaker.check()
        async for piece in self._model.stream(request):
            yield piece

    async def close(self) -> None:
        await self._model.close()
