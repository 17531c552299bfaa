"""A provider and a crowd of clients on loopback, both as thin as Python allows, so that what is measured is what stands between them.

    python benchmarks/loopback.py provider              prints its URL, answers every POST until its input closes
    python benchmarks/loopback.py load < job.json       asks one URL, and prints what came of it

The provider answers chat completions of one fixed length; with ``"stream": true`` in the body as ``CHUNKS`` events. The clients keep their connections, send the
next request when the last one is answered whole, and count every status that is not 200 as an error.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import uvloop

CHUNKS = 20
TEXT = '{"intent": "refund"}'
USAGE = {"prompt_tokens": 90, "completion_tokens": 7, "total_tokens": 97}


def main() -> int:
    if sys.argv[1] == "provider":
        uvloop.run(_provide())
    else:
        sys.stdout.write(json.dumps(uvloop.run(_load(Job(**json.loads(sys.stdin.read()))))) + "\n")
    return 0


def _reply(body: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _whole() -> bytes:
    message = {"role": "assistant", "content": TEXT}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    kept = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "big", "choices": [choice]}
    return _reply(json.dumps(kept | {"usage": USAGE}).encode())


def _streamed() -> bytes:
    kept = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "big"}
    events: list[dict[str, Any]] = [
        kept | {"choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]} for _ in range(CHUNKS)
    ]
    events.append(kept | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events.append(kept | {"choices": [], "usage": USAGE})
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return _reply(text.encode(), "text/event-stream")


class _Provider(asyncio.Protocol):
    whole, streamed = _whole(), _streamed()

    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (size := _request_size(self._data)) is not None and len(self._data) >= size:
            is_streamed = b'"stream":true' in self._data[:size] or b'"stream": true' in self._data[:size]
            self._data = self._data[size:]
            self._transport.write(self.streamed if is_streamed else self.whole)  # type: ignore[attr-defined]


def _request_size(data: bytes) -> int | None:
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    return end + 4 + _length(data[:end])


def _length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"content-length:")
    return int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def _provide() -> None:
    server = await asyncio.get_running_loop().create_server(_Provider, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    sys.stdout.write(f"http://{host}:{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    server.close()


@dataclass(frozen=True, slots=True)
class Job:
    """``calls`` in all after ``warm`` that do not count, ``connections`` at a time."""

    url: str
    body: dict[str, Any]
    calls: int
    connections: int = 1
    warm: int = 50
    headers: dict[str, str] = field(default_factory=dict)

    def request(self) -> bytes:
        parts = urlsplit(self.url)
        body = json.dumps(self.body).encode()
        headers = {"host": parts.netloc, "content-type": "application/json", "content-length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers | self.headers).items())
        return f"POST {parts.path} HTTP/1.1\r\n{lines}\r\n".encode() + body


class _Crowd:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.request = job.request()
        self.left = job.warm + job.calls
        self.flying = 0
        self.counted = 0
        self.milliseconds: list[float] = []
        self.errors: dict[str, int] = {}
        self.started = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def next(self, client: _Client) -> None:
        if not self.left:
            if not self.flying and not self.done.done():
                self.done.set_result(time.perf_counter() - self.started)
            return
        if self.left == self.job.calls:
            self.started = time.perf_counter()
        self.left -= 1
        self.flying += 1
        client.send(self.request, self.left < self.job.calls)

    def answered(self, client: _Client, status: str, milliseconds: float, is_counted: bool) -> None:
        self.flying -= 1
        if status != "200":
            self.errors[status] = self.errors.get(status, 0) + 1
        elif is_counted:
            self.milliseconds.append(milliseconds)
        self.next(client)


class _Client(asyncio.Protocol):
    def __init__(self, crowd: _Crowd) -> None:
        self._crowd = crowd
        self._data = b""
        self._sent = 0.0
        self._is_counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._crowd.next(self)

    def send(self, request: bytes, is_counted: bool) -> None:
        self._is_counted = is_counted
        self._sent = time.perf_counter()
        self._transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._data[:end]
        if b"chunked" in head.lower():
            if not self._data.endswith(b"\r\n0\r\n\r\n"):
                return
        elif len(self._data) < end + 4 + _length(head):
            return
        milliseconds = (time.perf_counter() - self._sent) * 1000
        status, self._data = head.split(b" ", 2)[1].decode(), b""
        self._crowd.answered(self, status, milliseconds, self._is_counted)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._crowd.done.done():
            self._crowd.done.set_exception(ConnectionError("the server closed a connection"))


async def _load(job: Job) -> dict[str, Any]:
    crowd, parts = _Crowd(job), urlsplit(job.url)
    loop = asyncio.get_running_loop()
    for _ in range(job.connections):
        await loop.create_connection(lambda: _Client(crowd), parts.hostname, parts.port)
    seconds = await crowd.done
    times = sorted(crowd.milliseconds)
    if not times:
        return {"calls": 0, "errors": crowd.errors}
    return {
        "calls": len(times),
        "errors": crowd.errors,
        "seconds": round(seconds, 3),
        "per_second": round(len(times) / seconds, 1),
        "p50_ms": round(statistics.median(times), 3),
        "p95_ms": round(times[int(0.95 * (len(times) - 1))], 3),
        "p99_ms": round(times[int(0.99 * (len(times) - 1))], 3),
    }


if __name__ == "__main__":
    sys.exit(main())
