"""Run the app with uvicorn: in the foreground until a signal, or beside other work on a free loopback port."""

from __future__ import annotations

import asyncio
import errno
import gc
import ipaddress
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from math import ceil
from types import FrameType
from typing import cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import LOGGING_CONFIG
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from journeyman.core.errors import ServeError

GRACE_S = 10.0
AT_ONCE_S = 1.0
MOST_FILES = 65_536
GARBAGE = (20_000, 20, 50)
"""Objects before a collection, and collections before an older one: the default, 700, stops calls for nothing, since what a call makes is gone with it."""


class _Quiet(uvicorn.Server):
    """A server that leaves the process's signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(slots=True)
class Ending:
    """How a server ends. After SIGTERM it takes calls for ``drain_s`` seconds more and says that it is not ready; then those under way have ``finish_s`` to end. After
    SIGINT it does so without the wait, and a second signal ends all at once."""

    drain_s: float = 0.0
    finish_s: float = GRACE_S
    has_begun: bool = False
    is_forced: asyncio.Event = field(default_factory=asyncio.Event)


def open_socket(host: str, port: int) -> socket.socket:
    """Bind and listen, before anything slow is loaded.

    Raises:
        ServeError: JM-701 the port is in use, JM-717 the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP: asyncio turns Nagle's delay (40 ms a reply) off only for sockets that say so.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise _socket_error(error, host, port) from error
    listener.setblocking(False)
    return listener


def run_loop(work: Coroutine[None, None, None]) -> None:
    """`asyncio.run`, on the faster loop where there is one."""
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        asyncio.run(work)
    else:
        uvloop.run(work)


def run(app: ASGIApp, listener: socket.socket, ready: Callable[[str], None] | None = None) -> None:
    """`serve_until_signal` in an event loop of its own."""
    with asyncio.Runner() as runner:
        runner.run(serve_until_signal(app, listener, ready))


async def serve_until_signal(
    app: ASGIApp, listener: socket.socket, ready: Callable[[str], None] | None = None, ending: Ending | None = None
) -> None:
    """Serve until SIGINT or SIGTERM, then return as ``ending`` says.

    ``ready`` is told the URL once calls are answered; what was loaded until then stays out of every collection of garbage. In the main thread only.
    """
    ending = ending or Ending()
    lift_file_limit()
    server = _Quiet(_config(app, ending.finish_s))
    with _stopped_by_signals(server, ending):
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await _wait_until_started(server, serving)
        gc.freeze()
        gc.set_threshold(*GARBAGE)
        if ready is not None:
            ready(address(listener))
        await _wait_until_ended(serving, ending)
    listener.close()


@asynccontextmanager
async def serve_in_background(app: ASGIApp) -> AsyncIterator[str]:
    """Serve on a free loopback port inside this event loop; yields the URL, stops at the end of the block."""
    listener = open_socket("127.0.0.1", 0)
    server = _Quiet(_config(app))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await _wait_until_started(server, serving)
        yield address(listener)
    finally:
        server.should_exit = True
        await serving
        listener.close()


def lift_file_limit() -> None:
    """Each client, and each provider's connection for it, is an open file: take as many as this process may have, where many systems give 1,024 at first."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextmanager
def _stopped_by_signals(server: uvicorn.Server, ending: Ending) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def leave() -> None:
        server.should_exit = True

    def begin(number: int) -> None:
        if ending.has_begun:
            server.force_exit = server.should_exit = True
            ending.is_forced.set()
            return
        ending.has_begun = True
        if number == signal.SIGTERM and ending.drain_s:
            loop.call_later(ending.drain_s, leave)
        else:
            leave()

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(begin, number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


async def _wait_until_ended(serving: asyncio.Task[None], ending: Ending) -> None:
    """A second signal also ends what the server waits for once the calls are answered, such as audits."""
    forced = asyncio.create_task(ending.is_forced.wait())
    await asyncio.wait({serving, forced}, return_when=asyncio.FIRST_COMPLETED)
    if forced.done():
        await asyncio.wait({serving}, timeout=AT_ONCE_S)
        if serving.cancel():
            await asyncio.wait({serving})
            return
    forced.cancel()
    await serving


async def _wait_until_started(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    while not server.started and not serving.done():  # noqa: ASYNC110  # uvicorn tells it by a flag
        await asyncio.sleep(0.005)
    if serving.done():
        serving.result()


class _Together:
    """A transport that sends the head of a reply with what follows it: one packet for a whole reply, and one wake of its client."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._send_head)  # where a stream is still to begin
            return
        self._transport.write(data)

    def close(self) -> None:
        self._send_head()
        self._transport.close()

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)

    def _send_head(self) -> None:
        if self._head:
            self.write(b"")


class _Protocol(HttpToolsProtocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, _Together(transport)))


def _config(app: ASGIApp, finish_s: float = GRACE_S) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Protocol,
        log_config=None if logging.getLogger().handlers else LOGGING_CONFIG,  # a log of ours has uvicorn's notes too
        log_level="warning",
        access_log=False,
        lifespan="on",
        proxy_headers=False,
        timeout_graceful_shutdown=ceil(finish_s),
        server_header=False,
    )


def _socket_error(error: OSError, host: str, port: int) -> ServeError:
    if error.errno == errno.EADDRINUSE:
        return ServeError(
            "JM-701",
            f"the port {port} is in use",
            where=f"{host}:{port}",
            expected="a free port",
            got="another program listens there",
            hint="stop the other server, or choose another port with --port",
        )
    return ServeError(
        "JM-717",
        "this address cannot be listened on",
        where=f"{host}:{port}",
        got=error.strerror or str(error),
        hint="use 127.0.0.1, and a port above 1023",
    )
