"""A provider on loopback that misbehaves as the model's name says: bytes on a socket, so that no library is too polite for it.

A reply of a good model says again what it was asked, so that one caller's words in another's reply can be seen.
"""

from __future__ import annotations

import asyncio
import copy
import gzip
import json
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

USAGE = {"prompt_tokens": 90, "completion_tokens": 7, "total_tokens": 97, "input_tokens": 90, "output_tokens": 7}
RIGHT = '{"intent": "refund"}'
WORDS = 20
LONG_S = 300
ODD: list[Any] = [None, True, -1, 1e308, 2**63, "", "x", "\x00", [], {}, [[]], [{}], [None], {"type": []}]
BLOCK = b"a" * 65_536


@dataclass(frozen=True, slots=True)
class Asked:
    """``kind`` is the last part of the path."""

    kind: str
    body: dict[str, Any]
    draw: random.Random

    @property
    def is_streamed(self) -> bool:
        return self.body.get("stream") is True

    @property
    def text(self) -> str:
        """What it is asked last, or what a task's answer is."""
        if self.body.get("model") == "big":
            return RIGHT
        said = self.body.get("messages") or self.body.get("input") or self.body.get("prompt") or ""
        return json.dumps(said)[-2000:]


Fault = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


class Provider:
    """``answered`` counts by model the replies that were written whole."""

    def __init__(self) -> None:
        self.answered: Counter[str] = Counter()
        self.url = ""
        self._draw = random.Random(1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = json.loads(await reader.readexactly(_length(head)))
                asked = Asked(head.split(b" ", 2)[1].decode().rsplit("/", 1)[-1], body, self._draw)
                fault = FAULTS.get(str(body.get("model")), good)
                await fault(asked, writer)
                await writer.drain()
                self.answered[str(body.get("model"))] += 1
                if fault not in (good, spoilt, slow, drip):
                    break
        writer.close()


@contextmanager
def providing() -> Iterator[Provider]:
    """In a thread of its own."""
    made, loop, ready = Provider(), asyncio.new_event_loop(), threading.Event()

    async def start() -> None:
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0, limit=1 << 24, backlog=2048)
        made.url = "http://{}:{}".format(*server.sockets[0].getsockname())
        ready.set()

    def work() -> None:
        asyncio.set_event_loop(loop)
        keep = loop.create_task(start())
        loop.run_forever()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.1))
        del keep

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ready.wait()
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _length(head: bytes) -> int:
    found = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(found[0].split(b":")[1])


def head(status: int = 200, kind: str = "application/json", **more: object) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"content-type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def document(asked: Asked) -> dict[str, Any]:
    """A whole reply in the dialect of the route."""
    text = asked.text
    if asked.kind == "embeddings":
        rows = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]
        return {"object": "list", "data": rows, "model": "m", "usage": dict(USAGE)}
    if asked.kind == "responses":
        part = {"type": "output_text", "text": text, "annotations": []}
        item = {"type": "message", "id": "i", "role": "assistant", "status": "completed", "content": [part]}
        return {"id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": [item], "usage": dict(USAGE)}  # fmt: skip
    if asked.kind == "messages":
        block = {"type": "text", "text": text}
        return {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [block], "stop_reason": "end_turn", "stop_sequence": None, "usage": dict(USAGE)}  # fmt: skip
    said = {"text": text} if asked.kind == "completions" and "prompt" in asked.body else {}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}} | said
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": dict(USAGE),
    }


def events(asked: Asked, words: int = WORDS) -> list[bytes]:
    """The same reply as a stream."""
    pieces = ["word "] * (words - 1) + [asked.text]
    if asked.kind == "responses":
        whole = document(asked)
        made: list[dict[str, Any]] = [{"type": "response.created", "response": whole | {"output": []}}]
        made += [{"type": "response.output_text.delta", "delta": piece, "output_index": 0} for piece in pieces]
        made += [{"type": "response.completed", "response": whole}]
        return [b"event: " + said["type"].encode() + b"\n" + _data(said) for said in made]
    kept = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices = [{"index": 0, "delta": {"content": piece}, "finish_reason": None} for piece in pieces]
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    said = [kept | {"choices": [choice]} for choice in [*choices, last]] + [
        kept | {"choices": [], "usage": dict(USAGE)}
    ]
    return [*map(_data, said), b"data: [DONE]\n\n"]


def _data(said: object) -> bytes:
    return b"data: " + json.dumps(said).encode() + b"\n\n"


def written(asked: Asked) -> tuple[str, bytes]:
    """The kind and the bytes of a good reply."""
    if asked.is_streamed:
        return "text/event-stream", b"".join(events(asked))
    return "application/json", json.dumps(document(asked)).encode()


async def good(asked: Asked, writer: asyncio.StreamWriter) -> None:
    kind, data = written(asked)
    writer.write(head(kind=kind, content_length=len(data)) + data)


async def slow(asked: Asked, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.02)
    await good(asked, writer)


async def spoilt(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """A good reply with one or two values that are not what they should be."""
    said = document(asked)
    for _ in range(asked.draw.randint(1, 2)):
        node: Any = said
        while True:
            key = asked.draw.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if isinstance(node[key], dict | list) and node[key] and asked.draw.random() < 0.8:
                node = node[key]
                continue
            node[key] = copy.deepcopy(asked.draw.choice(ODD))
            break
    data = _data(said) + b"data: [DONE]\n\n" if asked.is_streamed else json.dumps(said).encode()
    kind = "text/event-stream" if asked.is_streamed else "application/json"
    writer.write(head(kind=kind, content_length=len(data)) + data)


async def reset(_asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Without a reply, and without a farewell."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def close(_asked: Asked, _writer: asyncio.StreamWriter) -> None:
    return


async def hang(_asked: Asked, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(600)


async def hang_half(asked: Asked, writer: asyncio.StreamWriter) -> None:
    kind, data = written(asked)
    writer.write(head(kind=kind, content_length=len(data)) + data[: len(data) // 2])
    await writer.drain()
    await asyncio.sleep(600)


async def cut(asked: Asked, writer: asyncio.StreamWriter) -> None:
    kind, data = written(asked)
    writer.write(head(kind=kind, content_length=len(data)) + data[: len(data) // 2])


async def cut_reset(asked: Asked, writer: asyncio.StreamWriter) -> None:
    kind, data = written(asked)
    writer.write(head(kind=kind, content_length=len(data)) + data[: len(data) // 2])
    await writer.drain()
    await asyncio.sleep(0.02)
    await reset(asked, writer)


async def cut_chunked(asked: Asked, writer: asyncio.StreamWriter) -> None:
    kind, data = written(asked)
    writer.write(head(kind=kind, transfer_encoding="chunked") + chunk(data[: len(data) // 2]))


async def cut_until_close(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """No length, so that the end of the connection is the end of the body."""
    kind, data = written(asked)
    writer.write(head(kind=kind, connection="close") + data[: len(data) // 2])


async def short_length(asked: Asked, writer: asyncio.StreamWriter) -> None:
    kind, data = written(asked)
    writer.write(head(kind=kind, content_length=len(data) // 2) + data)


async def two_lengths(asked: Asked, writer: asyncio.StreamWriter) -> None:
    kind, data = written(asked)
    writer.write(head(kind=kind, content_length=len(data), Content_Length=7) + data)


async def no_length(asked: Asked, writer: asyncio.StreamWriter) -> None:
    kind, data = written(asked)
    writer.write(head(kind=kind, content_length="-5") + data)


async def drip(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """A good reply, a few bytes at a time."""
    kind, data = written(asked)
    writer.write(head(kind=kind, content_length=len(data)))
    for start in range(0, len(data), 40):
        writer.write(data[start : start + 40])
        await writer.drain()
        await asyncio.sleep(0.01)


def says(data: bytes, kind: str = "application/json", status: int = 200, **more: object) -> Fault:
    async def fault(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, kind, content_length=len(data), connection="close", **more) + data)

    return fault


def raw(*parts: bytes, forever: bytes = b"") -> Fault:
    async def fault(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
        while forever:
            writer.write(forever)
            await writer.drain()

    return fault


async def long_stream(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Three kilobytes a second, for as long as somebody is there."""
    said = events(asked, words=4)[0].replace(b"word ", b"word " * 150)
    writer.write(head(kind="text/event-stream", connection="close"))
    for _ in range(LONG_S * 4):
        writer.write(said)
        await writer.drain()
        await asyncio.sleep(0.25)


def _bomb() -> bytes:
    return gzip.compress(bytes(1 << 28), 1)


CHUNKED = {"transfer_encoding": "chunked"}
STREAM = "text/event-stream"
FAULTS: dict[str, Fault] = {
    "slow": slow,
    "spoilt": spoilt,
    "reset": reset,
    "close": close,
    "hang": hang,
    "hang-half": hang_half,
    "cut": cut,
    "cut-reset": cut_reset,
    "cut-chunked": cut_chunked,
    "cut-until-close": cut_until_close,
    "short-length": short_length,
    "two-lengths": two_lengths,
    "no-length": no_length,
    "drip": drip,
    "page": says(b"<html>We will be back soon</html>", "text/html"),
    "empty": says(b""),
    "noise": says(random.Random(3).randbytes(5000)),
    "no-http": raw(random.Random(4).randbytes(5000)),
    "object": says(b'{"hello": 1}'),
    "list": says(b"[1, 2]"),
    "null": says(b"null"),
    "error-200": says(b'{"error": {"message": "out of credits"}}'),
    "deep": says(b"[" * 100_000 + b"]" * 100_000),
    "deep-answer": says(b'{"choices": [' + b"[" * 900 + b"]" * 900 + b"]}"),
    "no-content": raw(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"),
    "status-999": says(b"{}", status=999),
    "status-99": raw(b"HTTP/1.1 99 Low\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"),
    "continue": raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 50, head(content_length=2, connection="close"), b"{}"),
    "switch": raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"),
    "moved": says(b"", status=302, location="http://127.0.0.1:1/"),
    "failed": says(b'{"error": {"message": "out of memory"}}', status=500),
    "failed-page": says(b"<html>Bad gateway</html>", "text/html", 502),
    "busy": says(b'{"error": {"message": "slow down"}}', status=429, retry_after="soon"),
    "huge-header": raw(b"HTTP/1.1 200 OK\r\nx: " + b"a" * (1 << 20) + b"\r\n\r\n{}"),
    "many-headers": raw(b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: 1\r\n" % n for n in range(20_000)) + b"\r\n{}"),
    "split-header": raw(b"HTTP/1.1 200 OK\r\nopenai-version: 1\x00\xff\r\ncontent-length: 2\r\n\r\n{}"),
    "endless-header": raw(b"HTTP/1.1 200 OK\r\nx: ", forever=BLOCK),
    "endless": raw(head(**CHUNKED), forever=chunk(BLOCK)),
    "endless-array": raw(head(**CHUNKED), chunk(b'{"choices": ['), forever=chunk(b"1," * 32_768)),
    "endless-line": raw(head(kind=STREAM, **CHUNKED), chunk(b"data: "), forever=chunk(BLOCK)),
    "gzip-bomb": says(_bomb(), content_encoding="gzip"),
    "gzip-lie": says(b'{"choices": []}', content_encoding="gzip"),
    "bad-utf8": says(b'{"choices": [{"message": {"role": "assistant", "content": "\xff\xfe"}}]}'),
    "half-character": says(b'{"choices": [{"message": {"role": "assistant", "content": "\\ud800"}}]}'),
    "stream-of-noise": says(b"data: \xff\x00{\n\n" * 50, STREAM),
    "stream-with-noise": says(b'data: {"choices": []}\n\n' + b"data: \xff\x00{\n\n" * 50, STREAM),
    "stream-of-nulls": says(b"data: null\n\n" * 50 + b"data: [DONE]\n\n", STREAM),
    "long-stream": long_stream,
}
