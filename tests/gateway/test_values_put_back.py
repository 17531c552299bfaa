"""What a model is sent has surrogates only, and what the caller gets back has every value again, in one piece or in many."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.gateway.answer import Answer, Answerer, Call
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Served
from journeyman.models.protocol import Reply, Request
from journeyman.store.database import open_store
from tests.gateway.conftest import LIVE, TITLES

PLANTED = ["anna@example.com", "bob@example.org", "415-555-2671", "GB82 WEST 1234 5698 7654 32", "203.0.113.9"]
SHAPED = ["<EMAIL_1>", "<EMAIL_2>", "<PHONE_1>", "<EMAIL_", "_1>", "<SECRET>", "call 555 2671", "\u00a0", " ", "\n"]
TEXTS = st.lists(st.one_of(st.sampled_from([*PLANTED, *SHAPED]), st.text(max_size=5)), min_size=1, max_size=8)


class Repeats:
    """Says what it is told, in pieces of ``step`` characters, and keeps what that was."""

    name = "repeats"

    def __init__(self) -> None:
        self.step = 1
        self.told = ""

    async def complete(self, request: Request) -> Reply:
        self.told = request.messages[-1].text
        return Reply(self.told, input_tokens=1, output_tokens=1)

    async def stream(self, request: Request) -> AsyncGenerator[str, None]:
        text = (await self.complete(request)).text
        for place in range(0, len(text), self.step):
            yield text[place : place + self.step]

    async def stream_reply(self, request: Request) -> AsyncGenerator[str | Reply, None]:
        async for piece in self.stream(request):
            yield piece
        yield Reply(self.told, input_tokens=1, output_tokens=1)

    async def close(self) -> None: ...


def test_a_streamed_answer_has_the_callers_values(tmp_path: Path) -> None:
    model = Repeats()
    served = Served(f"titles@{LIVE}", model, TITLES, LIVE)
    with asyncio.Runner() as runner, open_store(f"sqlite:///{tmp_path / 'j.db'}") as store:
        recorder = Recorder(store)
        answerer = Answerer(recorder)

        async def ask(message: str) -> tuple[str, Answer]:
            pieces = [piece async for piece in answerer.stream(Call(served, input={"message": message}))]
            assert isinstance(pieces[-1], Answer)
            return "".join(str(piece) for piece in pieces[:-1]), pieces[-1]

        @settings(max_examples=60, deadline=None)
        @given(TEXTS.map("".join).filter(str.strip), st.integers(1, 9))
        def check(message: str, step: int) -> None:
            model.step = step
            said, answer = runner.run(ask(message))
            trace = store.trace(answer.trace)
            assert said == answer.text == message
            assert trace is not None
            assert trace.input == {"message": model.told}
            kept = json.dumps(trace.to_json())
            whole = [value for value in PLANTED if f" {value} " in f" {message} "]
            assert not [value for value in whole if value in model.told or value in kept]

        check()
        recorder.close()
