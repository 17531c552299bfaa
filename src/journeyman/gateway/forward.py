"""Calls that are passed on to a provider, as they came where it speaks the client's dialect, and read on the way for the record.

    client ─► body (only the model's name changes) ─► provider ─► reply ─► trace stored ─► last byte

A stream goes out piece by piece; its last event waits until the trace is stored. A client that leaves ends the provider's work too. What the provider refuses is handed
on as it said it, but for the project's key. Redaction is for the record alone: the provider gets what the client sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import ceil
from typing import TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError, ModelError, ServeError, StoreError
from journeyman.core.example import Target, text_target
from journeyman.core.messages import Message
from journeyman.core.trace import Origin, Trace
from journeyman.gateway.credentials import pass_back, write_headers
from journeyman.gateway.dialects.chat_record import CHAT_WIRE, read_size
from journeyman.gateway.guarding import Watch
from journeyman.gateway.held import Event, Held, check_reply
from journeyman.gateway.points import Asked, Heard, Point, Replied, call_usd
from journeyman.gateway.purse import Meter
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.replies import Reply
from journeyman.gateway.verifying import Promise, make_promise
from journeyman.gateway.wire import Shows, Streaming, Wire
from journeyman.guards.messages import redact_calls, redact_message
from journeyman.guards.redact import Redactor
from journeyman.models.bounded import TooLong
from journeyman.models.breaker import FAILING
from journeyman.models.events import event_data, split_events
from journeyman.models.http_client import HttpClient, NotConnected
from journeyman.models.remote_errors import refuse_redirect

T = TypeVar("T")
MOST_STREAM_BYTES = 512 << 20
"""Of one stream; what is read of it for the record stays in memory until its end."""
WATCH_S = 0.02
"""From then on it is watched whether the client of a call is there: for most calls to models that is nothing, and the others are spared a task."""
GONE = 499
"""The status in the record of a call whose client left, as web servers have it."""


@dataclass(slots=True)
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
    redact_also: tuple[str, ...] = ()
    meta: Mapping[str, Json] = field(default_factory=dict)
    meter: Meter | None = None
    is_own_key: bool = False
    """Whether ``authorization`` in the request is a key of ours, which nobody else may see."""
    wire: Wire = CHAT_WIRE
    watch: Watch | None = None


@dataclass(slots=True)
class _Call:
    """A call under way, and the trace that it becomes."""

    passing: Passing
    time: datetime
    started: float
    promise: Promise | None = None
    read: tuple[Asked, tuple[Message, ...], Redactor] | None = None
    most_tokens: int = 0
    """Of the answer; known where a budget pays for it and the body is written."""

    def prepare(self) -> tuple[Asked, tuple[Message, ...], Redactor]:
        """What is asked, read and redacted for the record: while the provider is at work it costs nobody time."""
        if self.read is None:
            asked = self.passing.wire.read_asked(self.passing.raw)
            redactor = Redactor(is_personal=self.passing.is_personal, more=self.passing.redact_also)
            self.read = asked, tuple(redact_message(message, redactor) for message in asked.messages), redactor
        return self.read

    def trace(self, heard: Heard, status: str) -> Trace:
        passing = self.passing
        asked, messages, redactor = self.prepare()
        verdicts: dict[str, Json] = dict(passing.verdicts)
        if heard.finish_reason:
            verdicts["finish"] = heard.finish_reason
        if heard.cache:
            verdicts["cache"] = dict(heard.cache)
        if passing.watch is not None:
            verdicts["guards"] = passing.watch.to_json()
        priced = heard.input_tokens if heard.priced_tokens is None else heard.priced_tokens
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
            cost_usd=call_usd(passing.point.price(passing.model), priced, heard.output_tokens),
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
    """Passes calls on. ``now`` is the clock, ``silence_s`` how long a provider may say nothing; `close` ends its connections and waits for records that are under way."""

    def __init__(
        self,
        recorder: Recorder,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        silence_s: float = 600.0,
    ) -> None:
        self._recorder = recorder
        self._now = now
        self._client = HttpClient(silence_s=silence_s or None)
        self._late: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        if self._late:
            await asyncio.wait(self._late)
        await self._client.close()

    async def pass_on(self, passing: Passing, request: Request, headers: Mapping[str, str]) -> Response:
        """The provider's reply, with ``headers`` added.

        Raises:
            ModelError: JM-430 not reachable, or gone in the middle, JM-434 no answer of this kind, JM-445 another address was named (all recorded). ServeError: JM-742 a budget is spent,
                JM-744 the model's price is not known, JM-703 the body is nested too deeply, JM-720 the answer does not fit the schema that was asked (recorded), JM-721 none could be held to it.
                StoreError: the trace cannot be stored.
        """
        promise = make_promise(passing.wire, passing.raw, passing.model, passing.trace)
        call = _Call(passing, self._now(), time.perf_counter(), promise)
        data = _write_body(call)
        try:
            return await self._pass_on(call, data, request, headers)
        except BaseException:
            if passing.meter is not None:
                passing.meter.abandon()
            raise

    async def _pass_on(self, call: _Call, data: bytes, request: Request, headers: Mapping[str, str]) -> Response:
        if call.passing.watch is not None:
            data = await self._check_asked(call, call.passing.watch)
        passing, streaming = call.passing, call.streaming
        try:
            if passing.point.breaker is not None:
                passing.point.breaker.check()
            if passing.meter is not None and call.is_metered:
                price = passing.point.stated_price(passing.model)
                size = ceil(read_size(passing.raw) * passing.wire.input_factor(passing.raw))
                await passing.meter.reserve(price, passing.model, size, call.most_tokens)
        except (ModelError, ServeError) as error:
            await self._record(call, Heard(), error.code, 0.0)
            raise
        exchanged = await self._unless_gone(request, call, self._exchange(call, request, data))
        if exchanged is None:
            return Response(status_code=GONE)
        reply, body, events = exchanged
        shown = pass_back(reply.headers) | dict(headers) | _told(passing.watch)
        rewrite = passing.wire.rewrite
        if events is not None:
            assert streaming is not None, "every other body has come"
            shown |= {"content-type": "text/event-stream"} if rewrite else {}
            pieces = self._pieces(call, reply, streaming, events, shown)
            if call.promise is None:
                await anext(pieces)
            elif await _race(request, anext(pieces)) is None:
                return Response(status_code=GONE)
            return _Stream(pieces, shown)
        if reply.status == 200 and passing.watch is not None:
            body = await self._check_answer(call, body, passing.watch)
            shown |= _told(passing.watch)
        heard = passing.wire.read_whole(_parse(body)) if reply.status == 200 else Heard()
        if reply.status == 200 and call.promise is not None:
            shown |= await self._check_promise(call, call.promise, body, heard)
        if rewrite is not None:
            body, shown["content-type"] = await self._rewrite(call, body, reply.status), "application/json"
        if reply.status == 200:
            await self._record(call, heard, "ok")
        else:
            await self._record(call, heard, f"http-{reply.status}", 0.0)
        return Reply(body, reply.status, shown)

    async def _rewrite(self, call: _Call, body: bytes, status: int) -> bytes:
        """In the client's dialect. Raises: ServeError JM-764 it cannot be said there (recorded)."""
        rewrite = call.passing.wire.rewrite
        assert rewrite is not None, "another dialect is spoken"
        try:
            return rewrite(body, status)
        except ServeError as error:
            await self._record(call, Heard(), error.code)
            raise

    async def _check_asked(self, call: _Call, watch: Watch) -> bytes:
        """The body to be sent; a call that is refused is recorded.

        Raises:
            ServeError: JM-780, JM-782.
        """
        try:
            raw = await watch.check_request(call.passing.raw)
        except ServeError as error:
            await self._record(call, Heard(), error.code, 0.0)
            raise
        watch.hear_messages(call.passing.wire.read_asked(raw).messages)
        call.passing = replace(call.passing, raw=raw)
        return _write_body(call)

    async def _check_answer(self, call: _Call, body: bytes, watch: Watch) -> bytes:
        """Raises: ServeError JM-781, JM-782."""
        try:
            return await check_reply(watch, body, call.prepare()[0].schema)
        except ServeError as error:
            heard = call.passing.wire.read_whole(_parse(body))
            await self._record(call, replace(heard, text="", tool_calls=()), error.code)
            raise

    async def _exchange(
        self, call: _Call, request: Request, data: bytes
    ) -> tuple[Replied, bytes, AsyncIterator[Event] | None]:
        """The reply with its body; of a stream the events, of which the first has come."""
        reply = await self._send(call, request, data)
        point, is_paid = call.passing.point, reply.status == 200
        try:
            if is_paid and call.streaming is not None:
                return reply, b"", await _open_events(call, reply)
            body = _without_key(call, await reply.read())
            if is_paid and not call.passing.wire.rewrite and not call.passing.wire.is_answer(_parse(body)):
                raise _unreadable(point, _kind(reply, f"{len(body):,} bytes"))
            return reply, body, None
        except (TimeoutError, ConnectionError) as error:
            reply.close()
            failure = _unreadable(point, str(error)) if isinstance(error, TooLong) else _unreachable(point, error)
            await self._record(call, Heard(), failure.code, None if is_paid else 0.0)
            raise failure from error
        except ModelError as error:
            reply.close()
            await self._record(call, Heard(), error.code, None if is_paid else 0.0)
            raise
        except BaseException:
            reply.close()
            raise

    async def _send(self, call: _Call, request: Request, data: bytes) -> Replied:
        point = call.passing.point
        try:
            reply = await self._ask(call, request, data)
        except (TimeoutError, ConnectionError) as error:
            _note(point, is_failure=True)
            is_sent = not isinstance(error, NotConnected)
            await self._record(call, Heard(), "JM-430", None if is_sent else 0.0)
            raise _unreachable(point, error) from error
        except (ModelError, ServeError) as error:
            _note(point, is_failure=error.code in FAILING)
            await self._record(call, Heard(), error.code, None if error.code in FAILING else 0.0)
            raise
        _note(point, is_failure=reply.status >= 500)
        if 300 <= reply.status < 400:
            reply.close()
            await self._record(call, Heard(), "JM-445", 0.0)
            raise refuse_redirect(point.name, str(reply.status))
        if reply.status != 200 and not 400 <= reply.status < 600:
            reply.close()
            await self._record(call, Heard(), "JM-434")
            raise _unreadable(point, f"the status {reply.status}")
        return reply

    async def _ask(self, call: _Call, request: Request, data: bytes) -> Replied:
        point, wire = call.passing.point, call.passing.wire
        if point.ask is not None:
            return await point.ask(orjson.loads(data))
        headers = write_headers(point, request.headers, is_own_key=call.passing.is_own_key)
        url = f"{point.url.rstrip('/')}{wire.path}"
        return await self._client.post(url, data, headers)

    async def _pieces(
        self,
        call: _Call,
        reply: Replied,
        streaming: Streaming,
        events: AsyncIterator[Event],
        told: dict[str, str],
    ) -> AsyncGenerator[bytes, None]:
        """Nothing, so that closing it ends the call from then on; then the provider's events as they come, the last one after the trace is stored. A stream that
        breaks off ends in an error event. Where an answer was promised all is held before, failures are raised, and headers are added to ``told``."""
        hearing, shows = streaming.listen(), streaming.show(call.passing.raw)
        status, is_open = "JM-426", False
        try:
            if call.promise is None:
                is_open = True
                yield b""
            if call.passing.watch is not None:
                events = Held(call.passing.watch, call.prepare()[0].schema).filter(events, streaming.is_last)
            if call.promise is not None:
                events = await call.promise.hold(events, streaming.is_last, told, hearing.add)
                is_open = True
                yield b""
            async for event, data, chunk in events:
                hearing.add(chunk)
                if streaming.is_last(data, chunk):
                    status = "ok"
                    yield await self._close(call, hearing.end(), status, shows, shows.show(event, chunk))
                    return
                if piece := shows.show(event, chunk):
                    yield piece
            yield await self._close(call, hearing.end(), status, shows, _broken(call.passing.point), is_open=is_open)
        except ServeError as error:
            yield await self._close(call, hearing.end(), error.code, shows, error, is_open=is_open)
        except (TimeoutError, ConnectionError, ModelError):
            yield await self._close(call, hearing.end(), status, shows, _broken(call.passing.point), is_open=is_open)
        except (asyncio.CancelledError, GeneratorExit):
            if status != "ok":
                self._later(self._record(call, hearing.end(), f"http-{GONE}"))
            raise
        finally:
            reply.close()

    async def _close(
        self,
        call: _Call,
        heard: Heard,
        status: str,
        shows: Shows,
        last: bytes | JourneymanError,
        *,
        is_open: bool = True,
    ) -> bytes:
        """What a stream ends with, once its trace is stored: ``last``, or why it is not stored. Raises: an error, where nothing was sent yet because all is held."""
        try:
            await self._record(call, heard, status)
        except (StoreError, ServeError) as problem:
            last = problem
        if isinstance(last, bytes):
            return last
        if not is_open:
            raise last
        return shows.fail(last)

    async def _check_promise(self, call: _Call, promise: Promise, body: bytes, heard: Heard) -> dict[str, str]:
        """What the client is told. Raises: ServeError JM-720 (recorded)."""
        try:
            return promise.check_whole(_parse(body))
        except ServeError as error:
            await self._record(call, heard, error.code)
            raise

    async def _unless_gone(self, request: Request, call: _Call, work: Coroutine[None, None, T]) -> T | None:
        """What ``work`` gives; None, with the work ended, where the client left before."""
        done = await _race(request, work, call.prepare)
        if done is None:
            await self._record(call, Heard(), f"http-{GONE}")
        return done

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


async def _race(request: Request, work: Awaitable[T], prepare: Callable[[], object] = lambda: None) -> T | None:
    """What ``work`` gives; None, with the work ended, where the client left before. ``prepare`` is called meanwhile."""
    loop, watch = asyncio.get_running_loop(), _Leaving(request)
    loop.call_soon(prepare)  # once the request has gone out
    timer = loop.call_later(WATCH_S, watch.begin)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.has_left and watch.task.uncancel() == 0:
            return None
        raise
    finally:
        timer.cancel()
        watch.end()


class _Leaving:
    """Cancels the task that it is made in once the client has closed its connection; the request's body was read before."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._waiting: asyncio.Task[None] | None = None
        self.has_left = False
        task = asyncio.current_task()
        assert task is not None, "a call is answered in a task"
        self.task = task

    def begin(self) -> None:
        self._waiting = asyncio.ensure_future(self._wait())

    def end(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    async def _wait(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.has_left = True
        self.task.cancel()


class _Stream(StreamingResponse):
    """Closes its pieces however it ends, also where a client left before one was asked for; and as soon as it left, also where there is always a next piece, which anyio's
    cancelling waits out."""

    def __init__(self, pieces: AsyncGenerator[bytes, None], headers: Mapping[str, str]) -> None:
        super().__init__(pieces, headers=headers)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.ensure_future(self.stream_response(send))
        leaving = asyncio.ensure_future(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.wait({sending, leaving})
            await self._pieces.aclose()
        if not sending.cancelled():
            sending.result()


async def _open_events(call: _Call, reply: Replied) -> AsyncIterator[Event]:
    """A reply's events, once the first has come: until then what is no stream is an HTTP error, and not a broken stream.

    Raises: ModelError JM-434.
    """
    events = _read_events(call, reply)
    first = await anext(events, None)
    if first is None or not _is_event(first):
        raise _unreadable(call.passing.point, _kind(reply, "no events"))

    async def whole() -> AsyncIterator[Event]:
        yield first
        async for event in events:
            yield event

    return whole()


async def _read_events(call: _Call, reply: Replied) -> AsyncGenerator[Event, None]:
    size = 0
    async for raw in split_events(reply.content.iter_any()):
        size += len(raw)
        if size > MOST_STREAM_BYTES:
            raise TooLong(MOST_STREAM_BYTES)
        event = _without_key(call, raw)
        data = event_data(event) or b""
        yield event, data, _parse(data)


def _kind(reply: Replied, size: str) -> str:
    """What came, without a word of it: guards have not looked at it."""
    return f"{reply.headers.get('content-type', 'no content type')[:80]}, {size}"


def _is_event(event: Event) -> bool:
    """Whether it is one as providers send them: a comment, JSON, or the end mark."""
    written, data, said = event
    return written.startswith(b":") or said is not None or data.strip() == b"[DONE]"


def _told(watch: Watch | None) -> dict[str, str]:
    told = watch.header() if watch is not None else ""
    return {"x-journeyman-guards": told} if told else {}


def _note(point: Point, *, is_failure: bool) -> None:
    if point.breaker is not None:
        point.breaker.note(is_failure=is_failure)


def _without_key(call: _Call, body: bytes) -> bytes:
    """The project's key is nobody else's business, also where its provider says it again."""
    key = call.passing.point.key
    return body.replace(key.encode(), b"[key]") if key else body


def _write_body(call: _Call) -> bytes:
    """Raises: ServeError JM-703 it is nested too deeply."""
    passing = call.passing
    body = dict(passing.raw) | {"model": passing.model}
    if call.is_metered:
        call.most_tokens, added = passing.wire.bound(body)
        body |= added
        body = {name: value for name, value in body.items() if name not in added or value is not None}
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


def _parse(data: bytes) -> Json:
    """None where it is not JSON: it is passed on all the same."""
    try:
        parsed: Json = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return parsed


def _broken(point: Point) -> ModelError:
    return ModelError("JM-426", f"the stream of {point.name} broke off", hint="call again", retryable=True)


def _unreadable(point: Point, got: str) -> ModelError:
    return ModelError(
        "JM-434",
        "the provider's reply is no answer to this route",
        where=point.name,
        got=got,
        hint="check that the address is an API of this kind, and call again",
    )


def _unreachable(point: Point, error: BaseException) -> ModelError:
    return ModelError(
        "JM-430",
        "the provider cannot be reached, or did not answer in time",
        where=point.name,
        got=type(error).__name__,
        hint="check the address and the network, then call again",
        retryable=True,
    )
