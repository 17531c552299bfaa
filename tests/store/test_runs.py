from __future__ import annotations

import pytest

from journeyman.core.errors import StoreError
from journeyman.store.database import Store
from journeyman.store.runs import Run


def test_a_run_is_added_updated_and_found(store: Store) -> None:
    store.add_run("run-1", "tickets", "t1", {"stage": "tune", "dtype": {"value": "bf16"}})
    store.update_run("run-1", {"stage": "assess"})
    assert store.run("run-1") == Run("run-1", "tickets", "run", "t1", {"stage": "assess"})
    assert store.run("run-9") is None


def test_runs_in_order_and_the_latest_of_a_kind(store: Store) -> None:
    assert store.latest_run("tickets") is None
    store.add_run("b", "tickets", "t1", {}, kind="tune")
    store.add_run("a", "tickets", "t2", {}, kind="assess")
    store.add_run("c", "letters", "t3", {}, kind="tune")
    assert [run.id for run in store.runs("tickets")] == ["b", "a"]
    latest, tuned = store.latest_run("tickets"), store.latest_run("tickets", "tune")
    assert latest is not None
    assert tuned is not None
    assert (latest.id, tuned.id) == ("a", "b")
    assert store.latest_run("tickets", "release") is None


def test_a_taken_id_and_an_unknown_one(store: Store) -> None:
    store.add_run("run-1", "tickets", "t1", {"stage": "tune"})
    with pytest.raises(StoreError, match="JM-824 task tickets: a run of this id is there already"):
        store.add_run("run-1", "tickets", "t2", {})
    with pytest.raises(StoreError, match="JM-813 there is no such run") as caught:
        store.update_run("run-2", {})
    assert caught.value.got == "run-2"
    assert store.run("run-1") == Run("run-1", "tickets", "run", "t1", {"stage": "tune"})
