"""Students that are asked what somebody else has answered already: nobody sees what they say, nobody waits for it, and it is never a row.

Each is a trace of its own (``origin=shadow``, ``meta.of`` the call's), beside what the client was given.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError
from journeyman.core.ids import make_trace_id
from journeyman.gateway.answer import Answerer, Call
from journeyman.gateway.registry import Routed, Served

LOG = logging.getLogger("journeyman.gateway")
AT_ONCE = 4
"""Shadows of one task that are under way together, at the most: a student that is slower than its teacher does not queue up."""
MINUTE_S = 60.0


class Unseen:
    """``clock`` never jumps."""

    def __init__(self, answerer: Answerer, clock: Callable[[], float] = time.monotonic) -> None:
        self._answerer = answerer
        self._clock = clock
        self._begun: dict[str, deque[float]] = {}
        self._under_way: dict[str, int] = {}

    def may_shadow(self, routed: Routed) -> bool:
        """Whether another shadow may begin now."""
        most = routed.shadow.calls_per_minute
        if routed.student is None or self._under_way.get(routed.task, 0) >= AT_ONCE:
            return False
        if most is None:
            return True
        begun, now = self._begun.setdefault(routed.task, deque()), self._clock()
        while begun and begun[0] <= now - MINUTE_S:
            begun.popleft()
        if len(begun) >= most:
            return False
        begun.append(now)
        return True

    async def shadow(self, routed: Routed, call: Call, of: str) -> None:
        assert routed.student is not None
        self._under_way[routed.task] = self._under_way.get(routed.task, 0) + 1
        try:
            await self.ask(routed.student, call, {"of": of})
        finally:
            self._under_way[routed.task] -= 1

    async def ask(self, served: Served, call: Call, marks: Mapping[str, Json]) -> None:
        """A failure is recorded as every call's is, and stops nothing."""
        route: dict[str, Json] = {"by": "student", "why": "shadow"}
        try:
            asked = replace(
                call,
                served=served,
                wishes=replace(call.wishes, confidence=True),
                origin="shadow",
                trace=make_trace_id(),
                meta={**call.meta, **marks},
                meter=None,
                started=None,
                sample=1.0,
                watch=None,
            )
            await self._answerer.answer(asked, {"route": route})
        except JourneymanError as error:
            LOG.info("shadow of %s: %s %s", marks["of"], error.code, error.what)
        except Exception:
            LOG.exception("shadow of %s", marks["of"])
