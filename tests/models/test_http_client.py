"""The HTTP client against servers that write bytes as they like: real sockets on loopback."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohappyeyeballs
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from journeyman.models import http_client
from journeyman.models.bounded import BrokenReply, TooLong
from journeyman.models.http_client import HttpClient, NotConnected

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Seen:
    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[bytes] = []


async def hear(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return head + await reader.readexactly(length)


@asynccontextmanager
async def server(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if tls else 'http'}://{'localhost' if tls else '127.0.0.1'}:{port}/v1/chat"
    finally:
        listening.close()


def always(*pieces: bytes, seen: Seen | None = None, pause_s: float = 0.0, closes: bool = False) -> Talk:
    """Answer every request with the same bytes, in these pieces."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if seen is not None:
            seen.connections += 1
        while True:
            request = await hear(reader)
            if seen is not None:
                seen.requests.append(request)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_s)
            if closes:
                return

    return talk


@asynccontextmanager
async def client(**options: object) -> AsyncIterator[HttpClient]:
    made = HttpClient(**options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.close()


LOOPS = [asyncio.run, uvloop.run]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    return request.param  # type: ignore[no-any-return]


Play = Callable[[Awaitable[None]], None]


def test_a_call_says_what_it_is_told_and_keeps_its_connection(play: Play) -> None:
    async def work() -> None:
        seen = Seen()
        async with server(always(OK, seen=seen)) as url, client() as ours:
            for number in range(3):
                reply = await ours.post(url + "?a=b c", b"body %d" % number, {"authorization": "Bearer x"})
                assert (reply.status, await reply.read()) == (200, b"hello")
        assert seen.connections == 1
        head = seen.requests[0].split(b"\r\n")
        assert head[0] == b"POST /v1/chat?a=b%20c HTTP/1.1"
        assert head[1].startswith(b"host: 127.0.0.1:")
        assert b"authorization: Bearer x" in head
        assert seen.requests[2].endswith(b"\r\n\r\nbody 2")

    play(work())


@pytest.mark.parametrize(
    ("written", "body"),
    [
        (OK, b"hello"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nlast: 1\r\n\r\n",
            b"hello",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
    ],
)
def test_a_reply_is_read_however_it_is_cut(play: Play, written: bytes, body: bytes) -> None:
    async def work() -> None:
        for pieces in ([written], [bytes([byte]) for byte in written]):
            async with server(always(*pieces)) as url, client() as ours:
                for _ in range(2):
                    assert await (await ours.post(url, b"", {})).read() == body

    play(work())


def test_a_body_without_a_length_ends_with_its_connection(play: Play) -> None:
    async def work() -> None:
        seen = Seen()
        talk = always(b"HTTP/1.1 200 OK\r\nx: 1\r\nX: 2\r\n\r\nhel", b"lo", seen=seen, closes=True)
        async with server(talk) as url, client() as ours:
            for _ in range(2):
                reply = await ours.post(url, b"", {})
                assert (await reply.read(), reply.headers["x"]) == (b"hello", "1, 2")
        assert seen.connections == 2

    play(work())


@pytest.mark.parametrize(
    "pieces",
    [
        [b"SSH-2.0-OpenSSH_9.6\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello"],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello"],
        [b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n" + b"x: yyyyyyyyyyyyyyyy\r\n" * 5000],
        [b"HTTP/1.1 200 OK\r\n"],
        [b""],
    ],
    ids=["ssh", "half", "chunk", "cut", "lengths", "upgrade", "head", "half head", "nothing"],
)
def test_what_is_no_reply_is_a_broken_one(play: Play, pieces: Sequence[bytes]) -> None:
    async def work() -> None:
        async with server(always(*pieces, closes=True)) as url, client() as ours:
            with pytest.raises(BrokenReply):
                await (await ours.post(url, b"", {})).read()

    play(work())


def test_what_came_before_the_end_of_a_broken_stream_is_read(play: Play) -> None:
    async def work() -> None:
        talk = always(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", closes=True)
        async with server(talk) as url, client() as ours:
            pieces = []
            reply = await ours.post(url, b"", {})

            async def read() -> None:
                async for piece in reply.iter_any():
                    pieces.append(piece)

            with pytest.raises(BrokenReply):
                await read()
            assert b"".join(pieces) == b"hello"

    play(work())


def test_bytes_that_nobody_asked_for_reach_no_later_call(play: Play) -> None:
    async def work() -> None:
        seen = Seen()
        async with server(always(OK + OK.replace(b"hello", b"wrong"), seen=seen)) as url, client() as ours:
            for _ in range(3):
                assert await (await ours.post(url, b"", {})).read() == b"hello"
                await asyncio.sleep(0.01)
        assert seen.connections == 3

    play(work())


def test_a_late_answer_of_a_call_that_was_left_reaches_no_other(play: Play) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            said = (await hear(reader))[-1:]
            await asyncio.sleep(0.2 if said == b"1" else 0)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n" + said)

    async def work() -> None:
        async with server(talk) as url, client() as ours:
            assert await (await ours.post(url, b"0", {})).read() == b"0"
            first = asyncio.ensure_future(ours.post(url, b"1", {}))
            await asyncio.sleep(0.05)
            first.cancel()
            for number in (b"2", b"3"):
                assert await (await ours.post(url, number, {})).read() == number

    play(work())


def test_a_connection_that_was_closed_meanwhile_is_not_used(play: Play) -> None:
    async def work() -> None:
        seen = Seen()
        async with server(always(OK, seen=seen, closes=True)) as url, client() as ours:
            for _ in range(3):
                assert await (await ours.post(url, b"", {})).read() == b"hello"
                await asyncio.sleep(0.05)
        assert seen.connections == 3

    play(work())


def test_idle_connections_are_closed(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "KEEP_S", 0.05)

    async def work() -> None:
        ended = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hear(reader)
            writer.write(OK)
            await reader.read()
            ended.set()

        async with server(talk) as url, client() as ours:
            await (await ours.post(url, b"", {})).read()
            await asyncio.wait_for(ended.wait(), 10)

    play(work())


def test_silence_and_the_whole_time_end_a_call(play: Play) -> None:
    async def work() -> None:
        slow = always(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", *[b"x"] * 100, pause_s=0.02)
        async with server(slow) as url:
            async with client(silence_s=1.0) as ours:
                assert len(await (await ours.post(url, b"", {})).read()) == 100
            async with client(total_s=0.3) as ours:
                reply = await ours.post(url, b"", {})
                with pytest.raises(TimeoutError):
                    await reply.read()
        async with server(always(pause_s=5)) as url, client(silence_s=0.1) as ours:
            with pytest.raises(TimeoutError):
                await ours.post(url, b"", {})
        async with server(always(pause_s=5)) as url, client() as ours:
            with pytest.raises(TimeoutError):
                await ours.post(url, b"", {}, total_s=0.1)

    play(work())


def test_who_is_not_read_waits_and_is_not_called_silent(play: Play) -> None:
    size = 40 << 20

    async def work() -> None:
        sent = 0

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            await hear(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
            while sent < size:
                writer.write(b"x" * (1 << 20))
                await writer.drain()
                sent += 1 << 20

        async with server(talk) as url, client(silence_s=0.2) as ours:
            reply = await ours.post(url, b"", {})
            await asyncio.sleep(0.8)
            assert sent < size, "all was taken although nobody read"
            assert sum([len(piece) async for piece in reply.iter_any()]) == size

    play(work())


def test_a_body_longer_than_memory_is_not_read(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MOST_BYTES", 1 << 20)

    async def work() -> None:
        bomb = gzip.compress(bytes(200 << 20))
        head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n"
        async with server(always(head % len(bomb) + bomb)) as url, client() as ours:
            with pytest.raises(TooLong):
                await (await ours.post(url, b"", {})).read()

    play(work())


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_what_comes_packed_is_unpacked(pack: Callable[[bytes], bytes]) -> None:
    async def work() -> None:
        body = pack(b"hello " * 100_000)
        name = b"gzip" if pack is gzip.compress else b"deflate"
        head = b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\ncontent-length: %d\r\n\r\n" % (name, len(body))
        async with server(always(head + body)) as url, client() as ours:
            assert await (await ours.post(url, b"", {})).read() == b"hello " * 100_000

    asyncio.run(work())


def test_a_packing_that_nobody_asked_for_is_told() -> None:
    async def work() -> None:
        for encoding, body in ((b"br", b"12345"), (b"gzip", b"12345")):
            head = b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\ncontent-length: 5\r\n\r\n" % encoding
            async with server(always(head + body)) as url, client() as ours:
                with pytest.raises(BrokenReply, match="packed"):
                    await (await ours.post(url, b"", {})).read()

    asyncio.run(work())


def test_nobody_there_is_told_apart_from_a_call_that_broke(play: Play) -> None:
    async def work() -> None:
        async with server(always(OK)) as url:
            pass
        async with client() as ours:
            with pytest.raises(NotConnected):
                await ours.post(url, b"", {})
            with pytest.raises(NotConnected):
                await ours.post("http://no-such-host.invalid/v1", b"", {})
            with pytest.raises(ValueError, match="address"):
                await ours.post("ftp://127.0.0.1/v1", b"", {})

    play(work())


@given(st.text(min_size=1, max_size=10))
def test_no_header_becomes_two(value: str) -> None:
    target = http_client._read_url("http://h/")
    try:
        written = http_client._write_request(target, b"", {"x": value}, keep_alive=True)
    except (ValueError, UnicodeEncodeError):
        return
    assert written.count(b"\r\n") == 5
    assert written.count(b"\n") == 5


def test_a_name_and_password_in_the_address_are_said_unless_the_call_says_its_own() -> None:
    target = http_client._read_url("http://me:p%40ss@h/v1")
    assert b"authorization: Basic bWU6cEBzcw==\r\n" in http_client._write_request(target, b"", {}, keep_alive=True)
    own = http_client._write_request(target, b"", {"Authorization": "Bearer x"}, keep_alive=True)
    assert own.lower().count(b"authorization") == 1
    assert "p@ss" not in repr(target)
    assert "bWU6" not in repr(target)


def test_a_body_that_is_ended_on_this_side_is_no_whole_one(play: Play) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hear(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nthe first half,")
        await reader.read()

    async def work() -> None:
        async with server(talk) as url:
            for whose in ("reply", "client"):
                ours = HttpClient()
                reply = await ours.post(url, b"", {})
                reading = asyncio.ensure_future(reply.read())
                await asyncio.sleep(0.05)
                if whose == "reply":
                    reply.close()
                else:
                    await ours.close()
                with pytest.raises(BrokenReply, match="ended on this side"):
                    await reading
                await ours.close()

    play(work())


def test_what_is_said_behind_a_body_is_no_header_of_it(play: Play) -> None:
    async def work() -> None:
        packed = gzip.compress(b"hello")
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-encoding: gzip\r\n\r\n"
        behind = b"0\r\ncontent-encoding: br\r\nx-more: 1\r\n\r\n"
        written = head + b"%x\r\n%b\r\n" % (len(packed), packed) + behind
        async with server(always(written)) as url, client() as ours:
            reply = await ours.post(url, b"", {})
            await asyncio.sleep(0.05)
            assert await reply.read() == b"hello"
            assert list(reply.headers) == ["transfer-encoding", "content-encoding"]

    play(work())


@asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """Its connections are opened and reset at once."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=100)

    def reset() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    thread = threading.Thread(target=reset)
    thread.start()
    try:
        yield f"https://localhost:{listening.getsockname()[1]}/"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        await asyncio.to_thread(thread.join)


def test_a_connection_reset_at_once_leaves_no_number_of_a_file_behind(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what closes the socket later would close what has the number then."""
    made: list[socket.socket] = []
    start = aiohappyeyeballs.start_connection

    async def watch(*arguments: object, **options: object) -> socket.socket:
        made.append(await start(*arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", watch)

    async def work() -> None:
        async with refusing() as url, client() as ours:
            for _ in range(300):
                with pytest.raises((NotConnected, BrokenReply)) as caught:
                    await ours.post(url, b"", {})
                assert str(caught.value)
        await asyncio.sleep(0.01)
        assert made
        assert {item.fileno() for item in made} == {-1}

    play(work())


def test_a_call_that_is_left_while_it_connects_leaves_nothing_open(play: Play) -> None:
    async def work() -> None:
        async with server(always()) as url, client() as ours:
            for steps in range(200):
                call = asyncio.ensure_future(ours.post(url, b"", {}))
                for _ in range(steps % 14):
                    await asyncio.sleep(0)
                await asyncio.sleep(steps % 5 * 0.0005)
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
            await asyncio.sleep(0.05)
            (pool,) = ours._pools.values()
            assert not pool.open

    play(work())


def test_a_loop_that_ended_is_forgotten(play: Play) -> None:
    ours = HttpClient()

    async def work() -> None:
        async with server(always(OK)) as url:
            await (await ours.post(url, b"", {})).read()

    for _ in range(3):
        play(work())
    assert len(ours._pools) == 1


def test_one_client_serves_two_loops() -> None:
    ours = HttpClient()

    async def work() -> None:
        async with server(always(OK)) as url:
            assert await (await ours.post(url, b"", {})).read() == b"hello"
            await ours.close()

    asyncio.run(work())
    uvloop.run(work())


@pytest.mark.skipif(not shutil.which("openssl"), reason="makes the certificate")
def test_tls_is_checked(play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*made, *names], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    async def work() -> None:
        async with server(always(OK), context) as url, client() as ours:
            http_client._tls.cache_clear()
            with pytest.raises(NotConnected, match="certificate"):
                await ours.post(url, b"", {})
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
            http_client._tls.cache_clear()
            for _ in range(2):
                assert await (await ours.post(url, b"", {})).read() == b"hello"

    try:
        play(work())
    finally:
        http_client._tls.cache_clear()
