"""Answers compared by the similarity of their texts, and by what they took; the similarity here is that of words."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from journeyman.core.canonical import Json
from journeyman.core.example import Target, object_target, text_target
from journeyman.measure.calls import make_call_metric
from journeyman.measure.declared import make_metric
from journeyman.measure.embedded import Texts, make_embedding_metric
from journeyman.measure.metrics import Call, Metric, Pair, estimate
from journeyman.measure.similarity import token_f1
from journeyman.task.task import MetricSpec


def embedding(field: str = "", asked: list[Sequence[Texts]] | None = None) -> Metric:
    def similarities(pairs: Sequence[Texts]) -> list[float]:
        if asked is not None:
            asked.append(list(pairs))
        return [token_f1(*texts) for texts in pairs]

    return make_embedding_metric("near", field, similarities)


@pytest.mark.parametrize(
    ("expected", "got", "value"),
    [
        ({"a": "two red cars"}, {"a": "red cars"}, 0.8),
        ({"a": "two red cars", "b": "x"}, {"a": "red cars", "b": "x"}, 0.9),
        ({"a": "x", "b": "y"}, {"a": "x"}, 0.5),
        ({"a": "x"}, {"a": "x", "b": "y"}, 0.5),
        ({"a": ["two red", "cars"]}, {"a": ["cars", "two red"]}, 1.0),
        ({"a": ["red", "cars"]}, {"a": ["red"]}, 2 / 3),
        ({"a": ["red"]}, {"a": "red"}, 1.0),
        ({"a": 12}, {"a": 12.0}, 1.0),
        ({"a": 12}, {"a": 13}, 0.0),
        ({"a": 12}, {"a": "12"}, 0.0),
        ({"a": True}, {"a": True}, 1.0),
        ({"a": True}, {"a": 1}, 0.0),
        ({"a": [1, 2]}, {"a": [2, 1]}, 0.0),
        ({"a": [{"b": "red"}]}, {"a": [{"b": "red"}]}, 1.0),
        ({"a": [{"b": "red"}]}, {"a": [{"b": "red car"}]}, 0.0),
        ({"a": ""}, {"a": ""}, 1.0),
        ({"a": ""}, {"a": "red"}, 0.0),
        ({"a": "red"}, {"a": ""}, 0.0),
        ({"a": "red"}, {"a": "  "}, 0.0),
        ({"a": "\n"}, {"a": "  "}, 1.0),
        ({}, {}, 1.0),
    ],
)
def test_what_is_compared_how(expected: Json, got: Json, value: float) -> None:
    ((top, bottom),) = embedding().score([Pair(object_target(expected), object_target(got))])
    assert (top, bottom) == (pytest.approx(value), 1.0)


def test_a_field_a_text_and_no_answer() -> None:
    both = Pair(object_target({"a": {"b": "red"}, "c": "x"}), object_target({"a": {"b": "red"}, "c": "y"}))
    assert embedding("a").score([both]) == [(1.0, 1.0)]
    assert embedding("c").score([both]) == [(0.0, 1.0)]
    texts = [Pair(text_target("red car"), text_target("red")), Pair(text_target("red"), None)]
    assert embedding().score(texts) == [(2 / 3, 1.0), (0.0, 1.0)]
    assert embedding().score([Pair(Target("abstain"), text_target("red"))]) == [(0.0, 1.0)]


def test_all_texts_that_meet_are_asked_about_at_once() -> None:
    asked: list[Sequence[Texts]] = []
    one, other = object_target({"a": "red", "b": "car"}), object_target({"a": "blue", "b": "car"})
    metric = embedding(asked=asked)
    assert metric.score([Pair(one, other), Pair(other, one), Pair(one, other), Pair(one, one)])[0] == (0.5, 1.0)
    assert asked == [[("red", "blue"), ("blue", "red")]]
    assert metric.score([Pair(one, None), Pair(one, one)]) == [(0.0, 1.0), (1.0, 1.0)]
    assert len(asked) == 1, "equal texts and missing answers need no vectors"
    assert metric.score([]) == []


def test_an_answer_in_time() -> None:
    said = text_target("red")
    metric = make_metric("quick", MetricSpec("latency", most_ms=200))
    pairs = [
        Pair(said, said, call=Call(latency_ms=200.0)),
        Pair(said, text_target("blue"), call=Call(latency_ms=3.0)),
        Pair(said, said, call=Call(latency_ms=200.1)),
        Pair(said, None, call=Call(latency_ms=3.0)),
        Pair(said, said),
    ]
    assert metric.score(pairs) == [(1.0, 1.0), (1.0, 1.0), (0.0, 1.0), (0.0, 1.0), (0.0, 1.0)]
    assert metric.kind == "binary"
    assert estimate(metric, pairs).value == 0.4
    cheap = make_call_metric("cheap", lambda call: call.output_tokens, 10)
    assert cheap.score([Pair(said, said, call=Call(1.0, 5, 10)), Pair(said, said, call=Call(1.0))]) == [(1, 1), (0, 1)]
