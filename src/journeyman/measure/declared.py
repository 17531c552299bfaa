"""Metrics that a task declares or names beside those that every report shows, made from their description in the task file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import GateError
from journeyman.core.example import Target
from journeyman.measure.calls import make_call_metric
from journeyman.measure.function import score_with_function
from journeyman.measure.metrics import METRICS, Metric, Pair, call_values, flatten, same_value
from journeyman.measure.similarity import (
    edit_similarity,
    is_close,
    is_grounded,
    normalize,
    rouge_l,
    sequence_f1,
    set_f1,
    token_f1,
)
from journeyman.task.task import MetricSpec, Task

Compare = Callable[[Json, Json], float]
NONE_MADE: Mapping[str, Metric] = {}


def find_metric(task: Task, name: str, folder: Path | None = None, made: Mapping[str, Metric] = NONE_MADE) -> Metric:
    """The metric of that name: the task's own, one that every report shows, or one that needs no description. ``folder`` is where the
    files of functions lie; ``made`` are the metrics of kinds judge, embedding and cost, which need a model or a price, and those of a task with knowledge.

    Raises:
        GateError: JM-610 no such metric.
    """
    if name in made:
        return made[name]
    if name in task.metrics:
        return make_metric(name, task.metrics[name], folder)
    if name in METRICS:
        return METRICS[name]
    if name in PLAIN:
        return make_metric(name, MetricSpec(name), folder)  # type: ignore[arg-type]
    raise GateError(
        "JM-610",
        f"there is no metric {name}",
        where=f"task {task.name}",
        expected=", ".join([*task.metrics, *METRICS, *PLAIN]),
        hint="name one of these, or describe it under `metrics:` of the task file",
    )


def metrics_of(task: Task, folder: Path | None = None, made: Mapping[str, Metric] = NONE_MADE) -> dict[str, Metric]:
    """What a report of this task shows: the common metrics, the task's own, the gate's."""
    names = dict.fromkeys([*METRICS, *task.metrics, *made, task.gate.metric])
    return {name: find_metric(task, name, folder, made) for name in names}


def make_metric(name: str, spec: MetricSpec, folder: Path | None = None) -> Metric:
    """The metric that ``spec`` describes; an answer that is missing or unreadable scores 0."""
    if spec.kind == "function":
        file, _, function = spec.function.rpartition(":")
        path = (folder or Path()) / file
        known: dict[str, float] = {}  # a report looks at the same rows several times
        return Metric(name, "graded", lambda pairs: score_with_function(path, function, name, pairs, known))
    if spec.kind == "quoted":
        return Metric(name, "graded", lambda pairs: [(_quoted(spec, pair), 1.0) for pair in pairs])
    if spec.kind == "latency":
        return make_call_metric(name, lambda call: call.latency_ms, cast(float, spec.most_ms))
    compare = _numbers(spec.tolerance) if spec.kind == "numeric" else COMPARED[spec.kind]
    return Metric(name, "graded", lambda pairs: [(compare_leaves(spec.field, compare, pair), 1.0) for pair in pairs])


def compare_leaves(path: str, compare: Compare, pair: Pair) -> float:
    """Leaf by leaf, in the mean over the leaves of either side; a leaf that one side lacks scores 0. A list is one leaf."""
    if pair.got is None:
        return 0.0
    wanted, given = _leaves(pair.expected, path), _leaves(pair.got, path)
    if not wanted and not given:
        return 1.0
    names = wanted.keys() | given.keys()
    return sum(compare(wanted[name], given[name]) for name in wanted.keys() & given.keys()) / len(names)


def _leaves(target: Target, path: str) -> dict[str, Json]:
    """Leaves at ``path`` or below it."""
    if target.kind == "abstain":
        return {}
    value: Json = target.value
    if target.kind == "text":
        value = target.text
    elif target.kind == "tool_calls":
        value = list(call_values(target))
    leaves = flatten(value)
    return {name: leaf for name, leaf in leaves.items() if not path or name == path or name.startswith(path + ".")}


def _quoted(spec: MetricSpec, pair: Pair) -> float:
    """The share of the answer's quotes that stand in the source; 1 where it quotes nothing and nothing was to be quoted."""
    if pair.got is None:
        return 0.0
    source = str(pair.input.get(spec.source, ""))
    quotes = [quote for leaf in _leaves(pair.got, spec.field).values() for quote in _strings(leaf)]
    if not quotes:
        return float(not _leaves(pair.expected, spec.field))
    return sum(is_grounded(quote, source) for quote in quotes) / len(quotes)


def _strings(value: Json) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    if isinstance(value, dict):
        return [text for item in value.values() for text in _strings(item)]
    return [value] if isinstance(value, str) else []


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _texts(compare: Callable[[str, str], float]) -> Compare:
    """Texts by how alike they are, other values by whether they are the same."""

    def compared(expected: Json, got: Json) -> float:
        if isinstance(expected, str) and isinstance(got, str):
            return compare(expected, got)
        return float(same_value(expected, got))

    return compared


def _numbers(tolerance: float) -> Compare:
    def compared(expected: Json, got: Json) -> float:
        if not _is_number(expected) or not _is_number(got):
            return 0.0
        try:
            return float(is_close(float(cast(float, expected)), float(cast(float, got)), tolerance))
        except OverflowError:  # an integer of some hundred digits
            return float(expected == got)

    return compared


def _lists(compare: Callable[[Sequence[Json], Sequence[Json]], float]) -> Compare:
    """A value that is no list is a list of one."""

    def compared(expected: Json, got: Json) -> float:
        sides = [value if isinstance(value, list) else [value] for value in (expected, got)]
        return compare(*sides)

    return compared


COMPARED: Mapping[str, Compare] = {
    "normalized": _texts(lambda expected, got: float(normalize(expected) == normalize(got))),
    "edit_similarity": _texts(edit_similarity),
    "token_f1": _texts(token_f1),
    "rouge_l": _texts(rouge_l),
    "set": _lists(set_f1),
    "sequence": _lists(sequence_f1),
    "calls": _lists(set_f1),
}
PLAIN = ("normalized", "edit_similarity", "token_f1", "rouge_l", "calls")
"""Kinds that need no description to be a metric of the whole answer."""
