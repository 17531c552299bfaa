"""A real teacher: an untuned model behind our own server, in a thread, which keeps every call that it was asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from journeyman.gateway.app import make_app
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry, Served
from journeyman.gateway.server import serve_in_background
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.local import LocalModel
from journeyman.models.protocol import Decoding
from journeyman.models.template import load_base_template
from journeyman.store.database import Store, open_store

NAME = "base:large"


@dataclass(frozen=True)
class Teacher:
    store: Store
    settings: str

    def asked(self) -> list[str]:
        """The first message of each call."""
        return [trace.messages[0].text for trace in self.store.traces(NAME)]


@contextmanager
def teaching(gguf: Path, folder: Path) -> Iterator[Teacher]:
    """``settings`` is the section of journeyman.toml that names it."""
    folder.mkdir(parents=True, exist_ok=True)
    ready, stop, urls = threading.Event(), threading.Event(), list[str]()

    async def serve(store: Store) -> None:
        engine = await LlamaCpp.start(gguf, threads=1)
        recorder = Recorder(store)
        served = Served(NAME, LocalModel(engine, load_base_template(gguf), NAME), decoding=Decoding(max_tokens=64))
        async with serve_in_background(make_app(Registry([served], lambda _task: None), recorder)) as url:
            urls.append(url)
            ready.set()
            await asyncio.to_thread(stop.wait)
        recorder.close()
        await engine.close()

    with open_store(f"sqlite:///{folder / 'teacher.db'}") as store:
        server = threading.Thread(target=asyncio.run, args=(serve(store),))
        server.start()
        try:
            assert ready.wait(60)
            yield Teacher(store, f'[teacher]\nmodel = "{NAME}"\nurl = "{urls[0]}/v1"\n')
        finally:
            stop.set()
            server.join()
