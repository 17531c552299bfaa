"""Votes beside the one answer of the same student, on the same dev rows of a project, and what the samples cost.

    python benchmarks/votes.py --project FOLDER --task TASK --of RUN [--samples 5] [--temperature 0.7] [--rows 150] [--timed 40] [--json]

`--of` is a finished run of the project, whose student is asked greedily and then by `journeyman tune TASK --kind votes --of RUN`. All rows are asked with confidence, so
every sample is drawn; the latency ratio is measured on the first `--timed` of them (40), without confidence too, where drawing stops once the winner is certain: each row is asked greedily,
then by votes, so that whatever else the machine does slows both. Answers are kept in the project. A result takes the place of an earlier one of the same name in
benchmarks/results/votes.json; docs/results/votes.md shows all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import ROOT, describe_commit, describe_machine, write_result

from journeyman.data.dataset import read_manifest
from journeyman.evaluation.grid import ERROR, compare_scores, draw_rows, find_disagreements, score_answers
from journeyman.evaluation.run import Predictions, Row, evaluate
from journeyman.flows.rows import read_rows
from journeyman.flows.serving import Serving, serve_student
from journeyman.flows.student import Student
from journeyman.flows.students import finished_students
from journeyman.flows.tune import tune
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.measure.declared import find_metric
from journeyman.measure.intervals import clopper_pearson

Document = dict[str, Any]
RESULT = ROOT / "benchmarks/results/votes.json"


def main() -> int:
    arguments = _parse()
    with open_workspace(arguments.project) as workspace:
        row = asyncio.run(measure(workspace, *_open(workspace, arguments), arguments))
    known = json.loads(RESULT.read_text())["rows"] if RESULT.is_file() else []
    rows = [*(old for old in known if old["row"] != row["row"]), row]
    document = {"commit": describe_commit(), "machine": describe_machine(), "rows": rows}
    write_result(RESULT, document)
    (ROOT / "docs/results/votes.md").write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if arguments.json else describe(document))
    return 0


def _open(workspace: Workspace, arguments: argparse.Namespace) -> tuple[Student, Student]:
    task = workspace.task(arguments.task)
    dataset, _manifest = read_manifest(workspace.store, task.name)
    given = {"kind": "votes", "samples": arguments.samples, "temperature": arguments.temperature, "of": arguments.of}
    made = tune(workspace, task.name, given)
    return dict(finished_students(workspace, task, dataset))[arguments.of], made.student


async def measure(
    workspace: Workspace, asked: Student, votes: Student, arguments: argparse.Namespace
) -> dict[str, object]:
    task = workspace.task(arguments.task)
    _dataset, manifest = read_manifest(workspace.store, task.name)
    splits = read_rows(workspace.store, manifest)
    rows = draw_rows(splits.dev, arguments.rows)
    metric = find_metric(task, task.gate.metric, workspace.project.root)
    async with serve_student(workspace, task, asked) as one, serve_student(workspace, task, votes) as many:
        cost = await _time(workspace, task, one, many, rows[: arguments.timed])
        answered = [
            await _ask(workspace, task, serving, rows, workspace.project.runs.parent / "votes")
            for serving in (one, many)
        ]
    scores = [score_answers(metric, rows, said) for said in answered]
    found = compare_scores(metric, rows, scores[1], scores[0], ERROR, splits.heaviest)
    differing = find_disagreements(rows, answered[0], answered[1], (scores[0], scores[1]))
    model = f"{asked.manifest.base.name}, {asked.manifest.kind}"
    return {
        "row": f"{task.name}: {model} ({arguments.of[-6:]}), {arguments.samples} samples at {arguments.temperature:g}",
        "metric": metric.name,
        "n": len(rows),
        "greedy": _share(scores[0]),
        "votes": _share(scores[1]),
        "difference": {"value": found.value, "low": found.low, "high": found.high, "n": found.n},
        "gained": sum(item.scores[1] > item.scores[0] for item in differing),
        "lost": sum(item.scores[1] < item.scores[0] for item in differing),
        "unreadable": [sum(item.target is None for item in said.items) for said in answered],
        "agreed": statistics.fmean(item.confidence is not None and item.confidence.whole == 1 for item in answered[1].items),
        "tokens_out": [statistics.fmean(item.output_tokens or 0 for item in said.items) for said in answered],
        "cost": cost,
        "command": f"python benchmarks/votes.py --project FOLDER --task {task.name} --of {arguments.of} "
        f"--samples {arguments.samples} --temperature {arguments.temperature:g} --rows {arguments.rows} --timed {arguments.timed}",
        "commit": describe_commit(),
    }  # fmt: skip


async def _ask(workspace: Workspace, task: Any, serving: Serving, rows: list[Row], folder: Path) -> Predictions:
    async with serving.asking(serving.student_name) as client:
        cache = folder / f"{serving.student_name.rpartition('@')[2][:16]}.jsonl"
        return await evaluate(
            client,
            task,
            rows,
            requests_in_flight=1,
            cache_path=cache,
            progress=workspace.progress,
            with_confidence=True,
        )


async def _time(
    workspace: Workspace, task: Any, one: Serving, many: Serving, rows: list[Row]
) -> dict[str, dict[str, float]]:
    """Seconds of votes over seconds of one answer, row by row in turns: with the confidence that needs every sample, and without."""
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        async with one.asking(one.student_name) as first, many.asking(many.student_name) as second:
            for name, is_sure in (("every sample", True), ("until decided", False)):
                spent: list[list[float]] = [[], []]
                for place, row in enumerate([rows[0], *rows]):  # the first call makes what later ones use
                    for side, client in enumerate((first, second)):
                        path = Path(scratch) / f"{name}-{place}-{side}.jsonl"
                        said = await evaluate(
                            client, task, [row], requests_in_flight=1, cache_path=path, with_confidence=is_sure
                        )
                        spent[side] += said.latencies_ms if place else []
                ends = statistics.quantiles([votes / once for once, votes in zip(*spent, strict=True)], n=20)
                once, votes = (statistics.median(times) for times in spent)
                ratio = sum(spent[1]) / sum(spent[0])
                found[name] = {
                    "ratio": ratio,
                    "p5": ends[0],
                    "p95": ends[-1],
                    "n": len(rows),
                    "once_ms": once,
                    "votes_ms": votes,
                }
    return found


def _share(scores: list[float]) -> dict[str, float]:
    """Clopper-Pearson's interval. Raises: SystemExit for a graded metric, which it is not for."""
    if not {0.0, 1.0} >= set(scores):
        raise SystemExit("the gate's metric is graded: take a project whose answers are right or wrong")
    ends = clopper_pearson(round(sum(scores)), len(scores))
    return {"value": statistics.fmean(scores), "low": ends.low, "high": ends.high}


def describe(document: Document) -> str:
    machine, measured = document["machine"], document["rows"]
    better = sum(row["difference"]["low"] > 0 for row in measured)
    lines = [
        "# Votes over several samples",
        "",
        f"**Votes are shown to be better than the one greedy answer on {better} of {len(measured)} students.**",
        "",
        f"Dev rows, {machine['cores']} cores of {machine['processor']}, Python {machine['python']}; another job ran on the machine. Difference: votes minus one greedy answer of the same",
        "student, paired, 95 %. Gained and lost: rows that votes have right and the one answer wrong, and the other way round. All agreed: rows where every sample said the same.",
        "",
        "| student, samples | n | greedy, % | votes, % | difference, points | gained, lost | all agreed |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in document["rows"]:
        one, many, found = (row[name] for name in ("greedy", "votes", "difference"))
        lines.append(
            f"| {row['row']} | {row['n']} | {_percent(one)} | {_percent(many)} | {100 * found['value']:+.1f} ({100 * found['low']:+.1f} to {100 * found['high']:+.1f}) "
            f"| {row['gained']}, {row['lost']} | {100 * row['agreed']:.0f} % |"
        )
    lines += [
        "",
        "What it costs: time over that of one answer, all rows together (in brackets the 5th and 95th percentile of a row), asked in turns.",
        "",
        "| student, samples | every sample (confidence asked) | until decided | n | p50 ms, one answer and votes until decided | tokens out, one answer and votes |",
        "|---|---|---|---|---|---|",
    ]
    for row in document["rows"]:
        every, decided = (row["cost"][name] for name in ("every sample", "until decided"))
        tokens = row["tokens_out"]
        lines.append(
            f"| {row['row']} | {_ratio(every)} | {_ratio(decided)} | {every['n']} | {decided['once_ms']:.0f}, {decided['votes_ms']:.0f} | {tokens[0]:.0f}, {tokens[1]:.0f} |"
        )
    commands = [f"    {row['command']}" for row in document["rows"]]
    commits = sorted({row["commit"] for row in document["rows"]})
    return "\n".join([*lines, "", f"Commands, at commit {', '.join(commits)}:", "", *commands, ""])


def _percent(figure: dict[str, float]) -> str:
    return f"{100 * figure['value']:.1f} ({100 * figure['low']:.1f} to {100 * figure['high']:.1f})"


def _ratio(cost: dict[str, float]) -> str:
    return f"{cost['ratio']:.1f} ({cost['p5']:.1f} to {cost['p95']:.1f})"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--of", required=True)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--rows", type=int, default=150)
    parser.add_argument("--timed", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
