"""The local models of a server, in one worker or several: real processes with a tiny model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from journeyman.flows.fleet import Fleet
from journeyman.models.pool import Habits
from journeyman.models.protocol import Decoding
from tests.models.adapters import write_adapter

PROMPT = [1, *range(40, 60), 2, 90]
SHORT = Decoding(max_tokens=4)
HABITS = Habits(10_000_000_000)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return dict(write_adapter(folder / f"{seed}.gguf", seed=seed, width=64) for seed in (1, 2, 3))


async def answers(fleet: Fleet, base: Path, adapters: dict[str, Path]) -> dict[str, tuple[int, ...]]:
    async with AsyncExitStack() as stack:
        engines = {name: await fleet.open(stack, base, {name: path}) for name, path in adapters.items()}
        said = await asyncio.gather(*(engine.generate(PROMPT, SHORT, adapter=name) for name, engine in engines.items()))
        return {name: item.token_ids for name, item in zip(engines, said, strict=True)}


def test_copies_share_out_the_adapters_and_answer_as_one_does(
    tiny_gguf: Path, adapters: dict[str, Path], workers: Callable[[], set[int]]
) -> None:
    async def work() -> None:
        async with Fleet(HABITS, 1, eager=False) as fleet:
            alone = await answers(fleet, tiny_gguf, adapters)
        assert len(set(alone.values())) == len(adapters), (
            "the adapters answer alike, and nothing is seen of a wrong one"
        )
        async with Fleet(HABITS, 1, eager=False, copies=2, slots=2) as fleet, AsyncExitStack() as stack:
            one, two, _three = adapters
            first = await fleet.open(stack, tiny_gguf, {one: adapters[one]})
            second = await fleet.open(stack, tiny_gguf, {two: adapters[two]})
            assert first is not second
            assert await fleet.open(stack, tiny_gguf, {one: adapters[one]}) is first
            assert await fleet.open(stack, tiny_gguf, {two: adapters[two]}) is second
            assert fleet.stand_by(tiny_gguf) is first
            assert [state.name for state in fleet.states()] == ["tiny.gguf", "tiny.gguf #2"]
            assert await answers(fleet, tiny_gguf, adapters) == alone
            assert len(workers()) == 2
        assert not workers()

    asyncio.run(work())


def test_what_is_left_last_ends(tiny_gguf: Path, adapters: dict[str, Path]) -> None:
    async def work() -> None:
        async with Fleet(HABITS, 1, eager=False, copies=2) as fleet:
            async with AsyncExitStack() as stack:
                await fleet.open(stack, tiny_gguf, adapters)
                assert len(fleet.states()) == 1
            assert not fleet.states()

    asyncio.run(work())
