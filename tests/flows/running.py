"""A server in a process of its own whose log can be read, and a provider that takes its time."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web


@dataclass
class Running:
    process: subprocess.Popen[str]
    url: str
    errors: Path

    @property
    def log(self) -> list[str]:
        return self.errors.read_text(encoding="utf-8").splitlines()

    def get(self, path: str, *, key: str = "") -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=headers), timeout=10) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def wait_until(self, is_so: Callable[[], bool], patience_s: float = 30.0) -> None:
        until = time.monotonic() + patience_s
        while not is_so():
            assert time.monotonic() < until, "it never happened; the log: " + "\n".join(self.log)
            time.sleep(0.05)


@contextmanager
def running(folder: Path, *arguments: str, more: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Killed at the end, where it has not ended."""
    errors = folder / "stderr.txt"
    command = [sys.executable, "-m", "journeyman", "serve", "--port", "0", "--json", *arguments]
    with (
        errors.open("w") as stream,
        subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=stream, text=True, env=os.environ | dict(more or {})
        ) as server,
    ):
        try:
            assert server.stdout is not None
            lines = []
            for line in server.stdout:
                lines.append(line)
                if line.rstrip() == "}":
                    break
            assert lines, errors.read_text()
            yield Running(server, json.loads("".join(lines))["url"], errors)
        finally:
            server.kill()


@contextmanager
def slow_provider(folder: Path, wait_s: float) -> Iterator[list[dict[str, Any]]]:
    """Answers whole after ``wait_s``, or word by word in as long; set as the project's teacher. The requests that it saw."""
    seen: list[dict[str, Any]] = []
    loop, ready, place = asyncio.new_event_loop(), threading.Event(), []

    async def reply(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        seen.append(body)
        if not body.get("stream"):
            await asyncio.sleep(wait_s)
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "late"}}
            return web.json_response({"id": "x", "choices": [choice]})
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for word in ("one ", "two ", "three"):
            choice = {"index": 0, "delta": {"content": word}}
            await response.write(b"data: " + json.dumps({"id": "x", "choices": [choice]}).encode() + b"\n\n")
            await asyncio.sleep(wait_s / 3)
        await response.write(b"data: [DONE]\n\n")
        return response

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", reply)
        runner = web.AppRunner(app, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        place.append(runner.addresses[0][1])
        return runner

    def serve() -> None:
        runner = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(30)
    settings = folder / "journeyman.toml"
    settings.write_text(settings.read_text() + f'\n[teacher]\nmodel = "big"\nurl = "http://127.0.0.1:{place[0]}/v1"\n')
    try:
        yield seen
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
