from __future__ import annotations

from collections.abc import Callable

import pytest

from journeyman.core.errors import StoreError
from journeyman.core.example import Example
from journeyman.store.database import Store
from journeyman.store.rows import Assignment

Make = Callable[..., Example]


def test_rows_come_back_by_hash(store: Store, make_example: Make) -> None:
    examples = [make_example(f"refund {number}", count=number + 1, group=f"g{number}") for number in range(3)]
    assert store.add_rows("tickets", examples) == 3
    wanted = [examples[2].hash, "f" * 64, examples[0].hash]
    found = store.rows(wanted)
    assert found == {examples[2].hash: examples[2], examples[0].hash: examples[0]}
    assert list(found) == [wanted[0], wanted[2]]
    assert all(example.hash == hash for hash, example in found.items())


def test_adding_rows_again_changes_nothing(store: Store, make_example: Make) -> None:
    example = make_example("my card", count=1)
    assert store.add_rows("tickets", [example, example]) == 1
    assert store.add_rows("tickets", [make_example("my card", count=7)]) == 0
    assert store.rows([example.hash]) == {example.hash: example}


def test_many_rows(store: Store, make_example: Make) -> None:
    examples = [make_example(f"row {number}") for number in range(1201)]
    assert store.add_rows("tickets", iter(examples)) == 1201
    assert len(store.rows(example.hash for example in examples)) == 1201


def test_assignments_are_kept_per_task(store: Store) -> None:
    given = {"a": Assignment("g1", "train"), "b": Assignment("g2", "test")}
    assert store.add_assignments("tickets", given) == 2
    assert store.assignments("tickets") == given
    assert store.assignments("other") == {}
    assert store.add_assignments("other", {"a": Assignment("g9", "dev")}) == 1


def test_the_same_assignment_again_is_fine(store: Store) -> None:
    store.add_assignments("tickets", {"a": Assignment("g1", "train")})
    both = {"a": Assignment("g1", "train"), "b": Assignment("g1", "train")}
    assert store.add_assignments("tickets", both) == 1
    assert store.add_assignments("tickets", {}) == 0
    assert store.assignments("tickets") == both


@pytest.mark.parametrize("changed", [Assignment("g1", "test"), Assignment("g2", "train")])
def test_an_assignment_never_changes(store: Store, changed: Assignment) -> None:
    before = {"a": Assignment("g1", "train")}
    store.add_assignments("tickets", before)
    with pytest.raises(StoreError) as caught:
        store.add_assignments("tickets", {"new": Assignment("g3", "dev"), "a": changed})
    assert caught.value.code == "JM-819"
    assert caught.value.where == "task tickets, input a"
    assert caught.value.expected == "split train, group g1"
    assert caught.value.got == f"split {changed.split}, group {changed.group}"
    assert store.assignments("tickets") == before
