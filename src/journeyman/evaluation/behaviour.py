"""Behavioural tests: which rows they ask, when one of them holds, and what they mean for the gate.

A test is a share of independent units, each held or not, with Clopper and Pearson's interval: sealed rows, one of a near-copy group, or the cases of a file, taken
as drawn from all that their author had in mind.

**In the gate.** The verdict is a pass only where the gate's own bound passes and the one-sided lower bound of every required test reaches its ``least``, each at the
level of the look. This is an intersection-union test (Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24, 1982): a student that
must not pass is at fault in one part at least, and that part alone passes it with at most the level's chance, however the parts hang together. So nothing is corrected for their
number, and they can only make a wrong pass rarer. A fail needs one part whose upper bound lies below its limit; with m required tests its error is at most m + 1 times
the level. All else is inconclusive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf, log

from journeyman.core.canonical import Json, content_hash, dump
from journeyman.core.errors import GateError
from journeyman.core.example import Target
from journeyman.core.nodes import split_dotted
from journeyman.evaluation.changes import END, SEED, change_input
from journeyman.evaluation.gate import DRAWN, VerdictName
from journeyman.evaluation.run import Prediction, Row
from journeyman.evaluation.threshold import outcomes
from journeyman.measure.intervals import Interval, clopper_pearson
from journeyman.measure.metrics import Metric, call_values, same_value
from journeyman.measure.power import labels_for_share
from journeyman.task.behaviour import BehaviourSpec
from journeyman.task.behaviour_file import find_node
from journeyman.task.task import Task

Input = Mapping[str, Json]
MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Unit:
    """What holds or does not as one: an input with those that it is changed to, or with the answer that is right. ``place`` is a case's file and line; a
    sealed row has none."""

    input: Input
    changed: tuple[Input, ...] = ()
    expected: Target | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A case that failed: ``expected`` is the right answer, or the one before the change."""

    place: str
    input: Input
    changed: Input | None
    expected: Json
    got: Json
    problem: str


@dataclass(frozen=True, slots=True)
class Tried:
    """A test and whether each of its units held; ``skipped`` rows could not be changed and are no units."""

    name: str
    spec: BehaviourSpec
    held: tuple[bool, ...]
    skipped: int = 0
    failures: tuple[Shown, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """The share of ``n`` units that held: its two-sided 95 % interval, the one-sided bounds at the look's level, and what these say of ``least``.
    ``needed``: further units, where nothing is said and some affordable number would settle it."""

    n: int
    share: float
    drawn: Interval
    bound: Interval
    verdict: VerdictName
    needed: int | None


def input_hash(input: Input) -> str:
    return content_hash(dict(input))


def draw_units(
    task: Task, spec: BehaviourSpec, answered: Sequence[tuple[Row, Prediction]]
) -> tuple[tuple[Unit, ...], int]:
    """Sealed rows with their changed inputs, and how many could not be changed: the first ``spec.rows`` in an order that is fixed, one of each group."""
    units: list[Unit] = []
    skipped, groups = 0, set[str]()
    for row, said in sorted(answered, key=lambda pair: content_hash([SEED, dict(pair[0].input)])):
        if len(units) == spec.rows:
            break
        if row.group in groups:
            continue
        changed = change_input(task, spec, row.input, (said.target, row.expected))
        if changed is None:
            skipped += 1
            continue
        units.append(Unit(row.input, (changed,)))
        groups |= {row.group} - {""}
    return tuple(units), skipped


def check_reach(name: str, spec: BehaviourSpec, units: int, level: float) -> None:
    """Raises: GateError JM-645, a required test that not even ``units`` units which all hold can show to hold: the look would be lost."""
    wanted = ceil(log(level) / log(spec.least))
    if spec.required and units < wanted:
        raise GateError(
            "JM-645",
            f"the required test {name} can never be shown to hold",
            where=f"least {spec.least:g} at level {level:.4g}",
            expected=f"{wanted:,} rows or cases at least, if all of them hold",
            got=f"{units:,}",
            hint="set `rows`, write more cases, import more sealed rows, or ask for a lower `least`",
        )


def judge(
    task: Task,
    name: str,
    spec: BehaviourSpec,
    units: Sequence[Unit],
    answers: Mapping[str, Prediction],
    metric: Metric,
    skipped: int = 0,
) -> Tried:
    """Which units hold, by the answers to all their inputs (by `input_hash`). An answer that is missing or unreadable never holds. A minimum is
    right where the gate's ``metric`` gives it all that it can.

    Raises what the metric raises.
    """
    if spec.kind == "minimum":
        pairs = [(_row(unit), answers[input_hash(unit.input)]) for unit in units]
        held = tuple(bool(right) for right in outcomes(metric, pairs).right)
    else:
        held = tuple(_broken(task, spec, unit, answers) is None for unit in units)
    failed = [unit for unit, has_held in zip(units, held, strict=True) if not has_held and unit.place][:MOST_SHOWN]
    return Tried(name, spec, held, skipped, tuple(_show(task, spec, unit, answers) for unit in failed))


def _row(unit: Unit) -> Row:
    return Row(input_hash(unit.input), unit.input, unit.expected, None)


def _broken(task: Task, spec: BehaviourSpec, unit: Unit, answers: Mapping[str, Prediction]) -> Input | None:
    """The first changed input whose answer is not what it must be; None: all are."""
    before = answers[input_hash(unit.input)].target
    return next(
        (input for input in unit.changed if not is_held(task, spec, before, answers[input_hash(input)].target)), None
    )


def is_held(task: Task, spec: BehaviourSpec, before: Target | None, after: Target | None) -> bool:
    """Whether two answers are as the test wants them."""
    if before is None or after is None:
        return False
    first, second = _part(before, spec.field), _part(after, spec.field)
    if spec.kind == "direction":
        return is_moved(spec, find_node(task.schema, spec.field) or {}, first, second)
    return same_value(_plain(first, spec), _plain(second, spec))


def is_moved(spec: BehaviourSpec, node: Mapping[str, Json], before: Json, after: Json) -> bool:
    """Whether the value moved where it should. At the end of its scale (a choice's last value, a number's limit) it can rise or fall no further, and
    holds where it stays."""
    if spec.becomes is not None:
        return same_value(after, spec.becomes)
    first, second = _rank(node, before), _rank(node, after)
    if first is None or second is None:
        return False
    if spec.by in ("falls", "not_rises"):
        first, second = second, first
    if spec.by in ("not_rises", "not_falls"):
        return second >= first
    low, high = _ends(node)
    return second > first or first == second == (high if spec.by == "rises" else low)


def _rank(node: Mapping[str, Json], value: Json) -> int | float | None:
    """Its place in an order: a number's own, a choice's in its enum."""
    listed = node.get("enum")
    if isinstance(listed, list) and not all(isinstance(item, int | float) for item in listed):
        names = [dump(item) for item in listed if item is not None]
        return names.index(dump(value)) if dump(value) in names else None
    return value if isinstance(value, int | float) else None


def _ends(node: Mapping[str, Json]) -> tuple[int | float, int | float]:
    listed = node.get("enum", [False, True] if node.get("type") == "boolean" else None)
    ranks = [_rank(node, item) for item in listed] if isinstance(listed, list) else []
    known = [rank for rank in ranks if rank is not None]
    if known:
        return min(known), max(known)
    low, high = node.get("minimum"), node.get("maximum")
    return low if isinstance(low, int | float) else -inf, high if isinstance(high, int | float) else inf


def _part(target: Target, path: str) -> Json:
    value: Json = target.value if target.kind == "object" else target.text
    if target.kind == "tool_calls":
        value = list(call_values(target))
    for name in split_dotted(path) if path else ():
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _plain(value: Json, spec: BehaviourSpec) -> Json:
    """Texts without what the change itself writes otherwise: what is copied out of a text in capitals is in capitals."""
    if isinstance(value, dict):
        return {name: _plain(item, spec) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, spec) for item in value]
    if not isinstance(value, str):
        return value
    if spec.change in ("upper", "lower", "title"):
        return value.casefold()
    if spec.change == "spaces":
        return " ".join(value.split())
    return END.sub("", value) if spec.change == "punctuation" else value


def _show(task: Task, spec: BehaviourSpec, unit: Unit, answers: Mapping[str, Prediction]) -> Shown:
    changed = _broken(task, spec, unit, answers)
    first, last = answers[input_hash(unit.input)], answers[input_hash(changed or unit.input)]
    wanted = first.target if changed is not None else unit.expected
    return Shown(
        unit.place,
        unit.input,
        changed,
        _part(wanted, spec.field) if wanted else None,
        _part(last.target, spec.field) if last.target else None,
        next((said.error or said.problem for said in (first, last) if said.target is None), ""),
    )


def stand(tried: Tried, level: float) -> Standing:
    """The figures of a test at the one-sided ``level`` of a look. Without units nothing is known."""
    n, held, least = len(tried.held), sum(tried.held), tried.spec.least
    if n == 0:
        return Standing(0, 0.0, Interval(0.0, 1.0), Interval(0.0, 1.0), "inconclusive", None)
    bound = clopper_pearson(held, n, level, 1)
    verdict: VerdictName = "pass" if bound.low >= least else "fail" if bound.high < least else "inconclusive"
    needed = labels_for_share(held, n, least, level) if verdict == "inconclusive" else None
    return Standing(n, held / n, clopper_pearson(held, n, DRAWN), bound, verdict, needed)


def combine(gate: VerdictName, required: Sequence[VerdictName]) -> VerdictName:
    """The verdict of the gate and the required tests together."""
    parts = (gate, *required)
    return "fail" if "fail" in parts else "inconclusive" if "inconclusive" in parts else "pass"
