"""The path of one call, whatever the dialect:

    fields ─► redact ─► the model's messages ─► model ─► verify ─► repair once ─► restore ─► record ─► answer

An answer that breaks its schema never leaves: it is asked for once more, then refused. The trace is stored before the
answer is handed out. Redaction's way back lives in memory for the time of one call.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol, cast, runtime_checkable

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError, ModelError, ServeError
from journeyman.core.example import Target, object_target, text_target
from journeyman.core.ids import make_trace_id
from journeyman.core.messages import Message
from journeyman.core.nodes import write_json
from journeyman.core.trace import Origin, Trace
from journeyman.gateway.knowing import Grounding, Known
from journeyman.gateway.points import call_usd
from journeyman.gateway.purse import MOST_TOKENS, Meter
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Served
from journeyman.gateway.sampling import is_plain
from journeyman.guards.messages import redact_message
from journeyman.guards.redact import Redactor
from journeyman.guards.window import Window
from journeyman.models.http_client import NotConnected
from journeyman.models.protocol import Confidence, Decoding, FinishReason, Reply, Request, Start, TokenLogprob
from journeyman.task.guard import Side
from journeyman.task.prompt import check_input, read_messages
from journeyman.task.schema import constraint_schema, verifier
from journeyman.task.task import Task
from journeyman.task.verify import Checked

REPAIR_TEMPERATURE = 0.7
REPAIR_SEED = 1
NO_VERDICTS: Mapping[str, Json] = {}
UNPAID = ("JM-431", "JM-432", "JM-433", "JM-442")
"""Nothing was answered, and nothing is paid for."""
NOT_THERE = ("JM-427", "JM-428")
"""The model is busy, or being started: a second try at once would find it so."""
ROLE_BYTES = 64
"""More than what a provider's template adds to a message."""


class Watches(Protocol):
    """The guards of one call, as `gateway.guarding` has them."""

    def to_json(self) -> list[Json]: ...

    def header(self) -> str: ...

    def holds(self, side: Side, /) -> bool: ...

    def needs_whole(self) -> bool: ...

    def window(self) -> Window: ...

    def escalates(self, text: str, /) -> bool: ...

    def hear(self, task: Task, fields: Mapping[str, Json], /) -> None: ...

    def refuse(self, guard: str, side: Side, why: str = "", /) -> ServeError: ...

    async def check(self, side: Side, texts: Sequence[str], /) -> list[str]: ...


@runtime_checkable
class StreamsReply(Protocol):
    """A model that streams its text and ends with the whole Reply, so that usage is exact."""

    def stream_reply(self, request: Request) -> AsyncGenerator[str | Reply, None]: ...


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a request asks of the decoding; None leaves it to the release. ``schema`` is the request's own."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    confidence: bool = False
    schema: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request: chat ``messages``, or the ``input`` fields of a typed route. ``trace`` is the id that it will have, ``meta`` what its trace says
    besides, ``meter`` what asking a model that costs is reserved from."""

    served: Served
    messages: tuple[Message, ...] = ()
    input: Mapping[str, Json] | None = None
    wishes: Wishes = Wishes()
    origin: Origin = "serve"
    trace: str = ""
    meta: Mapping[str, Json] = field(default_factory=dict)
    meter: Meter | None = None
    started: float | None = None
    """When the client's call came, on the performance counter; None: now."""
    sample: float = 1.0
    """The share of a student's own answers that is recorded whole."""
    patience_s: float | None = None
    """The longest that it may wait for a model that is asleep, or busy."""
    conversation: str = ""
    """What the client calls the conversation that it belongs to; not recorded."""
    watch: Watches | None = None
    """The guards that its answer has to pass; its input has passed them."""
    known: Known | None = None
    """The passages that it is answered from, of a task with knowledge."""


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    finish_reason: FinishReason
    input_tokens: int
    output_tokens: int
    model: str
    release: str
    trace: str
    created: datetime
    logprobs: tuple[TokenLogprob, ...] = ()
    confidence: Confidence | None = None
    calibrated: float | None = None
    calibrated_fields: Mapping[str, float] | None = None
    by: str = ""
    """Who answered a routed call, and why: ``student: sure``."""
    start: Start | None = None
    """Whether a model of this machine was in memory when it was asked."""
    cache: str = ""
    """``hit`` or ``miss`` where the task keeps answers."""
    guards: str = ""
    """What guards found, as the caller is told: ``personal=redacted``."""
    sources: Callable[[], list[Json]] = list
    """Tells the passages that it is answered from, with what is cited of each; not on the event loop."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """A call made ready: redacted fields, what the model is sent, and what its answer must be."""

    call: Call
    trace: str
    time: datetime
    started: float
    input: Mapping[str, Json]
    request: Request
    schema: Mapping[str, Json] | None
    redactor: Redactor
    is_redacted: bool


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A reply and what came of checking it: the text to hand out, or the ``problem``."""

    reply: Reply
    text: str
    problem: str
    attempts: int = 1
    value: Json = None
    """What the model wrote, where that is JSON that was checked."""
    grounding: Grounding | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a model said to a call, checked and repaired once; not recorded yet."""

    plan: _Plan
    outcome: _Outcome

    @property
    def problem(self) -> str:
        return self.outcome.problem

    @property
    def text(self) -> str:
        """What would be handed out."""
        return self.outcome.text

    @property
    def calibrated(self) -> float | None:
        """The chance that the answer is right, where it is known."""
        calibrate, sure = self.plan.call.served.calibrate, self.outcome.reply.confidence
        return calibrate(sure.whole) if calibrate and sure else None

    def describe(self) -> dict[str, Json]:
        """For the trace of the call that another model answered in the end."""
        said, sure = _target(self.plan, self.outcome), self.outcome.reply.confidence
        return {
            "release": self.plan.call.served.release,
            "output": said.to_json() if said else None,
            "confidence": sure.whole if sure else None,
        }


class Answerer:
    """Answers calls and records them. ``now`` is the clock, ``draw`` gives numbers in [0, 1) for what is recorded whole."""

    def __init__(
        self,
        recorder: Recorder,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._recorder = recorder
        self._now = now
        self._draw = draw

    async def answer(
        self, call: Call, verdicts: Mapping[str, Json] = NO_VERDICTS, *, has_other: bool = False
    ) -> Answer:
        """Answer one call; when this returns, its trace is stored, ``verdicts`` in it. ``has_other``: another model answers where this one fails, so that a failure
        has a trace of its own, which names the call's.

        Raises:
            TaskError: the call does not have the task's shape.
            ServeError: JM-720 no valid answer, also not on the second try; JM-742 a budget is spent (both are recorded too); JM-744.
            ModelError: the model failed twice, or cannot take this call. StoreError: the trace cannot be stored.
        """
        return await self._answer(self._plan(call), verdicts, has_other=has_other)

    async def attempt(self, call: Call) -> Attempt:
        """Ask a model that costs nothing, and record nothing: `finish` does, or another model's answer stands for it.

        Raises:
            TaskError: the call does not have the task's shape. ModelError: the model failed twice, or cannot take this call.
        """
        plan = self._plan(call)
        return Attempt(plan, await _ask(plan))

    async def finish(self, attempt: Attempt, verdicts: Mapping[str, Json]) -> Answer:
        """Record it, ``verdicts`` added, and hand it out; raises as `answer` does."""
        return await self._finish(attempt.plan, attempt.outcome, verdicts)

    async def repeat(self, call: Call, known: Answer, verdicts: Mapping[str, Json]) -> Answer:
        """Hand out what an earlier call was answered, recorded as a call of its own that cost nothing and names that one. Raises: StoreError, TaskError."""
        plan = self._plan(call)
        said = Reply(known.text, finish_reason=known.finish_reason, input_tokens=0, output_tokens=0)
        trace = _trace(plan, _Outcome(said, known.text, ""))
        again = replace(trace, cost_usd=0.0, meta={**trace.meta, "cached_of": known.trace})
        await self._record(plan, again, verdicts, 0.0)
        return replace(known, trace=plan.trace, created=plan.time)

    async def refuse(self, call: Call, error: JourneymanError, verdicts: Mapping[str, Json]) -> None:
        """Record a call that nobody answers."""
        plan = self._plan(call)
        await self._record(plan, self._failed(plan, error), verdicts, 0.0)

    async def stream(
        self, call: Call, verdicts: Mapping[str, Json] = NO_VERDICTS
    ) -> AsyncGenerator[str | Answer, None]:
        """Pieces of text, then the Answer once its trace is stored. What must be verified comes in one piece."""
        plan = self._plan(call)
        model = call.served.model
        watch = call.watch if call.watch is not None and call.watch.holds("output") else None
        is_held = (
            plan.schema is not None
            or plan.is_redacted
            or _may_refuse(call.served.task)
            or (watch is not None and watch.needs_whole())
        )
        if is_held or not isinstance(model, StreamsReply):
            answer = await self._answer(plan, verdicts)
            yield answer.text
            yield answer
            return
        reply: Reply | None = None
        window, sent = watch.window() if watch is not None else None, ""
        async with aclosing(model.stream_reply(plan.request)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Reply):
                    reply = piece
                elif window is None:
                    yield piece
                elif ready := window.push(piece):
                    sent += ready
                    yield ready
                elif window.is_blocked:
                    reply = Reply(window.text)
                    break
        if reply is None:
            raise ModelError("JM-426", "the model's stream ended early", hint="call again", retryable=True)
        answer = await self._finish(plan, _check(plan, reply), verdicts)
        if window is not None:
            yield answer.text[len(sent) :]
        yield answer

    async def _answer(
        self, plan: _Plan, verdicts: Mapping[str, Json] = NO_VERDICTS, *, has_other: bool = False
    ) -> Answer:
        try:
            try:
                outcome = await _ask(plan)
            except (ModelError, ServeError) as error:
                failed = self._failed(plan, error)
                if has_other:
                    failed = replace(failed, id=make_trace_id(plan.time), meta={**failed.meta, "of": plan.trace})
                await self._record(plan, failed, verdicts, None)
                raise
            return await self._finish(plan, outcome, verdicts)
        except BaseException:
            if plan.call.meter is not None:
                plan.call.meter.abandon()
            raise

    async def _record(self, plan: _Plan, trace: Trace, verdicts: Mapping[str, Json], usd: float | None) -> None:
        """``usd``: what the call cost; None where only its bound is known."""
        meter = plan.call.meter
        spends = meter.settle(usd) if meter else ()
        if plan.call.watch is not None:
            verdicts = {**verdicts, "guards": plan.call.watch.to_json()}
        whole = replace(trace, verdicts={**trace.verdicts, **verdicts}) if verdicts else trace
        is_kept = plan.call.sample >= 1.0 or not is_plain(whole) or self._draw() < plan.call.sample
        try:
            await self._recorder.record(whole if is_kept else whole.without_content(), spends)
        except Exception:
            if meter is not None:
                meter.purse.owe(spends)
            raise

    async def _finish(self, plan: _Plan, outcome: _Outcome, verdicts: Mapping[str, Json] = NO_VERDICTS) -> Answer:
        served, reply = plan.call.served, outcome.reply
        refusal: ServeError | None = None
        if plan.call.watch is not None and not outcome.problem:
            outcome, refusal = await _pass_guards(plan, outcome, plan.call.watch)
            reply = outcome.reply
        trace = _trace(plan, outcome, verdicts)
        if refusal is not None:
            trace = replace(trace, status=refusal.code)
        await self._record(plan, trace, NO_VERDICTS, trace.cost_usd if served.is_paid else 0.0)
        if refusal is not None:
            raise refusal
        if outcome.problem:
            raise _no_valid_answer(plan, outcome)
        return Answer(
            text=outcome.text,
            finish_reason=reply.finish_reason,
            input_tokens=reply.input_tokens or 0,
            output_tokens=reply.output_tokens or 0,
            model=served.name,
            release=served.release,
            trace=plan.trace,
            created=plan.time,
            start=reply.start,
            logprobs=() if plan.is_redacted else reply.logprobs,
            confidence=reply.confidence,
            calibrated=served.calibrate(reply.confidence.whole) if served.calibrate and reply.confidence else None,
            calibrated_fields=_calibrate_fields(served, reply),
            guards=plan.call.watch.header() if plan.call.watch is not None else "",
            sources=outcome.grounding.sources if outcome.grounding is not None else list,
        )

    def _plan(self, call: Call) -> _Plan:
        now, task = self._now(), call.served.task
        started = time.perf_counter() if call.started is None else call.started
        fields = read_fields(call)
        redactor = Redactor(is_personal=task is None or task.redact, more=task.redact_also if task else ())
        redacted = cast(dict[str, Json], redactor.value(fields, verbatim=task.verbatim if task else ()))
        messages = call.messages if task is None else call.served.write(task, redacted)
        schema = call.wishes.schema if task is None else task.schema
        return _Plan(
            call=call,
            trace=call.trace or make_trace_id(now),
            time=now,
            started=started,
            input=redacted,
            request=Request(messages, _bounded(call, _decoding(call, schema, redacted)), patience_s=call.patience_s),
            schema=schema,
            redactor=redactor,
            is_redacted=redacted != fields,
        )

    def _failed(self, plan: _Plan, error: JourneymanError) -> Trace:
        empty = _Outcome(Reply("", input_tokens=0, output_tokens=0), "", error.what)
        return replace(_trace(plan, empty), status=error.code, input_tokens=None, output_tokens=None)


def read_fields(call: Call, *, is_filled: bool = True) -> dict[str, Json]:
    """The input fields of a task's call, not redacted; before it ``is_filled`` without what retrieval finds. Raises: TaskError, it does not have the task's shape."""
    task = call.served.task
    if task is None:
        return {}
    fields = read_messages(task, call.messages) if call.input is None else dict(call.input)
    check_input(task, fields, may_lack="" if is_filled else task.filled)
    return fields


def _decoding(call: Call, schema: Mapping[str, Json] | None, fields: Mapping[str, Json]) -> Decoding:
    own, wishes = call.served.decoding, call.wishes
    return Decoding(
        schema=constraint_schema(schema, fields) if schema is not None else None,
        max_tokens=own.max_tokens if wishes.max_tokens is None else wishes.max_tokens,
        temperature=own.temperature if wishes.temperature is None else wishes.temperature,
        top_p=own.top_p if wishes.top_p is None else wishes.top_p,
        seed=own.seed if wishes.seed is None else wishes.seed,
        stop=wishes.stop or own.stop,
        logprobs=wishes.logprobs,
        confidence=wishes.confidence,
    )


def _bounded(call: Call, decoding: Decoding) -> Decoding:
    """What a budget pays for ends somewhere."""
    if call.meter is None or call.meter.is_idle or not call.served.is_paid or decoding.max_tokens is not None:
        return decoding
    return replace(decoding, max_tokens=MOST_TOKENS)


async def _ask(plan: _Plan) -> _Outcome:
    outcome = _check(plan, await _complete(plan, plan.request.decoding))
    return await _repair(plan, outcome) if outcome.problem else outcome


async def _complete(plan: _Plan, decoding: Decoding) -> Reply:
    """One answer of the model; a failure that may pass is tried once more (a dead worker is started anew)."""
    request = plan.request if decoding is plan.request.decoding else replace(plan.request, decoding=decoding)
    for is_last in (False, True):
        await _reserve(plan)
        try:
            return await plan.call.served.model.complete(request)
        except ModelError as error:
            if plan.call.meter is not None:
                _forget(plan.call.meter, error)
            if is_last or not error.retryable or error.code in NOT_THERE:
                raise
    raise AssertionError("the second try returns or raises")


def _forget(meter: Meter, error: ModelError) -> None:
    is_sent = not isinstance(error.__cause__, NotConnected)
    if error.code in UNPAID or not is_sent:
        meter.void()
    else:
        meter.lose()


async def _reserve(plan: _Plan) -> None:
    """For one question to a model that costs."""
    served, meter = plan.call.served, plan.call.meter
    if meter is None or meter.is_idle or not served.is_paid:
        return
    decoding = plan.request.decoding
    size = sum(len(message.text.encode("utf-8", "surrogatepass")) + ROLE_BYTES for message in plan.request.messages)
    size += len(json.dumps(decoding.schema)) if decoding.schema is not None else 0
    await meter.reserve(served.usd_per_million, served.name, size, decoding.max_tokens or MOST_TOKENS)


async def _repair(plan: _Plan, first: _Outcome) -> _Outcome:
    """Ask again, a little warmer: greedy decoding would only repeat itself. Tokens of both tries are counted."""
    decoding = plan.request.decoding
    warmer = replace(decoding, temperature=max(decoding.temperature, REPAIR_TEMPERATURE), seed=REPAIR_SEED)
    second = _check(plan, await _complete(plan, warmer))
    both = replace(
        second.reply,
        input_tokens=_sum(first.reply.input_tokens, second.reply.input_tokens),
        output_tokens=_sum(first.reply.output_tokens, second.reply.output_tokens),
    )
    return replace(second, reply=both, attempts=2)


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second


def _check(plan: _Plan, reply: Reply) -> _Outcome:
    """Verify what the model wrote and, where passages were given, that it stands in them."""
    outcome = _verify(plan, reply)
    return _ground(plan, outcome, plan.call.known) if plan.call.known is not None and not outcome.problem else outcome


def _ground(plan: _Plan, outcome: _Outcome, known: Known) -> _Outcome:
    """The answer with citations that stand where they say; without the others it must still be one."""
    said = outcome.text if plan.schema is None else outcome.value
    found = known.ground(said)
    outcome = replace(outcome, grounding=found, problem=found.problem)
    if found.problem or plan.schema is None or found.value == said:
        return outcome
    problem = verifier(plan.schema).check_value(found.value).problem
    problem = f"without what it cites wrongly: {problem}" if problem else ""
    return replace(outcome, text=write_json(found.value), value=found.value, problem=problem)


def _may_refuse(task: Task | None) -> bool:
    return task is not None and task.knowledge is not None and task.knowledge.ungrounded == "refuse"


def _verify(plan: _Plan, reply: Reply) -> _Outcome:
    """Verify what the model wrote and, where surrogates were put back, what would be handed out."""
    if plan.schema is None:
        text = plan.redactor.restore(reply.text) if plan.is_redacted else reply.text
        is_missing = plan.call.served.task is not None and not text.strip()
        return _Outcome(reply, text, "the answer is empty" if is_missing else "")
    if reply.finish_reason == "length":
        return _Outcome(reply, reply.text, f"the answer was cut after {reply.output_tokens} tokens")
    check = verifier(plan.schema)
    checked = check.check(reply.text)
    if checked.value is None or not plan.is_redacted:
        return _Outcome(reply, reply.text, checked.problem, value=checked.value)
    restored = plan.redactor.restore_value(checked.value)
    return _Outcome(reply, write_json(restored), check.check_value(restored).problem, value=restored)


async def _pass_guards(plan: _Plan, outcome: _Outcome, watch: Watches) -> tuple[_Outcome, ServeError | None]:
    """The answer as it may leave, or why it may not. One that was redacted still fits its schema."""
    try:
        (text,) = await watch.check("output", [outcome.text])
    except ServeError as error:
        return outcome, error
    if text == outcome.text:
        return outcome, None
    checked = verifier(plan.schema).check(text) if plan.schema is not None else Checked(None, "")
    if checked.problem:
        return outcome, watch.refuse("redact", "output", "redacted, it does not fit the schema")
    reply = replace(outcome.reply, text=text, logprobs=())
    return replace(outcome, text=text, reply=reply, value=checked.value), None


def _trace(plan: _Plan, outcome: _Outcome, more: Mapping[str, Json] = NO_VERDICTS) -> Trace:
    """The trace, redacted throughout: surrogates are never put back in it. ``more`` verdicts are those of others."""
    served, task = plan.call.served, plan.call.served.task
    verdicts: dict[str, Json] = {"valid": not outcome.problem, "attempts": outcome.attempts}
    if outcome.reply.confidence is not None:
        verdicts["confidence"] = outcome.reply.confidence.whole
    if outcome.problem:
        verdicts["problem"] = plan.redactor.text(outcome.problem)
    if outcome.grounding is not None:
        verdicts["grounding"] = dict(outcome.grounding.verdict)
    verdicts |= more
    known = plan.call.known
    return Trace(
        id=plan.trace,
        task=task.name if task is not None else served.name,
        time=plan.time.isoformat(),
        origin=plan.call.origin,
        input=plan.input,
        messages=_recorded_messages(plan),
        output=_target(plan, outcome),
        schema=plan.call.wishes.schema,
        passages=tuple(replace(item, text=plan.redactor.text(item.text)) for item in known.passages) if known else (),
        model=served.name,
        release=served.release,
        input_tokens=outcome.reply.input_tokens,
        output_tokens=outcome.reply.output_tokens,
        cost_usd=call_usd(served.usd_per_million, outcome.reply.input_tokens, outcome.reply.output_tokens),
        latency_ms=(time.perf_counter() - plan.started) * 1000,
        status="invalid" if outcome.problem else "ok",
        instruction_hash=task.instruction_hash if task is not None else "",
        provenance="gateway",
        verdicts=verdicts,
        meta=dict(plan.call.meta),
    )


def _target(plan: _Plan, outcome: _Outcome) -> Target | None:
    """The answer for the record. Restored and redacted again: a value gets the surrogate that it has in the input."""
    if plan.schema is not None and not outcome.problem:
        value = verifier(plan.schema).check(outcome.text).value if outcome.value is None else outcome.value
        return object_target(plan.redactor.value(value))
    text = plan.redactor.restore(outcome.reply.text)
    return text_target(plan.redactor.text(text)) if text else None


def _recorded_messages(plan: _Plan) -> tuple[Message, ...]:
    """A task's messages are made of redacted fields already; a base's are redacted for the record only."""
    if plan.call.served.task is not None:
        return plan.request.messages
    return tuple(redact_message(message, plan.redactor) for message in plan.request.messages)


def _calibrate_fields(served: Served, reply: Reply) -> Mapping[str, float] | None:
    calibrate = served.calibrate_field
    if calibrate is None or reply.confidence is None:
        return None
    return {path: calibrate(sure) for path, sure in reply.confidence.fields.items()}


def _no_valid_answer(plan: _Plan, outcome: _Outcome) -> ServeError:
    return ServeError(
        "JM-720",
        "the model gave no valid answer, also not on the second try"
        if outcome.attempts > 1
        else "the model gave no valid answer",
        where=plan.call.served.name,
        expected="an answer that fits the schema" if plan.schema is not None else "a text",
        got=outcome.problem,
        hint=f"raise max_tokens if it was cut; the call is kept as {plan.trace}",
    )
