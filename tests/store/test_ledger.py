from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from journeyman.core.canonical import Json
from journeyman.core.errors import StoreError
from journeyman.store.database import Store, open_store
from journeyman.store.ledger import Look, level

NOW = "2026-11-21T10:15:00Z"


def test_levels_spend_a_fixed_sum() -> None:
    assert level(1) == 0.02
    assert level(2) == 0.0025
    assert math.isclose(level(3), 0.005 / 6)
    assert sum(level(number) for number in range(1, 10_000)) < 0.025
    with pytest.raises(ValueError, match="count from 1, got 0"):
        level(0)


def test_the_same_release_on_the_same_dataset_is_one_look(store: Store) -> None:
    first = store.begin_look("tickets", "d1", "r1", NOW)
    assert first == Look(1, 0.02, "d1", "r1", None, NOW)
    assert store.begin_look("tickets", "d1", "r1", "2027-01-01T00:00:00Z") == first
    assert store.begin_look("tickets", "d1", "r2", NOW).number == 2
    assert store.begin_look("tickets", "d2", "r1", NOW) == Look(3, level(3), "d2", "r1", None, NOW)
    assert store.begin_look("letters", "d1", "r1", NOW).number == 1
    assert [look.number for look in store.looks("tickets")] == [1, 2, 3]


def test_another_rule_on_the_same_answers_is_another_look(store: Store) -> None:
    first = store.begin_look("tickets", "d1", "r1", NOW, "margin 0.05")
    second = store.begin_look("tickets", "d1", "r1", NOW, "margin 0.1")
    assert (first.number, second.number, second.level) == (1, 2, level(2))
    assert store.begin_look("tickets", "d1", "r1", NOW, "margin 0.05") == first
    assert [look.rule for look in store.looks("tickets")] == ["margin 0.05", "margin 0.1"]


def test_a_look_from_before_rules_takes_the_first_that_asks(store: Store) -> None:
    old = store.begin_look("tickets", "d1", "r1", NOW)
    assert store.begin_look("tickets", "d1", "r1", NOW, "margin 0.05") == replace(old, rule="margin 0.05")
    assert store.begin_look("tickets", "d1", "r1", NOW, "margin 0.1").number == 2
    assert [look.rule for look in store.looks("tickets")] == ["margin 0.05", "margin 0.1"]


def test_a_verdict_is_written_once(store: Store) -> None:
    number = store.begin_look("tickets", "d1", "r1", NOW).number
    assert store.finish_look("tickets", number, {"verdict": "fail", "low": -0.1}).verdict == {
        "verdict": "fail",
        "low": -0.1,
    }
    assert store.finish_look("tickets", number, {"verdict": "pass"}).verdict == {"verdict": "fail", "low": -0.1}
    assert store.begin_look("tickets", "d1", "r1", NOW).verdict == {"verdict": "fail", "low": -0.1}


def test_an_unknown_look_cannot_be_finished(store: Store) -> None:
    with pytest.raises(StoreError, match="JM-813 task tickets: there is no such look") as caught:
        store.finish_look("tickets", 4, {"verdict": "pass"})
    assert caught.value.got == "look 4"


def test_looks_at_once_get_each_number_once(url: str) -> None:
    with open_store(url) as one, open_store(url) as two, ThreadPoolExecutor(8) as pool:
        pairs = [(store, f"r{number}") for number in range(20) for store in (one, two)]
        looks = list(pool.map(lambda pair: pair[0].begin_look("tickets", "d", pair[1], NOW), pairs))
        assert sorted({look.number for look in looks}) == list(range(1, 21))
        assert looks[0::2] == looks[1::2]
        assert all(look.level == level(look.number) for look in looks)


def test_reveals_and_tombstones(store: Store) -> None:
    assert store.add_reveal("tickets", ["a", "b"], "shown in the report", NOW) == 2
    assert store.add_reveal("tickets", iter(["b", "c", "c"]), "shown again", NOW) == 1
    assert store.revealed("tickets") == {"a", "b", "c"}
    assert store.revealed("letters") == set()
    assert store.add_tombstones("tickets", ["a"], "asked by the customer", NOW) == 1
    assert store.add_tombstones("tickets", ["a"], "asked again", NOW) == 0
    assert store.tombstones("tickets") == {"a"}
    assert store.tombstones("letters") == set()


def test_a_look_from_before_rules_is_another_one_where_its_gate_was(store: Store) -> None:
    gate: dict[str, Json] = {"metric": "exact_match", "against": "teacher", "margin": 0.05, "floor": None}
    old = store.begin_look("tickets", "d1", "r1", NOW)
    store.finish_look("tickets", old.number, gate | {"verdict": "fail"})
    assert store.begin_look("tickets", "d1", "r1", NOW, "wider", gate | {"margin": 0.2}).number == 2
    assert store.begin_look("tickets", "d1", "r1", NOW, "same", gate | {"floor": 0.9}).number == 1
    assert store.begin_look("tickets", "d2", "r1", NOW).number == 3
    store.finish_look("tickets", 3, gate | {"verdict": "pass"})
    assert store.begin_look("tickets", "d2", "r1", NOW, "tested", gate | {"behaviour": {"a": {}}}).number == 4
