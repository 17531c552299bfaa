"""The ladder: candidates in the order of what a call costs, measured on dev, and the cheapest that looks good enough.

A rung is promising where the gate would pass on the sealed split if the rung did there as it does on dev: as many rows, at the level that the ledger gives the next
look. The cheapest promising one goes to the sealed split, it alone; where none is, the best one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from journeyman.evaluation.behaviour import Tried, stand
from journeyman.evaluation.gate import Score, Verdict, VerdictName, decide
from journeyman.measure.metrics import MetricKind
from journeyman.task.task import Against, Gate

LIGHT = ("head", "nearest")
"""Kinds that are no language model."""


@dataclass(frozen=True, slots=True)
class Rung:
    """``kind`` is a student's, ``base`` or ``teacher``; ``run`` the tuning run that can be released, empty for what is shown for comparison.
    ``verdict`` is by the gate's rule on dev; ``p50_ms`` of a call at a time on this machine; ``usd`` per 1,000 calls, where prices are known;
    ``is_promising`` as `foresee` says; ``days`` until it has earned what it cost (`break_even_days`)."""

    name: str
    kind: str
    run: str
    student: str
    verdict: Verdict | None
    p50_ms: float | None
    usd: float | None
    is_promising: bool = False
    note: str = ""
    days: float | None = None


def foresee(gate: Gate, scores: Sequence[Score], rows: int, level: float, kind: MetricKind, heaviest: float) -> bool:
    """Whether the gate would pass on ``rows`` sealed rows that are like these ones, over and over."""
    if rows < 2:
        return False
    size = len(scores)
    alike = []
    for place in range(rows):  # evenly over all of them, however many there are
        time, score = place // size, scores[place * size // rows if rows < size else place % size]
        alike.append(replace(score, group=f"{score.group}\0{time}" if score.group else ""))
    return decide(gate, alike, level, kind, heaviest).verdict == "pass"


def foresee_test(tried: Tried, units: int, level: float) -> bool:
    """Whether a required test would be shown to hold on ``units`` that hold as often as those that were tried."""
    if not tried.held or units < 1:
        return False
    held = int(sum(tried.held) * units / len(tried.held) + 1e-9)
    return stand(replace(tried, held=(True,) * held + (False,) * (units - held)), level).verdict == "pass"


def choose_rung(rungs: Sequence[Rung]) -> Rung | None:
    """The first promising rung, else the one with the best figure; None where none can be released."""
    promising = [rung for rung in rungs if rung.run and rung.verdict is not None and rung.is_promising]
    return promising[0] if promising else choose_best(rungs)


def choose_best(rungs: Sequence[Rung]) -> Rung | None:
    """The one with the best figure on dev of those that can be released."""
    return max((rung for rung in rungs if rung.run and rung.verdict is not None), key=_figure, default=None)


def break_even_days(setup_usd: float, calls_per_day: float, teacher_usd: float, student_usd: float) -> float | None:
    """Days of traffic after which what is saved pays for ``setup_usd``; prices per 1,000 calls. None: nothing is saved."""
    saved = calls_per_day * (teacher_usd - student_usd) / 1000
    return setup_usd / saved if saved > 0 else None


def advise(chosen: Rung | None) -> str:
    """What to do, in one sentence."""
    if chosen is None or chosen.verdict is None:
        return "No rung can be released: tune a student, then climb again."
    figure = _describe(chosen.verdict)
    if not chosen.is_promising:
        return f"No rung looks good enough on dev; the best is {chosen.name} ({figure}). Tune a larger student, or import more rows."
    if chosen.kind in LIGHT:
        return f"Do not tune a language model: {chosen.name} is enough on dev ({figure})."
    return f"{chosen.name} is the cheapest that is enough on dev ({figure})."


def conclude(name: str, kind: str, verdict: VerdictName, figure: str, more: str) -> str:
    """What to do once the sealed rows have decided about the rung that was chosen on dev; ``figure`` as `describe_figure` says it, ``more`` as
    `gate.describe_more` does."""
    if verdict == "pass":
        if kind in LIGHT:
            return f"Do not tune a language model: {name} passes ({figure})."
        return f"Use {name}: it passes ({figure})."
    rung = f"{name[0].upper()}{name[1:]}"
    if verdict == "fail":
        return f"{rung}, the best that was tried, does not pass ({figure}): tune a larger student, or import more rows."
    return f"{rung} is not shown to be good enough ({figure}): {more}, or tune a larger student."


def usd_per_1000(p50_ms: float, usd_per_hour: float) -> float:
    """Of calls one at a time, the machine busy with nothing else: a call's milliseconds are the seconds of a thousand."""
    return p50_ms * usd_per_hour / 3600


def _figure(rung: Rung) -> float:
    return rung.verdict.difference if rung.verdict is not None else float("-inf")


def describe_figure(against: Against, metric: str, n: int, value: float, low: float, high: float) -> str:
    """n, the figure that the gate looks at, and its 95 % interval; shares in, points or percent out."""
    value, low, high = 100 * value, 100 * low, 100 * high
    if against == "teacher":
        return f"n = {n:,}, {value:+.1f} points against the teacher, {low:+.1f} to {high:+.1f}"
    return f"n = {n:,}, {'agreement' if against == 'agreement' else metric} {value:.1f} %, {low:.1f} to {high:.1f}"


def _describe(verdict: Verdict) -> str:
    ends = verdict.low_95, verdict.high_95
    return describe_figure(verdict.against, verdict.metric, verdict.n, verdict.difference, *ends)
