from __future__ import annotations

import dataclasses
import json

from hypothesis import assume, given
from hypothesis import strategies as st

from journeyman.core.canonical import Json, dump
from journeyman.core.example import SPLITS, Example, Target, object_target, text_target
from tests.core.strategies import EXAMPLES, OBJECTS, TARGETS, TEXT


@given(EXAMPLES)
def test_an_example_survives_json(row: Example) -> None:
    back = Example.from_json(json.loads(json.dumps(row.to_json())))
    assert back == row
    assert back.hash == row.hash


@given(EXAMPLES)
def test_an_example_survives_canonical_json(row: Example) -> None:
    assert Example.from_json(json.loads(dump(row.to_json()))).hash == row.hash


@given(TARGETS)
def test_a_target_survives_json(target: Target) -> None:
    assert Target.from_json(json.loads(json.dumps(target.to_json()))) == target


@given(EXAMPLES, TEXT, TEXT, TEXT, TEXT, st.integers(0, 99), OBJECTS)
def test_the_hash_ignores_what_is_not_said(
    row: Example, id: str, time: str, group: str, provenance: str, count: int, meta: dict[str, Json]
) -> None:
    other = dataclasses.replace(
        row,
        id=id,
        time=time,
        group=group,
        provenance=provenance,
        count=count,
        meta=meta,
        weight=2.0,
        terms="restricted",
    )
    assert other.hash == row.hash


@given(EXAMPLES, EXAMPLES)
def test_the_hash_tells_every_part_of_the_content_apart(row: Example, other: Example) -> None:
    for name in ("input", "target", "gold", "context", "alternatives", "schema", "passages", "instruction_hash"):
        changed = dataclasses.replace(row, **{name: getattr(other, name)})
        same = dump(changed.content()) == dump(row.content())
        assert (changed.hash == row.hash) == same
        if name in ("target", "gold", "instruction_hash", "passages"):
            assert same == (dump_of(changed, name) == dump_of(row, name))


def dump_of(row: Example, name: str) -> str:
    return dump({name: row.to_json().get(name)})


def test_the_hash_of_a_row_is_the_one_that_datasets_on_disk_carry() -> None:
    """Golden: a change here breaks every dataset that users have."""
    row = Example({"message": "They stole my card!"}, object_target({"urgent": True, "intent": "card_lost"}))
    assert dump(row.content()) == (
        '{"input":{"message":"They stole my card!"},'
        '"target":{"kind":"object","value":{"intent":"card_lost","urgent":true}}}'
    )
    assert row.hash == "ab5883d08614c764e60ce2bf986dc3658d4400c5e60d79f4eff61b98a8e96b09"


@given(st.none() | TARGETS, st.none() | TARGETS)
def test_a_student_learns_gold_before_the_teachers_answer(target: Target | None, gold: Target | None) -> None:
    assert Example({}, target, gold).answer == (target if gold is None else gold)


@given(TARGETS)
def test_a_reviewed_abstention_is_an_answer(target: Target) -> None:
    assume(target.kind != "abstain")
    assert Example({}, target, Target("abstain")).answer == Target("abstain")


def test_the_short_ways_to_make_a_target() -> None:
    assert object_target({"a": 1}) == Target("object", value={"a": 1})
    assert text_target("a") == Target("text", text="a")


def test_the_splits_have_one_order() -> None:
    assert SPLITS == ("train", "dev", "calibration", "test")
