"""HTTP/1.1 as a client, as thin as calls to a provider allow: one body out, one reply in, whole or piece by piece.

    post ─► an idle connection of this origin, or a new one ─► one write ─► head ─► body, which waits in the network where nobody reads it

It stands on every call's way: `aiohttp`, which it replaced, took a quarter of what a call adds (docs/notebook.md). What a provider's API does not need is not
here: cookies, redirects, proxies, other methods. The parser is httptools (Node's llhttp), names are tried as `aiohappyeyeballs` does, TLS is Python's own.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import cast
from urllib.parse import unquote, urlsplit

import aiohappyeyeballs
import httptools

from journeyman.models.bounded import MOST_BYTES, BrokenReply, TooLong

KEEP_S = 15.0
"""How long a connection may be idle."""
ATTEMPT_S = 0.25
"""Until the next address of a name is tried beside the first (RFC 8305)."""
MOST_HEAD_BYTES = 64 << 10
MOST_WAITING_BYTES = 256 << 10
"""Of a body that is not read: then the provider waits."""
UNPACKED_BYTES = 64 << 10


class NotConnected(ConnectionError):
    """Nothing was sent: there is no connection."""


@dataclass(frozen=True, slots=True)
class Origin:
    host: str
    port: int
    is_secure: bool


@dataclass(frozen=True, slots=True)
class _Target:
    origin: Origin
    head: bytes
    """The request's first lines."""
    secret: str = field(repr=False)
    """Of the address: what ``authorization`` says where a call does not."""


class HttpClient:
    """Connections by event loop. ``total_s``: how long a call may take with its reply; ``silence_s``: how long nothing may come; None: without end.

    ``keep_alive`` False opens a connection per call: llama.cpp gives every idle connection one of its few threads for five seconds, and closes it while we may be
    writing to it.
    """

    def __init__(
        self,
        *,
        connect_s: float = 10.0,
        total_s: float | None = None,
        silence_s: float | None = None,
        keep_alive: bool = True,
    ) -> None:
        self._connect_s = connect_s
        self._total_s = total_s
        self._silence_s = silence_s
        self._keep_alive = keep_alive
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}

    async def post(
        self, url: str, data: bytes, headers: Mapping[str, str], *, total_s: float | None = None
    ) -> HttpReply:
        """The reply, once its head has come. Read it, or close it. Redirects are replies like others.

        Raises:
            NotConnected: no connection could be opened. TimeoutError, BrokenReply, ConnectionError: it broke off, or is no HTTP. ValueError: not an address, or a header with
                a line break.
        """
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            for ended in [item for item in list(self._pools) if item.is_closed()]:
                self._pools.pop(ended, None)
            pool = self._pools[loop] = _Pool()
        target = _read_url(url)
        request = _write_request(target, data, headers, keep_alive=self._keep_alive)
        total = self._total_s if total_s is None else total_s
        end = None if total is None else loop.time() + total
        connection = pool.take(target.origin, loop.time())
        if connection is None:
            seconds = self._connect_s if total is None else min(self._connect_s, total)
            connection = await _open(pool, target.origin, seconds)
        return await connection.exchange(request, end, self._silence_s, keep_alive=self._keep_alive)

    async def close(self) -> None:
        """Close this loop's connections; those of loops that have ended can only be dropped."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            pool.close()
            await asyncio.sleep(0)


class HttpReply:
    """A reply under way. ``headers`` have lower-case names; a header that came twice is one, joined by a comma."""

    __slots__ = ("_arriving", "_connection", "headers", "status")

    def __init__(self, connection: _Connection, arriving: _Arriving, status: int, headers: dict[str, str]) -> None:
        self._connection = connection
        self._arriving = arriving
        self.status = status
        self.headers = headers

    @property
    def content(self) -> HttpReply:
        return self

    async def iter_any(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes, unpacked. Raises: TimeoutError, BrokenReply, ConnectionError."""
        unpack = _unpacker(self.headers.get("content-encoding", ""))
        while (chunk := await self._arriving.next()) is not None:
            for piece in unpack(chunk):
                yield piece

    async def read(self) -> bytes:
        """The whole body. Raises: TooLong, and as `iter_any`."""
        if "content-encoding" not in self.headers and (whole := self._arriving.whole()) is not None:
            return whole
        body = bytearray()  # one piece of memory, which goes back whole
        try:
            async for piece in self.iter_any():
                body += piece
                if len(body) > MOST_BYTES:
                    raise TooLong(MOST_BYTES)
        except BaseException:
            body.clear()  # an error keeps the frames that it passed
            self.close()
            raise
        return bytes(body)

    async def text(self) -> str:
        return (await self.read()).decode("utf-8", "replace")

    def close(self) -> None:
        """End the call where it is not at its end."""
        self._connection.leave(self._arriving)

    async def __aenter__(self) -> HttpReply:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Pool:
    """The open connections of a loop; the idle ones by origin, the one that was used last on top."""

    def __init__(self) -> None:
        self.open: set[_Connection] = set()
        self._idle: dict[Origin, list[_Connection]] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    def take(self, origin: Origin, now: float) -> _Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_fresh(now):
                return connection
            connection.abort()
        return None

    def put(self, connection: _Connection) -> None:
        self._idle.setdefault(connection.origin, []).append(connection)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(KEEP_S, self._sweep)

    def drop(self, connection: _Connection) -> None:
        self.open.discard(connection)
        idle = self._idle.get(connection.origin)
        if idle and connection in idle:
            idle.remove(connection)

    def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in list(self.open):
            connection.abort()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        for origin, idle in list(self._idle.items()):
            for connection in [item for item in idle if not item.is_fresh(loop.time())]:
                connection.abort()
                idle.remove(connection)
            if not idle:
                del self._idle[origin]
        self._sweeping = loop.call_later(KEEP_S, self._sweep) if self._idle else None


class _Arriving:
    """What has come of a body and was not read, and the end of it."""

    __slots__ = ("_chunks", "_size", "_transport", "_waiter", "error", "is_complete", "is_held")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self._transport = transport
        self._waiter: asyncio.Future[None] | None = None
        self.error: Exception | None = None
        self.is_complete = False
        self.is_held = False

    def add(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > MOST_WAITING_BYTES and not self.is_held:
            self._transport.pause_reading()
            self.is_held = True
        self._wake()

    def end(self, error: Exception | None = None) -> None:
        self.error, self.is_complete = error, True
        self._wake()

    def whole(self) -> bytes | None:
        """All of it where all has come, and none was read."""
        if not self.is_complete or self.error is not None:
            return None
        chunks, self._chunks = self._chunks, []
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def next(self) -> bytes | None:
        """None at the end. What came before an error is handed out first."""
        while not self._chunks:
            if self.error is not None:
                raise self.error
            if self.is_complete:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        chunk = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if self.is_held:
            self.is_held = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return chunk

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Connection(asyncio.Protocol):
    """One exchange after the other. The methods named ``on_`` are the parser's."""

    def __init__(self, pool: _Pool, origin: Origin) -> None:
        self.origin = origin
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._head: asyncio.Future[HttpReply] | None = None
        self._arriving: _Arriving | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._is_sized = False
        self._is_done = True
        self._keeps = False
        self._timer: asyncio.TimerHandle | None = None
        self._end: float | None = None
        self._silence_s: float | None = None
        self._heard = 0.0

    async def exchange(
        self, request: bytes, end: float | None, silence_s: float | None, *, keep_alive: bool
    ) -> HttpReply:
        """``end``: when the reply must be there, in the loop's time."""
        loop = self._loop
        self._parser = httptools.HttpResponseParser(self)
        self._arriving = None
        self._is_done, self._keeps, self._head_bytes = False, keep_alive, 0
        self._head = loop.create_future()
        self._end, self._silence_s, self._heard = end, silence_s, loop.time()
        self._arm()
        self._transport.write(request)
        try:
            return await self._head
        except BaseException:
            self.abort()
            raise

    def is_fresh(self, now: float) -> bool:
        return not self._transport.is_closing() and now - self._heard < KEEP_S

    def leave(self, arriving: _Arriving) -> None:
        if self._arriving is arriving and not self._is_done:
            self.abort()

    def abort(self) -> None:
        if not self._is_done:
            self._fail(BrokenReply("the call was ended on this side"))
            return
        self._disarm()
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._is_done or self._parser is None:  # nobody asked for it
            self.abort()
            return
        self._heard = self._loop.time()
        if self._arriving is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(BrokenReply("another protocol was spoken"))
        except httptools.HttpParserError as error:
            cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else None
            self._fail(cause if isinstance(cause, BrokenReply) else BrokenReply(f"not HTTP/1.1: {error}"))
        if self._arriving is None and not self._is_done and self._head_bytes > MOST_HEAD_BYTES:
            self._fail(BrokenReply(f"a head of more than {MOST_HEAD_BYTES:,} bytes"))

    def connection_lost(self, error: Exception | None) -> None:
        self._pool.drop(self)
        if self._is_done:
            return
        if self._arriving is not None and not self._is_sized and error is None:
            self._complete()
            return
        self._fail(BrokenReply(f"the connection was closed{f': {error}' if error else ''}"))

    def on_message_begin(self) -> None:
        if self._is_done:
            raise BrokenReply("a reply that nobody asked for")
        self._headers, self._is_sized = {}, False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._arriving is not None:  # behind the body: no header of what was read
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status < 200:  # the reply itself follows
            return
        self._is_sized = "content-length" in self._headers or "transfer-encoding" in self._headers
        self._arriving = _Arriving(self._transport)
        if self._head is not None and not self._head.done():
            self._head.set_result(HttpReply(self, self._arriving, status, self._headers))

    def on_body(self, body: bytes) -> None:
        if self._arriving is not None:
            self._arriving.add(body)

    def on_message_complete(self) -> None:
        assert self._parser is not None
        if self._arriving is None:
            return
        keeps = self._keeps and self._parser.should_keep_alive() and self._is_sized
        self._complete(keeps=keeps)

    def _complete(self, *, keeps: bool = False) -> None:
        assert self._arriving is not None
        self._is_done = True
        self._disarm()
        self._arriving.end()
        if self._transport.is_closing():
            return
        if not keeps or self._transport.get_write_buffer_size():
            self._transport.close()
            return
        if self._arriving.is_held:
            self._arriving.is_held = False
            self._transport.resume_reading()
        self._pool.put(self)

    def _fail(self, error: Exception) -> None:
        if not self._is_done:
            self._is_done = True
            if self._arriving is not None:
                self._arriving.end(error)
            elif self._head is not None and not self._head.done():
                self._head.set_exception(error)
        self.abort()

    def _arm(self) -> None:
        """One timer for both limits: moved on when it rings too early, since setting it anew for each piece that comes costs more."""
        due = [self._heard + self._silence_s] if self._silence_s is not None else []
        due += [self._end] if self._end is not None else []
        self._timer = self._loop.call_at(min(due), self._look) if due else None

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._loop.time()
        if self._arriving is not None and self._arriving.is_held:
            self._heard = now  # it is we who do not read
        is_silent = self._silence_s is not None and now >= self._heard + self._silence_s
        if is_silent or (self._end is not None and now >= self._end):
            self._fail(TimeoutError())
        else:
            self._arm()


async def _open(pool: _Pool, origin: Origin, seconds: float) -> _Connection:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
            connected = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=ATTEMPT_S, interleave=1)
            try:
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                transport, connection = await loop.create_connection(
                    lambda: _Connection(pool, origin),
                    sock=connected,
                    ssl=_tls() if origin.is_secure else None,
                    server_hostname=origin.host if origin.is_secure else None,
                )
            except BaseException:
                if isinstance(loop, asyncio.BaseEventLoop):
                    connected.close()
                raise
            finally:
                # uvloop owns the number from the start. Where the other side resets early it leaves the socket believing that it has it still, and what closes
                # that socket later would close another file.
                if not isinstance(loop, asyncio.BaseEventLoop):
                    connected.detach()
            if transport.is_closing():
                raise ConnectionError
    except (OSError, UnicodeError) as error:  # a timeout is one
        said = f"no answer within {seconds:g} s" if isinstance(error, TimeoutError) else str(error)
        raise NotConnected(said or "the connection was closed at once") from error
    pool.open.add(connection)
    return connection


@lru_cache(1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@lru_cache(256)
def _read_url(url: str) -> _Target:
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not an http address: {url!r:.200}")
    port = parts.port or (443 if is_secure else 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    name = parts.hostname.encode("idna").decode() if not parts.hostname.isascii() else parts.hostname
    shown = f"[{name}]" if ":" in name else name
    host = shown if port == (443 if is_secure else 80) else f"{shown}:{port}"
    written = _quote(path)
    secret = ""
    if parts.username is not None:
        secret = "Basic " + b64encode(f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()).decode()
    head = f"POST {written} HTTP/1.1\r\nhost: {host}\r\n".encode("ascii")
    return _Target(Origin(name, port, is_secure), head, secret)


def _quote(path: str) -> str:
    """What no request line may hold, as percent signs and digits."""
    return "".join(char if "!" <= char <= "~" else "".join(f"%{byte:02X}" for byte in char.encode()) for char in path)


def _write_request(target: _Target, data: bytes, headers: Mapping[str, str], *, keep_alive: bool) -> bytes:
    """Raises: ValueError a header has a line break."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers) or "\0" in lines:
        raise ValueError("a header has a line break")
    if target.secret and "authorization" not in {name.lower() for name in headers}:
        lines += f"authorization: {target.secret}\r\n"
    if not keep_alive:
        lines += "connection: close\r\n"
    return b"%bcontent-length: %d\r\n%b\r\n%b" % (target.head, len(data), lines.encode("latin-1"), data)


class _Unpack:
    """gzip and deflate, a bounded piece at a time, however few bytes unpack to many."""

    def __init__(self) -> None:
        self._packed = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def __call__(self, chunk: bytes) -> Iterator[bytes]:
        try:
            while chunk and not self._packed.eof:
                if piece := self._packed.decompress(chunk, UNPACKED_BYTES):
                    yield piece
                chunk = self._packed.unconsumed_tail
        except zlib.error as error:
            raise BrokenReply(f"a body that cannot be unpacked: {error}") from error


def _as_it_is(chunk: bytes) -> Iterator[bytes]:
    yield chunk


def _unpacker(encoding: str) -> Callable[[bytes], Iterator[bytes]]:
    """Raises: BrokenReply, an encoding that was not asked for and is not known."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return _as_it_is
    if name in ("gzip", "x-gzip", "deflate"):
        return _Unpack()
    raise BrokenReply(f"a body packed as {name[:40]}, which was not asked for")
