"""Metrics that a task describes: what each kind compares, and what becomes of a function that fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.canonical import Json
from journeyman.core.errors import GateError
from journeyman.core.example import Target, object_target
from journeyman.core.messages import ToolCall
from journeyman.measure.declared import find_metric, make_metric, metrics_of
from journeyman.measure.function import score_with_function
from journeyman.measure.metrics import Pair, estimate
from journeyman.measure.similarity import (
    edit_similarity,
    is_grounded,
    normalize,
    rouge_l,
    sequence_f1,
    set_f1,
    token_f1,
)
from journeyman.task.task import Gate, MetricSpec, Task

TEXT = Task("t", "Say it.", {"line": {"type": "string"}}, None)
words = st.lists(st.sampled_from(["red", "blue", "green", "two"]), max_size=6).map(" ".join)


def score(spec: MetricSpec, expected: Json, got: Json, source: str = "") -> float:
    pair = Pair(object_target(expected), object_target(got), 1, {"line": source})
    ((top, bottom),) = make_metric("m", spec).score([pair])
    return top / bottom


@pytest.mark.parametrize(
    ("spec", "expected", "got", "value"),
    [
        (MetricSpec("normalized"), {"a": "The  Red-car."}, {"a": "red car"}, 1.0),
        (MetricSpec("normalized"), {"a": "x", "b": "y"}, {"a": "x", "b": "z"}, 0.5),
        (MetricSpec("normalized", "a.b"), {"a": {"b": "x", "c": "p"}}, {"a": {"b": "X", "c": "q"}}, 1.0),
        (MetricSpec("edit_similarity", "a"), {"a": "kitten"}, {"a": "sitting"}, 1 - 3 / 7),
        (MetricSpec("token_f1", "a"), {"a": "two red cars"}, {"a": "red cars"}, 2 * 2 / 5),
        (MetricSpec("rouge_l", "a"), {"a": "b c d"}, {"a": "d b c"}, 2 * 2 / 6),
        (MetricSpec("numeric", "a", tolerance=0.01), {"a": 100}, {"a": 100.9}, 1.0),
        (MetricSpec("numeric", "a", tolerance=0.01), {"a": 100}, {"a": 102}, 0.0),
        (MetricSpec("numeric", "a", tolerance=0.01), {"a": 0}, {"a": 0.005}, 1.0),
        (MetricSpec("numeric", "a"), {"a": 1}, {"a": True}, 0.0),
        (MetricSpec("numeric", "a"), {"a": 1}, {"a": "1"}, 0.0),
        (MetricSpec("set", "a"), {"a": [1, 2, 2]}, {"a": [2, 1, 3]}, 2 * 2 / 6),
        (MetricSpec("sequence", "a"), {"a": ["x", "y"]}, {"a": ["y", "x"]}, 2 * 1 / 4),
        (MetricSpec("set", "a"), {"a": []}, {"a": []}, 1.0),
        (MetricSpec("set", "a"), {"a": ["x"]}, {"b": ["x"]}, 0.0),
    ],
)
def test_kinds(spec: MetricSpec, expected: Json, got: Json, value: float) -> None:
    assert score(spec, expected, got) == pytest.approx(value)


def test_quotes_stand_in_their_source() -> None:
    spec = MetricSpec("quoted", "quotes", source="line")
    source = "The quick brown fox jumps."
    assert score(spec, {"quotes": ["x"]}, {"quotes": ["Quick, brown", "lazy dog"]}, source) == 0.5
    assert score(spec, {"quotes": []}, {"quotes": []}, source) == 1.0
    assert score(spec, {"quotes": ["fox"]}, {"quotes": []}, source) == 0.0
    assert not is_grounded("own fox", source)
    assert not is_grounded("", source)


def test_calls_may_come_in_any_order() -> None:
    a, b = ToolCall("1", "look", '{"x": 1}'), ToolCall("2", "send", '{"to": "me"}')
    one, two = Target("tool_calls", tool_calls=(a, b)), Target("tool_calls", tool_calls=(b, a))
    other = Target("tool_calls", tool_calls=(a,))
    metric = find_metric(TEXT, "calls")
    assert metric.score([Pair(one, two), Pair(one, other), Pair(one, None)]) == [(1, 1), (2 / 3, 1), (0, 1)]


@given(words, words)
def test_similarities_are_shares_and_symmetric(left: str, right: str) -> None:
    for compare in (edit_similarity, token_f1, rouge_l):
        assert 0 <= compare(left, right) <= 1
        assert compare(left, left) == 1
        assert compare(left, right) == pytest.approx(compare(right, left))
    assert rouge_l(left, right) <= token_f1(left, right) + 1e-12
    assert sequence_f1(left.split(), right.split()) <= set_f1(left.split(), right.split()) + 1e-12
    assert normalize(normalize(left)) == normalize(left)


def test_a_missing_answer_scores_nothing() -> None:
    for name in ("normalized", "edit_similarity", "token_f1", "rouge_l", "calls"):
        metric = find_metric(TEXT, name)
        assert metric.score([Pair(object_target({"a": ""}), None)]) == [(0, 1)]


def test_a_task_shows_its_own_metrics_and_its_gate() -> None:
    task = Task(
        "t", "Say it.", TEXT.input, None, gate=Gate("rouge_l"), metrics={"close": MetricSpec("edit_similarity")}
    )
    assert list(metrics_of(task)) == ["exact_match", "row_f1", "field_f1", "valid", "close", "rouge_l"]
    assert Task.from_json(task.to_json()) == task
    with pytest.raises(GateError, match="JM-610") as caught:
        find_metric(task, "bleu")
    assert "rouge_l" in str(caught.value)


FUNCTIONS = """
import sys, time, os
print("hello from the module")
def good(input, expected, got):
    print("hello")
    return got == expected and input["line"] == "x"
def graded(input, expected, got):
    return 0.25
def bad(input, expected, got):
    raise KeyError("slots")
def nothing(input, expected, got):
    return None
def nan(input, expected, got):
    return float("nan")
def large(input, expected, got):
    return 2
def hangs(input, expected, got):
    time.sleep(60)
def ends(input, expected, got):
    os._exit(3)
"""
COUNTING = """
from pathlib import Path

def score(input, expected, got):
    with (Path(__file__).parent / "asked").open("a") as file:
        file.write("n" if got is None else "y")
    return got == expected
"""
PAIRS = [Pair(object_target({"a": 1}), object_target({"a": 1}), 1, {"line": "x"}), Pair(object_target({"a": 1}), None)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "scoring.py").write_text(FUNCTIONS, encoding="utf-8")
    return tmp_path / "scoring.py"


def test_a_function_of_the_users_own(file: Path) -> None:
    pairs = [PAIRS[0], Pair(object_target({"a": 1}), None, 1, {"line": "x"})]
    metric = make_metric("mine", MetricSpec("function", function="scoring.py:good"), file.parent)
    assert metric.score(pairs) == [(1.0, 1.0), (0.0, 1.0)]
    assert estimate(metric, pairs).value == 0.5
    assert score_with_function(file, "graded", "mine", pairs) == [(0.25, 1.0)] * 2


def test_the_same_question_is_asked_once(tmp_path: Path) -> None:
    (tmp_path / "counts.py").write_text(COUNTING, encoding="utf-8")
    metric = make_metric("mine", MetricSpec("function", function="counts.py:score"), tmp_path)
    pairs = [PAIRS[0], PAIRS[1], PAIRS[0]]
    assert metric.score(pairs) == [(1.0, 1.0), (0.0, 1.0), (1.0, 1.0)]
    assert metric.score(pairs[::-1]) == [(1.0, 1.0), (0.0, 1.0), (1.0, 1.0)]
    assert estimate(metric, pairs).value == pytest.approx(2 / 3)
    assert (tmp_path / "asked").read_text() == "yn"


@pytest.mark.parametrize(
    ("function", "code", "text"),
    [
        ("bad", "JM-612", "KeyError: 'slots', line 10"),
        ("nothing", "JM-613", "got: None"),
        ("nan", "JM-613", "got: nan"),
        ("large", "JM-613", "got: 2"),
        ("hangs", "JM-614", "within 0.5 s"),
        ("ends", "JM-614", "ended its process"),
        ("missing", "JM-611", "missing"),
    ],
)
def test_a_function_that_fails_is_told_by_its_row(file: Path, function: str, code: str, text: str) -> None:
    with pytest.raises(GateError, match=code) as caught:
        score_with_function(file, function, "mine", PAIRS, limit_s=0.5)
    assert text in str(caught.value)
    assert function == "missing" or "row 0" in str(caught.value)


def test_a_file_that_is_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="JM-611"):
        score_with_function(tmp_path / "none.py", "f", "mine", PAIRS)
    (tmp_path / "broken.py").write_text("def f(:", encoding="utf-8")
    with pytest.raises(GateError, match="SyntaxError"):
        score_with_function(tmp_path / "broken.py", "f", "mine", PAIRS)
