"""Reports on public sets, one command each: what is sealed, what was tried, what the proof says of it.

    python benchmarks/reports.py --only banking77|snips|nyt|bfcl|strategyqa --data FOLDER [--folder F] [--json] [-- more arguments of `journeyman tune`]

banking77 and strategyqa climb the ladder (their output is a choice); the others tune a language model. bfcl has another schema in each row, as text, and a user's
function for a metric (a value is right where the set's own list accepts it). Runs a user's commands, each in its own process; `--folder` keeps the project and
continues what lies there. Results go to benchmarks/results/report-SET.json and docs/results/report-SET.md; the HTML report stays in the project.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from loop import run_stages
from machine import ROOT, Ran, describe_commit, describe_machine, make_parser, write_result
from sets import SETS

from journeyman.core.canonical import bytes_hash
from journeyman.evaluation.document import Document as Evaluation
from journeyman.evaluation.document import describe_interval, describe_promise, describe_verdict
from journeyman.guards.redact import Redactor

Document = dict[str, Any]
Rows = Iterator[dict[str, object]]
SETTINGS = "[prepare]\ncalibration_share = 0.1\n"  # a promise needs some hundreds of rows
SEALED_BFCL = 0.5  # of the requests, by hash
TASKS = {"banking77": "banking77", "snips": "snips", "nyt": "nyt", "bfcl": "bfcl", "strategyqa": "strategyqa"}
BASE_ROWS = {"bfcl": ["--base-rows", "20"]}  # the untuned base writes on until it is cut: a minute a row
LADDERS = ("banking77", "strategyqa")
ACCEPTED = '''"""Right where each argument is one that the set accepts; "" in the list: it may be left out."""

import json
from pathlib import Path

ACCEPTED = json.loads((Path(__file__).parent / "accepted.json").read_text(encoding="utf-8"))


def score(input, expected, got):
    wanted = ACCEPTED[input["request"] + "\\n" + input["arguments"]]
    if not isinstance(got, dict) or set(got) - set(wanted):
        return False
    return all(got[name] in values if name in got else "" in values for name, values in wanted.items())
'''


def main() -> int:
    arguments = _parse()
    names = [arguments.only] if arguments.only else list(TASKS)
    for name in names:
        with tempfile.TemporaryDirectory() as scratch:
            folder = (arguments.folder or Path(scratch)) / name
            document = measure(name, arguments.data, folder, arguments.tune)
        write_result(ROOT / f"benchmarks/results/report-{name}.json", document)
        (ROOT / f"docs/results/report-{name}.md").write_text(describe(name, document), encoding="utf-8")
        sys.stdout.write(json.dumps(document, indent=2) + "\n" if arguments.json else describe(name, document))
    return 0


def measure(name: str, data: Path, folder: Path, tune: list[str]) -> Document:
    task = TASKS[name]
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    if not (folder / "journeyman.toml").is_file():
        (folder / "journeyman.toml").write_text(SETTINGS, encoding="utf-8")
    if not (folder / f"tasks/{task}.yaml").is_file():
        text = (ROOT / f"benchmarks/tasks/{task}.yaml").read_text(encoding="utf-8")
        if name == "banking77":
            text = text.split("gate:")[0] + "gate: {against: floor, floor: 0.9}\n"
        (folder / f"tasks/{task}.yaml").write_text(text, encoding="utf-8")
        WRITERS[name](data, folder)
    stages = {
        "import sealed": ["import", "sealed.jsonl", "--task", task, "--split", "test", "--json"],
        "import": ["import", "train.jsonl", "--task", task, "--json"],
        "prepare": ["prepare", task, "--json"],
        "tune": ["tune", task, *tune, "--json"],
        "assess": [
            "assess",
            task,
            *(["--ladder", "--all"] if name in LADDERS else []),
            *BASE_ROWS.get(name, []),
            "--json",
        ],
        "report": ["report", task, "--out", "report.html", "--json"],
    }
    if name in LADDERS:
        del stages["tune"]
    ran = run_stages(folder, stages)
    return {
        "machine": describe_machine(),
        "commit": describe_commit(),
        "arguments": tune,
        "commands": [f"journeyman {' '.join(item)}" for item in stages.values()],
        "seconds": {stage: round(item.seconds, 1) for stage, item in ran.items()},
        "assessed": _assessed(ran),
        "report_bytes": (folder / "report.html").stat().st_size,
    }


def _assessed(ran: dict[str, Ran]) -> Document:
    document: Document = json.loads(ran["assess"].output)
    return document | {"release": {"hash": document["release"]["hash"], "path": ""}}


def _write(folder: Path, sealed: Rows, train: Rows) -> None:
    for name, rows in (("sealed", sealed), ("train", train)):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


def _write_banking77(data: Path, folder: Path) -> None:
    def read(split: str) -> Rows:
        with (data / f"banking77/{split}.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield {"input": {"text": row["text"].strip()}, "gold": {"intent": row["category"]}}

    _write(folder, read("test"), read("train"))


def _write_strategyqa(data: Path, folder: Path) -> None:
    def read(split: str) -> Rows:
        for line in (data / f"strategyqa/{split}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            yield {
                "input": {"question": row["question"], "facts": " ".join(row["facts"])},
                "gold": {"answer": row["answer"]},
            }

    _write(folder, read("dev"), read("train"))


def _write_bfcl(data: Path, folder: Path) -> None:
    """Rows with one request are on one side."""
    sides: dict[bool, list[dict[str, object]]] = {True: [], False: []}
    accepted = {}
    for line in (data / "bfcl_extraction/extraction.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        asked = {"request": row["text"].strip(), "arguments": json.dumps(row["schema"], ensure_ascii=False)}
        is_sealed = int(bytes_hash(asked["request"].encode())[:8], 16) < SEALED_BFCL * 16**8
        sides[is_sealed].append({"input": asked, "gold": row["gold"]})
        redactor = Redactor()  # rows that are not sealed are kept with surrogates, and so are the answers to them
        kept = cast(dict[str, str], redactor.value(dict(asked)))
        for fields, values in ((asked, row["accepted"]), (kept, redactor.value(row["accepted"]))):
            accepted[fields["request"] + "\n" + fields["arguments"]] = values
    _write(folder, iter(sides[True]), iter(sides[False]))
    (folder / "accepted.json").write_text(json.dumps(accepted, ensure_ascii=False), encoding="utf-8")
    (folder / "accepted.py").write_text(ACCEPTED, encoding="utf-8")


def _from_set(name: str) -> Callable[[Path, Path], None]:
    chosen = SETS[name]

    def write(data: Path, folder: Path) -> None:
        _write(folder, chosen.sealed(data / chosen.folder), chosen.tune(data / chosen.folder))

    return write


WRITERS: dict[str, Callable[[Path, Path], None]] = {
    "banking77": _write_banking77,
    "strategyqa": _write_strategyqa,
    "bfcl": _write_bfcl,
    "snips": _from_set("snips-all"),
    "nyt": _from_set("nyt"),
}


def describe(name: str, document: Document) -> str:
    """The page: the verdict first, then what it rests on."""
    found = Evaluation.from_json(document["assessed"])
    machine, rows, gate = document["machine"], found.dataset, found.gate
    assert gate is not None
    options = " ".join(["", "--", *document["arguments"]]) if document["arguments"] else ""
    lines = [
        f"# {name}: is the student as good?",
        "",
        f"`python benchmarks/reports.py --data FOLDER --only {name}{options}` at commit {document['commit']}, {machine['cores']} cores of {machine['processor']}, "
        f"Python {machine['python']}, {sum(document['seconds'].values()) / 60:.0f} minutes in all.",
        f"Rows: {rows.train:,} train, {rows.dev:,} dev, {rows.calibration:,} calibration, {rows.test:,} sealed.",
        "",
        *([f"**{found.ladder.advice}**", ""] if found.ladder else []),
        f"{describe_verdict(gate)} {describe_interval(gate)[0].upper()}{describe_interval(gate)[1:]}.",
        "",
        "| candidate | split | metric | value | 95 % | n | p50 ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for candidate in found.candidates:
        latency = f"{candidate.latency_ms.p50:.0f}" if candidate.latency_ms else ""
        for metric, figure in candidate.metrics.items():
            shown = f"{figure.value:.3f} | {figure.low:.3f} to {figure.high:.3f} | {figure.n:,} | {latency}"
            lines.append(f"| {candidate.name} ({candidate.kind}) | {candidate.split} | {metric} | {shown} |")
    lines += [*_ladder(found), "", *_trust(found), *_slices(found)]
    lines += ["", "| stage | seconds |", "|---|---|"]
    lines += [f"| {stage} | {seconds} |" for stage, seconds in document["seconds"].items()]
    return "\n".join([*lines, "", "Commands:", "", *(f"    {command}" for command in document["commands"]), ""])


def _ladder(found: Evaluation) -> list[str]:
    if found.ladder is None:
        return []
    lines = ["", "| rung | on dev | 95 % | n | p50 ms |", "|---|---|---|---|---|"]
    for rung in found.ladder.rungs:
        if rung.verdict is None:
            continue
        name = f"**{rung.name}**" if rung.run == found.ladder.chosen else rung.name
        low, high = rung.verdict.low_95, rung.verdict.high_95
        lines.append(
            f"| {name} | {rung.verdict.difference:.3f} | {low:.3f} to {high:.3f} | {rung.verdict.n} | {rung.p50_ms:.1f} |"
        )
    return lines


def _trust(found: Evaluation) -> list[str]:
    if (sure := found.confidence) is None:
        return ["No calibration rows, so there is no calibrated confidence."]
    line = (
        f"Calibration error, debiased: {sure.error:.3f} ({sure.low:.3f} to {sure.high:.3f}; {sure.raw_error:.3f} without the map, which is {sure.kind}, fitted on "
        f"{sure.fitted} rows), Brier score {sure.brier:.3f}, n = {sure.n:,}."
    )
    return [line, *([describe_promise(found.promise)] if found.promise else [])]


def _slices(found: Evaluation) -> list[str]:
    low = [item for item in found.slices if item.is_low]
    if not found.slices:
        return []
    told = "; ".join(
        f"{item.name} {item.score.value:.3f} ({item.score.low:.3f} to {item.score.high:.3f}, n = {item.score.n})"
        for item in low
    )
    return [
        "",
        f"{len(found.slices)} slices, all intervals together 95 %; below the mean of all rows: {told or 'none'}.",
    ]


def _parse() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--only", choices=list(TASKS), help="one set")
    parser.add_argument("tune", nargs="*", help="more arguments of `journeyman tune`, after --")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
