from __future__ import annotations

import pytest

from journeyman.core.canonical import Json
from journeyman.core.errors import StoreError
from journeyman.store.database import Store
from journeyman.store.datasets import DatasetEntry

FIRST = "abcdef" + "0" * 58
SECOND = "abcdee" + "0" * 58
THIRD = "abcdef" + "1" * 58


def test_a_dataset_comes_back(store: Store) -> None:
    manifest: dict[str, Json] = {"edition": 1, "train": ["z", "a"], "dev": []}
    assert store.add_dataset("tickets", FIRST, manifest, "2026-11-21T10:00:00Z")
    assert store.dataset(FIRST) == manifest
    assert store.dataset(FIRST, task="tickets") == manifest
    assert store.dataset(FIRST, task="other") is None
    assert store.dataset(SECOND) is None


def test_adding_again_makes_it_the_latest_with_the_new_account(store: Store) -> None:
    store.add_dataset("tickets", FIRST, {"n": 1}, "2026-11-21T10:00:00Z")
    store.add_dataset("tickets", SECOND, {"n": 2}, "2026-11-21T10:00:00Z")
    assert store.latest_dataset("tickets") == SECOND
    assert not store.add_dataset("tickets", FIRST, {"n": 3}, "2026-11-21T09:00:00Z")
    assert store.dataset(FIRST) == {"n": 3}
    assert store.latest_dataset("tickets") == FIRST
    assert store.datasets("tickets") == [
        DatasetEntry(SECOND, "2026-11-21T10:00:00Z"),
        DatasetEntry(FIRST, "2026-11-21T10:00:00Z"),
    ]


def test_no_dataset(store: Store) -> None:
    assert store.latest_dataset("tickets") is None
    assert store.datasets("tickets") == []


def test_a_unique_prefix_names_a_dataset(store: Store) -> None:
    store.add_dataset("tickets", FIRST, {"n": 1}, "t")
    store.add_dataset("tickets", SECOND, {"n": 2}, "t")
    assert store.dataset(FIRST[:6]) == {"n": 1}
    assert store.dataset(FIRST[:5]) is None
    assert store.dataset("abcde_") is None
    assert store.dataset("%%%%%%") is None


def test_a_prefix_of_two_is_refused(store: Store) -> None:
    store.add_dataset("tickets", FIRST, {"n": 1}, "t")
    store.add_dataset("tickets", THIRD, {"n": 3}, "t")
    with pytest.raises(StoreError, match="JM-812 several datasets fit this name") as caught:
        store.dataset("abcdef")
    assert "tickets abcdef0000000000, tickets abcdef1111111111" in caught.value.got
    assert store.dataset("abcdef1") == {"n": 3}


def test_two_tasks_with_one_hash_need_the_task(store: Store) -> None:
    store.add_dataset("tickets", FIRST, {"n": 1}, "t")
    store.add_dataset("letters", FIRST, {"n": 2}, "t")
    assert store.dataset(FIRST, task="letters") == {"n": 2}
    with pytest.raises(StoreError, match="JM-812"):
        store.dataset(FIRST)
