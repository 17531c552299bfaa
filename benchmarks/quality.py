"""Student size, method and number of rows on SNIPS: what each is worth on rows that are neither tuned on nor sealed.

    python benchmarks/quality.py --data FOLDER [--folder F] [--only CELL] [--json]

Tuned on the first rows of each intent with `journeyman tune`, scored on rows 400 to 549 of each intent (n = 1,050): teacher-forced exact
match, which is what greedy decoding without a constraint would give. The next 200 rows of each intent are there without their answers:
a teacher (distillation, disagreements) answers them, no other method sees them. A cell takes minutes to an hour; `--folder` keeps its project, so
that it can go on, and so that cells that begin at another's student find it. Results go to benchmarks/results/quality.json and
docs/results/quality.md, a cell at a time.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import ROOT, describe_commit, describe_machine, run_journeyman, write_result
from rows.snips import read_rows, to_ids

from journeyman.flows.runs import STUDENT, RunFolder
from journeyman.flows.starts import open_start
from journeyman.flows.student import load_student
from journeyman.measure.intervals import clopper_pearson
from journeyman.models.catalog import resolve
from journeyman.models.template import make_student_template
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.batching import TuneRow
from journeyman.tuning.objective import score_rows

Document = dict[str, Any]
RESULT = ROOT / "benchmarks/results/quality.json"
SMOL, GEMMA = "smollm2-135m-instruct", "gemma-3-270m"
SCORED = slice(400, 550)
UNANSWERED = 200  # of each intent, after the rows that are tuned on and before those that are scored
INTENTS = 7
LINES = ("--answers", "lines")


@dataclass(frozen=True, slots=True)
class Cell:
    """``given`` are options of `tune`; ``after`` is the cell whose run it begins at, ``teacher`` the one whose student it asks."""

    base: str
    per_intent: int
    method: str = "sft"
    given: tuple[str, ...] = ()
    after: str = ""
    teacher: str = ""

    @property
    def rows(self) -> int:
        return INTENTS * self.per_intent


CELLS: dict[str, Cell] = {
    "sft-135m-350": Cell(SMOL, 50),
    "sft-135m-700": Cell(SMOL, 100),
    "sft-135m-2100": Cell(SMOL, 300),
    "sft-270m-700": Cell(GEMMA, 100),
    "lines-135m-700": Cell(SMOL, 100, given=LINES),
    "lines-135m-350": Cell(SMOL, 50, given=LINES),
    "lines-135m-2100": Cell(SMOL, 300, given=LINES),
    "lines-input-135m-700": Cell(SMOL, 100, given=(*LINES, "--input-weight", "0.1")),
    "lines-270m-350": Cell(GEMMA, 50, given=LINES),
    "lines-270m-700": Cell(GEMMA, 100, given=LINES),
    "dora-135m-700": Cell(SMOL, 100, given=("--kind", "dora")),
    "full-135m-700": Cell(SMOL, 100, given=("--kind", "full")),
    "rslora-135m-700": Cell(SMOL, 100, given=("--kind", "rslora")),
    "last20-135m-700": Cell(SMOL, 100, given=("--layers", "20")),
    "input-135m-700": Cell(SMOL, 100, given=("--input-weight", "0.1")),
    "distill-135m-700": Cell(SMOL, 100, "distill", teacher="sft-270m-700"),
    "dpo-135m-700": Cell(SMOL, 100, "dpo", after="sft-135m-700"),
    "lines-dpo-135m-700": Cell(SMOL, 100, "dpo", given=LINES, after="lines-135m-700"),
    "lines-dpo-taught-135m-700": Cell(SMOL, 100, "dpo", given=LINES, after="lines-135m-700", teacher="lines-270m-700"),
    "lines-dpo-faster-135m-700": Cell(
        SMOL,
        100,
        "dpo",
        given=(*LINES, "--rate", "3e-4", "--answer-weight", "1"),
        after="lines-135m-700",
        teacher="lines-270m-700",
    ),
    "lines-2-135m-700": Cell(SMOL, 100, given=(*LINES, "--epochs", "2")),
    "lines-2-dpo-135m-700": Cell(SMOL, 100, "dpo", given=LINES, after="lines-2-135m-700"),
    "lines-distill-135m-700": Cell(SMOL, 100, "distill", given=LINES, teacher="lines-270m-700"),
    "lines-taught-135m-700": Cell(SMOL, 100, "distill", given=(*LINES, "--soft-share", "0"), teacher="lines-270m-700"),
    "q40-135m-700": Cell(SMOL, 100, given=("--finish", "Q4_0")),
}


def main() -> int:
    arguments = _parse()
    known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {"rows": []}
    for name in [arguments.only] if arguments.only else list(CELLS):
        row = measure(name, arguments.data, arguments.folder)
        known["rows"] = [item for item in known["rows"] if item["name"] != name] + [row]
        known["rows"].sort(key=lambda item: list(CELLS).index(item["name"]))
        write_result(RESULT, known)
        (ROOT / "docs/results/quality.md").write_text(describe(known), encoding="utf-8")
    sys.stdout.write(json.dumps(known, indent=2) + "\n" if arguments.json else describe(known))
    return 0


def measure(name: str, data: Path, folder: Path) -> Document:
    """Tune the cell (and what it begins at), score its best weights."""
    cell = CELLS[name]
    project = _project(cell, data, folder)
    before = tune_cell(cell.after, data, folder)["run"] if cell.after else ""
    tuned = tune_cell(name, data, folder)
    run = RunFolder(Path(tuned["run"]))
    base = resolve(cell.base)
    decoder, template = load_decoder(base.path), make_student_template(base.path)
    writing = load_student(run.path / STUDENT).writing
    write = writing.write if writing else str
    rows = [
        TuneRow(tuple(item["ids"]), item["start"])
        for item in (to_ids(raw, template, write=write) for raw in read_rows(data, SCORED))
    ]
    score = score_rows(decoder, open_start(run, decoder), rows)
    right = round(score.exact * len(rows))
    interval = clopper_pearson(right, len(rows))
    return {
        "name": name,
        "base": cell.base,
        "method": cell.method,
        "given": list(cell.given),
        "rows": json.loads((run.path / "material.json").read_text(encoding="utf-8"))["rows"]["train"],
        "begins_at": Path(before).name if before else None,
        "teacher": cell.teacher or None,
        "exact": round(score.exact, 4),
        "low": round(interval.low, 4),
        "high": round(interval.high, 4),
        "n": len(rows),
        "loss": round(score.loss, 4),
        "tuned": tuned["tuned"],
        "threads": json.loads((run.path / "machine.json").read_text(encoding="utf-8"))["threads"],
        "parity": {key: tuned["parity"][key] for key in ("equal", "n")},
        "plan": json.loads((run.path / "plan.json").read_text(encoding="utf-8")),
        "project": project.name,
        "commit": describe_commit(),
        "machine": describe_machine(),
    }


def tune_cell(name: str, data: Path, folder: Path) -> Document:
    """`journeyman tune --json`; a finished run is found again."""
    cell = CELLS[name]
    project = _project(cell, data, folder)
    options = ["--method", cell.method, "--base", cell.base, *cell.given]
    for flag, other in (("--start", cell.after), ("--teacher", cell.teacher)):
        if other:
            options += [flag, Path(tune_cell(other, data, folder)["run"]).name]
    done = run_journeyman(project, "tune", "snips", *options, "--json")
    if done.status:
        raise SystemExit(f"{name}: {done.output[-800:]}")
    document: Document = json.loads(done.output)
    return document


def describe(document: Document) -> str:
    lines = [
        "# Student size, method and rows",
        "",
        "SNIPS: tuned on the first rows of each intent, scored on rows 400 to 549 of each (neither tuned on nor sealed), teacher-forced,",
        "without the constraint. Methods with a teacher (the Gemma cell) also have inputs of 200 more rows of each intent, which it answers; with",
        "a soft share of 0 `distill` learns the teacher's text alone. `python benchmarks/quality.py --data FOLDER --folder F --only CELL`.",
        "",
        "| cell | base | method | rows | exact | 95 % interval | n | loss a token | tuning s | threads | tokens |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in document["rows"]:
        method = " ".join([row["method"], *row["given"]])
        taught = row["tuned"]["lesson"].get("answered_by_teacher")
        rows = f"{row['rows']} + {taught}" if taught else row["rows"]
        interval = f"{row['low']:.3f} to {row['high']:.3f}"
        lines.append(
            f"| `{row['name']}` | {row['base']} | {method} | {rows} | {row['exact']:.3f} | {interval} | {row['n']} "
            f"| {row['loss']:.3f} | {row['tuned']['seconds']:.0f} | {row['threads']} | {row['tuned']['tokens']} |"
        )
    return "\n".join(lines) + "\n"


def _project(cell: Cell, data: Path, folder: Path) -> Path:
    """One project per number of rows; the scored rows are its sealed ones, so that no near copy of them is tuned on."""
    project = folder / f"rows-{cell.rows}"
    if (project / "journeyman.toml").is_file():
        return project
    (project / "tasks").mkdir(parents=True, exist_ok=True)
    (project / "tasks/snips.yaml").write_bytes((ROOT / "benchmarks/tasks/snips.yaml").read_bytes())
    last = min(cell.per_intent + UNANSWERED, SCORED.start)
    for name, part in (
        ("train", slice(0, cell.per_intent)),
        ("unanswered", slice(cell.per_intent, last)),
        ("scored", SCORED),
    ):
        rows = [
            {"input": {"text": raw["text"]}, "gold": {"intent": raw["intent"], "slots": raw["slots"]}}
            for raw in read_rows(data, part)
        ]
        if name == "unanswered":
            rows = [{"input": row["input"]} for row in rows]
        (project / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (project / "journeyman.toml").touch()
    for stage in (
        ["import", "scored.jsonl", "--task", "snips", "--split", "test"],
        ["import", "train.jsonl", "unanswered.jsonl", "--task", "snips"],
        ["prepare", "snips"],
    ):
        done = run_journeyman(project, *stage)
        if done.status:
            (project / "journeyman.toml").unlink()
            raise SystemExit(done.output[-800:])
    return project


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data", help="the folder of public sets")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/quality", help="keeps the projects")
    parser.add_argument("--only", choices=list(CELLS))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
