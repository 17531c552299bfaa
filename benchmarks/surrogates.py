"""What it costs to tune on surrogates: the same rows with personal data in them, tuned with the values and with surrogates, both served and asked in plain text.

    python benchmarks/surrogates.py [--data FOLDER] [--rows 600] [--ask 300] [--folder F] [--json]

SNIPS' questions about the weather, from its train file, with one to three addresses, numbers or accounts behind each (`rows/contacts.py`). Two projects that differ in `redact` alone: one base, one set of
options, the same rows. Then `journeyman serve`, and further rows of the same kind, which neither project has seen, as plain text over HTTP: redact, ask, restore is what the server does with them.
Every value is then looked for in every byte that the projects keep. Results go to benchmarks/results/surrogates.json and docs/results/surrogates.md.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from machine import (
    ROOT,
    describe_commit,
    describe_machine,
    make_parser,
    run_journeyman,
    serve,
    write_figure,
    write_result,
)
from rows.contacts import SAY, add_contacts
from rows.weather import read_weather

from journeyman.core.example import Target, object_target
from journeyman.measure.intervals import Paired, clopper_pearson, tango
from journeyman.measure.metrics import exact_match

Document = dict[str, Any]
Row = dict[str, Any]
TASK = "contacts"
ARMS = {"values": "redact: false", "surrogates": "redact: true"}
RESULT, PAGE = ROOT / "benchmarks/results/surrogates.json", ROOT / "docs/results/surrogates.md"


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--ask", type=int, default=300)
    given = parser.parse_args()
    rows = add_contacts(read_weather(given.data), seed=6)
    parts = {"dev": rows[:100], "test": rows[100:140], "train": rows[140 + given.ask : 140 + given.ask + given.rows]}
    asked = rows[140 : 140 + given.ask]
    answers: dict[str, list[Answer]] = {}
    arms: Document = {}
    with tempfile.TemporaryDirectory() as scratch:
        for arm in ARMS:
            project = (given.folder or Path(scratch)) / arm
            tuned_s = make_student(project, arm, parts)
            answers[arm] = ask_all(project, asked)
            kept = count_kept(project, [*asked, *(row for part in parts.values() for row in part)])
            arms[arm] = describe_arm(asked, answers[arm]) | {"tuning_s": tuned_s, "kept": kept}
    document = {
        "command": f"python benchmarks/surrogates.py --rows {given.rows} --ask {given.ask}",
        "rows": {split: len(part) for split, part in parts.items()} | {"asked": len(asked)},
        "arms": arms,
        "surrogates minus values": compare(asked, answers["values"], answers["surrogates"]),
        "commit": describe_commit(),
        "machine": describe_machine(),
    }
    write_result(RESULT, document)
    PAGE.write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if given.json else describe(document))
    return 0


Answer = tuple[Target | None, float]
"""What came, and after how many milliseconds; None where the server refused."""


def make_student(project: Path, arm: str, parts: dict[str, list[Row]]) -> float:
    """Seconds of tuning; nothing is done again where the folder was kept."""
    done = project / "tuned.json"
    if not done.is_file():
        (project / "tasks").mkdir(parents=True, exist_ok=True)
        (project / "journeyman.toml").touch()
        task = (ROOT / f"benchmarks/tasks/{TASK}.yaml").read_text(encoding="utf-8")
        (project / f"tasks/{TASK}.yaml").write_text(task.replace("redact: true", ARMS[arm]), encoding="utf-8")
        for split, rows in parts.items():
            path = project / f"{split}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            run(project, "import", path.name, "--task", TASK, "--split", split, "--private")
            path.unlink()
        run(project, "prepare", TASK)
        tuned = run(project, "tune", TASK, "--answers", "lines")
        run(project, "assess", TASK, "--base-rows", "0")
        run(project, "release", TASK, "--force", "measured over the server")
        done.write_text(json.dumps(tuned), encoding="utf-8")
    return float(json.loads(done.read_text(encoding="utf-8"))["tuned"]["seconds"])


def run(project: Path, *arguments: str) -> Document:
    sys.stderr.write(f"== {project.name}: {' '.join(arguments)}\n")
    ran = run_journeyman(project, *arguments, "--json")
    if ran.status not in (0, 1):
        raise SystemExit(f"{' '.join(arguments)} ended with status {ran.status}: {ran.output[:2000]}")
    done: Document = json.loads(ran.output)
    return done


def ask_all(project: Path, rows: Sequence[Row]) -> list[Answer]:
    with serve(project) as url:
        return [ask(url, row) for row in rows]


def ask(url: str, row: Row) -> Answer:
    body = json.dumps(row["input"]).encode()
    request = urllib.request.Request(f"{url}/tasks/{TASK}", body, {"content-type": "application/json"})
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(request) as reply:
            came = object_target(json.loads(reply.read()))
    except urllib.error.HTTPError as error:
        error.close()
        return None, 1000 * (time.perf_counter() - began)
    return came, 1000 * (time.perf_counter() - began)


def count_kept(project: Path, rows: Sequence[Row]) -> Document:
    """How many of the values that were drawn stand in a file of the project, in any of the ways that they may be written in JSON or plain."""
    values = {value for row in rows for slot, value in row["gold"].items() if slot in SAY}
    found: set[str] = set()
    for path in (project / ".journeyman").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found |= {value for value in values - found if value.encode() in data}
    return {"values": len(values), "found": len(found)}


def describe_arm(rows: Sequence[Row], answers: Sequence[Answer]) -> Document:
    whole = [exact_match(object_target(row["gold"]), came) for row, (came, _ms) in zip(rows, answers, strict=True)]
    return {
        "exact match": share(whole),
        "personal slots": share([good for _slot, good in judge_slots(rows, answers, is_personal=True)]),
        "other slots": share([good for _slot, good in judge_slots(rows, answers, is_personal=False)]),
        "by slot": {
            name: share([good for slot, good in judge_slots(rows, answers, is_personal=True) if slot == name])
            for name in SAY
        },
        "refused": sum(came is None for came, _ms in answers),
        "p50_ms": statistics.median(ms for _came, ms in answers),
    }


def judge_slots(rows: Sequence[Row], answers: Sequence[Answer], *, is_personal: bool) -> Iterator[tuple[str, bool]]:
    """Every slot that the text fills, and whether the answer has its value letter by letter."""
    for row, (came, _ms) in zip(rows, answers, strict=True):
        given = came.value if came is not None and isinstance(came.value, dict) else {}
        yield from (
            (slot, given.get(slot) == value) for slot, value in row["gold"].items() if (slot in SAY) is is_personal
        )


def share(right: Sequence[bool]) -> Document:
    interval = clopper_pearson(sum(right), len(right))
    return {"value": sum(right) / len(right), "low": interval.low, "high": interval.high, "n": len(right)}


def compare(rows: Sequence[Row], one: Sequence[Answer], other: Sequence[Answer]) -> Document:
    """Paired difference of exact match with Tango's interval at 95 %."""
    golds = [object_target(row["gold"]) for row in rows]
    before, after = (
        [exact_match(gold, came) for gold, (came, _ms) in zip(golds, side, strict=True)] for side in (one, other)
    )
    pairs = list(zip(after, before, strict=True))
    counts = Paired(
        pairs.count((True, True)), pairs.count((True, False)), pairs.count((False, True)), pairs.count((False, False))
    )
    interval = tango(counts)
    difference = (sum(after) - sum(before)) / len(rows)
    return {
        "value": difference,
        "low": interval.low,
        "high": interval.high,
        "n": len(rows),
        "better": pairs.count((True, False)),
        "worse": pairs.count((False, True)),
    }


def describe(document: Document) -> str:
    rows, arms, difference = document["rows"], document["arms"], document["surrogates minus values"]
    machine = document["machine"]
    lines = [
        "# Tuned on surrogates, served with the inverse",
        "",
        f"`{document['command']}`",
        "",
        f"SNIPS' questions about the weather, one to three personal values behind each. {rows['train']:,} train rows, {rows['dev']:,} dev; then {rows['asked']:,} others, asked in plain text over"
        " `journeyman serve`. SmolLM2-135M, `--answers lines`. A slot is right where it is there, letter by letter.",
        "",
        "| | tuned on the values | tuned on surrogates |",
        "|---|---|---|",
    ]
    for name in ("exact match", "personal slots", "other slots"):
        lines.append(f"| {name} | {write_figure(arms['values'][name])} | {write_figure(arms['surrogates'][name])} |")
    for slot in SAY:
        lines.append(
            f"| slot `{slot}` | {write_figure(arms['values']['by slot'][slot])} | {write_figure(arms['surrogates']['by slot'][slot])} |"
        )
    for title, name, form in (
        ("calls refused", "refused", ","),
        ("p50 of a call, ms", "p50_ms", ".0f"),
        ("tuning, s", "tuning_s", ".0f"),
    ):
        lines.append(f"| {title} | {arms['values'][name]:{form}} | {arms['surrogates'][name]:{form}} |")
    kept = [f"{arms[arm]['kept']['found']:,} of {arms[arm]['kept']['values']:,}" for arm in ARMS]
    return "\n".join(
        [
            *lines,
            f"| values that stand in a file of the project | {kept[0]} | {kept[1]} |",
            "",
            f"Exact match on surrogates minus that on values: {difference['value']:+.3f} ({difference['low']:+.3f} to {difference['high']:+.3f}), n = {difference['n']:,},"
            f" {difference['better']:,} rows better and {difference['worse']:,} worse (Tango's interval, 95 %).",
            "",
            f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}. Commit `{document['commit']}`.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
