"""No budget is passed, however many calls are in flight, on however many servers; and none is refused what is there."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.core.errors import ServeError
from journeyman.gateway.purse import LEASE_S, Limit, Meter, Purse, nano
from journeyman.store.database import Store, open_store

DAY = "2026-11-23"


def limit(amount: int, scope: str = "project") -> Limit:
    return Limit(scope, DAY, amount, scope)


class Time:
    """A clock by hand; the one that servers share and the one that never jumps."""

    def __init__(self) -> None:
        self.s = 1_800_000_000.0

    def now(self):  # type: ignore[no-untyped-def]
        from datetime import UTC, datetime

        return datetime.fromtimestamp(self.s, UTC)

    def clock(self) -> float:
        return self.s


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    servers=st.integers(1, 3),
    calls=st.integers(50, 400),
    most=st.integers(0, 40_000),
    share=st.floats(0.0, 1.0),
)
def test_hundreds_in_flight_never_pass_a_budget(
    tmp_path_factory: pytest.TempPathFactory, seed: int, servers: int, calls: int, most: int, share: float
) -> None:
    """Each call reserves what it may cost at the most, and spends a part of it."""
    draw = random.Random(seed)
    folder = tmp_path_factory.mktemp("purse")
    limits = (limit(most), limit(most * 2, "key/k"))
    refused: list[tuple[str, int]] = []

    async def call(purse: Purse, store: Store) -> None:
        amount = draw.randrange(1, 400)
        await asyncio.sleep(draw.random() / 200)
        try:
            reserved = await purse.reserve(limits, amount)
        except ServeError as error:
            refused.append((error.code, amount))
            return
        await asyncio.sleep(draw.random() / 100)
        spends = purse.settle(reserved, int(amount * share))
        if spends:
            await asyncio.to_thread(store.add_traces, [], spends)
        assert store.spent("project", DAY) <= most

    async def all_calls() -> None:
        with open_store(f"sqlite:///{folder / 'store.db'}") as store:
            purses = [Purse(store) for _ in range(servers)]
            await asyncio.gather(*(call(purses[index % servers], store) for index in range(calls)))
            spent = store.spent("project", DAY)
            assert spent == store.spent("key/k", DAY) <= most
            assert spent + store.leased("project", DAY) <= most
            assert {code for code, _ in refused} <= {"JM-742", "JM-746"}
            for purse in purses:
                await purse.renew()
                await purse.renew()
            assert store.leased("project", DAY) == 0, "what nobody uses is given back"
            left = most - store.spent("project", DAY)
            if left:
                await purses[0].reserve(limits[:1], left)
            with pytest.raises(ServeError, match=r"JM-74[26]"):
                await purses[-1].reserve(limits[:1], 1)
            for purse in purses:
                await purse.close()
            assert store.leased("project", DAY) == 0

    asyncio.run(all_calls())


def test_a_call_that_cost_more_than_it_reserved_is_paid_by_the_next(tmp_path: Path) -> None:
    async def work() -> None:
        with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
            purse, limits = Purse(store), (limit(100),)
            reserved = await purse.reserve(limits, 10)
            store.add_traces([], purse.settle(reserved, 90))
            assert store.spent("project", DAY) == 90
            with pytest.raises(ServeError, match=r"JM-742 [\s\S]*the budget of project is spent"):
                await purse.reserve(limits, 11)
            with pytest.raises(ServeError, match="JM-742"):
                await Purse(store).reserve(limits, 11)
            await purse.reserve(limits, 10)

    asyncio.run(work())


def test_a_server_that_stood_still_holds_nothing_any_more(tmp_path: Path) -> None:
    async def work() -> None:
        with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
            time = Time()
            first, second = (Purse(store, now=time.now, clock=time.clock) for _ in range(2))
            limits = (limit(100),)
            held = await first.reserve(limits, 60)
            time.s += LEASE_S / 2
            await first.renew()
            time.s += LEASE_S * 0.8
            with pytest.raises(ServeError, match="JM-746"):
                await second.reserve(limits, 60)
            time.s += LEASE_S
            await second.reserve(limits, 60)
            spends = first.settle(held, 20)
            store.add_traces([], spends)
            assert store.spent("project", DAY) == 20
            with pytest.raises(ServeError, match="JM-746"):
                await first.reserve(limits, 30)
            await first.reserve(limits, 20)

    asyncio.run(work())


def test_without_the_money_for_all_limits_nothing_is_held(tmp_path: Path) -> None:
    async def work() -> None:
        with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
            purse = Purse(store)
            with pytest.raises(ServeError, match=r"the budget of key/k is spent"):
                await purse.reserve((limit(1000), limit(5, "key/k")), 6)
            assert store.leased("project", DAY) == 0

    asyncio.run(work())


def test_a_meter_counts_each_question_and_voids_what_was_not_answered(tmp_path: Path) -> None:
    async def work() -> None:
        with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
            meter = Meter(Purse(store), (limit(nano(1.0)),))
            prices = (1.0, 2.0)
            await meter.reserve(prices, "big", 1000, 100)
            meter.void()
            await meter.reserve(prices, "big", 1000, 100)
            await meter.reserve(prices, "big", 1000, 100)
            store.add_traces([], meter.settle(None))
            assert store.spent("project", DAY) == 2 * nano(0.0012), "a bound counts where the cost is not known"
            await meter.reserve(prices, "big", 1000, 100)
            await meter.reserve(prices, "big", 1000, 100)
            store.add_traces([], meter.settle(0.0013))
            assert store.spent("project", DAY) == 2 * nano(0.0012) + nano(0.0013)
            with pytest.raises(ServeError, match="JM-744"):
                await meter.reserve(None, "big", 1, 1)
            assert meter.settle(None) == ()

    asyncio.run(work())


def test_money_is_counted_up() -> None:
    assert nano(0.1) == 100_000_000
    assert nano(1e-10) == 1
    assert nano(0.0) == 0


def test_a_clock_that_jumps_frees_nothing_that_one_server_holds(tmp_path: Path) -> None:
    async def work() -> None:
        with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
            time, steady = Time(), Time()
            purse, limits = Purse(store, now=time.now, clock=steady.clock), (limit(100),)
            held = [await purse.reserve(limits, 30)]
            time.s += 3600
            held.append(await purse.reserve(limits, 60))
            await purse.renew()
            time.s -= 7200
            with pytest.raises(ServeError, match="JM-746"):
                await purse.reserve(limits, 20)
            for reserved in held:
                store.add_traces([], purse.settle(reserved, reserved.amount))
            assert store.spent("project", DAY) == 90
            await purse.reserve(limits, 10)

    asyncio.run(work())
