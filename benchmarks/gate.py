"""How often the gate passes a student that lies exactly at the margin, and how often the intervals that are printed hold the truth.

    python benchmarks/gate.py [--runs 10000] [--only DESIGN] [--small] [--json]

Every design draws rows whose true difference (or share) is the limit itself, so that each pass is a false one. The chance of one is at most
the level of the look: 0.02 for the first, 0.025 for all looks together. Results go to benchmarks/results/gate.json and
docs/results/gate.md; `--small` writes nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, sqrt
from typing import Any

import numpy as np
from machine import ROOT, describe_commit, describe_machine, write_result
from numpy.typing import NDArray

from journeyman.evaluation.gate import DRAWN, Score, decide
from journeyman.evaluation.labels import DEV_ERROR
from journeyman.evaluation.labels import Design as Labels
from journeyman.measure.betting import betting_interval, betting_refutes
from journeyman.measure.bootstrap import bootstrap_ratio
from journeyman.measure.intervals import Interval, Paired, clopper_pearson, tango
from journeyman.measure.metrics import MetricKind
from journeyman.store.ledger import level as level_of
from journeyman.task.task import Gate

Document = dict[str, Any]
Floats = NDArray[np.float64]
Sample = tuple[Floats, Floats]
MARGIN, FLOOR = 0.05, 0.9
SIZES, SMALL_SIZES = (30, 100, 300, 1000, 3000), (30, 300)
LOOKS, IN_ALL = 5, 0.025
RESULT = ROOT / "benchmarks/results/gate.json"


@dataclass(frozen=True, slots=True)
class Design:
    """``draw`` gives the values and the weights of n units, none above ``heaviest``; their mean over weights is ``limit`` in truth. ``is_floor``:
    values are scores in [0, 1], else differences in [-1, 1]. ``is_binary``: scores are right or wrong. ``is_grouped``: a unit is as many rows
    as it weighs."""

    name: str
    what: str
    draw: Callable[[np.random.Generator, int], Sample]
    is_floor: bool = False
    is_binary: bool = False
    is_grouped: bool = False
    heaviest: float = 1.0

    @property
    def least(self) -> float:
        return 0.0 if self.is_floor else -1.0

    @property
    def limit(self) -> float:
        return FLOOR if self.is_floor else -MARGIN

    @property
    def gate(self) -> Gate:
        return Gate(against="floor", margin=None, floor=FLOOR) if self.is_floor else Gate(margin=MARGIN)


def _beta(rng: np.random.Generator, n: int, mean: float, size: float) -> Floats:
    """Values in [-1, 1] with this mean; the smaller ``size``, the nearer to the ends."""
    share = (1 + mean) / 2
    return 2 * rng.beta(size * share, size * (1 - share), n) - 1


def _even(values: Floats) -> Sample:
    return values, np.ones(len(values))


def _binary(p10: float) -> Callable[[np.random.Generator, int], Sample]:
    return lambda rng, n: _even(rng.choice([1.0, -1.0, 0.0], n, p=[p10, p10 + MARGIN, 1 - 2 * p10 - MARGIN]))


def _zero_inflated(rng: np.random.Generator, n: int) -> Sample:
    return _even(np.where(rng.random(n) < 0.1, _beta(rng, n, -10 * MARGIN, 2.0), 0.0))


def _rare(rng: np.random.Generator, n: int) -> Sample:
    """A small gain on nearly all rows hides a total failure on a few."""
    failing = MARGIN + 0.01
    return _even(np.where(rng.random(n) < failing, -1.0, 0.01 / (1 - failing)))


def _groups(rng: np.random.Generator, n: int) -> Sample:
    """Near copies share their fate, and the larger a group the likelier it fails."""
    size = rng.choice([1.0, 2.0, 3.0, 5.0, 10.0], n, p=SIZE_SHARES)
    sizes = np.array([1.0, 2.0, 3.0, 5.0, 10.0])
    slope = MARGIN * float(sizes @ SIZE_SHARES) / float(sizes**2 @ SIZE_SHARES)
    return np.where(rng.random(n) < slope * size, -1.0, 0.0), size


def _conversations(rng: np.random.Generator, n: int) -> Sample:
    """Turns of a conversation: each has its own rate of failing."""
    size = np.minimum(1 + rng.poisson(4, n), 12)
    rate = rng.beta(0.5, 0.5 * (1 - MARGIN) / MARGIN, n)
    return -rng.binomial(size, rate) / size, size.astype(np.float64)


def _counted(rng: np.random.Generator, n: int) -> Sample:
    counts = rng.choice([1.0, 2.0, 5.0, 40.0], n, p=[0.7, 0.2, 0.09, 0.01])
    return rng.choice([1.0, -1.0, 0.0], n, p=[0.05, 0.05 + MARGIN, 0.85]), counts


def _drawn(rng: np.random.Generator, n: int) -> Sample:
    """Labelled rows: of those on which the answers differ (3 in 10) nine tenths were drawn, of the others one in ten."""
    differs = rng.random(n) < 0.27 / (0.27 + 0.07)
    lost = (1 + MARGIN / 0.3) / 2
    return np.where(differs, np.where(rng.random(n) < lost, -1.0, 1.0), 0.0), np.where(differs, 1 / 0.9, 1 / 0.1)


def _labelled(share: float, part: float, has_dev: bool) -> Callable[[np.random.Generator, int], Sample]:
    """Answers differ on ``share`` of n rows, and people label a simple random sample of ``part`` of n rows among these. What a row may weigh is told from
    a dev split a quarter as large, or, without one, from the draw itself."""
    lost = (1 + MARGIN / share) / 2

    def draw(rng: np.random.Generator, n: int) -> Sample:
        differing = int(rng.binomial(n, share))
        seen = int(rng.binomial(max(1, n // 4), share))
        expected = ceil(n * clopper_pearson(seen, max(1, n // 4), DEV_ERROR, sides=1).high) if has_dev else 0
        design = Labels(ceil(part * n), differing, expected)
        drawn = min(design.asked, differing)
        values = np.concatenate([np.zeros(n - differing), np.where(rng.random(drawn) < lost, -1.0, 1.0)])
        weights = np.concatenate([np.ones(n - differing), np.full(drawn, 1 / design.probability)]) / design.stretch
        order = rng.permutation(len(values))
        return values[order], np.minimum(weights, 1.0)[order]

    return draw


def _labelled_groups(rng: np.random.Generator, n: int) -> Sample:
    """n groups of 1 to 3 rows that share their count and their fate, heavy ones fail more; of the rows that differ half are labelled, one by one."""
    size, count = rng.choice([1, 2, 3], n, p=[0.7, 0.2, 0.1]), rng.choice([1.0, 3.0], n, p=[0.7, 0.3])
    differs, fate = rng.random(n) < 0.25, rng.random(n)
    lost = np.where(count == 3, 0.2 + 4 * (1.6 * MARGIN - 0.014) / 0.9, 0.28)
    value = np.where(fate < lost, -1.0, np.where(fate < lost + 0.2, 1.0, 0.0))
    rows = np.repeat(np.arange(n), size)
    apart = np.flatnonzero(differs[rows])
    dev = max(1, len(rows) // 4)
    expected = ceil(len(rows) * clopper_pearson(int(rng.binomial(dev, 0.25)), dev, DEV_ERROR, sides=1).high)
    design = Labels(ceil(0.125 * len(rows)), len(apart), expected)
    drawn = rng.choice(apart, min(design.asked, len(apart)), replace=False)
    known = np.where(differs, np.bincount(rows[drawn], minlength=n) / design.probability, size)
    weight = known * count / (9 * design.stretch)
    return np.where(differs, value, 0.0)[known > 0], np.minimum(weight, 1.0)[known > 0]


def _rare_heavy(rng: np.random.Generator, n: int) -> Sample:
    """One unit in 500 weighs 100 and is lost; small samples do not hold one, and the others gain."""
    weight = np.where(rng.random(n) < 0.002, 100.0, rng.choice([1.0, 2.0], n))
    light = 1.5 * 0.998
    gain = (0.2 - MARGIN * (light + 0.2)) / light
    return np.where(weight == 100, -1.0, (rng.random(n) < gain).astype(np.float64)), weight


def _floor(rng: np.random.Generator, n: int) -> Sample:
    return _even((rng.random(n) < FLOOR).astype(np.float64))


def _graded_floor(rng: np.random.Generator, n: int) -> Sample:
    return _even(np.where(rng.random(n) < 0.08, rng.beta(1, 3, n), (FLOOR - 0.08 / 4) / 0.92))


SIZE_SHARES = np.array([0.4, 0.25, 0.2, 0.1, 0.05])
DESIGNS = (
    Design("binary, no gains", "n10 = 0, n01 = 0.05", _binary(0.0), is_binary=True),
    Design("binary, few gains", "n10 = 0.02, n01 = 0.07", _binary(0.02), is_binary=True),
    Design("binary, many gains", "n10 = 0.2, n01 = 0.25", _binary(0.2), is_binary=True),
    Design("floor", "right on 0.9 of rows", _floor, is_floor=True, is_binary=True),
    Design("graded, narrow", "2 Beta - 1, size 100", lambda rng, n: _even(_beta(rng, n, -MARGIN, 100))),
    Design("graded, wide", "2 Beta - 1, size 1", lambda rng, n: _even(_beta(rng, n, -MARGIN, 1))),
    Design("graded floor", "0.957 on most rows, 0.25 on some", _graded_floor, is_floor=True),
    Design("zero-inflated", "0 on 0.9 of rows", _zero_inflated),
    Design("rare total failures", "-1 on 0.06 of rows, +0.011 on the others", _rare),
    Design(
        "near copies",
        "groups share their fate, large ones fail more",
        _groups,
        is_binary=True,
        is_grouped=True,
        heaviest=10,
    ),
    Design(
        "conversations",
        "1 + Poisson(4) turns, a rate of failing each",
        _conversations,
        is_binary=True,
        is_grouped=True,
        heaviest=12,
    ),
    Design("counted", "rows came 1, 2, 5 or 40 times", _counted, is_binary=True, heaviest=40),
    Design("drawn", "labelled with probability 0.9 or 0.1", _drawn, is_binary=True, heaviest=10),
    Design("drawn labels", "0.2 of rows differ, half of them labelled", _labelled(0.2, 0.1, True), is_binary=True),
    Design("few labels", "0.1 differ, a fifth of them labelled", _labelled(0.1, 0.02, True), is_binary=True),
    Design(
        "labels without dev",
        "0.07 differ, 3 in 7 labelled, nothing foreseen",
        _labelled(0.07, 0.03, False),
        is_binary=True,
    ),
    Design("labels of copies", "groups share their fate, rows came 1 or 3 times", _labelled_groups),
    Design("rare heavy rows", "1 in 500 came 100 times and is lost", _rare_heavy, is_binary=True, heaviest=100),
)


def main() -> int:
    arguments = _parse()
    sizes = SMALL_SIZES if arguments.small else SIZES
    designs = [design for design in DESIGNS if arguments.only in design.name]
    for design in designs:
        for n in sizes:
            check(design, n, 3)
    document = {
        "runs": arguments.runs,
        "passes": [false_passes(design, n, arguments.runs) for design in designs for n in sizes],
        "looks": [many_looks(design, sizes[0], arguments.runs) for design in designs],
        "coverage": [
            row for design in designs for n in sizes for row in coverage(design, n, max(50, arguments.runs // 10))
        ],
        "commit": describe_commit(),
        "machine": describe_machine(),
    }
    if arguments.only and not arguments.small:
        _join_known(document, {design.name for design in designs})
    document["kept"] = all(row["kept"] for part in ("passes", "looks") for row in document[part])
    if not arguments.small:
        write_result(RESULT, document)
        (ROOT / "docs/results/gate.md").write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if arguments.json else describe(document))
    return 0 if document["kept"] else 1


def _join_known(document: Document, measured: set[str]) -> None:
    """Designs that were not measured now keep what the last run wrote: with its seeds it would be the same."""
    known = json.loads(RESULT.read_text(encoding="utf-8"))
    if known["runs"] != document["runs"]:
        raise SystemExit(f"the designs that are kept had {known['runs']} runs: give --runs {known['runs']}")
    places = {design.name: place for place, design in enumerate(DESIGNS)}
    for part in ("passes", "looks", "coverage"):
        document[part] += [row for row in known[part] if row["design"] not in measured]
        document[part].sort(key=lambda row: places[row["design"]])


def passes(design: Design, sample: Sample, level: float) -> bool:
    """What the gate decides (`check` holds the two against each other), without its search for the ends of intervals."""
    values, weights = sample
    if design.is_binary and np.all(weights == design.heaviest) and not design.is_grouped:
        return _plain_passes(design.is_floor, int((values > 0).sum()), int((values < 0).sum()), len(values), level)
    return betting_refutes(values, weights, level, design.least, design.heaviest, design.limit)


@cache
def _plain_passes(is_floor: bool, wins: int, losses: int, n: int, level: float) -> bool:
    if is_floor:
        return clopper_pearson(wins, n, level, sides=1).low >= FLOOR
    return tango(Paired(n - wins - losses, wins, losses, 0), level, sides=1).low >= -MARGIN


def _interval(design: Design, sample: Sample) -> Interval:
    values, weights = sample
    wins, losses, n = int((values > 0).sum()), int((values < 0).sum()), len(values)
    if not (design.is_binary and np.all(weights == design.heaviest)) or design.is_grouped:
        return betting_interval(values, weights, DRAWN / 2, design.least, design.heaviest)
    return clopper_pearson(wins, n) if design.is_floor else tango(Paired(n - wins - losses, wins, losses, 0))


def check(design: Design, n: int, runs: int) -> None:
    """The gate itself on the same rows: every decision and every interval is that of the quick form."""
    rng = np.random.default_rng([n, 4])
    for _ in range(runs):
        sample = design.draw(rng, n)
        units = zip(*(column.tolist() for column in sample), strict=True)
        scores = [score for place, unit in enumerate(units) for score in _rows(design, str(place), *unit)]
        kind: MetricKind = "binary" if design.is_binary else "graded"
        verdict = decide(design.gate, scores, level_of(1), kind, design.heaviest)
        interval = _interval(design, sample)
        assert (verdict.verdict == "pass") == passes(design, sample, level_of(1)), (design.name, n)
        assert np.allclose((verdict.low_95, verdict.high_95), (interval.low, interval.high)), (design.name, n)


def _rows(design: Design, name: str, value: float, weight: float) -> list[Score]:
    """A unit as the gate sees it: one row, or as many as it weighs, of which a share is lost."""
    if design.is_floor:
        return [Score(value, None, weight)]
    if not design.is_grouped:
        return [Score(max(value, 0.0), max(-value, 0.0), weight)]
    lost = round(-value * weight)
    return [Score(0.0, float(place < lost), group=name) for place in range(int(weight))]


def false_passes(design: Design, n: int, runs: int) -> Document:
    """The share of first looks that pass."""
    rng, level = np.random.default_rng([n, 1]), level_of(1)
    passed = sum(passes(design, design.draw(rng, n), level) for _ in range(runs))
    return {"design": design.name, "n": n} | _judge(passed, runs, level)


def many_looks(design: Design, n: int, runs: int) -> Document:
    """A split that doubles between looks; the share of runs in which any of the looks passes."""
    rng = np.random.default_rng([n, 2])
    passed = 0
    for _ in range(runs):
        values, weights = design.draw(rng, n * 2 ** (LOOKS - 1))
        parts = [n * 2**look for look in range(LOOKS)]
        passed += any(
            passes(design, (values[:part], weights[:part]), level_of(look + 1)) for look, part in enumerate(parts)
        )
    return {"design": design.name, "n": f"{n} to {n * 2 ** (LOOKS - 1)}"} | _judge(passed, runs, IN_ALL)


def _judge(passed: int, runs: int, level: float) -> Document:
    """Kept: no more than the level and three standard errors of the simulation."""
    most = level + 3 * sqrt(level * (1 - level) / runs)
    interval = clopper_pearson(passed, runs)
    return {"passes": passed / runs, "low": interval.low, "high": interval.high, "kept": passed / runs <= most}


def coverage(design: Design, n: int, runs: int) -> list[Document]:
    """How often 95 % intervals hold the truth: the gate's own, and the percentile bootstrap that figures are drawn with."""
    rng = np.random.default_rng([n, 3])
    held = {"gate": 0, "bootstrap": 0}
    for _ in range(runs):
        values, weights = sample = design.draw(rng, n)
        ends = {
            "gate": _interval(design, sample),
            "bootstrap": bootstrap_ratio(values, weights=weights, draws=500, seed=int(rng.integers(2**31))),
        }
        for name, interval in ends.items():
            held[name] += interval.low - 1e-12 <= design.limit <= interval.high + 1e-12
    return [
        {"design": design.name, "n": n, "interval": name, "covered": count / runs, "runs": runs}
        | {"low": clopper_pearson(count, runs).low, "high": clopper_pearson(count, runs).high}
        for name, count in held.items()
    ]


def describe(document: Document) -> str:
    runs = document["runs"]
    lines = [
        "# How often the gate is wrong at the margin",
        "",
        f"`python benchmarks/gate.py --runs {runs}`. Every design draws rows whose truth is the limit itself (margin {MARGIN}, floor {FLOOR}), so that each pass is a",
        f"false one. The first look's level is {level_of(1)}, that of all looks together {IN_ALL}; kept: at most that and three standard errors of the simulation.",
        "",
        f"## One look, {runs} runs each: share of false passes",
        "",
        *_table(document["passes"], "passes"),
        "",
        f"## {LOOKS} looks at a split that doubles each time, {runs} runs each: share in which any of them passes",
        "",
        "| design | rows | passes | 95 % interval | kept |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['design']} | {row['n']} | {row['passes']:.4f} | {row['low']:.4f} to {row['high']:.4f} | {'yes' if row['kept'] else 'no'} |"
        for row in document["looks"]
    ]
    for name, what in (
        ("gate", "the 95 % interval that is drawn beside the gate's"),
        ("bootstrap", "the percentile bootstrap that other figures are drawn with, which decides nothing"),
    ):
        rows = [row for row in document["coverage"] if row["interval"] == name]
        lines += ["", f"## Coverage of {what}, {rows[0]['runs']} runs each", "", *_table(rows, "covered")]
    lines += ["", "Designs:", "", *(f"* {design.name}: {design.what}" for design in DESIGNS), ""]
    return "\n".join(lines)


def _table(rows: Sequence[Document], key: str) -> list[str]:
    sizes = list(dict.fromkeys(row["n"] for row in rows))
    found = {(row["design"], row["n"]): row for row in rows}
    lines = [f"| design | {' | '.join(f'n = {n}' for n in sizes)} |", "|---" * (1 + len(sizes)) + "|"]
    for design in dict.fromkeys(row["design"] for row in rows):
        cells = [found[design, n] for n in sizes]
        written = [f"{cell[key]:.4f}" + ("" if cell.get("kept", True) else " **not kept**") for cell in cells]
        lines.append(f"| {design} | {' | '.join(written)} |")
    return lines


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000, help="runs of each design and size")
    parser.add_argument("--only", default="", help="designs with this in their name; the others keep what was measured")
    parser.add_argument("--small", action="store_true", help="two sizes; writes nothing")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
