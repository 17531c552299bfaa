"""Budgets in the store: spent and leased together never pass the limit, whoever asks."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from journeyman.core.errors import StoreError
from journeyman.core.keys import Key, hash_secret, make_secret
from journeyman.core.trace import Trace
from journeyman.store.budgets import Ask, Refusal, Spend
from journeyman.store.database import Store, open_store


def ask(lease: str, need: int, limit: int = 100, want: int = 0, scope: str = "project") -> Ask:
    return Ask(lease, scope, "2026-11-23", limit, need, want or need)


def test_what_is_leased_or_spent_cannot_be_leased_again(store: Store) -> None:
    assert store.take([ask("a", 60)], 0.0, 10.0) == (60,)
    refused = store.take([ask("b", 50)], 1.0, 11.0)
    assert isinstance(refused, Refusal)
    assert (refused.spent, refused.leased) == (0, 60)
    assert store.take([ask("b", 40)], 1.0, 11.0) == (40,)
    store.add_traces([], [Spend("a", "project", "2026-11-23", 55)])
    store.give_back([Spend("a", "project", "2026-11-23", 5)])
    assert (store.spent("project", "2026-11-23"), store.leased("project", "2026-11-23")) == (55, 40)
    assert store.take([ask("c", 5)], 2.0, 12.0) == (5,)
    assert isinstance(store.take([ask("c", 1)], 2.0, 12.0), Refusal)


def test_of_much_that_is_left_others_may_want_some(store: Store) -> None:
    assert store.take([ask("a", 1, limit=1000, want=900)], 0.0, 10.0) == (250,)
    assert store.take([ask("a", 1, limit=1000, want=9)], 0.0, 10.0) == (9,)
    assert store.leased("project", "2026-11-23") == 259


def test_what_cost_more_than_it_had_reserved_is_nobodys_to_lease(store: Store) -> None:
    assert store.take([ask("a", 10)], 0.0, 10.0) == (10,)
    store.add_traces([], [Spend("a", "project", "2026-11-23", 90)])
    assert store.leased("project", "2026-11-23") == 0
    refused = store.take([ask("b", 11)], 1.0, 11.0)
    assert isinstance(refused, Refusal)
    assert (refused.spent, refused.leased) == (90, 0)
    assert store.take([ask("b", 4)], 1.0, 11.0) == (4,)
    assert store.take([ask("a", 80 + 6)], 1.0, 11.0) == (86,), "its server makes good for it first"
    assert store.leased("project", "2026-11-23") == 10


def test_who_spends_and_who_renews_never_wait_for_each_other_in_a_ring(store: Store) -> None:
    names = ["a", "b", "c"]
    store.take([ask(name, 1000, limit=10**9, scope=name) for name in names], 0.0, 100.0)
    failed: list[StoreError] = []

    def work(seed: int) -> None:
        draw = random.Random(seed)
        try:
            for _ in range(150):
                spends = [Spend(name, name, "2026-11-23", 1) for name in draw.sample(names, 3)]
                store.add_traces([], spends)
                store.renew(draw.sample(names, 3), 100.0)
                store.give_back(spends)
                store.take([ask(name, 1, limit=10**9, scope=name) for name in draw.sample(names, 3)], 1.0, 100.0)
        except StoreError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [store.spent(name, "2026-11-23") for name in names] == [600] * 3


def test_all_budgets_or_none(store: Store) -> None:
    key = ask("k", 5, limit=4, scope="key/k")
    refused = store.take([ask("a", 5), key], 0.0, 10.0)
    assert isinstance(refused, Refusal)
    assert refused.ask == key
    assert store.leased("project", "2026-11-23") == 0


def test_the_lease_of_a_server_that_died_ends(store: Store) -> None:
    store.take([ask("a", 100)], 0.0, 10.0)
    assert store.renew(["a", "never"], 19.0) == {"a"}
    assert isinstance(store.take([ask("b", 1)], 18.9, 30.0), Refusal)
    assert store.take([ask("b", 100)], 19.0, 30.0) == (100,)
    assert store.renew(["a"], 40.0) == set()
    store.add_traces([], [Spend("a", "project", "2026-11-23", 7)])
    assert store.spent("project", "2026-11-23") == 7, "what a call of a lease that has ended cost is spent all the same"
    assert store.leased("project", "2026-11-23") == 100


def test_what_calls_spend_is_stored_with_them_or_not_at_all(store: Store) -> None:
    trace = Trace("t1", "tickets", "2026-11-23T10:00:00+00:00", "serve", {}, (), None, cost_usd=0.5, meta={"key": "k"})
    store.add_traces([trace], [Spend("a", "key/k", "", 5), Spend("a", "key/k", "", 6)])
    assert store.spent("key/k", "") == 11
    with pytest.raises(StoreError):
        store.add_traces([Trace("t2", "tickets", "t", "serve", {}, (), None, meta={"x": float("nan")})], [Spend("a", "key/k", "", 5)])  # fmt: skip
    assert store.spent("key/k", "") == 11
    assert store.costs() == {"k": 0.5}
    assert store.costs("2026-11-24") == {}


def test_keys(store: Store, tmp_path: Path) -> None:
    secret = make_secret()
    key = Key("key-1", "app", hash_secret(secret), secret[:7], "t", ("tickets",), (), 5.0, None, 60)
    store.add_key(key)
    assert store.find_key(hash_secret(secret)) == key
    assert store.find_key(hash_secret(secret + "x")) is None
    store.revoke_key("key-1", "2026-11-23T10:00:00+00:00")
    store.revoke_key("key-1", "2026-11-24T10:00:00+00:00")
    (revoked,) = store.all_keys()
    assert revoked.revoked == "2026-11-23T10:00:00+00:00"
    with pytest.raises(StoreError, match="JM-813"):
        store.revoke_key("key-2", "t")


def test_the_secret_is_nowhere(tmp_path: Path) -> None:
    secret = make_secret()
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        store.add_key(Key("key-1", "app", hash_secret(secret), secret[:7], "t"))
    assert all(secret[3:].encode() not in path.read_bytes() for path in tmp_path.iterdir())
