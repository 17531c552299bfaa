from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.errors import StoreError
from journeyman.store.aliases import AliasEntry, stack_releases
from journeyman.store.database import Store


def test_the_live_release_and_its_history(store: Store) -> None:
    assert store.alias("tickets") is None
    assert store.alias_history("tickets") == []
    store.set_alias("tickets", "r1", "passed", "t1")
    store.set_alias("tickets", "r2", 'forced: "demo"', "t2")
    assert store.alias("tickets") == "r2"
    assert store.alias("letters") is None
    assert store.alias_history("tickets") == [
        AliasEntry("r2", "set", 'forced: "demo"', "t2"),
        AliasEntry("r1", "set", "passed", "t1"),
    ]


def test_rolling_back_goes_further_back_each_time(store: Store) -> None:
    for number in (1, 2, 2, 3):
        store.set_alias("tickets", f"r{number}", "passed", f"t{number}")
    assert store.roll_back("tickets", "too slow", "t4") == AliasEntry("r2", "rollback", "too slow", "t4")
    assert store.roll_back("tickets", "worse", "t5").release == "r1"
    assert store.alias("tickets") == "r1"
    with pytest.raises(StoreError) as caught:
        store.roll_back("tickets", "still worse", "t6")
    assert caught.value.code == "JM-814"
    assert caught.value.got == "only r1"
    assert "journeyman release tickets" in caught.value.hint
    assert [entry.release for entry in store.alias_history("tickets")] == ["r1", "r2", "r3", "r2", "r2", "r1"]


def test_a_release_after_a_rollback_leads_back_to_what_was_live(store: Store) -> None:
    store.set_alias("tickets", "good", "passed", "t1")
    store.set_alias("tickets", "bad", "passed", "t2")
    store.roll_back("tickets", "wrong answers", "t3")
    store.set_alias("tickets", "new", "passed", "t4")
    assert store.roll_back("tickets", "wrong too", "t5").release == "good"


def test_nothing_to_roll_back(store: Store) -> None:
    with pytest.raises(StoreError, match="JM-814 task tickets: there is no earlier release") as caught:
        store.roll_back("tickets", "why", "t")
    assert caught.value.got == "no release"


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=30))
def test_the_stack_never_repeats_a_neighbour_and_its_top_is_live(moves: list[str | None]) -> None:
    entries: list[AliasEntry] = []
    for move in moves:
        stack = stack_releases(entries)
        if move is not None:
            entries.append(AliasEntry(move, "set", "", ""))
        elif len(stack) > 1:
            entries.append(AliasEntry(stack[-2], "rollback", "", ""))
    stack = stack_releases(entries)
    assert all(left != right for left, right in pairwise(stack))
    assert (stack[-1] if stack else None) == (entries[-1].release if entries else None)


def test_a_live_release_is_held_and_resumed_and_the_way_back_stays(store: Store) -> None:
    assert store.hold("tickets", "r1", "drift", "t0") is None
    store.set_alias("tickets", "r1", "passed", "t1")
    store.set_alias("tickets", "r2", "passed", "t2")
    assert store.hold("tickets", "r1", "drift", "t3") is None  # not live
    assert store.hold("tickets", "r2", "drift", "t3") == AliasEntry("r2", "hold", "drift", "t3")
    assert store.hold("tickets", "r2", "drift again", "t4") is None
    held = store.held("tickets")
    assert held is not None
    assert (held.release, held.reason) == ("r2", "drift")
    assert store.alias("tickets") == "r2"
    assert store.resumed("tickets", "r2") is None
    assert store.resume("tickets", "looked at", "t5") == AliasEntry("r2", "resume", "looked at", "t5")
    assert store.resume("tickets", "again", "t6") is None
    resumed = store.resumed("tickets", "r2")
    assert resumed is not None
    assert resumed.time == "t5"
    store.hold("tickets", "r2", "drift", "t7")
    assert store.roll_back("tickets", "held", "t8").release == "r1"
    assert store.held("tickets") is None
    store.set_alias("tickets", "r3", "passed", "t9")
    store.set_alias("tickets", "r2", "once more", "t10")
    assert store.held("tickets") is not None  # nobody resumed it
    assert store.roll_back("tickets", "held still", "t11").release == "r3"
