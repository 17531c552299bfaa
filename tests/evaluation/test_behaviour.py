"""Which rows a behavioural test asks, when it holds, and what it does to a verdict."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import ceil, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.canonical import Json
from journeyman.core.errors import GateError
from journeyman.core.example import Target, object_target, text_target
from journeyman.core.messages import ToolCall
from journeyman.evaluation.behaviour import (
    Shown,
    Tried,
    Unit,
    check_reach,
    combine,
    draw_units,
    input_hash,
    is_held,
    judge,
    stand,
)
from journeyman.evaluation.document import BehaviourPart
from journeyman.evaluation.gate import Score, VerdictName, decide
from journeyman.evaluation.report import render_report
from journeyman.evaluation.run import Prediction, Row
from journeyman.measure.declared import find_metric
from journeyman.measure.intervals import clopper_pearson
from journeyman.measure.metrics import METRICS
from journeyman.task.behaviour import BehaviourSpec, Change, Move
from journeyman.task.task import Gate, Task
from tests.evaluation.test_report import HOSTILE, Page, make_data

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {
        "priority": {"enum": ["low", "normal", "high", None]},
        "stars": {"enum": [5, 1, 3]},
        "total": {"type": "number", "maximum": 10},
        "urgent": {"type": "boolean"},
        "who": {"$ref": "#/$defs/who"},
    },
    "$defs": {"who": {"type": "object", "properties": {"age": {"type": "integer"}}}},
}
TASK = Task("t", "Sort it.", {"line": {"type": "string"}}, SCHEMA)
UPPER = BehaviourSpec("invariance", change="upper")
YES, NO = object_target({"priority": "low"}), object_target({"priority": "high"})


def answered(*texts: str, group: str = "") -> list[tuple[Row, Prediction]]:
    return [(Row(text, {"line": text}, YES, None, 1, group), Prediction(text, "", YES)) for text in texts]


def test_rows_are_drawn_in_an_order_that_is_fixed_and_one_of_each_group() -> None:
    known = answered(*(f"line {number}" for number in range(40)))
    units, skipped = draw_units(TASK, BehaviourSpec("invariance", change="upper", rows=10), known)
    assert (len(units), skipped) == (10, 0)
    assert draw_units(TASK, BehaviourSpec("invariance", change="upper", rows=10), known[::-1]) == (units, 0)
    more, _skipped = draw_units(TASK, BehaviourSpec("invariance", change="upper", rows=12), known)
    assert more[:10] == units
    assert [unit.input["line"] for unit in units] != [f"line {number}" for number in range(10)]
    assert all(unit.changed == ({"line": str(unit.input["line"]).upper()},) and not unit.place for unit in units)
    copies = answered("a line", "a line!", "a  line", group="g")
    assert len(draw_units(TASK, UPPER, [*known, *copies])[0]) == 41


def test_rows_that_cannot_be_changed_are_no_units_and_are_counted() -> None:
    known = answered("LOUD", "42", "quiet", "soft")
    units, skipped = draw_units(TASK, UPPER, known)
    assert ({str(unit.input["line"]) for unit in units}, skipped) == ({"quiet", "soft"}, 2)
    group = answered("LOUD", "quiet", group="g")
    assert [unit.input["line"] for unit in draw_units(TASK, UPPER, group)[0]] == ["quiet"]


@pytest.mark.parametrize(
    ("change", "before", "after", "wanted"),
    [
        ("upper", {"a": ["Rome"]}, {"a": ["ROME"]}, True),
        ("upper", {"a": "Rome"}, {"a": "Romes"}, False),
        ("spaces", {"a": "New York"}, {"a": "New  York "}, True),
        ("punctuation", {"a": "to Rome."}, {"a": "to Rome"}, True),
        ("typos", {"a": "Rome"}, {"a": "ROME"}, False),
        ("inject", {"a": 1}, {"a": 1.0}, True),
        ("inject", {"a": 1}, {"a": True}, False),
    ],
)
def test_answers_are_the_same_but_for_what_the_change_writes(
    change: Change, before: Json, after: Json, wanted: bool
) -> None:
    spec = BehaviourSpec("invariance", change=change)
    assert is_held(TASK, spec, object_target(before), object_target(after)) is wanted


def test_an_answer_that_is_not_there_never_holds() -> None:
    for spec in (UPPER, BehaviourSpec("direction", append="!", field="priority", becomes="low")):
        assert is_held(TASK, spec, YES, YES)
        assert not is_held(TASK, spec, None, YES)
        assert not is_held(TASK, spec, YES, None)
        assert not is_held(TASK, spec, None, None)


def test_a_part_of_the_answer_is_compared_where_it_is_named() -> None:
    spec = BehaviourSpec("invariance", change="typos", field="priority")
    one, other = object_target({"priority": "low", "total": 1}), object_target({"priority": "low", "total": 2})
    assert is_held(TASK, spec, one, other)
    assert not is_held(TASK, spec, one, NO)
    text = Task("t", "Say it.", TASK.input, None)
    assert is_held(text, UPPER, text_target("Yes"), text_target("YES"))
    calls = [Target("tool_calls", tool_calls=(ToolCall(id, "look", '{"x": 1}'),)) for id in "12"]
    assert is_held(TASK, BehaviourSpec("invariance", append="!"), *calls)


MOVES: list[tuple[str, Move, Json, Json, bool]] = [
    ("priority", "rises", "low", "normal", True),
    ("priority", "rises", "normal", "low", False),
    ("priority", "rises", "normal", "normal", False),
    ("priority", "rises", "high", "high", True),
    ("priority", "rises", "high", "low", False),
    ("priority", "falls", "high", "normal", True),
    ("priority", "falls", "low", "low", True),
    ("priority", "falls", "normal", "high", False),
    ("priority", "not_falls", "normal", "normal", True),
    ("priority", "not_falls", "normal", "low", False),
    ("priority", "not_rises", "normal", "low", True),
    ("priority", "not_rises", "low", "normal", False),
    ("priority", "rises", None, "high", False),
    ("stars", "rises", 1, 3, True),
    ("stars", "rises", 5, 5, True),
    ("stars", "rises", 5, 1, False),
    ("total", "rises", 1, 1.5, True),
    ("total", "rises", 10, 10, True),
    ("total", "falls", 0, 0, False),
    ("total", "falls", 10**400, 1, True),
    ("urgent", "rises", False, True, True),
    ("urgent", "rises", True, True, True),
    ("urgent", "rises", False, False, False),
    ("who.age", "falls", {"age": 4}, {"age": 3}, True),
    ("who.age", "falls", {"age": 4}, {}, False),
]


@pytest.mark.parametrize(("field", "by", "before", "after", "wanted"), MOVES)
def test_where_a_field_moves(field: str, by: Move, before: Json, after: Json, wanted: bool) -> None:
    spec, name = BehaviourSpec("direction", append="!", field=field, by=by), field.split(".")[0]
    assert is_held(TASK, spec, object_target({name: before}), object_target({name: after})) is wanted


def test_a_field_becomes_a_value() -> None:
    spec = BehaviourSpec("direction", append="!", field="priority", becomes="high")
    assert is_held(TASK, spec, YES, NO)
    assert is_held(TASK, spec, NO, NO)
    assert not is_held(TASK, spec, NO, YES)
    zero = BehaviourSpec("direction", append="!", field="total", becomes=0)
    assert is_held(TASK, zero, object_target({"total": 2}), object_target({"total": 0.0}))
    assert not is_held(TASK, zero, object_target({"total": 2}), object_target({"total": False}))


def said(*answers: tuple[str, Target | None]) -> dict[str, Prediction]:
    hashes = [(input_hash({"line": line}), target) for line, target in answers]
    return {name: Prediction(name, "", target, problem="" if target else "not JSON") for name, target in hashes}


def units_of(*lines: tuple[str, ...], place: str = "cases:") -> list[Unit]:
    return [
        Unit({"line": first}, tuple({"line": line} for line in rest), place=f"{place}{first}" if place else "")
        for first, *rest in lines
    ]


def test_a_unit_holds_where_all_its_changes_do_and_failures_of_cases_are_shown() -> None:
    answers = said(("a", YES), ("b", YES), ("c", NO), ("d", None))
    spec = BehaviourSpec("invariance", cases="r.jsonl")
    tried = judge(
        TASK, "reworded", spec, units_of(("a", "b"), ("a", "b", "c"), ("d", "a"), ("b", "d")), answers, METRICS["valid"]
    )
    assert tried.held == (True, False, False, False)
    assert [(item.place, item.changed, item.problem) for item in tried.failures] == [
        ("cases:a", {"line": "c"}, ""),
        ("cases:d", {"line": "a"}, "not JSON"),
        ("cases:b", {"line": "d"}, "not JSON"),
    ]
    assert (tried.failures[0].expected, tried.failures[0].got) == ({"priority": "low"}, {"priority": "high"})
    assert tried.failures[2].got is None
    sealed = judge(TASK, "reworded", spec, units_of(("a", "c"), place=""), answers, METRICS["valid"], 3)
    assert (sealed.held, sealed.failures, sealed.skipped) == ((False,), (), 3), "a sealed row is never shown"
    many = judge(TASK, "reworded", spec, units_of(*[("a", "c")] * 5), answers, METRICS["valid"])
    assert len(many.failures) == 3


def test_a_minimum_is_right_by_the_gates_metric() -> None:
    text = Task("t", "Say it.", TASK.input, None, gate=Gate("normalized"))
    spec = BehaviourSpec("minimum", cases="m.jsonl")
    units = [Unit({"line": line}, (), text_target(line), f"m:{line}") for line in ("red", "green", "blue")]
    answers = said(("red", text_target("Red.")), ("green", text_target("grey")), ("blue", None))
    tried = judge(text, "least", spec, units, answers, find_metric(text, "normalized"))
    assert tried.held == (True, False, False)
    assert [(item.place, item.expected, item.got, item.changed) for item in tried.failures] == [
        ("m:green", "green", "grey", None),
        ("m:blue", "blue", None, None),
    ]
    assert judge(text, "least", spec, units, answers, METRICS["exact_match"]).held == (False, False, False)


@given(st.integers(0, 80), st.integers(0, 80), st.floats(0.5, 0.99), st.sampled_from([0.02, 0.0025]))
def test_the_figures_of_a_test(held: int, broken: int, least: float, level: float) -> None:
    spec = BehaviourSpec("invariance", change="upper", least=least)
    found, n = stand(Tried("a", spec, (True,) * held + (False,) * broken), level), held + broken
    assert found.n == n
    if n == 0:
        assert (found.verdict, found.needed, found.bound.low, found.bound.high) == ("inconclusive", None, 0, 1)
        return
    assert found.share == held / n
    assert found.drawn == clopper_pearson(held, n)
    assert found.bound == clopper_pearson(held, n, level, 1)
    assert (found.verdict == "pass") == (found.bound.low >= least)
    assert (found.verdict == "fail") == (found.bound.high < least)
    assert found.needed is None or found.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("gate", "required", "wanted"),
    [
        ("pass", [], "pass"),
        ("pass", ["pass", "pass"], "pass"),
        ("pass", ["pass", "inconclusive"], "inconclusive"),
        ("pass", ["inconclusive", "fail"], "fail"),
        ("inconclusive", ["pass"], "inconclusive"),
        ("inconclusive", ["fail"], "fail"),
        ("fail", ["pass", "inconclusive"], "fail"),
    ],
)
def test_all_parts_must_pass_and_one_is_enough_to_fail(
    gate: VerdictName, required: list[VerdictName], wanted: str
) -> None:
    assert combine(gate, required) == wanted


@given(st.floats(0.5, 0.99), st.sampled_from([0.02, 0.0025, 0.005 / 6]))
def test_a_required_test_that_no_answer_could_pass_is_refused(least: float, level: float) -> None:
    spec = BehaviourSpec("invariance", change="upper", least=least, required=True)
    wanted = ceil(log(level) / log(least))
    check_reach("upper", spec, wanted, level)
    assert stand(Tried("upper", spec, (True,) * (wanted + 1)), level).verdict == "pass"
    with pytest.raises(GateError, match="JM-645") as caught:
        check_reach("upper", spec, wanted - 1, level)
    assert f"{wanted:,} rows or cases at least" in str(caught.value)
    assert stand(Tried("upper", spec, (True,) * (wanted - 1)), level).verdict == "inconclusive"
    check_reach("upper", BehaviourSpec("invariance", change="upper", least=least), 0, level)


FLOOR, LEAST, LEVEL, ROWS, RUNS = 0.8, 0.9, 0.02, 200, 20_000


@cache
def gate_verdict(right: int) -> VerdictName:
    gate = Gate(against="floor", margin=None, floor=FLOOR)
    return decide(gate, [Score(1.0)] * right + [Score(0.0)] * (ROWS - right), LEVEL).verdict


@cache
def required_verdict(held: int) -> VerdictName:
    spec = BehaviourSpec("invariance", change="upper", least=LEAST, required=True)
    return stand(Tried("upper", spec, (True,) * held + (False,) * (ROWS - held)), LEVEL).verdict


def share_passed(right: float, held: tuple[float, ...], alike: float) -> float:
    """Of students with these true shares, in so many runs. ``alike`` is the chance that gate and tests look at a row with the same luck."""
    rng = np.random.default_rng(7)
    passed = 0
    for _ in range(RUNS // 20):
        shared = rng.random((20, ROWS))
        columns = [np.where(rng.random((20, ROWS)) < alike, shared, rng.random((20, ROWS))) < p for p in (right, *held)]
        for gate, *tests in np.stack([column.sum(axis=1) for column in columns], axis=1).tolist():
            passed += combine(gate_verdict(gate), [required_verdict(count) for count in tests]) == "pass"
    return passed / RUNS


@pytest.mark.parametrize("alike", [0.0, 0.9])
def test_required_tests_never_raise_the_share_of_wrong_passes(alike: float) -> None:
    """A wrong pass is one of a student that lies at a limit somewhere; 4 standard errors of the simulation are allowed for."""
    most = LEVEL + 4 * (LEVEL * (1 - LEVEL) / RUNS) ** 0.5
    without = share_passed(FLOOR, (), alike)
    assert LEVEL / 3 < without <= most, "the level is used, and kept"
    assert share_passed(FLOOR, (0.999, 0.999), alike) <= min(most, without + 0.004), "the gate's own limit"
    for held in ((LEAST,), (LEAST, 0.999), (LEAST, LEAST)):
        assert share_passed(0.999, held, alike) <= most, held
    assert share_passed(FLOOR, (LEAST, LEAST), alike) <= most
    assert share_passed(0.95, (0.99, 0.99), alike) > 0.9, "and a good student still passes"


def test_the_report_shows_tests_and_failed_cases_as_text() -> None:
    shown = Shown("m.jsonl:3", {"line": HOSTILE, "size": 4}, {"line": "changed"}, {"a": HOSTILE}, None, HOSTILE)
    failed = BehaviourSpec("invariance", cases=HOSTILE, least=0.95, required=True)
    parts = (
        BehaviourPart.of(Tried("reworded", failed, (False,) * 20, 3, (shown,)), 0.02),
        BehaviourPart.of(Tried("nothing", UPPER, ()), 0.02),
    )
    data = make_data()
    page = Page(render_report(replace(data, document=data.document.model_copy(update={"behaviours": parts}))))
    for text in ("0.0 %", "0.0 to 16.8, n = 20", "3 rows could not be changed", "95 %", "does not hold", "m.jsonl:3"):
        assert text in page.visible, text
    assert "n = 0" in page.visible
    assert "size: 4" in page.visible
    assert page.visible.count(HOSTILE) == 3
    assert len(page.scripts) == 3
    assert not [tag for tag, attrs in page.elements if tag == "img" or any(name.startswith("on") for name in attrs)]
    assert "Behaviour" not in Page(render_report(data)).visible
