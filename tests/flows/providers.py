"""A provider of the OpenAI shape on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

Answer = Callable[[dict[str, Any]], tuple[int, str]]
"""From the body of a request to a status and a text."""


@contextmanager
def provider(folder: Path, answer: Answer, model: str = "big", settings: str = "") -> Iterator[list[dict[str, Any]]]:
    """Set as the project's teacher; the requests that it saw. With ``settings``, further lines of the teacher's, it counts tokens too: words."""
    seen: list[dict[str, Any]] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    place: list[int] = []

    async def reply(request: web.Request) -> web.Response:
        body = await request.json()
        seen.append(
            body | {"_origin": request.headers.get("x-journeyman-origin"), "_key": request.headers.get("authorization")}
        )
        status, text = answer(body)
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        told: dict[str, Any] = {"id": "x", "choices": [choice]} if status == 200 else {"error": text}
        if settings and status == 200:
            asked = " ".join(str(message["content"]) for message in body["messages"])
            told["usage"] = {"prompt_tokens": len(asked.split()), "completion_tokens": len(text.split())}
        return web.json_response(told, status=status)

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", reply)
        runner = web.AppRunner(app)
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
    file = folder / "journeyman.toml"
    before = file.read_text()
    file.write_text(f'{before}\n[teacher]\nmodel = "{model}"\nurl = "http://127.0.0.1:{place[0]}/v1"\n{settings}')
    try:
        yield seen
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        file.write_text(before)
