"""Who answers a task's call: its live student, its teacher, or the student where it is sure enough and else the teacher.

    call ─► held, no release, policy ─► teacher
         └► student ─► failed, invalid, unsure ─► teacher
                    └► sure ─► answer ─► (a random share) audit: the teacher is asked too, afterwards

What the student said where the teacher answered stands in the trace; who answered, and why, in trace and reply. An audit is a trace of its own
(``origin=audit``): a label for later rows, and what the promise is watched with.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError, ModelError, ServeError
from journeyman.core.ids import make_trace_id
from journeyman.gateway.answer import Answer, Answerer, Attempt, Call
from journeyman.gateway.registry import Policy, Routed

LOG = logging.getLogger("journeyman.gateway")
Side = Literal["student", "teacher"]
Why = Literal[
    "policy", "no release", "not loaded", "held", "no threshold", "failed", "invalid", "unsure", "sure", "fallback"
]
Audited = Callable[[str, str, str], Awaitable[None]]
"""Told of an audit that was answered: the task, the id of the student's trace, the id of the audit's."""


@dataclass(frozen=True, slots=True)
class Decision:
    """``by`` answered, because of ``why``; ``chance`` is the student's calibrated one, ``threshold`` what it had to reach, ``error`` the code of how it failed."""

    policy: Policy
    by: Side
    why: Why
    chance: float | None = None
    threshold: float | None = None
    error: str = ""

    def to_json(self) -> dict[str, Json]:
        known: dict[str, Json] = {"policy": self.policy, "by": self.by, "why": self.why}
        sure: dict[str, Json] = {} if self.threshold is None else {"chance": self.chance, "threshold": self.threshold}
        return known | sure | ({"error": self.error} if self.error else {})


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer on its way: who gives it, and its pieces of text, then the Answer."""

    model: str
    release: str
    by: str
    pieces: AsyncGenerator[str | Answer, None]


class Router:
    """``draw`` gives numbers in [0, 1) for the audits; ``audited`` is told of each. `close` waits for audits that are under way."""

    def __init__(
        self, answerer: Answerer, audited: Audited | None = None, draw: Callable[[], float] = random.random
    ) -> None:
        self._answerer = answerer
        self._audited = audited
        self._draw = draw
        self._audits: set[asyncio.Task[None]] = set()

    async def answer(self, routed: Routed, call: Call) -> Answer:
        """Raises what `Answerer.answer` raises; ServeError JM-731: the release is held, and there is no teacher."""
        decision = _before(routed)
        started = time.perf_counter() if call.started is None else call.started
        call = replace(call, started=started, sample=routed.sample, trace=call.trace or make_trace_id())
        said: Attempt | None = None
        if decision is None and routed.is_alone:
            decision = Decision(routed.policy, "student", "policy")
            answer = await self._answerer.answer(replace(call, served=routed.model), {"route": decision.to_json()})
            return _shown(answer, call, decision)
        if decision is None:
            decision, said = await self._try_student(routed, call)
        if decision.by == "student":
            return await self._accept(routed, call, decision, said)
        return await self._escalate(routed, call, decision, said)

    async def stream(self, routed: Routed, call: Call) -> Streamed:
        """Returns once it is decided who answers and the first piece is there; raises as `answer` does."""
        student = routed.student
        if student is None or not routed.is_alone:
            answer = await self.answer(routed, call)
            return Streamed(answer.model, answer.release, answer.by, _whole(answer))
        route = Decision(routed.policy, "student", "policy").to_json()
        pieces = self._answerer.stream(replace(call, served=student, sample=routed.sample), {"route": route})
        first = await anext(pieces)
        return Streamed(student.name, student.release, "student: policy", _after(first, pieces))

    async def close(self, patience_s: float = 30.0) -> None:
        """Audits that take longer are given up: their calls were answered long ago."""
        if self._audits:
            _done, late = await asyncio.wait(self._audits, timeout=patience_s)
            for audit in late:
                audit.cancel()

    async def _try_student(self, routed: Routed, call: Call) -> tuple[Decision, Attempt | None]:
        student, policy = routed.student, routed.policy
        assert student is not None
        wishes = replace(call.wishes, confidence=call.wishes.confidence or policy == "cascade")
        try:
            said = await self._answerer.attempt(replace(call, served=student, wishes=wishes))
        except ModelError as error:
            return Decision(policy, "teacher", "failed", error=error.code), None
        if said.problem and routed.teacher is not None:
            return Decision(policy, "teacher", "invalid"), said
        if policy == "student":
            return Decision(policy, "student", "policy"), said
        chance = said.calibrated
        is_sure = chance is not None and student.threshold is not None and chance >= student.threshold
        by: Side = "student" if is_sure else "teacher"
        return Decision(policy, by, "sure" if is_sure else "unsure", chance, student.threshold), said

    async def _accept(self, routed: Routed, call: Call, decision: Decision, said: Attempt | None) -> Answer:
        assert said is not None
        can_audit = decision.why == "sure" and routed.teacher is not None and call.origin != "assess"
        is_audited = can_audit and self._draw() < routed.audit
        route = decision.to_json() | ({"audit": True} if is_audited else {})
        answer = await self._answerer.finish(said, {"route": route})
        if is_audited:
            audit = asyncio.create_task(self._audit(routed, call, answer.trace))
            self._audits.add(audit)
            audit.add_done_callback(self._audits.discard)
        return _shown(answer, call, decision)

    async def _escalate(self, routed: Routed, call: Call, decision: Decision, said: Attempt | None) -> Answer:
        verdicts: dict[str, Json] = {"route": decision.to_json()}
        if said is not None:
            verdicts["student"] = said.describe()
        if routed.teacher is None:
            error = _no_teacher(routed, decision)
            await self._answerer.refuse(call, error, verdicts)
            raise error
        can_stand = routed.fallback and said is not None and not said.problem
        try:
            answer = await self._answerer.answer(replace(call, served=routed.teacher), verdicts, has_other=can_stand)
        except (ModelError, ServeError) as error:
            if said is None or not can_stand or not _is_outage(error):
                raise
            decision = replace(decision, by="student", why="fallback", error=error.code)
            answer = await self._answerer.finish(said, {"route": decision.to_json()})
        return _shown(answer, call, decision)

    async def _audit(self, routed: Routed, call: Call, trace: str) -> None:
        """A failure is recorded as every call's is, and stops nothing."""
        assert routed.teacher is not None
        id = make_trace_id()
        meta: Mapping[str, Json] = {**call.meta, "of": trace, "chance": routed.audit}
        try:
            meter = call.meter.without_key() if call.meter else None
            asked = replace(call, served=routed.teacher, origin="audit", trace=id, meta=meta, meter=meter, started=None)
            await self._answerer.answer(asked)
            if self._audited is not None:
                await self._audited(routed.task, trace, id)
        except JourneymanError as error:
            LOG.warning("audit of %s: %s %s", trace, error.code, error.what)
        except Exception:
            LOG.exception("audit of %s", trace)


def _is_outage(error: JourneymanError) -> bool:
    """Whether nobody answered: an invalid answer of the teacher, or a call that it refuses, is no reason for a worse one."""
    return error.code in ("JM-742", "JM-744", "JM-746") or (error.retryable and isinstance(error, ModelError))


async def _whole(answer: Answer) -> AsyncGenerator[str | Answer, None]:
    yield answer.text
    yield answer


async def _after(first: str | Answer, rest: AsyncGenerator[str | Answer, None]) -> AsyncGenerator[str | Answer, None]:
    async with aclosing(rest):
        yield first
        async for item in rest:
            yield item


def _before(routed: Routed) -> Decision | None:
    """What is clear without asking the student."""
    policy = routed.policy
    if policy == "teacher":
        return Decision(policy, "teacher", "policy")
    if routed.student is None:
        return Decision(policy, "teacher", "not loaded" if routed.live else "no release")
    if routed.held:
        return Decision(policy, "teacher", "held")
    if policy == "cascade" and routed.student.threshold is None:
        return Decision(policy, "teacher", "no threshold")
    return None


def _shown(answer: Answer, call: Call, decision: Decision) -> Answer:
    """The student's confidence goes to those who asked for it; a teacher has none."""
    kept = answer if call.wishes.confidence else replace(answer, confidence=None, calibrated=None)
    return replace(kept, by=f"{decision.by}: {decision.why}")


def _no_teacher(routed: Routed, decision: Decision) -> ServeError:
    reasons: Mapping[str, str] = {
        "held": f"its release is held: {routed.held}",
        "policy": "its route says teacher",
        "no release": "it has no release",
        "not loaded": f"its release {routed.live[:12]} was made live after this server started",
        "no threshold": "its release has no threshold from which on it may answer",
        "unsure": "its student is not sure enough of this call",
        "failed": f"its student failed: {decision.error}",
        "invalid": "its student's answer breaks the schema",
    }
    return ServeError(
        "JM-731",
        f"{routed.task} needs its teacher for this call, and there is none",
        expected="teacher.model in journeyman.toml and its key in the environment",
        got=reasons[decision.why],
        hint=f"set the teacher, or `journeyman drift {routed.task} --resume REASON`"
        if decision.why == "held"
        else "set the teacher, or `route: {policy: student}` in the task file",
    )
