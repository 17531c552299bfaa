"""A thousand clients that send a byte a second, or read one of a stream, while others call as ever."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from machine import ROOT

from hostile.project import Server, Tally, make_project, name_providers, serving, wait_until_free
from hostile.provider import providing

LOOPBACK = ROOT / "benchmarks/loopback.py"
BODY: dict[str, Any] = {"model": "task:tickets", "messages": [{"role": "user", "content": "Where is my parcel?"}]}
FEW_DESCRIPTORS = "-Sn 1024"
MOST_BYTES_EACH = 2_000_000
"""Of all slow clients, of which each other one reads a stream of four times that."""


def run(folder: Path, *, is_small: bool) -> Tally:
    tally, each, seconds = Tally(), 50 if is_small else 500, 2 if is_small else 30
    with providing() as provider:
        project = make_project(folder / "project", provider.url, more=name_providers("other"))
        # What many systems give a process, and less than that many clients and their upstream connections need.
        with serving(project, limit=FEW_DESCRIPTORS) as server:
            tally.counts["slow clients"] = 2 * each
            _measure(server, "before", tally)
            before = server.descriptors, server.bytes
            asyncio.run(_crowd(server, each, seconds, tally))
            left = wait_until_free(lambda: server.descriptors, before[0] + 8, 60.0)
            tally.counts |= {"descriptors before": before[0], "descriptors after": int(left)}
            tally.counts |= {"bytes before": before[1], "bytes after": server.bytes}
            tally.check(left <= before[0] + 8, f"{left} descriptors are open, before {before[0]}")
            _measure(server, "after", tally)
            tally.check(server.process.poll() is None, "the server ended")
        log = (project / "serve.log").read_text(encoding="utf-8")
        tally.check("Traceback" not in log, "the server logged a defect: " + log[:1500])
    return tally


def _measure(server: Server, when: str, tally: Tally) -> None:
    """What others have of the server meanwhile."""
    for model in ("task:tickets", "other/fine"):
        body = BODY | {"model": model}
        job = {"url": f"{server.url}/v1/chat/completions", "body": body, "calls": 300, "connections": 4, "warm": 20}
        command = [sys.executable, str(LOOPBACK), "load"]
        done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False, timeout=120)
        found = json.loads(done.stdout) if done.returncode == 0 else {"errors": done.stderr[-300:]}
        tally.check(not found["errors"], f"{when}: others got {found['errors']} of {model}")
        shown = {name: found.get(name) for name in ("p50_ms", "p99_ms", "per_second", "calls")}
        tally.counts[f"{model}, {when}"] = shown


async def _crowd(server: Server, each: int, seconds: int, tally: Tally) -> None:
    place = urlsplit(server.url)
    first = server.bytes
    writers = [asyncio.create_task(_write_slowly(str(place.hostname), place.port or 0)) for _ in range(each)]
    readers = [asyncio.create_task(_read_slowly(str(place.hostname), place.port or 0)) for _ in range(each)]
    await asyncio.sleep(seconds / 2 + each / 100)
    tally.counts["descriptors meanwhile"] = server.descriptors
    await asyncio.to_thread(_measure, server, "meanwhile", tally)
    grown = server.bytes - first
    tally.counts["bytes for each slow client"] = grown // (2 * each)
    tally.check(grown < 2 * each * MOST_BYTES_EACH, f"{grown} bytes for {2 * each} clients")
    await asyncio.sleep(seconds / 2)
    ended = [task for task in (*writers, *readers) if task.done()]
    tally.counts["slow clients that were cut off"] = len(ended)
    for task in (*writers, *readers):
        task.cancel()
    await asyncio.gather(*writers, *readers, return_exceptions=True)


def _request(body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


async def _write_slowly(host: str, port: int) -> None:
    _, writer = await asyncio.open_connection(host, port)
    try:
        for byte in _request(BODY):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(1)
    finally:
        writer.close()


async def _read_slowly(host: str, port: int) -> None:
    """With small buffers, so that what is not read stays with the server."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(peer, (host, port))
        await loop.sock_sendall(peer, _request(BODY | {"model": "other/long-stream", "stream": True}))
        while await loop.sock_recv(peer, 1):  # noqa: ASYNC110  # a byte a second
            await asyncio.sleep(1)
    finally:
        peer.close()
