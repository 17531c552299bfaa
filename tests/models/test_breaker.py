"""A provider that fails call after call is left alone, and asked again by one call at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from journeyman.core.errors import ModelError
from journeyman.core.messages import make_message
from journeyman.models.breaker import FIRST_WAIT_S, LONGEST_WAIT_S, MOST_FAILURES, Breaker, Sheltered
from journeyman.models.protocol import Reply, Request


class Time:
    s = 0.0

    def __call__(self) -> float:
        return self.s


class Provider:
    """Fails with ``error`` while there is one."""

    name = "big"

    def __init__(self) -> None:
        self.error: ModelError | None = None
        self.asked = 0

    async def complete(self, request: Request) -> Reply:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return Reply("well")

    async def stream(self, request: Request) -> AsyncIterator[str]:
        yield "well"

    async def close(self) -> None:
        """Nothing is open."""


ASK = Request((make_message("user", "Hello"),))
DOWN = ModelError("JM-430", "the provider cannot be reached", retryable=True)


def ask(model: Sheltered, times: int = 1) -> list[str]:
    """The answers, or the codes of the errors."""

    async def run() -> list[str]:
        found = []
        for _ in range(times):
            try:
                found.append((await model.complete(ASK)).text)
            except ModelError as error:
                found.append(error.code)
        return found

    return asyncio.run(run())


def test_it_is_left_alone_and_asked_by_one_call_when_the_time_is_over() -> None:
    clock, provider = Time(), Provider()
    model = Sheltered(provider, Breaker("big", clock))
    provider.error = DOWN
    assert ask(model, MOST_FAILURES + 2) == ["JM-430"] * MOST_FAILURES + ["JM-442"] * 2
    clock.s += FIRST_WAIT_S
    assert ask(model, 3) == ["JM-430", "JM-442", "JM-442"], "one tries, and the wait is twice as long"
    clock.s += FIRST_WAIT_S
    assert ask(model) == ["JM-442"]
    clock.s += FIRST_WAIT_S
    provider.error = None
    assert ask(model, 3) == ["well"] * 3
    provider.error = DOWN
    assert ask(model, MOST_FAILURES) == ["JM-430"] * MOST_FAILURES, "it starts anew"


def test_the_wait_has_an_end_and_is_told() -> None:
    clock, provider = Time(), Provider()
    model = Sheltered(provider, Breaker("big", clock))
    provider.error = DOWN
    for _ in range(20):
        ask(model, MOST_FAILURES)
        clock.s += LONGEST_WAIT_S
    ask(model)
    with pytest.raises(ModelError, match="JM-442") as caught:
        asyncio.run(model.complete(ASK))
    assert (caught.value.retryable, caught.value.retry_after_s) == (True, LONGEST_WAIT_S)


@pytest.mark.parametrize(
    "error",
    [
        ModelError("JM-432", "the request was refused", got="400: no"),
        ModelError("JM-431", "busy", got="429: slower", retryable=True),
    ],
    ids=["refused", "too many calls"],
)
def test_what_is_the_callers_own_fault_leaves_it_open(error: ModelError) -> None:
    provider = Provider()
    model = Sheltered(provider, Breaker("big", Time()))
    provider.error = error
    assert ask(model, 3 * MOST_FAILURES) == [error.code] * 3 * MOST_FAILURES
    provider.error = DOWN
    assert ask(model, 2) == ["JM-430"] * 2


def test_one_answer_in_between_forgives() -> None:
    provider = Provider()
    model = Sheltered(provider, Breaker("big", Time()))
    for _ in range(5):
        provider.error = DOWN
        ask(model, MOST_FAILURES - 1)
        provider.error = None
        assert ask(model) == ["well"]
