"""The ladder on a public set: which rung is enough, and what the sealed test says of it.

    python benchmarks/ladder.py --data FOLDER [--folder F] [--json]

Banking77: all of the train file (10,003 texts, 77 intents) is imported, the set's own test file (3,080) is the sealed split, the gate asks for a floor of 0.90. The
commands are those of a user; every rung is measured on dev, one goes to the sealed rows. Results go to benchmarks/results/ladder.json and docs/results/ladder.md.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import ROOT, describe_commit, describe_machine, make_parser, run_journeyman, write_result

Document = dict[str, Any]
RESULT = ROOT / "benchmarks/results/ladder.json"
TASK, GATE = "banking77", "gate: {against: floor, floor: 0.9}\n"
LEAST, MOST_S = 0.92, 240.0


def main() -> int:
    arguments = make_parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        document = measure(arguments.data / TASK, arguments.folder or Path(scratch))
    write_result(RESULT, document)
    (ROOT / "docs/results/ladder.md").write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if arguments.json else describe(document))
    return 0


def measure(data: Path, folder: Path) -> Document:
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    task = (ROOT / f"benchmarks/tasks/{TASK}.yaml").read_text(encoding="utf-8").split("gate:")[0]
    (folder / f"tasks/{TASK}.yaml").write_text(task + GATE, encoding="utf-8")
    (folder / "journeyman.toml").touch()
    for name in ("train", "test"):
        with (data / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = [
                {"input": {"text": row["text"].strip()}, "gold": {"intent": row["category"]}}
                for row in csv.DictReader(file)
            ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    stages = {
        "import the sealed rows": ["import", "test.jsonl", "--task", TASK, "--split", "test", "--json"],
        "import": ["import", "train.jsonl", "--task", TASK, "--json"],
        "prepare": ["prepare", TASK, "--json"],
        "tune a head": ["tune", TASK, "--kind", "head", "--json"],
        "climb, assess": ["assess", TASK, "--ladder", "--all", "--json"],
    }
    seconds, outputs = {}, {}
    for name, command in stages.items():
        sys.stderr.write(f"== {' '.join(command)}\n")
        done = run_journeyman(folder, *command)
        if done.status > 1:
            raise SystemExit(done.output[-800:])
        seconds[name], outputs[name] = round(done.seconds, 1), json.loads(done.output)
    assessed = outputs["climb, assess"]
    figure = assessed["candidates"][0]["metrics"]["exact_match"]
    return {
        "commands": [f"journeyman {' '.join(command)}" for command in stages.values()],
        "seconds": seconds,
        "assessed": {key: value for key, value in assessed.items() if key != "release"},
        "rows": [
            {"row": "accuracy on the sealed test", **figure, "bar": LEAST, "met": figure["value"] >= LEAST},
            {
                "row": "tuning a head",
                "value": seconds["tune a head"],
                "bar": MOST_S,
                "met": seconds["tune a head"] < MOST_S,
            },
        ],
        "commit": describe_commit(),
        "machine": describe_machine(),
    }


def describe(document: Document) -> str:
    assessed, machine = document["assessed"], document["machine"]
    ladder, gate, dataset = assessed["ladder"], assessed["gate"], assessed["dataset"]
    confidence, promise = assessed["confidence"], assessed["promise"]
    lines = [
        "# The ladder on Banking77",
        "",
        f"`python benchmarks/ladder.py --data FOLDER` at commit {document['commit']}, {machine['cores']} cores of {machine['processor']}, Python {machine['python']}.",
        f"Rows: {dataset['train']:,} train, {dataset['dev']:,} dev, {dataset['calibration']:,} calibration, {dataset['test']:,} sealed (the set's test file, first look).",
        "",
        f"**{ladder['advice']}**",
        "",
        "| rung | dev, % | 95 % | n | p50 ms | promising |",
        "|---|---|---|---|---|---|",
    ]
    for rung in ladder["rungs"]:
        verdict = rung["verdict"]
        if verdict is None:
            continue
        name = f"**{rung['name']}**" if rung["run"] == ladder["chosen"] else rung["name"]
        lines.append(
            f"| {name} | {100 * verdict['difference']:.1f} | {100 * verdict['low_95']:.1f} to {100 * verdict['high_95']:.1f} | {verdict['n']} "
            f"| {rung['p50_ms']:.1f} | {'yes' if rung['is_promising'] else 'no'} |"
        )
    sealed = document["rows"][0]
    lines += [
        "",
        f"On the sealed rows: {sealed['value']:.4f} ({sealed['low']:.4f} to {sealed['high']:.4f}, n = {sealed['n']:,}; bar {sealed['bar']}: {'met' if sealed['met'] else 'missed'}). "
        f"Gate: {gate['verdict']} (floor {gate['floor']}, lower bound {gate['low']:.4f} at level {gate['level']:g}).",
        f"Tuning a head, embedding included: {document['rows'][1]['value']:.0f} s (bar {MOST_S:.0f} s: {'met' if document['rows'][1]['met'] else 'missed'}).",
    ]
    if confidence:
        lines.append(
            f"Calibration error, debiased: {confidence['error']:.4f} ({confidence['low']:.4f} to {confidence['high']:.4f}; {confidence['raw_error']:.4f} before the "
            f"{confidence['kind']} map, fitted on {confidence['fitted']} rows), Brier score {confidence['brier']:.4f}, n = {confidence['n']:,}."
        )
    if promise:
        chosen = next((point for point in promise["curve"] if point["threshold"] == promise["threshold"]), None)
        what = (
            f"at most {promise['error']:g} wrong with confidence {1 - promise['delta']:g}, {100 * chosen['coverage']:.1f} % of calls answered"
            if chosen
            else f"nothing can be promised at an error of {promise['error']:g}"
        )
        lines.append(f"The promise, decided on {promise['n']} rows: {what}.")
    lines += [
        "",
        "| stage | seconds |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in document["seconds"].items()),
    ]
    lines += ["", "Commands:", "", *(f"    {command}" for command in document["commands"]), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
