"""The cascade's promise on real answers: how often it is broken over random re-splits, and how much it lets a student answer.

    python benchmarks/risk.py --data FOLDER [--only banking77|snips|simulated] [--student RUN] [--folder F] [--json]

banking77: a head's answers to the 10,003 train rows, each by a head of one of five folds that has not seen it. snips: the answers of a finished
run's student (`--student`, a run's folder of a project) to rows 550 to 849 of each intent, over the server; neither tuned on nor sealed.
Of these rows a quarter calibrates, a quarter decides the threshold, the rest tells what came of it; 200 such splits, near copies on one side.
Beside the promise: thresholds on raw confidence, on entropy where all answers' probabilities are known, and split-conformal risk control (Angelopoulos et
al., arXiv:2208.02814), each chosen on the same half of the rows. simulated: known risk, 2,000 runs of each design. Answers are kept in `--folder`;
results go to benchmarks/results/risk.json and docs/results/risk.md.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from heads import DEV_SHARE, FOLDS, NEAR, deal
from machine import ROOT, describe_commit, describe_machine, write_result
from rows.snips import read_rows

from journeyman.core.canonical import bytes_hash
from journeyman.core.example import object_target
from journeyman.data.near import Groups, find_pairs
from journeyman.evaluation.run import Row, evaluate
from journeyman.evaluation.threshold import Outcomes, outcomes
from journeyman.flows.runs import STUDENT
from journeyman.flows.serving import serve_student
from journeyman.flows.student import load_student
from journeyman.flows.workspace import open_workspace
from journeyman.measure.calibration import debiased_error
from journeyman.measure.calibrators import choose
from journeyman.measure.metrics import METRICS
from journeyman.measure.risk import Scored, promise
from journeyman.models.embedder import open_embedder
from journeyman.models.head import ClosedField
from journeyman.tuning.heads import HeadRows, number_values, train_head

Document = dict[str, Any]
Floats = npt.NDArray[np.float64]
RESULT = ROOT / "benchmarks/results/risk.json"
SPLITS, DELTA = 200, 0.05
ERRORS = (0.02, 0.05, 0.1)
FRESH = slice(550, 850)
RUNS = 2000


@dataclass(frozen=True, slots=True)
class Answers:
    """Confidence and outcome (1 right) of each row, the entropy of its answers where it is known, its group. Shape (n,)."""

    confidence: Floats
    right: Floats
    entropy: Floats | None
    groups: npt.NDArray[np.int64]


def main() -> int:
    arguments = _parse()
    known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {"parts": []}
    every = ["simulated", "banking77", *(["snips"] if arguments.student else [])]
    for name in [arguments.only] if arguments.only else every:
        if name == "simulated":
            part = simulate(RUNS)
        else:
            read = _banking77 if name == "banking77" else lambda data, folder: _snips(data, folder, arguments.student)
            part = measure(name, read(arguments.data, arguments.folder))
        part |= {"name": name, "commit": describe_commit(), "machine": describe_machine()}
        known["parts"] = [item for item in known["parts"] if item["name"] != name] + [part]
        write_result(RESULT, known)
        (ROOT / "docs/results/risk.md").write_text(describe(known), encoding="utf-8")
    sys.stdout.write(json.dumps(known, indent=2) + "\n" if arguments.json else describe(known))
    return 0


def measure(name: str, answers: Answers) -> Document:
    """What each way of choosing a threshold came to, over random splits of the same answers."""
    found: dict[tuple[str, float], list[tuple[float, float]]] = {}
    gaps: list[tuple[float, float]] = []
    for seed in range(SPLITS):
        fit, decide, rest = _split(answers.groups, seed)
        calibrator, _losses = choose(
            answers.confidence[fit], answers.right[fit], groups=[str(name) for name in answers.groups[fit]]
        )
        said = np.asarray(calibrator(answers.confidence))
        gaps.append(
            (
                debiased_error(said[rest], answers.right[rest]),
                debiased_error(answers.confidence[rest], answers.right[rest]),
            )
        )
        both = np.concatenate([fit, decide])
        for error in ERRORS:
            kept = promise(_scored(answers, said, fit), _scored(answers, said, decide), error, DELTA)
            chosen: dict[str, tuple[Floats, float | None]] = {"promise": (said, kept.threshold)}
            ways = {"raw confidence": answers.confidence}
            if answers.entropy is not None:
                ways["entropy"] = -answers.entropy
            for way, values in ways.items():
                chosen[way] = (values, _lowest(values[both], answers.right[both], error, 0))
            chosen["conformal"] = (
                answers.confidence,
                _lowest(answers.confidence[both], answers.right[both], error, 1),
            )
            for way, (values, threshold) in chosen.items():
                found.setdefault((way, error), []).append(_came_of(values[rest], answers.right[rest], threshold))
    rows = [
        {
            "way": way,
            "error": error,
            "broken": round(float(np.mean([wrong > error for _taken, wrong in runs])), 4),
            "coverage": round(float(np.mean([taken for taken, _wrong in runs])), 4),
            "wrong": round(float(np.mean([wrong for taken, wrong in runs if taken])), 4)
            if any(taken for taken, _ in runs)
            else None,
            "nothing": round(float(np.mean([not taken for taken, _wrong in runs])), 4),
        }
        for (way, error), runs in found.items()
    ]
    return {
        "n": len(answers.right),
        "right": round(float(answers.right.mean()), 4),
        "splits": SPLITS,
        "delta": DELTA,
        "rows": rows,
        "calibration_error": round(float(np.median([gap for gap, _raw in gaps])), 4),
        "calibration_error_worst": round(float(np.max([gap for gap, _raw in gaps])), 4),
        "raw_calibration_error": round(float(np.median([raw for _gap, raw in gaps])), 4),
    }


def simulate(runs: int) -> Document:
    """Shares of broken promises where the risk at each threshold is known: at most delta and the simulation's own error."""
    rows = []
    for name, draw, truth in DESIGNS:
        for n in (200, 1000):
            for error, delta in ((0.02, 0.05), (0.05, 0.05), (0.1, 0.1)):
                rng = np.random.default_rng(7)
                broken = made = 0
                taken = 0.0
                for _ in range(runs):
                    kept = promise(draw(rng, n), draw(rng, n), error, delta)
                    if kept.threshold is None:
                        continue
                    made += 1
                    wrong, coverage = truth(kept.threshold)
                    broken += wrong > error
                    taken += coverage
                bar = delta + 3 * (delta * (1 - delta) / runs) ** 0.5
                rows.append(
                    {
                        "design": name,
                        "n": n,
                        "error": error,
                        "delta": delta,
                        "runs": runs,
                        "made": made / runs,
                        "broken": broken / runs,
                        "coverage": taken / runs,
                        "bar": round(bar, 4),
                        "met": broken / runs <= bar,
                    }
                )
    return {"rows": rows}


def _honest(said: Floats) -> Floats:
    return said


def _overconfident(said: Floats) -> Floats:
    return 0.55 + 0.43 * said**3


def _lying(said: Floats) -> Floats:
    """The most confident are wrong more often than those below them."""
    return np.where(said > 0.97, 0.9, said)


def _design(
    name: str, chance: Callable[[Floats], Floats], copies: int = 1, sureness: float = 6.0
) -> tuple[str, Callable[[np.random.Generator, int], Scored], Callable[[float], tuple[float, float]]]:
    """Confidence from a beta distribution; ``copies`` rows share a group, and with it their fate."""
    grid = np.sort(np.random.default_rng(0).beta(sureness, 0.5, 400_000))
    wrong_above = np.cumsum((1 - chance(grid))[::-1])[::-1]

    def draw(rng: np.random.Generator, n: int) -> Scored:
        units = n // copies
        said = np.repeat(rng.beta(sureness, 0.5, units), copies)
        wrong = np.repeat((rng.random(units) > chance(said[::copies])).astype(np.float64), copies)
        return Scored(said, wrong, np.ones(len(said)), np.repeat(np.arange(units), copies), heaviest=float(copies))

    def truth(threshold: float) -> tuple[float, float]:
        place = int(np.searchsorted(grid, threshold))
        taken = len(grid) - place
        return (float(wrong_above[place]) / taken if taken else 0.0), taken / len(grid)

    return name, draw, truth


DESIGNS = (
    _design("confidence is the chance", _honest, sureness=20.0),
    _design("overconfident", _overconfident),
    _design("the surest err more", _lying),
    _design("overconfident, rows in pairs", _overconfident, copies=2),
)


def _split(
    groups: npt.NDArray[np.int64], seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """A quarter, a quarter and a half of the groups, as rows."""
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    quarter = len(names) // 4
    side = np.full(int(groups.max()) + 1, 2)
    side[names[:quarter]], side[names[quarter : 2 * quarter]] = 0, 1
    return tuple(np.flatnonzero(side[groups] == place) for place in range(3))  # type: ignore[return-value]


def _scored(answers: Answers, said: Floats, rows: npt.NDArray[np.int64]) -> Scored:
    """Groups of near copies are few and small: a row of its own counts as much as two that are alike."""
    return Scored(said[rows], 1 - answers.right[rows], np.ones(len(rows)), answers.groups[rows])


def _lowest(values: Floats, right: Floats, error: float, extra: int) -> float | None:
    """The lowest threshold at which (wrong + extra) / (accepted + extra) is no more than ``error`` on these rows."""
    order = np.argsort(-values, kind="stable")
    wrong = np.cumsum(1 - right[order]) + extra
    accepted = np.arange(1, len(order) + 1) + extra
    ends = np.append(np.diff(values[order]) != 0, True)
    fitting = np.flatnonzero((wrong / accepted <= error) & ends)
    return float(values[order][fitting[-1]]) if len(fitting) else None


def _came_of(values: Floats, right: Floats, threshold: float | None) -> tuple[float, float]:
    """Share accepted, share of those that is wrong."""
    taken = values >= threshold if threshold is not None else np.zeros(len(values), dtype=bool)
    return float(taken.mean()), float(1 - right[taken].mean()) if taken.any() else 0.0


def _banking77(data: Path, folder: Path) -> Answers:
    with (data / "banking77/train.csv").open(encoding="utf-8", newline="") as file:
        texts, labels = zip(*((row["text"], row["category"]) for row in csv.DictReader(file)), strict=True)
    kept = folder / "banking77.npz"
    if not kept.is_file():
        names = json.loads((data / "banking77/categories.json").read_text(encoding="utf-8"))
        field = ClosedField("category", tuple(names))
        vectors, numbers = open_embedder().embed(texts).vectors, number_values(field, labels)
        folds = deal(texts, FOLDS, "heads")
        is_dev = np.array([int(bytes_hash(f"dev\n{text}".encode())[:8], 16) < DEV_SHARE * 16**8 for text in texts])
        shares = np.zeros((len(texts), len(names)))
        for number in range(FOLDS):
            train, dev = (folds != number) & ~is_dev, (folds != number) & is_dev
            head, _report = train_head(
                field, HeadRows(vectors[train], numbers[train]), HeadRows(vectors[dev], numbers[dev])
            )
            shares[folds == number] = head.probabilities(vectors[folds == number])
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(kept, shares=shares, numbers=numbers)
    loaded = np.load(kept)
    shares, numbers = loaded["shares"], loaded["numbers"]
    entropy = -(shares * np.log(np.maximum(shares, 1e-30))).sum(axis=1)
    right = (shares.argmax(axis=1) == numbers).astype(np.float64)
    return Answers(shares.max(axis=1), right, entropy, _groups(texts))


def _snips(data: Path, folder: Path, run: Path | None) -> Answers:
    raw = read_rows(data, FRESH)
    rows = [
        Row(
            bytes_hash(item["text"].encode()),
            {"text": item["text"]},
            object_target({"intent": item["intent"], "slots": item["slots"]}),
            None,
        )
        for item in raw
    ]
    if run is None:
        raise SystemExit("snips needs --student RUN, the folder of a finished run")
    known = asyncio.run(_ask(run, rows, folder))
    return Answers(known.confidence, known.right, None, _groups([item["text"] for item in raw]))


async def _ask(run: Path, rows: Sequence[Row], folder: Path) -> Outcomes:
    student = load_student(run / STUDENT)
    if student is None:
        raise SystemExit(f"{run} holds no finished student")
    with open_workspace(run.parent.parent.parent) as workspace:
        task = workspace.task(student.manifest.task_name)
        async with (
            serve_student(workspace, task, student) as served,
            served.asking(served.student_name) as client,
        ):
            answered = await evaluate(
                client,
                task,
                rows,
                requests_in_flight=1,
                cache_path=folder / f"snips-{student.hash[:12]}.jsonl",
                progress=workspace.progress,
                with_confidence=True,
            )
    return outcomes(METRICS["exact_match"], list(zip(rows, answered.items, strict=True)))


def _groups(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    joined = Groups(len(texts))
    for first, second in find_pairs(texts, NEAR):
        joined.join(first, second)
    return np.array([joined.find(row) for row in range(len(texts))])


def describe(document: Document) -> str:
    lines = [
        "# The cascade's promise",
        "",
        "`python benchmarks/risk.py --data FOLDER`. Of what a student answers by itself at most a share (error) is wrong, with confidence one less delta.",
        "",
    ]
    for part in sorted(document["parts"], key=lambda item: ["simulated", "banking77", "snips"].index(item["name"])):
        lines += [f"## {part['name']}", ""]
        lines += _describe_simulated(part) if part["name"] == "simulated" else _describe_measured(part)
        machine = part["machine"]
        lines += ["", f"Commit {part['commit']}, {machine['cores']} cores of {machine['processor']}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def _describe_simulated(part: Document) -> list[str]:
    lines = [
        "The risk at every threshold is known. Broken: promises whose true share of wrong answers is above the error, of all runs.",
        "",
        "| design | rows of a half | error | delta | promises made | broken | at most | met | answered | runs |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {row['design']} | {row['n']} | {row['error']:g} | {row['delta']:g} | {row['made']:.3f} | {row['broken']:.4f} | {row['bar']:.4f} "
        f"| {'yes' if row['met'] else 'no'} | {row['coverage']:.3f} | {row['runs']} |"
        for row in part["rows"]
    ]


def _describe_measured(part: Document) -> list[str]:
    lines = [
        f"{part['n']:,} answers, {100 * part['right']:.1f} % right; {part['splits']} random splits; delta {part['delta']:g}. Broken: splits on whose other half more than the",
        "error was wrong, which that half's own chance adds to. Answered: the share of calls that does not go to the teacher; the cost is the rest.",
        f"Debiased calibration error: median {part['calibration_error']:.4f}, worst {part['calibration_error_worst']:.4f}; {part['raw_calibration_error']:.4f} before calibration.",
        "",
        "| error | threshold by | broken | answered | wrong among them | nothing answered |",
        "|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {row['error']:g} | {row['way']} | {row['broken']:.3f} | {row['coverage']:.3f} "
        f"| {'–' if row['wrong'] is None else format(row['wrong'], '.4f')} | {row['nothing']:.3f} |"
        for row in sorted(part["rows"], key=lambda row: row["error"])
    ]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data", help="the folder of public sets")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/risk", help="keeps the answers")
    parser.add_argument("--only", choices=["simulated", "banking77", "snips"])
    parser.add_argument("--student", type=Path, help="the folder of a finished run of the task snips")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
