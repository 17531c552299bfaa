"""A choice written as JSON, as lines, as one token, or made by a head on an embedding model: 77 intents of Banking77, the same rows, the same settings.

    python benchmarks/decisions.py --data FOLDER [--only json|lines|codes|head] [--folder F] [--json]

Tuned on the first 26 rows of each intent in the set's train file, measured on the last 10 of each in the same file, which are given
as sealed here; the set's own test file is not opened. Results go to benchmarks/results/decisions.json and docs/results/decisions.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import ROOT, describe_commit, describe_machine, make_parser, run_journeyman, write_result

Document = dict[str, Any]
RESULT = ROOT / "benchmarks/results/decisions.json"
FORMS = ("json", "lines", "codes", "head")
TUNED, SEALED = slice(0, 26), slice(-10, None)


def main() -> int:
    arguments = _parse()
    known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {"rows": []}
    for form in [arguments.only] if arguments.only else FORMS:
        with tempfile.TemporaryDirectory() as scratch:
            row = measure(form, arguments.data, (arguments.folder or Path(scratch)) / form)
        known["rows"] = [item for item in known["rows"] if item["form"] != form] + [row]
        write_result(RESULT, known)
        (ROOT / "docs/results/decisions.md").write_text(describe(known), encoding="utf-8")
    sys.stdout.write(json.dumps(known, indent=2) + "\n" if arguments.json else describe(known))
    return 0


def measure(form: str, data: Path, folder: Path) -> Document:
    """The commands that a user runs; a kept folder goes on."""
    _make_project(data, folder)
    for stage in (
        ["import", "sealed.jsonl", "--task", "banking77", "--split", "test"],
        ["import", "train.jsonl", "--task", "banking77"],
        ["prepare", "banking77"],
    ):
        _run(folder, *stage)
    how = ["--kind", "head"] if form == "head" else ["--answers", form]
    tuned = _run(folder, "tune", "banking77", *how, "--json")
    assessed = _run(folder, "assess", "banking77", "--json")
    student = assessed["candidates"][0]
    return {
        "form": form,
        "rows": assessed["dataset"]["train"],
        "exact": student["metrics"]["exact_match"],
        "latency_ms": student["latency_ms"],
        "tokens": student["tokens_per_call"],
        "tuned": tuned["tuned"],
        "parity": {key: tuned["parity"][key] for key in ("equal", "n")},
        "commit": describe_commit(),
        "machine": describe_machine(),
    }


def describe(document: Document) -> str:
    lines = [
        "# A choice as JSON, as lines, as one token, or by a head",
        "",
        "Banking77, 77 intents; SmolLM2-135M (json, lines, codes) or a head on all-MiniLM-L6-v2, tuned on the first 26 rows of each in the train",
        "file, measured on the last 10 of each there.",
        "`python benchmarks/decisions.py --data FOLDER`. Latency is that of one call at a time over the server.",
        "",
        "| answers | exact | 95 % interval | n | tokens per answer | p50 ms | p95 ms | tuning s | rows |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in document["rows"]:
        exact, latency = row["exact"], row["latency_ms"]
        lines.append(
            f"| {row['form']} | {exact['value']:.3f} | {exact['low']:.3f} to {exact['high']:.3f} | {exact['n']} "
            f"| {row['tokens']['output']:.1f} | {latency['p50']:.0f} | {latency['p95']:.0f} "
            f"| {row['tuned']['seconds']:.0f} | {row['rows']} |"
        )
    machine = document["rows"][0]["machine"]
    lines += ["", f"Machine: {machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB."]
    return "\n".join(lines) + "\n"


def _make_project(data: Path, folder: Path) -> None:
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    (folder / "tasks/banking77.yaml").write_bytes((ROOT / "benchmarks/tasks/banking77.yaml").read_bytes())
    (folder / "journeyman.toml").touch()
    by_intent: dict[str, list[str]] = {}
    with (data / "banking77/train.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            by_intent.setdefault(row["category"], []).append(row["text"].strip())
    for name, part in (("train", TUNED), ("sealed", SEALED)):
        lines = (
            json.dumps({"input": {"text": text}, "gold": {"intent": intent}}) + "\n"
            for intent, texts in by_intent.items()
            for text in texts[part]
        )
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def _run(folder: Path, *arguments: str) -> Document:
    sys.stderr.write(f"== {' '.join(arguments)}\n")
    done = run_journeyman(folder, *arguments)
    if done.status not in (0, 1):
        raise SystemExit(done.output[-800:])
    document: Document = json.loads(done.output) if "--json" in arguments else {}
    return document


def _parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--only", choices=FORMS)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
