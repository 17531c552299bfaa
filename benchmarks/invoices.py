"""Invoices: how well values are extracted from documents of vendors and layouts that were never seen, at each step of the ladder of labelled documents.

    python benchmarks/invoices.py [--only STEP] [--sealed 60] [--json] [--folder F]

`places`: where true values are found, without any model. Steps: 0 labelled documents (the base is asked with the instruction alone), 10 (it is shown the nearest two of them), and a student tuned on 10, 50 and 200. Each is made with the commands that a
user runs: documents to rows, import, prepare, tune, assess, release; then `journeyman extract` reads the sealed PDFs, whose values are compared with the truth beside them. Cost is seconds
of this machine: once for tuning, and for each document. Every document is drawn by `examples/invoices/make_files.py`. The sealed documents are read once by each step and chosen from by none. `--toy` tries all of it on three documents in minutes, and writes no
result.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loop import run_stages
from machine import ROOT, describe_commit, describe_machine, make_parser, run_command, write_figure, write_result
from rows import invoice_places

Document = dict[str, Any]
EXAMPLE = ROOT / "examples/invoices"
RESULT = ROOT / "benchmarks/results/invoices.json"
PAGE = ROOT / "docs/results/invoices.md"
SEALED = 60
PLACED = 48  # documents of each folder
LEAST_ROWS = 10  # a dataset needs rows for its splits, though step 0 learns from none


@dataclass(frozen=True)
class Step:
    """``documents`` are labelled; ``tune`` is what the command is told."""

    name: str
    title: str
    documents: int
    tune: tuple[str, ...]


STEPS = (
    Step("0", "the base with the instruction", 0, ("--kind", "prompt")),
    Step("10-shots", "the base, shown the 2 nearest", 10, ("--kind", "prompt", "--shots", "2")),
    Step("10", "tuned", 10, ()),
    Step("50", "tuned", 50, ()),
    Step("200", "tuned", 200, ()),
)
TOY = (STEPS[0], Step("10", "tuned", 10, ("--epochs", "1")))


def main() -> int:
    arguments = _parse()
    steps = [step for step in (TOY if arguments.toy else STEPS) if arguments.only in (None, step.name)]
    sealed = 3 if arguments.toy else arguments.sealed
    known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() and not arguments.toy else {"rows": []}
    if arguments.only in (None, "places"):
        known |= {"places": invoice_places.measure(EXAMPLE, 3 if arguments.toy else PLACED)}
        known |= {"machine": describe_machine(), "commit": describe_commit()}
        _write(known, arguments.toy)
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        for step in steps:
            row = measure(step, folder / step.name, sealed, arguments.tune)
            known["rows"] = [old for old in known["rows"] if old["name"] != row["name"]] + [row]
            known |= {"machine": describe_machine(), "commit": describe_commit()}
            _write(known, arguments.toy)
    sys.stdout.write(json.dumps(known, indent=2) + "\n" if arguments.json else describe(known))
    return 0


def _write(document: Document, is_toy: bool) -> None:
    if not is_toy:
        names = [item.name for item in STEPS]
        document["rows"].sort(key=lambda one: names.index(one["name"]))
        write_result(RESULT, document)
        PAGE.write_text(describe(document), encoding="utf-8")


def measure(step: Step, folder: Path, sealed: int, more: list[str]) -> Document:
    """One project from its documents to the values of the sealed ones."""
    make_project(folder, max(step.documents, LEAST_ROWS), sealed)
    tune = [*step.tune, *(more if "prompt" not in step.tune else [])]
    ran = run_stages(
        folder,
        {
            "rows": ["extract", "invoices", "train", "--rows", "train.jsonl", "--json"],
            "sealed rows": ["extract", "invoices", "sealed", "--rows", "sealed.jsonl", "--json"],
            "import sealed": [
                "import",
                "sealed.jsonl",
                "--task",
                "invoices",
                "--split",
                "test",
                "--terms",
                "free",
                "--json",
            ],
            "import": ["import", "train.jsonl", "--task", "invoices", "--terms", "free", "--json"],
            "prepare": ["prepare", "invoices", "--json"],
            "tune": ["tune", "invoices", *tune, "--json"],
            "assess": ["assess", "invoices", "--base-rows", "0", "--safety-prompts", "0", "--json"],
            "release": ["release", "invoices", "--force", "a benchmark", "--json"],
            "extract": ["extract", "invoices", "sealed", "--json"],
        },
    )
    said = json.loads(ran["extract"].output)
    documents = len(said["documents"])
    return {
        "name": step.name,
        "title": step.title,
        "documents": step.documents,
        "tune": tune,
        "n": documents,
        "unread": said["unread"],
        "scores": said["scores"],
        "tune_seconds": round(ran["tune"].seconds, 1) if "prompt" not in step.tune else 0.0,
        "seconds_per_document": round(ran["extract"].seconds / max(1, documents + len(said["unread"])), 2),
        "stages": {name: round(item.seconds, 1) for name, item in ran.items()},
        "commit": describe_commit(),
    }


def make_project(folder: Path, train: int, sealed: int) -> None:
    if (folder / "journeyman.toml").is_file():
        return
    shutil.copytree(EXAMPLE / "tasks", folder / "tasks", dirs_exist_ok=True)
    words = ["--train", str(train), "--sealed", str(sealed), "--out", str(folder)]
    made = run_command([sys.executable, str(EXAMPLE / "make_files.py"), *words], folder)
    if made.status != 0:
        raise SystemExit("the example's generator failed")
    shutil.copy(EXAMPLE / "journeyman.toml", folder)


def describe(document: Document) -> str:
    """The result as a page."""
    rows = [row for row in document["rows"] if row["scores"]]
    lines = [
        "# Values of invoices, by how many are labelled",
        "",
        "`python benchmarks/invoices.py`; what is compared and how stands at its top. Sealed documents are of vendors and layouts that no step has seen. F1 over all values of all documents, its interval from a",
        "bootstrap over documents; documents that are right in every value with exact intervals (Clopper and Pearson). Grounded: of the values said, those that stand in their document (the others become null).",
        "A document that gets no valid answer says nothing: its values are missed.",
    ]
    if rows:
        lines += _describe_steps(rows)
    if document.get("places"):
        lines += ["", "Where the true values are found, without a model:", "", "| what | share |", "|---|---|"]
        lines += [f"| {one['row']} | {write_figure(one)} |" for one in document["places"]]
    machine = document["machine"]
    lines += [
        "",
        f"Machine: {machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB; commit {document['commit']}.",
        "",
    ]
    return "\n".join(lines)


def _describe_steps(rows: list[Document]) -> list[str]:
    lines = [
        "",
        "| labelled | how | F1 | documents all right | grounded | tuning, s | s a document | no answer |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        scores = row["scores"]
        cells = (scores["fields"]["*"]["f1"], scores["all_right"], scores["grounded"])
        lines.append(
            f"| {row['documents']} | {row['title']} | {' | '.join(map(_figure, cells))} | {row['tune_seconds']:g} | "
            f"{row['seconds_per_document']:g} | {len(row['unread'])} of {row['n'] + len(row['unread'])} |"
        )
    fields = list(dict.fromkeys(name for row in rows for name in row["scores"]["fields"] if name != "*"))
    lines += ["", "F1 by field:", "", f"| field | {' | '.join(row['name'] for row in rows)} |"]
    lines.append(f"|---|{'---|' * len(rows)}")
    for name in fields:
        found = [row["scores"]["fields"].get(name, {}).get("f1") for row in rows]
        lines.append(f"| {name} | {' | '.join(map(_figure, found))} |")
    return lines


def _figure(figure: Document | None) -> str:
    return write_figure(figure) if figure else "–"


def _parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--only", choices=["places", *(step.name for step in STEPS)], help="one step")
    parser.add_argument("--sealed", type=int, default=SEALED, help="how many sealed documents")
    parser.add_argument("--toy", action="store_true", help="three documents, one pass: does it run at all?")
    parser.add_argument("tune", nargs="*", help="more arguments of `journeyman tune`, after --")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
