"""Answers that are called alike score alike on any gold: the one thing that labels for the verdict rest on."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.core.example import Target, object_target, text_target
from journeyman.measure.declared import make_metric
from journeyman.measure.metrics import METRICS, Metric, Pair
from journeyman.measure.sameness import find_same, score_targets
from journeyman.task.task import MetricSpec

WORDS = st.sampled_from(["a red car", "Red car!", "car red", "", "the Car, red", "1", "blue"])
VALUES = st.one_of(WORDS, st.sampled_from([0, 1, 1.0, 1.04, 100, 104, None, True]), st.lists(WORDS, max_size=2))
ANSWERS = st.fixed_dictionaries({"x": VALUES, "y": VALUES}).map(object_target)
SPECS = (
    MetricSpec("normalized", field="x"),
    MetricSpec("edit_similarity"),
    MetricSpec("token_f1", field="x"),
    MetricSpec("rouge_l"),
    MetricSpec("set", field="y"),
    MetricSpec("sequence"),
    MetricSpec("numeric", field="x"),
    MetricSpec("numeric", field="x", tolerance=0.05),
    MetricSpec("quoted", field="x", source="line"),
)
ALL: list[tuple[Metric, MetricSpec | None]] = [(METRICS[name], None) for name in ("exact_match", "row_f1", "valid")]
ALL += [(make_metric("ours", spec), spec) for spec in SPECS]


@settings(max_examples=150, deadline=None)
@given(ANSWERS, st.one_of(st.none(), ANSWERS), st.lists(ANSWERS, min_size=1, max_size=6))
def test_alike_answers_have_the_same_score_on_any_gold(
    teacher: Target, student: Target | None, golds: list[Target]
) -> None:
    for metric, spec in ALL:
        pair = Pair(teacher, student, 1, {"line": "a red car and a blue one"})
        (same,) = find_same(metric, spec, [pair])
        if same:
            ours, theirs = score_targets(metric, golds, [pair] * len(golds))
            assert ours == theirs, metric.name


def test_what_is_alike() -> None:
    def same(metric: Metric, spec: MetricSpec | None, one: Target, other: Target | None) -> bool:
        return find_same(metric, spec, [Pair(one, other)])[0]

    field = MetricSpec("normalized", field="x")
    one, other = object_target({"x": "Red car", "y": 1}), object_target({"x": "red  car.", "y": 2})
    assert same(make_metric("ours", field), field, one, other), "what the metric does not look at needs no person"
    assert not same(METRICS["exact_match"], None, one, other)
    assert not same(METRICS["exact_match"], None, one, None)
    assert same(METRICS["valid"], None, one, other)
    near = MetricSpec("numeric", field="x", tolerance=0.05)
    hundred, more = object_target({"x": 100}), object_target({"x": 104})
    assert make_metric("ours", near).score([Pair(hundred, more)]) == [(1.0, 1.0)]
    assert not same(make_metric("ours", near), near, hundred, more), "gold 95 is near to one of them only"
    assert same(METRICS["exact_match"], None, text_target("a"), text_target("a"))
    assert find_same(METRICS["exact_match"], None, []) == []
