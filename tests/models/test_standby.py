"""Workers that come and go: real processes with a tiny model."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from journeyman.core.errors import ModelError
from journeyman.models.footprint import estimate_bytes
from journeyman.models.llamacpp import Generation
from journeyman.models.pool import Habits, Pool
from journeyman.models.protocol import Decoding
from journeyman.models.standby import Standby
from tests.models.adapters import write_adapter

PROMPT = [1, *range(40, 60), 2, 90]
SHORT = Decoding(max_tokens=4, logprobs=True)
MUCH = 10_000_000_000


class Clock:
    """Its own time where a test says so, else the machine's."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return dict(write_adapter(folder / f"{seed}.gguf", seed=seed, width=64) for seed in (1, 2))


@asynccontextmanager
async def pooled(habits: Habits, clock: Callable[[], float] | None = None) -> AsyncIterator[Pool]:
    pool = Pool(habits, clock or Clock())
    keeping = asyncio.create_task(pool.keep())
    try:
        yield pool
    finally:
        keeping.cancel()
        await pool.close()


def stand(pool: Pool, base: Path, adapters: dict[str, Path] | None = None) -> Standby:
    return Standby(pool, base, adapters, threads=1, context=256)


async def until(is_so: Callable[[], bool], seconds: float = 30.0) -> None:
    end = asyncio.get_running_loop().time() + seconds
    while not is_so():
        assert asyncio.get_running_loop().time() < end, "it never came"
        await asyncio.sleep(0.02)


def play(work: Awaitable[None]) -> None:
    async def main() -> None:
        await work

    asyncio.run(main())


def copied(base: Path, folder: Path, name: str) -> Path:
    return Path(shutil.copy(base, folder / f"{name}.gguf"))


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def said(generation: Generation) -> tuple[object, ...]:
    return generation.token_ids, tuple(round(item.logprob, 4) for item in generation.logprobs)


def test_nothing_runs_before_the_first_call_and_nothing_after_a_while_without(
    tiny_gguf: Path, workers: Callable[[], set[int]]
) -> None:
    async def work() -> None:
        clock = Clock()
        async with pooled(Habits(MUCH, stop_after_s=60), clock) as pool:
            engine = stand(pool, tiny_gguf)
            assert (engine.state.state, workers()) == ("off", set())
            first = await engine.generate(PROMPT, SHORT)
            assert engine.state.state == "warm"
            assert len(workers()) == 1
            clock.ahead = 61
            await until(lambda: not workers())
            assert engine.state.state == "off"
            assert said(await engine.generate(PROMPT, SHORT)) == said(first)
            assert engine.state.starts == 2

    play(work())


def test_a_worker_sleeps_and_wakes_with_the_same_answers(tiny_gguf: Path, adapters: dict[str, Path]) -> None:
    async def work() -> None:
        async with pooled(Habits(MUCH, sleep_after_s=1)) as pool:
            engine = stand(pool, tiny_gguf, adapters)
            before = {name: said(await engine.generate(PROMPT, SHORT, adapter=name)) for name in (None, *adapters)}
            await until(lambda: engine.state.state == "asleep")
            assert not engine.is_warm
            for name in (*adapters, None):
                assert said(await engine.generate(PROMPT, SHORT, adapter=name)) == before[name]
            assert (engine.state.starts, engine.state.wakes) == (1, 1)

    play(work())


def test_many_first_calls_start_one_worker(tiny_gguf: Path) -> None:
    async def work() -> None:
        async with pooled(Habits(MUCH)) as pool:
            engine = stand(pool, tiny_gguf)
            found = await asyncio.gather(*(engine.generate(PROMPT, SHORT) for _ in range(20)))
            assert len({said(item) for item in found}) == 1
            assert engine.state.starts == 1

    play(work())


def test_who_has_somebody_else_to_ask_does_not_wait_for_a_start(tiny_gguf: Path) -> None:
    async def work() -> None:
        async with pooled(Habits(MUCH)) as pool:
            engine = stand(pool, tiny_gguf)
            with pytest.raises(ModelError, match="JM-428") as caught:
                await engine.generate(PROMPT, SHORT, patience_s=0.01)
            assert caught.value.retryable
            await until(lambda: engine.is_warm)  # it was started all the same
            assert (await engine.generate(PROMPT, SHORT, patience_s=5.0)).output_tokens == 4

    play(work())


def test_the_queue_ends_somewhere(tiny_gguf: Path) -> None:
    async def work() -> None:
        async with pooled(Habits(MUCH, most_waiting=3)) as pool:
            engine = stand(pool, tiny_gguf)
            found = await asyncio.gather(*(engine.generate(PROMPT, SHORT) for _ in range(8)), return_exceptions=True)
            refused = [item for item in found if isinstance(item, ModelError)]
            assert {item.code for item in refused} == {"JM-427"}
            assert len(refused) == 5

    play(work())


def test_a_busy_slot_is_waited_for_as_long_as_the_call_may(tiny_gguf: Path) -> None:
    async def work() -> None:
        async with pooled(Habits(MUCH)) as pool:
            engine = stand(pool, tiny_gguf)
            await engine.bring_up()
            long = asyncio.create_task(engine.generate(PROMPT, Decoding(max_tokens=200)))
            await asyncio.sleep(0.01)
            with pytest.raises(ModelError, match="JM-427"):
                await engine.generate(PROMPT, SHORT, patience_s=0.001)
            await long
            assert (await engine.generate(PROMPT, SHORT, patience_s=5.0)).output_tokens == 4

    play(work())


def test_the_one_unused_for_longest_makes_room(tiny_gguf: Path, tmp_path: Path) -> None:
    async def work() -> None:
        others = [copied(tiny_gguf, tmp_path, name) for name in "abc"]
        size = estimate_bytes(tiny_gguf, {}, 1, 256)
        async with pooled(Habits(int(2.5 * size))) as pool:
            first, second, third = (stand(pool, path) for path in others)
            for engine in (first, second, first, third):
                await engine.generate(PROMPT, SHORT)
                assert pool.held_bytes <= pool.habits.memory_bytes
            assert [item.state.state for item in (first, second, third)] == ["warm", "off", "warm"]

    play(work())


def test_two_that_are_both_busy_take_turns(tiny_gguf: Path, tmp_path: Path) -> None:
    async def work() -> None:
        other = copied(tiny_gguf, tmp_path, "other")
        size = estimate_bytes(tiny_gguf, {}, 1, 256)
        async with pooled(Habits(int(1.5 * size))) as pool:
            first, second = stand(pool, tiny_gguf), stand(pool, other)
            found = await asyncio.gather(
                *(engine.generate(PROMPT, SHORT) for _ in range(5) for engine in (first, second))
            )
            assert all(item.output_tokens == 4 for item in found)
            assert pool.held_bytes <= pool.habits.memory_bytes

    play(work())


def test_what_never_fits_is_told(tiny_gguf: Path, workers: Callable[[], set[int]]) -> None:
    async def work() -> None:
        async with pooled(Habits(1_000_000)) as pool:
            with pytest.raises(ModelError, match="JM-429"):
                await stand(pool, tiny_gguf).generate(PROMPT, SHORT)
            assert not workers()
            assert pool.held_bytes == 0

    play(work())


def test_a_new_adapter_comes_with_a_second_worker_and_no_call_fails(
    tiny_gguf: Path, adapters: dict[str, Path], workers: Callable[[], set[int]]
) -> None:
    async def work() -> None:
        (one, path), (two, other) = adapters.items()
        async with pooled(Habits(MUCH)) as pool:
            engine = stand(pool, tiny_gguf, {one: path})
            before = said(await engine.generate(PROMPT, SHORT, adapter=one))
            seen: list[tuple[object, ...]] = []

            async def ask() -> None:
                while engine.state.starts < 2 or len(workers()) > 1:
                    seen.append(said(await engine.generate(PROMPT, SHORT, adapter=one)))
                    await asyncio.sleep(0)

            asking = asyncio.create_task(ask())
            engine.extend({two: other})
            await engine.bring_up()
            after = said(await engine.generate(PROMPT, SHORT, adapter=two))
            await asking
            assert set(seen) == {before}
            assert after != before
            assert len(workers()) == 1

    play(work())


def test_a_killed_worker_costs_its_calls_and_the_next_one_starts_another(
    tiny_gguf: Path, adapters: dict[str, Path], workers: Callable[[], set[int]]
) -> None:
    async def work() -> None:
        async with pooled(Habits(MUCH)) as pool:
            engine = stand(pool, tiny_gguf, adapters)
            before = {name: said(await engine.generate(PROMPT, SHORT, adapter=name)) for name in adapters}
            calls = [
                asyncio.create_task(engine.generate(PROMPT, Decoding(max_tokens=200), adapter=name))
                for name in adapters
            ]
            await asyncio.sleep(0.02)
            (pid,) = workers()
            os.kill(pid, signal.SIGKILL)
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert {getattr(item, "code", "") for item in found} <= {"JM-421", ""}
            for name in adapters:
                assert said(await engine.generate(PROMPT, SHORT, adapter=name)) == before[name]
            assert pid not in workers()
            assert engine.state.starts == 2

    play(work())


def test_weights_that_changed_are_not_read(tiny_gguf: Path, tmp_path: Path) -> None:
    async def work() -> None:
        path = copied(tiny_gguf, tmp_path, "weights")
        async with pooled(Habits(MUCH, sleep_after_s=1)) as pool:
            engine = stand(pool, path)
            await engine.generate(PROMPT, SHORT)
            await until(lambda: engine.state.state == "asleep")
            spoil(path)
            with pytest.raises(ModelError, match="JM-409"):
                await engine.generate(PROMPT, SHORT)

    play(work())
