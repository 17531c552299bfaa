from __future__ import annotations

import asyncio
import threading
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.models.slots import Slots


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.booleans()), max_size=30), st.integers(1, 3))
def test_a_slot_has_one_holder_of_its_own_lane(calls: list[tuple[int, int, bool]], per_lane: int) -> None:
    slots, held, served = Slots(3, per_lane), Counter[int](), list[int]()

    async def use(lane: int, turns: int) -> None:
        async with slots.hold(lane) as slot:
            assert slot // per_lane == lane
            held[slot] += 1
            assert held[slot] == 1
            for _ in range(turns):
                await asyncio.sleep(0)
            held[slot] -= 1
        served.append(lane)

    async def main() -> None:
        tasks = []
        for lane, turns, _ in calls:
            tasks.append(asyncio.create_task(use(lane, turns)))
        await asyncio.sleep(0)
        for task, (_, _, is_cancelled) in zip(tasks, calls, strict=True):
            # A cancelled holder inside the block would trip the count: only those that wait are cancelled here.
            if is_cancelled and not any(held.values()):
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lane in range(3):
            async with asyncio.timeout(5), slots.hold(lane):
                pass

    asyncio.run(main())


def test_a_cancelled_waiter_does_not_keep_its_turn() -> None:
    async def main() -> None:
        slots = Slots(1, 1)
        async with slots.hold(0):
            waiter = asyncio.create_task(_enter(slots))
            await asyncio.sleep(0)
        waiter.cancel()  # the slot is on its way to it
        await asyncio.gather(waiter, return_exceptions=True)
        async with asyncio.timeout(5):
            await _enter(slots)

    asyncio.run(main())


def test_two_event_loops_share_slots() -> None:
    slots, order = Slots(1, 1), list[str]()

    async def work(name: str) -> None:
        for _ in range(20):
            async with asyncio.timeout(20), slots.hold(0):
                order.append(name)
                await asyncio.sleep(0)
                assert order[-1] == name

    threads = [threading.Thread(target=lambda name=name: asyncio.run(work(name))) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(order) == {"a": 20, "b": 20}


async def _enter(slots: Slots) -> None:
    async with slots.hold(0):
        pass
