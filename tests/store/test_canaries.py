from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from journeyman.core.trace import Trace
from journeyman.store.canaries import Canary, Step
from journeyman.store.database import Store

FIRST = Step("t2", 0.1, "ada", "try it")
CANARY = Canary("canary-1", "tickets", "r2", "r1", 0.1, "salt", "person", 0.2, True, "t2", (FIRST,))


def test_a_canary_begins_grows_and_is_promoted_with_its_reason(store: Store, make_trace: Callable[..., Trace]) -> None:
    assert store.begin_canary(CANARY) is None, "nothing is live"
    store.set_alias("tickets", "r1", "passed", "t1")
    store.add_traces([make_trace("one"), make_trace("two")])
    moves = store.alias_moves
    begun = store.begin_canary(CANARY)
    assert begun is not None
    assert begun.after > 0
    assert store.alias_moves > moves
    assert store.canary("tickets") == begun
    assert store.canary("letters") is None
    assert store.begin_canary(replace(CANARY, id="canary-2")) is None, "one at a time"
    step = Step("t3", 0.5, "bob", "it goes well")
    grown = store.change_canary("tickets", step, is_promoting=False)
    assert grown == replace(begun, share=0.5, is_promoting=False, steps=(FIRST, step))
    assert store.alias("tickets") == "r1"
    ended = store.end_canary(begun, "promoted", "no worse", "t4")
    assert ended == replace(begun, share=0.5, is_promoting=False, steps=(FIRST, step), outcome="promoted", ended="t4", why="no worse")  # fmt: skip
    assert store.canary("tickets") is None
    assert store.last_canary("tickets") == ended
    live = store.live("tickets")
    assert live is not None
    assert (live.release, live.reason) == ("r2", "canary-1: no worse")
    assert store.end_canary(begun, "rolled back", "late", "t5") is None
    assert store.change_canary("tickets", step, is_promoting=True) is None
    assert store.roll_back("tickets", "after all", "t6").release == "r1"


def test_one_that_is_rolled_back_leaves_the_live_release(store: Store) -> None:
    store.set_alias("tickets", "r1", "passed", "t1")
    begun = store.begin_canary(CANARY)
    assert begun is not None
    assert store.end_canary(begun, "rolled back", "worse", "t3") is not None
    assert store.alias("tickets") == "r1"
    assert len(store.alias_history("tickets")) == 1


def test_another_live_release_ends_it_for_good(store: Store) -> None:
    store.set_alias("tickets", "r0", "passed", "t0")
    store.set_alias("tickets", "r1", "passed", "t1")
    store.begin_canary(CANARY)
    store.set_alias("tickets", "r1", "again", "t2")
    assert store.canary("tickets") is not None, "the same one is live"
    store.roll_back("tickets", "too slow", "t3")
    assert store.canary("tickets") is None
    ended = store.last_canary("tickets")
    assert ended is not None
    assert (ended.outcome, ended.ended, ended.why) == ("stopped", "t3", "r0 was made live: too slow")
    store.set_alias("tickets", "r1", "back", "t4")
    assert store.canary("tickets") is None


def test_of_many_that_end_it_one_does(store: Store) -> None:
    store.set_alias("tickets", "r1", "passed", "t1")
    begun = store.begin_canary(CANARY)
    assert begun is not None
    with ThreadPoolExecutor(8) as pool:
        ended = list(pool.map(lambda number: store.end_canary(begun, "promoted", f"by {number}", "t3"), range(8)))
    assert sum(item is not None for item in ended) == 1
    assert [entry.release for entry in store.alias_history("tickets")] == ["r2", "r1"]
