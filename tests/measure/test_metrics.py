"""Metrics: what counts as right, and that a missing answer is a wrong one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.canonical import Json
from journeyman.core.example import Target, object_target, text_target
from journeyman.core.messages import ToolCall
from journeyman.measure.metrics import (
    METRICS,
    FieldCounts,
    Pair,
    count_fields,
    differing_fields,
    estimate,
    exact_match,
    field_f1,
    flatten,
    micro_f1,
    score_fields,
)

leaves = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.lists(st.integers(0, 2), max_size=2)
objects = st.recursive(
    st.dictionaries(st.text(min_size=1, max_size=3), leaves, max_size=3),
    lambda inner: st.dictionaries(st.text(min_size=1, max_size=3), inner | leaves, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("expected", "got", "equal"),
    [
        (object_target({"a": 1, "b": [1, 2]}), object_target({"b": [1, 2], "a": 1.0}), True),
        (object_target({"a": 1}), object_target({"a": True}), False),
        (object_target({"a": [1, 2]}), object_target({"a": [2, 1]}), False),
        (object_target({"a": None}), object_target({}), False),
        (object_target({"a": float("nan")}), object_target({"a": float("nan")}), False),
        (text_target("Yes"), text_target("Yes"), True),
        (text_target("Yes"), text_target("yes"), False),
        (text_target("1"), object_target(1), False),
        (Target("abstain"), Target("abstain"), True),
        (object_target({"a": 1}), None, False),
    ],
)
def test_exact_match_compares_what_was_parsed(expected: Target, got: Target | None, equal: bool) -> None:
    assert exact_match(expected, got) is equal


def test_exact_match_of_tool_calls_ignores_ids_and_spacing() -> None:
    one = Target("tool_calls", tool_calls=(ToolCall("1", "add", '{"a": 1, "b": 2}'),))
    same = Target("tool_calls", tool_calls=(ToolCall("2", "add", '{"b":2,"a":1}'),))
    broken = Target("tool_calls", tool_calls=(ToolCall("3", "add", '{"a": 1'),))
    assert exact_match(one, same)
    assert not exact_match(one, broken)


def test_flatten_names_leaves_by_dotted_path() -> None:
    value: Json = {
        "a": {"b": 1, "c.d": [1, 2]},
        "none": None,
        "empty": "",
        "list": [],
        "object": {},
        "no": False,
        "0": 0,
    }
    assert flatten(value) == {"a.b": 1, "a.c\\.d": [1, 2], "no": False, "0": 0}
    assert flatten("word") == {"": "word"}


def test_field_counts_of_each_kind() -> None:
    counts = count_fields(
        object_target({"same": 1, "other": "x", "missing": 2, "blank": ""}),
        object_target({"same": 1.0, "other": "y", "extra": [1], "blank": None}),
    )
    assert counts == {
        "same": FieldCounts(tp=1),
        "other": FieldCounts(fp=1, fn=1),
        "missing": FieldCounts(fn=1),
        "extra": FieldCounts(fp=1),
    }
    assert micro_f1(counts.values()) == pytest.approx(2 / 6)


def test_a_missing_answer_is_wrong_on_every_metric_and_never_left_out() -> None:
    expected = object_target({"intent": "refund", "slots": {"city": "Rome"}})
    pairs = [Pair(expected, expected), Pair(expected, None)]
    for metric in METRICS.values():
        assert metric.score([Pair(expected, None)])[0][0] == 0
        assert estimate(metric, pairs).n == 2
    assert estimate(METRICS["exact_match"], pairs).value == 0.5
    assert estimate(METRICS["field_f1"], pairs).value == pytest.approx(2 * 2 / (2 * 2 + 2))
    table = {row.field: row for row in score_fields(pairs)}
    assert table["slots.city"].recall.value == 0.5
    assert table["slots.city"].precision.value == 1.0
    assert table["slots.city"].precision.n == 1


def test_counts_weigh() -> None:
    right, wrong = object_target({"a": 1}), object_target({"a": 2})
    pairs = [Pair(right, right, count=3), Pair(right, wrong, count=1)]
    got = estimate(METRICS["exact_match"], pairs)
    assert got.value == 0.75
    assert got.n == 2
    assert got.low <= 0.75 <= got.high
    assert field_f1(pairs).value == pytest.approx(0.75)


def test_field_f1_below_a_path_leaves_other_fields_out() -> None:
    expected = object_target({"intent": "a", "slots": {"x": 1}, "slotsize": 3})
    got = object_target({"intent": "b", "slots": {"x": 1}, "slotsize": 4})
    assert field_f1([Pair(expected, got)], under="slots").value == 1.0
    assert field_f1([Pair(expected, got)]).value == pytest.approx(1 / 3)


def test_a_field_that_is_never_expected_has_no_recall() -> None:
    row = score_fields([Pair(object_target({}), object_target({"extra": 1}))])[0]
    assert (row.field, row.precision.value, row.precision.n) == ("extra", 0.0, 1)
    assert (row.recall.value, row.recall.low, row.recall.high, row.recall.n) == (0.0, 0.0, 1.0, 0)


def test_no_rows_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        estimate(METRICS["exact_match"], [])


def test_differing_fields_are_named_in_order() -> None:
    assert differing_fields(object_target({"b": 1, "a": 2, "c": 3}), object_target({"c": 3})) == ("a", "b")
    assert differing_fields(text_target("x"), text_target("y")) == ("",)


@given(objects, objects)
def test_counts_swap_with_the_sides_and_agree_with_exact_match(one: dict[str, Json], other: dict[str, Json]) -> None:
    left, right = object_target(one), object_target(other)
    there, back = count_fields(left, right), count_fields(right, left)
    assert there == {path: FieldCounts(count.tp, count.fn, count.fp) for path, count in back.items()}
    if exact_match(left, right):
        assert differing_fields(left, right) == ()
    assert sum((count.tp + count.fn for count in there.values()), 0) == len(flatten(one))


def test_an_object_of_several_fields_has_a_line_of_its_own() -> None:
    pairs = [
        Pair(object_target({"slots": {"a": "x", "b": "y"}}), object_target({"slots": {"a": "x", "c": "z"}})),
        Pair(object_target({"slots": {"a": "x"}}), object_target({"slots": {"a": "x"}})),
        Pair(object_target({"one": {"only": 1}, "a.b": {"c": 1, "d": 2}}), None),
    ]
    table = {row.field: row for row in score_fields(pairs)}
    slots = table["slots.*"]
    assert slots.f1.value == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert (slots.precision.value, slots.recall.value) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert slots.f1.value == pytest.approx(field_f1(pairs, "slots").value)
    assert table["a\\.b.*"].recall.value == 0
    assert "one.*" not in table
