"""Invoices: how well values are extracted from documents of vendors and layouts that were never seen, at each step of the ladder of labelled documents.

    python benchmarks/invoices.py [--only places|ladder] [--steps 0,5,10,25,50] [--sealed 60] [--json] [--folder F]

`places`: where true values are found, without any model. `ladder`: the command that a user runs, `journeyman extract invoices train --ladder STEPS --held sealed`; the base with the instruction at 0, then students tuned on
so many documents, all of them reading the same sealed PDFs, whose values are compared with the truth beside them. Cost is seconds of this machine: once for tuning, and for each document. Every document is drawn by
`examples/invoices/make_files.py`. The sealed documents are read once by each step and chosen from by none. With `--folder` a stopped run goes on. `--toy` tries all of it on three documents in minutes, and writes no result.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import (
    ROOT,
    describe_commit,
    describe_machine,
    make_parser,
    run_command,
    run_journeyman,
    write_figure,
    write_result,
)
from rows import invoice_places

Document = dict[str, Any]
EXAMPLE = ROOT / "examples/invoices"
RESULT = ROOT / "benchmarks/results/invoices.json"
PAGE = ROOT / "docs/results/invoices.md"
PICTURE = PAGE.with_suffix(".svg")
SEALED, STEPS = 60, "0,5,10,25,50"
TOY = ("--ladder", "0,5", "--epochs", "1")
PLACED = 48  # documents of each folder
HOW = {"base": "the base with the instruction", "tuned": "tuned"}


def main() -> int:
    arguments = _parse()
    known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() and not arguments.toy else {}
    if arguments.only in (None, "places"):
        known |= {"places": invoice_places.measure(EXAMPLE, 3 if arguments.toy else PLACED)}
        _write(known, arguments.toy)
    if arguments.only in (None, "ladder"):
        with tempfile.TemporaryDirectory() as scratch:
            folder = arguments.folder or Path(scratch)
            known |= {"ladder": measure(folder, arguments)}
            if not arguments.toy:
                shutil.copy(folder / PICTURE.name, PICTURE)
        _write(known, arguments.toy)
    sys.stdout.write(json.dumps(known, indent=2) + "\n" if arguments.json else describe(known))
    return 0


def _write(document: Document, is_toy: bool) -> None:
    document |= {"machine": describe_machine(), "commit": describe_commit()}
    if not is_toy:
        write_result(RESULT, document)
        PAGE.write_text(describe(document), encoding="utf-8")


def measure(folder: Path, arguments: argparse.Namespace) -> Document:
    """One project from its documents to the values of the sealed ones, at every step."""
    ladder = TOY if arguments.toy else ("--ladder", arguments.steps, *arguments.more)
    most = max(map(int, ladder[1].split(",")))
    make_project(folder, most, 3 if arguments.toy else arguments.sealed)
    words = ["extract", "invoices", "train", "--held", "sealed", *ladder, "--plot", PICTURE.name, "--json"]
    ran = run_journeyman(folder, *words)
    if ran.status != 0:
        raise SystemExit(f"extract ended with status {ran.status}")
    said: Document = json.loads(ran.output)
    return said | {"seconds": round(ran.seconds, 1)}


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
    lines = [
        "# Values of invoices, by how many are labelled",
        "",
        "`python benchmarks/invoices.py`; what is compared and how stands at its top. Sealed documents are of vendors and layouts that no step has seen. F1 over all values of all documents, its interval from a",
        "bootstrap over documents; documents that are right in every value with exact intervals (Clopper and Pearson). Grounded: of the values said, those that stand in their document (the others become null).",
        "A document that gets no valid answer says nothing: its values are missed.",
    ]
    if document.get("ladder"):
        lines += _describe_ladder(document["ladder"])
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


def _describe_ladder(ladder: Document) -> list[str]:
    steps = ladder["steps"]
    lines = [
        "",
        f"![F1 and documents all right by labelled documents]({PICTURE.name})",
        "",
        "| labelled | how | F1 | documents all right | grounded | tuning, s | s a document | no answer |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for step in steps:
        cells = (step["f1"], step["scores"]["all_right"], step["scores"]["grounded"])
        lines.append(
            f"| {step['labelled']} | {HOW[step['how']]} | {' | '.join(map(_figure, cells))} | {step['tune_seconds']:g} | "
            f"{step['seconds_per_document']:g} | {step['unread']} of {ladder['held']} |"
        )
    fields = list(dict.fromkeys(name for step in steps for name in step["scores"]["fields"] if name != "*"))
    lines += ["", "F1 by field:", "", f"| field | {' | '.join(str(step['labelled']) for step in steps)} |"]
    lines.append(f"|---|{'---|' * len(steps)}")
    for name in fields:
        found = [step["scores"]["fields"].get(name, {}).get("f1") for step in steps]
        lines.append(f"| {name} | {' | '.join(map(_figure, found))} |")
    return lines


def _figure(figure: Document | None) -> str:
    return write_figure(figure) if figure else "–"


def _parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--only", choices=["places", "ladder"], help="one part")
    parser.add_argument("--steps", default=STEPS, help="how many documents are labelled at each step")
    parser.add_argument("--sealed", type=int, default=SEALED, help="how many sealed documents")
    parser.add_argument("--toy", action="store_true", help="three documents, one pass: does it run at all?")
    parser.add_argument("more", nargs="*", help="more arguments of `journeyman extract --ladder`, after --")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
