"""The ladder: candidates in the order of what a call costs, measured on dev, and the cheapest that looks good enough.

A rung is promising where the gate would pass on the sealed split if the rung did there as it does on dev: as many rows, at the level that the ledger gives the next
look; where labels were drawn for a student, by these. The cheapest promising one goes to the sealed split, it alone; where none is, the best one does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from journeyman.evaluation.behaviour import Tried, stand
from journeyman.evaluation.gate import Score, Verdict, VerdictName, decide
from journeyman.evaluation.labels import Design, Weighed, decide_labelled
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
    alike = [score for score, _place in _repeat(scores, rows)]
    return decide(gate, alike, level, kind, heaviest).verdict == "pass"


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a student's verdict rests on where labels were drawn: ``gold`` sealed rows have it, ``without`` have not, and those of them that differ count as the
    ``design`` drew them."""

    gold: int
    without: int
    design: Design


def foresee_labelled(
    gate: Gate,
    scores: Sequence[Score],
    is_alike: Sequence[bool],
    sheet: Sheet,
    level: float,
    kind: MetricKind,
    heaviest: float,
) -> bool:
    """Whether the gate would pass by the labels that were drawn, were the sealed rows like these ones: ``is_alike`` where no gold could tell both answers apart. Of those
    that differ the share that was drawn counts, evenly of wins, ties and losses; a group counts ``heaviest`` at the most, as `labels.weigh` has it."""
    share = sheet.design.probability
    rows = [(score, False) for score, _place in _repeat(scores, sheet.gold, "gold")]
    rows += [(score, not is_alike[place]) for score, place in _repeat(scores, sheet.without)]
    totals: dict[str, float] = {}
    for score, _ in rows:
        totals[score.group] = totals.get(score.group, 0.0) + score.weight
    cut = [
        (replace(score, weight=score.weight * min(1.0, heaviest / (totals[score.group] if score.group else score.weight))), differs)
        for score, differs in rows
    ]  # fmt: skip
    differing = sorted((score for score, differs in cut if differs), key=_difference)
    found = [(score, False) for score, differs in cut if not differs]
    for place, score in enumerate(differing):
        if int((place + 1) * share + 1e-9) > int(place * share + 1e-9):
            found.append((replace(score, weight=score.weight / share), True))
    if len(found) < 2:
        return False
    weighed = Weighed(
        tuple(score for score, _ in found), tuple(drawn for _, drawn in found), heaviest, 0.0, sheet.design
    )
    return decide_labelled(gate, weighed, level, kind).verdict == "pass"


def _difference(score: Score) -> float:
    return score.candidate - (score.reference or 0.0)


def _repeat(scores: Sequence[Score], rows: int, name: str = "") -> Iterator[tuple[Score, int]]:
    """``rows`` scores, evenly of all of them, however many there are; and the place of each."""
    size = len(scores)
    for row in range(rows):
        time, place = row // size, row * size // rows if rows < size else row % size
        score = scores[place]
        yield replace(score, group=f"{score.group}\0{name}{time}" if score.group else ""), place


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
