"""The whole loop on a public set: stage times, tokens/s, peak memory, served latency, and how good the student is.

    python benchmarks/loop.py --data FOLDER [--only snips|snips-all|nyt] [--json] [--folder F]

Runs the commands that a user runs (import, prepare, tune, assess), each in its own process. Tuned on the set's tuning rows,
measured once on its sealed rows. Results go to benchmarks/results/loop-SET.json and docs/results/loop-SET.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from machine import ROOT, Ran, describe_commit, describe_machine, make_parser, run_journeyman, write_result
from sets import SETS, PublicSet, write_import_files

Document = dict[str, Any]
NO_RIVAL = "no rival runs this loop"


def main() -> int:
    arguments = _parse()
    names = [arguments.only] if arguments.only else list(SETS)
    documents = {}
    for name in names:
        if not (arguments.data / SETS[name].folder).is_dir():
            sys.stderr.write(f"{name} is skipped: {arguments.data / SETS[name].folder} is not there\n")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            folder = arguments.folder or Path(scratch)
            documents[name] = measure(SETS[name], arguments.data, folder / name, arguments.tune)
        write_result(ROOT / f"benchmarks/results/loop-{name}.json", documents[name])
        (ROOT / f"docs/results/loop-{name}.md").write_text(describe(name, documents[name]), encoding="utf-8")
    if arguments.json:
        sys.stdout.write(json.dumps(documents, indent=2) + "\n")
    else:
        for name, document in documents.items():
            sys.stdout.write(describe(name, document))
    return 0


def measure(chosen: PublicSet, data: Path, folder: Path, tune: list[str]) -> Document:
    """Run every stage and gather the figures."""
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / f"benchmarks/tasks/{chosen.task}.yaml", folder / "tasks")
    (folder / "journeyman.toml").touch()
    write_import_files(chosen, data, folder)
    stages = {
        "import sealed": ["import", "sealed.jsonl", "--task", chosen.task, "--split", "test", "--json"],
        "import": ["import", "train.jsonl", "--task", chosen.task, "--json"],
        "prepare": ["prepare", chosen.task, "--json"],
        "tune": ["tune", chosen.task, *tune, "--json"],
        "assess": ["assess", chosen.task, "--json"],
    }
    ran = run_stages(folder, stages)
    tuned, assessed = json.loads(ran["tune"].output), json.loads(ran["assess"].output)
    run = Path(tuned["run"])
    quality = read_quality(chosen, assessed)
    return {
        "machine": describe_machine(),
        "commit": describe_commit(),
        "commands": [f"journeyman {' '.join(item)}" for item in stages.values()],
        "rows": [*_quality_rows(chosen, quality), *_speed_rows(chosen, ran, tuned, assessed)],
        "plan": json.loads((run / "plan.json").read_text()),
        "numbers": json.loads((run / "machine.json").read_text()),
        "tuned": tuned["tuned"],
        "parity": tuned["parity"],
        "assessed": assessed | {"release": {"hash": assessed["release"]["hash"]}},
    }


def run_stages(folder: Path, stages: dict[str, list[str]]) -> dict[str, Ran]:
    """Run each stage once; ``stages.json`` keeps what is done, so that a kept folder continues."""
    path = folder / "stages.json"
    done: dict[str, Document] = json.loads(path.read_text()) if path.is_file() else {}
    for stage, arguments in stages.items():
        if stage in done:
            continue
        sys.stderr.write(f"== {' '.join(arguments)}\n")
        ran = run_journeyman(folder, *arguments)
        if ran.status not in (0, 1):
            raise SystemExit(f"{stage} ended with status {ran.status}")
        done[stage] = asdict(ran)
        path.write_text(json.dumps(done, indent=2))
    return {stage: Ran(**done[stage]) for stage in stages}


def read_quality(chosen: PublicSet, assessed: Document) -> Document:
    """The student's figures on the sealed rows: metrics, all slots' micro-F1, the label's accuracy (its recall)."""
    student = assessed["candidates"][0]
    fields = {item["field"]: item for item in student["fields"]}
    figures = dict(student["metrics"])
    if chosen.slots:
        figures[f"{chosen.slots}_f1"] = fields[f"{chosen.slots}.*"]["f1"]
    if chosen.label:
        figures[chosen.label] = fields[chosen.label]["recall"]
    return figures


def _quality_rows(chosen: PublicSet, quality: Document) -> list[Document]:
    rows = []
    for name, figure in quality.items():
        bar = chosen.bars.get(name)
        met = None if bar is None else figure["value"] >= bar
        rows.append(
            _row(name, round(figure["value"], 4), "share", figure["n"], bar, met)
            | {"low": round(figure["low"], 4), "high": round(figure["high"], 4)}
        )
    return rows


def _speed_rows(chosen: PublicSet, ran: dict[str, Ran], tuned: Document, assessed: Document) -> list[Document]:
    rows = [_row(f"{stage}, wall", round(item.seconds, 1), "s", 1) for stage, item in ran.items()]
    rows += [_row(f"{stage}, peak memory", round(item.peak_bytes / 1e9, 2), "GB", 1) for stage, item in ran.items()]
    seconds, tokens = tuned["tuned"]["seconds"], tuned["tuned"]["tokens"]
    most = chosen.most_tuning_s
    rows.append(
        _row("tuning loop with its looks at dev", seconds, "s", 1, most, None if most is None else seconds <= most)
    )
    rows.append(_row("tuning", round(tokens / seconds, 1), "tokens/s", tokens))
    examples = assessed["dataset"]["train"]
    rows.append(_row("tuning", round(examples * _epochs(tuned) / seconds, 2), "examples/s", examples))
    student = assessed["candidates"][0]
    for name in ("p50", "p95"):
        latency = student["latency_ms"]
        ends = {"low": latency[f"{name}_low"], "high": latency[f"{name}_high"]}
        rows.append(_row(f"served latency {name}", round(latency[name], 1), "ms", latency["n"]) | ends)
    rows.append(_row("parity: equal greedy answers", tuned["parity"]["equal"], "prompts", tuned["parity"]["n"]))
    return rows


def _epochs(tuned: Document) -> float:
    plan = json.loads((Path(tuned["run"]) / "plan.json").read_text())
    return float(plan["epochs"]["value"]) * tuned["tuned"]["tokens"] / plan["total_tokens"]


def _row(name: str, ours: object, unit: str, n: int, bar: object = None, met: bool | None = None) -> Document:
    return {
        "row": name,
        "ours": ours,
        "rival": None,
        "reason": NO_RIVAL,
        "unit": unit,
        "ratio": None,
        "bar": bar,
        "met": met,
        "n": n,
    }


def describe(name: str, document: Document) -> str:
    """The result as a page."""
    machine, dataset = document["machine"], document["assessed"]["dataset"]
    gate = document["assessed"]["gate"]
    given = next(command.split()[3:-1] for command in document["commands"] if command.startswith("journeyman tune "))
    options = " ".join(["", "--", *given]) if given else ""
    lines = [
        f"# The loop on {name}",
        "",
        f"`python benchmarks/loop.py --data FOLDER --only {name}{options}` at commit {document['commit']}, on {machine['cores']} cores of "
        f"{machine['processor']}, {machine['memory_gb']} GB, Python {machine['python']}; {document['numbers']['number']}, "
        f"{document['numbers']['threads']} threads.",
        f"Rows: {dataset['train']} train, {dataset['dev']} dev, {dataset['calibration']} calibration, {dataset['test']} sealed.",
        f"Gate: {gate['verdict']} ({gate['metric']} against {gate['against']}, one-sided at level {gate['level']}, n = {gate['n']}).",
        "",
        "| figure | value | 95 % interval | n | bar | met |",
        "|---|---|---|---|---|---|",
    ]
    for row in document["rows"]:
        ends = f"{_write(row['low'])} to {_write(row['high'])}" if "low" in row else ""
        met = "" if row["met"] is None else "yes" if row["met"] else "no"
        bar = "" if row["bar"] is None else row["bar"]
        lines.append(f"| {row['row']} | {row['ours']} {row['unit']} | {ends} | {row['n']} | {bar} | {met} |")
    base = next((item for item in document["assessed"]["candidates"] if item["kind"] == "base"), None)
    if base:
        figure = base["metrics"]["exact_match"]
        lines += [
            "",
            f"The untuned base: exact match {figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f}), n = {figure['n']}.",
        ]
    lines += [line for note in document.get("notes", []) for line in ("", note)]
    lines += ["", "Commands:", "", *(f"    {command}" for command in document["commands"]), ""]
    return "\n".join(lines)


def _write(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--only", choices=list(SETS), help="one set")
    parser.add_argument("tune", nargs="*", help="more arguments of `journeyman tune`, after --")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
