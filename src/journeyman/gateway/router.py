"""Who answers a task's call: its live student, its teacher, or the student where it is sure enough and else the teacher.

    call ─► held, no release, policy ─► teacher
         └► student ─► failed, invalid, guarded, unsure ─► teacher
                    └► sure ─► answer ─► (a random share) audit: the teacher is asked too, afterwards
                                   or ─► (of a canary's calls) both students and the teacher are asked, afterwards

What the student said where the teacher answered stands in the trace; who answered, and why, in trace and reply. An audit is a trace of its own
(``origin=audit``): a label for later rows, and what the promise is watched with.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError, ModelError, ServeError
from journeyman.core.ids import make_trace_id
from journeyman.gateway.answer import NOT_THERE, Answer, Answerer, Attempt, Call, read_fields
from journeyman.gateway.canary import choose
from journeyman.gateway.guard_asking import About, Asking
from journeyman.gateway.guarding import Watch
from journeyman.gateway.knowing import Knower
from journeyman.gateway.registry import Policy, Routed
from journeyman.gateway.response_cache import ResponseCache, may_cache
from journeyman.gateway.unseen import Unseen
from journeyman.models.protocol import Start, find_start

LOG = logging.getLogger("journeyman.gateway")
Side = Literal["student", "teacher"]
Why = Literal[
    "policy",
    "no release",
    "not loaded",
    "held",
    "no threshold",
    "cold",
    "busy",
    "failed",
    "invalid",
    "guarded",
    "unsure",
    "sure",
    "fallback",
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
    student_ms: float | None = None
    """What the student took, where it was tried."""

    def to_json(self) -> dict[str, Json]:
        known: dict[str, Json] = {"policy": self.policy, "by": self.by, "why": self.why}
        sure: dict[str, Json] = {} if self.threshold is None else {"chance": self.chance, "threshold": self.threshold}
        tried: dict[str, Json] = {} if self.student_ms is None else {"student_ms": round(self.student_ms, 3)}
        return known | sure | tried | ({"error": self.error} if self.error else {})


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer on its way: who gives it, and its pieces of text, then the Answer."""

    model: str
    release: str
    by: str
    pieces: AsyncGenerator[str | Answer, None]
    cache: str = ""
    guards: str = ""
    start: Start | None = None


class Router:
    """``draw`` gives numbers in [0, 1) for the audits; ``audited`` is told of each. `close` waits for audits that are under way."""

    def __init__(
        self,
        answerer: Answerer,
        audited: Audited | None = None,
        draw: Callable[[], float] = random.random,
        cache: ResponseCache | None = None,
        find: Callable[[str], Routed] | None = None,
        knower: Knower | None = None,
    ) -> None:
        """``find`` finds tasks that are guards of others; ``knower`` has the documents of tasks that answer from some."""
        self._answerer = answerer
        self.asking = Asking(self.answer, find)
        self._audited = audited
        self._draw = draw
        self._cache = cache
        self._knower = knower
        self._unseen = Unseen(answerer)
        self._audits: set[asyncio.Task[None]] = set()

    async def answer(self, routed: Routed, call: Call) -> Answer:
        """Raises what `Answerer.answer` raises; ServeError JM-731: the release is held, and there is no teacher."""
        routed = choose(routed, call, self._draw) if routed.canary else routed
        started = time.perf_counter() if call.started is None else call.started
        call = replace(call, started=started, sample=routed.sample, trace=call.trace or make_trace_id())
        call = await self._know(routed, call)
        if routed.guards:
            call = await self._guard(routed, call)
        if self._cache is not None and may_cache(routed, call):
            return await self._cache.answer(routed, call, self._answer)
        return await self._answer(routed, call)

    async def _answer(self, routed: Routed, call: Call) -> Answer:
        decision = _before(routed)
        said: Attempt | None = None
        if decision is None and routed.is_alone:
            decision = Decision(routed.policy, "student", "policy")
            answer = await self._answerer.answer(
                replace(call, served=routed.model), {"route": _route(routed, decision)}
            )
            return _shown(answer, call, decision)
        if decision is None:
            tried = time.perf_counter()
            decision, said = await self._try_student(routed, call)
            decision = replace(decision, student_ms=(time.perf_counter() - tried) * 1000)
        if decision.by == "student":
            return await self._accept(routed, call, decision, said)
        return await self._escalate(routed, call, decision, said)

    async def stream(self, routed: Routed, call: Call) -> Streamed:
        """Returns once it is decided who answers and the first piece is there; raises as `answer` does."""
        routed = choose(routed, call, self._draw) if routed.canary else routed
        student, is_kept = routed.student, self._cache is not None and may_cache(routed, call)
        if student is None or not routed.is_alone or is_kept:
            answer = await self.answer(routed, call)
            return Streamed(
                answer.model, answer.release, answer.by, _whole(answer), answer.cache, answer.guards, answer.start
            )
        call = await self._know(routed, replace(call, started=call.started or time.perf_counter()))
        if routed.guards:
            call = await self._guard(routed, replace(call, trace=call.trace or make_trace_id()))
        route = _route(routed, Decision(routed.policy, "student", "policy"))
        pieces = self._answerer.stream(replace(call, served=student, sample=routed.sample), {"route": route})
        start = find_start(student.model)
        first = await anext(pieces)
        told = call.watch.header() if call.watch is not None else ""
        return Streamed(
            student.name, student.release, "student: policy", _after(first, pieces), guards=told, start=start
        )

    def _later(self, work: Coroutine[None, None, None]) -> None:
        """After the answer has gone out, and without anybody who waits."""
        task = asyncio.create_task(work)
        self._audits.add(task)
        task.add_done_callback(self._audits.discard)

    async def close(self, patience_s: float = 30.0) -> None:
        """Audits that take longer are given up: their calls were answered long ago."""
        if self._audits:
            _done, late = await asyncio.wait(self._audits, timeout=patience_s)
            for audit in late:
                audit.cancel()
        await self.asking.close()

    async def _know(self, routed: Routed, call: Call) -> Call:
        """The call with the passages that it is answered from. Before guards: they look at documents too."""
        task = routed.model.task
        if task is None or task.knowledge is None or self._knower is None:
            return call
        known = await self._knower.know(task, read_fields(call, is_filled=False))
        return replace(call, input=dict(known.fields), messages=(), known=known)

    async def _guard(self, routed: Routed, call: Call) -> Call:
        """The call with its input checked; one that is refused is recorded."""
        task, fields = routed.model.task, read_fields(call)
        about = About(routed.task or routed.model.name, call.trace, call.meta, call.meter, call.origin)
        watch = Watch(routed.guards, self.asking, about, support=call.known.support if call.known else None)
        try:
            if task is None:
                call = replace(call, messages=await watch.check_messages(call.messages))
                watch.hear_messages(call.messages)
            else:
                call = replace(call, input=await watch.check_fields(fields), messages=())
                watch.hear(task, call.input or {})
        except ServeError as error:
            await self._answerer.refuse(replace(call, watch=watch), error, {})
            raise
        return replace(call, watch=watch)

    async def _try_student(self, routed: Routed, call: Call) -> tuple[Decision, Attempt | None]:
        student, policy = routed.student, routed.policy
        assert student is not None
        wishes = replace(call.wishes, confidence=call.wishes.confidence or policy == "cascade")
        try:
            patience_s = routed.patience_s if routed.teacher is not None else None
            asked = replace(call, served=student, wishes=wishes, patience_s=patience_s)
            said = await self._answerer.attempt(asked)
        except ModelError as error:
            if error.code in NOT_THERE:
                return await self._pass_by(routed, call, error), None
            return Decision(policy, "teacher", "failed", error=error.code), None
        if said.problem and routed.teacher is not None:
            return Decision(policy, "teacher", "invalid"), said
        if routed.teacher is not None and call.watch is not None and call.watch.escalates(said.text):
            return Decision(policy, "teacher", "guarded"), said
        if policy == "student":
            return Decision(policy, "student", "policy"), said
        chance = said.calibrated
        is_sure = chance is not None and student.threshold is not None and chance >= student.threshold
        by: Side = "student" if is_sure else "teacher"
        return Decision(policy, by, "sure" if is_sure else "unsure", chance, student.threshold), said

    async def _pass_by(self, routed: Routed, call: Call, error: ModelError) -> Decision:
        """The teacher covers for a student that starts, or has too much to do. Raises: ``error``, recorded, where there is no teacher."""
        why: Why = "busy" if error.code == "JM-427" else "cold"
        decision = Decision(routed.policy, "teacher", why)
        if routed.teacher is None:
            await self._answerer.refuse(call, error, {"route": _route(routed, decision)})
            raise error
        return decision

    async def _accept(self, routed: Routed, call: Call, decision: Decision, said: Attempt | None) -> Answer:
        assert said is not None
        can_audit = decision.why == "sure" and routed.teacher is not None and call.origin != "assess"
        is_compared = routed.arm is not None and routed.arm.is_compared
        is_audited = is_compared or (can_audit and self._draw() < routed.audit)
        route = _route(routed, decision) | ({"audit": True} if is_audited else {})
        answer = await self._answerer.finish(said, {"route": route})
        if is_audited:
            self._later(self._audit(routed, call, answer.trace, can_audit))
        return _shown(answer, call, decision)

    async def _escalate(self, routed: Routed, call: Call, decision: Decision, said: Attempt | None) -> Answer:
        verdicts: dict[str, Json] = {"route": _route(routed, decision)}
        if said is not None:
            verdicts["student"] = said.describe()
        if routed.teacher is None:
            error = _no_teacher(routed, decision)
            await self._answerer.refuse(call, error, verdicts)
            raise error
        can_stand = routed.fallback and said is not None and not said.problem
        try:
            asked = call if call.served is routed.teacher else replace(call, served=routed.teacher)
            answer = await self._answerer.answer(asked, verdicts, has_other=can_stand)
        except (ModelError, ServeError) as error:
            if said is None or not can_stand or not _is_outage(error):
                raise
            decision = replace(decision, by="student", why="fallback", error=error.code)
            answer = await self._answerer.finish(said, {"route": _route(routed, decision)})
        if decision.by == "teacher" and call.origin != "assess":
            self._ask_students(routed, call, answer.trace)
        return _shown(answer, call, decision)

    def _ask_students(self, routed: Routed, call: Call, trace: str) -> None:
        """What students say to a call that the teacher has answered."""
        if routed.arm is not None and routed.arm.is_compared:
            self._later(self._compare(routed, call, trace, ""))
        is_shadowed = routed.policy == "shadow" and self._draw() < routed.shadow.share
        if is_shadowed and self._unseen.may_shadow(routed):
            self._later(self._unseen.shadow(routed, call, trace))

    async def _compare(self, routed: Routed, call: Call, trace: str, audit: str) -> None:
        """Ask the other side of the canary. ``audit`` is the trace of the teacher's answer; empty where the call's own is that."""
        arm = routed.arm
        assert arm is not None
        await self._unseen.ask(arm.other, call, {"of": trace, "audit": audit, "canary": arm.canary.id})

    async def _audit(self, routed: Routed, call: Call, trace: str, is_sure: bool) -> None:
        """A failure is recorded as every call's is, and stops nothing."""
        assert routed.teacher is not None
        id = make_trace_id()
        compared = routed.arm.canary.audit if routed.arm is not None else 0.0
        chance = compared + (1 - compared) * routed.audit if is_sure else compared
        meta: Mapping[str, Json] = {**call.meta, "of": trace, "chance": chance}
        try:
            meter = call.meter.without_key() if call.meter else None
            asked = replace(
                call, served=routed.teacher, origin="audit", trace=id, meta=meta, meter=meter, started=None, watch=None
            )
            await self._answerer.answer(asked)
            if routed.arm is not None and routed.arm.is_compared:
                await self._compare(routed, call, trace, id)
            if self._audited is not None and is_sure:
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
    if policy in ("teacher", "shadow"):
        return Decision(policy, "teacher", "policy")
    if routed.student is None:
        return Decision(policy, "teacher", "not loaded" if routed.live else "no release")
    if routed.held:
        return Decision(policy, "teacher", "held")
    if policy == "cascade" and routed.student.threshold is None:
        return Decision(policy, "teacher", "no threshold")
    return None


def _route(routed: Routed, decision: Decision) -> dict[str, Json]:
    """For the trace, with the call's side of a canary."""
    return decision.to_json() | (routed.arm.to_json() if routed.arm is not None else {})


def _shown(answer: Answer, call: Call, decision: Decision) -> Answer:
    """The student's confidence goes to those who asked for it; a teacher has none."""
    by = f"{decision.by}: {decision.why}"
    return (
        replace(answer, by=by) if call.wishes.confidence else replace(answer, by=by, confidence=None, calibrated=None)
    )


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
