"""Calls that are passed on as they came to a provider that speaks the client's dialect, and read on the way for the record.

    client ─► body (only the model's name changes) ─► provider ─► reply ─► trace stored ─► last byte

A stream goes out piece by piece; its last event waits until the trace is stored. A client that leaves ends the provider's work too. What the provider refuses is handed
on as it said it. Redaction is for the record alone: the provider gets what the client sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

import aiohttp
import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from journeyman.core.canonical import Json
from journeyman.core.errors import ModelError, ServeError
from journeyman.core.example import Target, text_target
from journeyman.core.keys import PREFIX
from journeyman.core.messages import Message
from journeyman.core.trace import Origin, Trace
from journeyman.gateway.dialects.chat_record import CHAT_WIRE, read_size
from journeyman.gateway.points import Asked, Heard, Point, call_usd
from journeyman.gateway.purse import Meter
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.wire import Streaming, Wire
from journeyman.guards.messages import redact_calls, redact_message
from journeyman.guards.redact import Redactor
from journeyman.models.events import event_data, split_events
from journeyman.models.sessions import Sessions

T = TypeVar("T")
PASSED_ON = ("user-agent", "openai-organization", "openai-project", "openai-beta", "idempotency-key")
PASSED_BACK = ("content-type", "retry-after", "openai-processing-ms", "openai-version")
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=600)
GONE = 499
"""The status in the record of a call whose client left, as web servers have it."""


@dataclass(frozen=True, slots=True)
class Passing:
    """One call to be passed on: ``raw`` is its body, ``model`` what ``point`` calls the model. ``task`` is the name that its trace has."""

    point: Point
    model: str
    raw: dict[str, Json]
    task: str
    trace: str
    origin: Origin
    verdicts: Mapping[str, Json] = field(default_factory=dict)
    is_personal: bool = True
    meta: Mapping[str, Json] = field(default_factory=dict)
    meter: Meter | None = None
    is_own_key: bool = False
    """Whether ``authorization`` in the request is a key of ours, which nobody else may see."""
    wire: Wire = CHAT_WIRE


@dataclass(slots=True)
class _Call:
    """A call under way, and the trace that it becomes."""

    passing: Passing
    time: datetime
    started: float
    read: tuple[Asked, tuple[Message, ...], Redactor] | None = None

    def prepare(self) -> tuple[Asked, tuple[Message, ...], Redactor]:
        """What is asked, read and redacted for the record: while the provider is at work it costs nobody time."""
        if self.read is None:
            asked = self.passing.wire.read_asked(self.passing.raw)
            redactor = Redactor(is_personal=self.passing.is_personal)
            self.read = asked, tuple(redact_message(message, redactor) for message in asked.messages), redactor
        return self.read

    def trace(self, heard: Heard, status: str) -> Trace:
        passing = self.passing
        asked, messages, redactor = self.prepare()
        verdicts: dict[str, Json] = dict(passing.verdicts)
        if heard.finish_reason:
            verdicts["finish"] = heard.finish_reason
        return Trace(
            id=passing.trace,
            task=passing.task,
            time=self.time.isoformat(),
            origin=passing.origin,
            input={},
            messages=messages,
            output=_redact_target(heard.target, redactor),
            schema=asked.schema,
            tools=asked.tools,
            model=passing.model,
            input_tokens=heard.input_tokens,
            output_tokens=heard.output_tokens,
            cost_usd=call_usd(passing.point.usd_per_million, heard.input_tokens, heard.output_tokens),
            latency_ms=(time.perf_counter() - self.started) * 1000,
            status=status,
            provenance="gateway",
            verdicts=verdicts,
            meta=dict(passing.meta),
        )

    @property
    def streaming(self) -> Streaming | None:
        """How its reply streams; None where it comes whole."""
        return self.passing.wire.streaming if self.passing.raw.get("stream") is True else None

    @property
    def is_metered(self) -> bool:
        return self.passing.meter is not None and not self.passing.meter.is_idle


class Forwarder:
    """Passes calls on. ``now`` is the clock; `close` ends its connections and waits for records that are under way."""

    def __init__(self, recorder: Recorder, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._recorder = recorder
        self._now = now
        self._sessions = Sessions(TIMEOUT)
        self._late: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        if self._late:
            await asyncio.wait(self._late)
        await self._sessions.close()

    async def pass_on(self, passing: Passing, request: Request, headers: Mapping[str, str]) -> Response:
        """The provider's reply, with ``headers`` added.

        Raises:
            ModelError: JM-430 not reachable, or gone in the middle (recorded). ServeError: JM-742 a budget is spent, JM-744 the model's price is not known,
                JM-703 the body is nested too deeply. StoreError: the trace cannot be stored.
        """
        call = _Call(passing, self._now(), time.perf_counter())
        data = _write_body(call)
        try:
            return await self._pass_on(call, data, request, headers)
        except BaseException:
            if passing.meter is not None:
                passing.meter.abandon()
            raise

    async def _pass_on(self, call: _Call, data: bytes, request: Request, headers: Mapping[str, str]) -> Response:
        passing, streaming = call.passing, call.streaming
        try:
            if passing.point.breaker is not None:
                passing.point.breaker.check()
            if passing.meter is not None and call.is_metered:
                size, (tokens, _added) = read_size(passing.raw), passing.wire.bound(passing.raw)
                await passing.meter.reserve(passing.point.usd_per_million, passing.model, size, tokens)
        except (ModelError, ServeError) as error:
            await self._record(call, Heard(), error.code, 0.0)
            raise
        exchanged = await self._unless_gone(request, call, self._exchange(call, request, data))
        if exchanged is None:
            return Response(status_code=GONE)
        reply, body = exchanged
        shown = _passed_back(reply) | dict(headers)
        rewrite = passing.wire.rewrite
        if body is None:
            assert streaming is not None, "every other body has come"
            shown |= {"content-type": "text/event-stream"} if rewrite else {}
            pieces = self._pieces(call, reply, streaming)
            await anext(pieces)
            return _Stream(pieces, shown)
        if reply.status == 200:
            await self._record(call, passing.wire.read_whole(_parse(body)), "ok")
        else:
            await self._record(call, Heard(), f"http-{reply.status}", 0.0)
        if rewrite is not None:
            body, shown["content-type"] = rewrite(body, reply.status), "application/json"
        return Response(body, reply.status, shown)

    async def _exchange(
        self, call: _Call, request: Request, data: bytes
    ) -> tuple[aiohttp.ClientResponse, bytes | None]:
        """The reply with its body; a stream has none yet."""
        reply = await self._send(call, request, data)
        if call.streaming is not None and reply.status == 200:
            return reply, None
        try:
            return reply, await reply.read()
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            reply.close()
            await self._record(call, Heard(), "JM-430", None if reply.status == 200 else 0.0)
            raise _unreachable(call.passing.point, error) from error
        except BaseException:
            reply.close()
            raise

    async def _send(self, call: _Call, request: Request, data: bytes) -> aiohttp.ClientResponse:
        point, wire = call.passing.point, call.passing.wire
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        headers["content-type"] = "application/json"
        headers["accept-encoding"] = "identity"
        if point.key:
            headers["authorization"] = f"Bearer {point.key}"
        elif not call.passing.is_own_key and (shown := _client_key(request)):
            headers["authorization"] = shown
        try:
            url = f"{point.url.rstrip('/')}{wire.path}"
            reply = await self._sessions.get().post(url, data=data, headers=headers)
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            _note(point, is_failure=True)
            is_sent = not isinstance(error, aiohttp.ClientConnectorError)
            await self._record(call, Heard(), "JM-430", None if is_sent else 0.0)
            raise _unreachable(point, error) from error
        _note(point, is_failure=reply.status >= 500)
        return reply

    async def _pieces(
        self, call: _Call, reply: aiohttp.ClientResponse, streaming: Streaming
    ) -> AsyncGenerator[bytes, None]:
        """Nothing, so that closing it ends the call from then on; then the provider's events as they come, the last one after the trace is stored. A stream that
        breaks off ends in an error event."""
        hearing, shows = streaming.listen(), streaming.show(call.passing.raw)
        status = "JM-426"
        try:
            yield b""
            async for event in split_events(reply.content.iter_any()):
                data = event_data(event) or b""
                chunk = _parse(data)
                hearing.add(chunk)
                if streaming.is_last(data, chunk):
                    status = "ok"
                    await self._record(call, hearing.end(), status)
                    yield shows.show(event, chunk)
                    return
                if piece := shows.show(event, chunk):
                    yield piece
            await self._record(call, hearing.end(), status)
            yield shows.fail(_broken(call.passing.point))
        except (TimeoutError, aiohttp.ClientError, ConnectionError):
            await self._record(call, hearing.end(), status)
            yield shows.fail(_broken(call.passing.point))
        except (asyncio.CancelledError, GeneratorExit):
            if status != "ok":
                self._later(self._record(call, hearing.end(), f"http-{GONE}"))
            raise
        finally:
            reply.close()

    async def _unless_gone(self, request: Request, call: _Call, work: Coroutine[None, None, T]) -> T | None:
        """What ``work`` gives; None, with the work ended, where the client left before."""
        task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_wait_gone(request))
        try:
            await asyncio.sleep(0)  # the request goes out
            call.prepare()
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            task.cancel()
            await asyncio.wait({task})
            await self._record(call, Heard(), f"http-{GONE}")
            return None
        finally:
            gone.cancel()
            task.cancel()

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _record(self, call: _Call, heard: Heard, status: str, usd: float | None = None) -> None:
        """``usd``: what it cost, where the reply does not tell."""
        trace, meter = call.trace(heard, status), call.passing.meter
        spends = meter.settle(trace.cost_usd if usd is None else usd) if meter else ()
        try:
            await self._recorder.record(trace, spends)
        except Exception:
            if meter is not None:
                meter.purse.owe(spends)
            raise


class _Stream(StreamingResponse):
    """Closes its pieces however it ends, also where a client left before one was asked for."""

    def __init__(self, pieces: AsyncGenerator[bytes, None], headers: Mapping[str, str]) -> None:
        super().__init__(pieces, headers=headers)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._pieces.aclose()


def _note(point: Point, *, is_failure: bool) -> None:
    if point.breaker is not None:
        point.breaker.note(is_failure=is_failure)


def _write_body(call: _Call) -> bytes:
    """Raises: ServeError JM-703 it is nested too deeply."""
    passing = call.passing
    body = dict(passing.raw) | {"model": passing.model}
    if call.is_metered:
        added = dict(passing.wire.bound(body)[1])
        body = {name: value for name, value in (body | added).items() if name not in added or value is not None}
    if call.streaming is not None and call.streaming.asks_usage:
        options = body.get("stream_options")
        body["stream_options"] = (options if isinstance(options, dict) else {}) | {"include_usage": True}
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise ServeError(
            "JM-703", "the request body cannot be written again", got=str(error), hint="nest it less deeply"
        ) from error


def _redact_target(target: Target | None, redactor: Redactor) -> Target | None:
    if target is None or target.kind == "text":
        return target and text_target(redactor.text(target.text))
    return replace(target, tool_calls=redact_calls(target.tool_calls, redactor))


def _client_key(request: Request) -> str:
    """The client's own key, as providers of OpenAI's shape take it; Anthropic's clients send theirs as ``x-api-key``. A key such as this server gives out is nobody
    else's business, also while it wants none."""
    shown = request.headers.get("authorization") or f"Bearer {request.headers.get('x-api-key', '')}"
    secret = shown.rpartition(" ")[2]
    return shown if secret and not secret.startswith(PREFIX) else ""


def _passed_back(reply: aiohttp.ClientResponse) -> dict[str, str]:
    """Without the length and encoding of the connection, which is not ours."""
    said = {name.lower(): value for name, value in reply.headers.items()}
    shown = {name: said[name] for name in said if name in PASSED_BACK or name.startswith("x-ratelimit-")}
    if "x-request-id" in reply.headers:
        shown["x-upstream-request-id"] = reply.headers["x-request-id"]
    return shown


async def _wait_gone(request: Request) -> None:
    """Returns when the client has closed its connection; the request's body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _parse(data: bytes) -> Json:
    """None where it is not JSON: it is passed on all the same."""
    try:
        parsed: Json = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return parsed


def _broken(point: Point) -> ModelError:
    return ModelError("JM-426", f"the stream of {point.name} broke off", hint="call again", retryable=True)


def _unreachable(point: Point, error: BaseException) -> ModelError:
    return ModelError(
        "JM-430",
        "the provider cannot be reached, or did not answer in time",
        where=point.name,
        got=type(error).__name__,
        hint="check the address and the network, then call again",
        retryable=True,
    )
