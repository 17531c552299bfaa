"""Calls as OpenTelemetry spans, by its conventions for generative AI (in development; as of 1.41), sent to a collector by OTLP over HTTP.

    chat task:tickets                 SERVER: the call, under the client's own span where it named one
    ├── chat tickets@4f2a...          INTERNAL: the student
    ├── chat gpt-5                    CLIENT: the teacher
    └── chat gpt-5                    CLIENT: an audit, afterwards

Spans are made of stored traces, with their times: no call waits for them. Their ids come from the traces' ids, so that an audit finds its call. Tokens stand at the call alone, so that
a sum counts them once. What was said stays out unless it is asked for, and is then what the record has: redacted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import queue
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from journeyman.core.canonical import Json
from journeyman.core.example import Target
from journeyman.core.messages import Message, ToolCall
from journeyman.core.trace import Trace
from journeyman.gateway.summary import CallSummary, summarize

Attributes = dict[str, AttributeValue]
OURS = "journeyman"
LOG = logging.getLogger("journeyman.gateway")
MOST_WAITING = 4096
MOST_SPANS = 3
"""Of one call."""
CLOSE_S = 5.0
PROVIDERS: Mapping[str, str] = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "api.mistral.ai": "mistral_ai",
    "api.groq.com": "groq",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "x_ai",
    "api.perplexity.ai": "perplexity",
    "api.cohere.com": "cohere",
    "generativelanguage.googleapis.com": "gcp.gemini",
}
"""What the conventions call providers; others are called by their host."""


class Spans:
    """Made in a thread of their own, and sent by ``exporter`` from another; at most ``most_waiting`` wait for either, and what is beyond that, or cannot be sent, is counted
    and gone. ``teacher_url``: where the teacher is asked."""

    def __init__(
        self,
        exporter: SpanExporter,
        teacher_url: str = "",
        *,
        has_content: bool = False,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._sending = _Sending(exporter, most_waiting)
        self._ids = _Ids()
        self._provider = TracerProvider(resource=_describe_server(), id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(_Batches(self._sending, most_waiting))
        self._tracer = self._provider.get_tracer(OURS, version(OURS))
        self._host = urlsplit(teacher_url).hostname or ""
        self._has_content = has_content
        self._traces: queue.Queue[Trace | None] = queue.Queue(most_waiting)
        self._thread = threading.Thread(target=self._work, name="spans", daemon=True)
        self._thread.start()

    def count(self) -> Mapping[str, int]:
        """Spans that were sent, that the collector did not take, and calls whose spans were never made since too many waited."""
        return {"sent": self._sending.sent, "failed": self._sending.failed, "dropped": self._sending.dropped}

    def observe(self, trace: Trace) -> None:
        """Returns at once."""
        try:
            self._traces.put_nowait(trace)
        except queue.Full:
            self._sending.drop()

    def close(self) -> None:
        """Send what waits, for ``CLOSE_S`` seconds at the most."""
        try:
            self._traces.put(None, timeout=CLOSE_S)
        except queue.Full:
            return
        self._thread.join(CLOSE_S)

    def _work(self) -> None:
        while (trace := self._traces.get()) is not None:
            if not self._sending.has_room():
                self._sending.drop()
                continue
            try:
                self._add(trace)
            except Exception:
                LOG.exception("the call %s has no spans", trace.id)
        self._provider.shutdown()

    def _add(self, trace: Trace) -> None:
        call, operation = summarize(trace), _find_operation(trace)
        if call.of:
            self._add_late(trace, call, operation)
        else:
            self._add_call(trace, call, operation)

    def _add_call(self, trace: Trace, call: CallSummary, operation: str) -> None:
        """The call, and under it who was asked: the student, the teacher, or one after the other."""
        start, end = _find_times(call)
        self._ids.trace, parent, flags = _read_parent(trace) or (_hash(call.trace, 16), 0, 0)
        above = self._under(parent, flags) if parent else Context()
        name = f"{operation} {call.asked}"
        whole = self._start(
            name, above, SpanKind.SERVER, self._describe(call, operation, call.asked), call.trace, start
        )
        if self._has_content and whole.is_recording():
            whole.set_attributes(_write_content(trace))
        below = set_span_in_context(whole)
        is_teachers = call.by == "teacher"
        middle = end if call.student_ms is None else min(end, start + round(call.student_ms * 1e6))
        if not is_teachers or call.student_ms is not None:
            student = call.student if is_teachers else call.model
            told = self._describe_side(operation, OURS, student, "student")
            side = self._start(f"{operation} {student}", below, SpanKind.INTERNAL, told, f"{call.trace}/student", start)
            _end(side, middle, _find_students_error(call))
            start = middle
        if is_teachers:
            told = self._describe_side(operation, self._teacher, call.model, "teacher") | self._address
            side = self._start(
                f"{operation} {call.model}", below, SpanKind.CLIENT, told, f"{call.trace}/teacher", start
            )
            _end(side, end, call.status if call.has_failed else "")
        _end(whole, end, call.status if call.has_failed else "")

    def _add_late(self, trace: Trace, call: CallSummary, operation: str) -> None:
        """An audit, or a teacher's failure that the student's answer stood in for: part of another call."""
        start, end = _find_times(call)
        self._ids.trace, _parent, flags = _read_parent(trace) or (_hash(call.of, 16), 0, -1)
        above = self._under(_hash(call.of, 8), self._find_flags() if flags < 0 else flags)
        told = self._describe(call, operation, call.model) | {"journeyman.of": call.of} | self._address
        span = self._start(f"{operation} {call.model}", above, SpanKind.CLIENT, told, call.trace, start)
        if self._has_content and span.is_recording():
            span.set_attributes(_write_content(trace))
        _end(span, end, call.status if call.has_failed else "")

    def _start(self, name: str, above: Context, kind: SpanKind, told: Attributes, seed: str, start: int) -> Span:
        self._ids.span = _hash(seed, 8)
        return self._tracer.start_span(name, above, kind, told, start_time=start)

    def _under(self, span: int, flags: int) -> Context:
        """Under a span of this trace that is elsewhere, or has ended."""
        above = SpanContext(self._ids.trace, span, is_remote=True, trace_flags=TraceFlags(flags))
        return set_span_in_context(NonRecordingSpan(above))

    def _find_flags(self) -> int:
        """Whether the call that this trace began with was sampled: that is decided by the trace's id, and so the same again."""
        decided = self._provider.sampler.should_sample(Context(), self._ids.trace, "").decision
        return TraceFlags.SAMPLED if decided is Decision.RECORD_AND_SAMPLE else TraceFlags.DEFAULT

    @property
    def _teacher(self) -> str:
        return PROVIDERS.get(self._host, self._host or "openai")

    @property
    def _address(self) -> Attributes:
        return {"server.address": self._host} if self._host else {}

    def _describe(self, call: CallSummary, operation: str, asked: str) -> Attributes:
        told: dict[str, AttributeValue | None] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": self._teacher if call.by == "teacher" else OURS,
            "gen_ai.request.model": asked,
            "gen_ai.response.model": call.model,
            "gen_ai.response.id": call.trace,
            "gen_ai.response.finish_reasons": (call.finish,) if call.finish else None,
            "gen_ai.usage.input_tokens": call.input_tokens,
            "gen_ai.usage.output_tokens": call.output_tokens,
            "journeyman.trace": call.trace,
            "journeyman.task": call.task,
            "journeyman.release": call.release or None,
            "journeyman.route.by": call.by,
            "journeyman.route.why": call.why or None,
            "journeyman.route.policy": call.policy or None,
            "journeyman.origin": call.origin,
            "journeyman.key": call.key or None,
            "journeyman.cost_usd": call.cost_usd,
        }
        return {name: value for name, value in told.items() if value is not None}

    def _describe_side(self, operation: str, provider: str, model: str, by: str) -> Attributes:
        return {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            "journeyman.route.by": by,
        }


class _Ids(IdGenerator):
    """Gives the next span the ids that it is to have."""

    trace = 0
    span = 0

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return self.span


class _Sending(SpanExporter):
    """Counts what waits for another exporter, and what became of it."""

    def __init__(self, exporter: SpanExporter, most_waiting: int) -> None:
        self._exporter = exporter
        self._most_waiting = most_waiting
        self._lock = threading.Lock()
        self._waiting = 0
        self.sent = 0
        self.failed = 0
        self.dropped = 0

    def has_room(self) -> bool:
        """For a call's spans."""
        return self._waiting < self._most_waiting

    def drop(self) -> None:
        with self._lock:
            self.dropped += 1

    def note(self) -> None:
        """One more waits."""
        with self._lock:
            self._waiting += 1

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            with self._lock:
                self._waiting -= len(spans)
            if result is SpanExportResult.SUCCESS:
                self.sent += len(spans)
            else:
                self.failed += len(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _Batches(BatchSpanProcessor):
    def __init__(self, sending: _Sending, most_waiting: int) -> None:
        room = most_waiting + MOST_SPANS
        super().__init__(sending, max_queue_size=room, max_export_batch_size=min(512, room))
        self._sending = sending

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self._sending.note()
        super().on_end(span)


def _describe_server() -> Resource:
    """``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` go before what we call ourselves."""
    return Resource({SERVICE_NAME: OURS, SERVICE_VERSION: version(OURS)}).merge(_read_resource())


def _read_resource() -> Resource:
    found = Resource.create().attributes
    unknown = str(found.get(SERVICE_NAME, "")).startswith("unknown_service")
    return Resource({name: value for name, value in found.items() if not (unknown and name == SERVICE_NAME)})


def _hash(text: str, size: int) -> int:
    """Of ``size`` bytes, never zero, which would be no id."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size], "big") or 1


def _read_parent(trace: Trace) -> tuple[int, int, int] | None:
    """The client's trace, span and flags."""
    parts = str(trace.meta.get("traceparent") or "").split("-")
    return (int(parts[1], 16), int(parts[2], 16), int(parts[3], 16)) if len(parts) == 4 else None


def _find_times(call: CallSummary) -> tuple[int, int]:
    """Begin and end in nanoseconds since 1970. Where the teacher answered after the student, the trace's time is the teacher's; what a call took counts from its beginning."""
    moment = round(datetime.fromisoformat(call.time).timestamp() * 1e6) * 1000
    begin = moment - round((call.student_ms or 0.0) * 1e6) if call.by == "teacher" else moment
    end = begin + round((call.latency_ms or 0.0) * 1e6)
    return (moment if call.of else begin), end


def _find_operation(trace: Trace) -> str:
    return "embeddings" if trace.task.startswith("embed:") else str(trace.meta.get("operation") or "chat")


def _find_students_error(call: CallSummary) -> str:
    if call.by == "teacher":
        return (call.error or call.why) if call.why in ("failed", "invalid") else ""
    return call.status if call.has_failed else ""


def _end(span: Span, end: int, error: str) -> None:
    if error:
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR))
    span.end(end)


def _write_content(trace: Trace) -> Attributes:
    """In the shape that the conventions give messages."""
    told: Attributes = {"gen_ai.input.messages": json.dumps([_write_message(item) for item in trace.messages])}
    if trace.output is not None:
        answer: dict[str, Json] = {"role": "assistant", "parts": _write_answer(trace.output)}
        finish = trace.verdicts.get("finish")
        told["gen_ai.output.messages"] = json.dumps([answer | ({"finish_reason": finish} if finish else {})])
    return told


def _write_message(message: Message) -> dict[str, Json]:
    if message.role == "tool":
        response: Json = {"type": "tool_call_response", "id": message.tool_call_id, "response": message.text}
        return {"role": message.role, "parts": [response]}
    text: list[Json] = [{"type": "text", "content": message.text}] if message.text else []
    return {"role": message.role, "parts": [*text, *map(_write_call, message.tool_calls)]}


def _write_answer(target: Target) -> list[Json]:
    if target.kind == "tool_calls":
        return [_write_call(call) for call in target.tool_calls]
    return [{"type": "text", "content": target.text if target.kind == "text" else json.dumps(target.value)}]


def _write_call(call: ToolCall) -> Json:
    return {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments}
