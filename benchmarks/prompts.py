"""What `improve` and `compare` find on a public set with a small model as it is, on dev alone.

    python benchmarks/prompts.py --data FOLDER [--folder F] [--budget 20m] [--json]

Banking77: all of its train file is imported (10,003 texts, 77 intents), its test file is not read. `improve` picks an instruction and examples for SmolLM2-135M on
one half of dev and measures the gain once on the other; `compare` asks a grid of examples and instructions. The commands are those of a user. Results go to
benchmarks/results/prompts.json and docs/results/prompts.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import ROOT, describe_commit, describe_machine, make_parser, run_journeyman, write_result

Document = dict[str, Any]
RESULT = ROOT / "benchmarks/results/prompts.json"
TASK = "banking77"
GRID = """\
edition: 1
instruction:
  own: null
  longer: "Sort the message of a bank's customer into exactly one of the bank's intents. Choose the most specific intent that fits."
shots: [0, 1, 4]
rows: 100
"""


def main() -> int:
    arguments = _parse()
    with tempfile.TemporaryDirectory() as scratch:
        document = measure(arguments.data / TASK, arguments.folder or Path(scratch), arguments.budget)
    write_result(RESULT, document)
    (ROOT / "docs/results/prompts.md").write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if arguments.json else describe(document))
    return 0


def measure(data: Path, folder: Path, budget: str) -> Document:
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    task = (ROOT / f"benchmarks/tasks/{TASK}.yaml").read_text(encoding="utf-8")
    (folder / f"tasks/{TASK}.yaml").write_text(task, encoding="utf-8")
    (folder / "journeyman.toml").touch()
    (folder / "grid.yaml").write_text(GRID, encoding="utf-8")
    with (data / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            {"input": {"text": row["text"].strip()}, "gold": {"intent": row["category"]}}
            for row in csv.DictReader(file)
        ]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    stages = {
        "import": ["import", "train.jsonl", "--task", TASK, "--json"],
        "prepare": ["prepare", TASK, "--json"],
        "improve": ["improve", TASK, "--budget", budget, "--json"],
        "compare": ["compare", TASK, "grid.yaml", "--json"],
    }
    seconds, outputs = {}, {}
    for name, command in stages.items():
        sys.stderr.write(f"== {' '.join(command)}\n")
        done = run_journeyman(folder, *command)
        if done.status:
            raise SystemExit(done.output[-800:])
        seconds[name], outputs[name] = round(done.seconds, 1), json.loads(done.output)
    return {
        "commands": [f"journeyman {' '.join(command)}" for command in stages.values()],
        "seconds": seconds,
        "splits": outputs["prepare"]["funnel"]["splits"],
        "improved": outputs["improve"],
        "compared": {key: value for key, value in outputs["compare"].items() if key != "disagreements"},
        "load": round(os.getloadavg()[0], 1),
        "commit": describe_commit(),
        "machine": describe_machine(),
    }


def describe(document: Document) -> str:
    found, compared, machine = document["improved"], document["compared"], document["machine"]
    splits, chosen = document["splits"], found["chosen"]
    lines = [
        "# Prompt work on Banking77",
        "",
        f"`python benchmarks/prompts.py --data FOLDER` at commit {document['commit']}, {machine['cores']} cores of {machine['processor']}, Python {machine['python']}.",
        f"SmolLM2-135M-Instruct (Q4_1) as it is; {splits['train']:,} train and {splits['dev']:,} dev rows of the set's train file. No row of its test file was read.",
        "",
        "## improve",
        "",
        f"Budget {found['budget_s']:.0f} s, used {document['seconds']['improve']:.0f} s{' (the budget ended the search or the measuring early)' if found['is_cut'] else ''}.",
        f"Chosen: {chosen['name']}. Look {found['look']} at the measuring half. The machine's load was {document['load']} on {machine['cores']} cores used.",
        *(["Answers that an earlier search left in the folder were not asked again."] if found["look"] > 1 else []),
        "",
        f"| {found['metric']} over the task's own instruction without examples | points | interval | n |",
        "|---|---|---|---|",
    ]
    said = (("rows that chose it (too good by the choice)", "picked"), ("other rows, measured once", "measured"))
    for name, key in said:
        if item := found[key]:
            share = 100 * (1 - item["error"])
            lines.append(
                f"| {name} | {100 * item['value']:+.1f} | {100 * item['low']:+.1f} to {100 * item['high']:+.1f} at {share:.4g} % | {item['n']} |"
            )
    if found["own"]:
        for name, key in (("own instruction", "own"), ("chosen variant", "improved")):
            figure = found[key]
            lines.append(
                f"| {name}, share right on the measuring rows | {100 * figure['value']:.1f} | {100 * figure['low']:.1f} to {100 * figure['high']:.1f} at 95 % | {figure['n']} |"
            )
    else:
        lines.append("| nothing better was found | | | |")
    lines += ["", "| raced | variant | rows | share right, % |", "|---|---|---|---|"]
    for arm in found["arms"]:
        score = "failed" if arm["score"] is None else f"{100 * arm['score']:.1f}"
        lines.append(f"| {arm['phase']} | {arm['name']} | {arm['rows']} | {score} |")
    lines += ["", "The chosen instruction:", "", *(f"    {line}" for line in chosen["instruction"].splitlines()), ""]
    lines += [
        "## compare",
        "",
        f"{compared['rows']} rows of dev, the same for each cell; the differences to cell {compared['baseline']} hold all together with 95 %.",
        "",
        "| cell | right, % | 95 % | difference, points | interval | p50 ms | tokens in | unreadable | errors |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in compared["cells"]:
        if cell["failed"]:
            lines.append(f"| {cell['name']} | failed | | | | | | | |")
            continue
        figure, item = cell["metrics"][compared["metric"]], cell["difference"]
        difference = (
            f"{100 * item['value']:+.1f} | {100 * item['low']:+.1f} to {100 * item['high']:+.1f}"
            if item
            else "baseline |"
        )
        lines.append(
            f"| {cell['name']} | {100 * figure['value']:.1f} | {100 * figure['low']:.1f} to {100 * figure['high']:.1f} | {difference} "
            f"| {cell['latency_ms']['p50']:.0f} | {cell['tokens_per_call']['input']:.0f} | {cell['unreadable']} | {cell['errors']} |"
        )
    lines += ["", "| stage | seconds |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in document["seconds"].items()]
    lines += ["", "Commands:", "", *(f"    {command}" for command in document["commands"]), ""]
    return "\n".join(lines)


def _parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--budget", default="20m")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
