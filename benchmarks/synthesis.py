"""What made-up rows are worth: twenty real examples alone, with N synthetic rows, and with N more real ones.

    python benchmarks/synthesis.py [--data FOLDER] [--teacher scripted|MODEL] [--rows 500] [--folder F] [--json]

SNIPS, intent GetWeather: 20 train rows to show, 100 others as dev, 300 others sealed, all real and none of them among SNIPS' own validation rows. One base, one set of options.
``--teacher`` is a server of ours that is right by construction, or a model that runs here (a catalog name, or a path to a GGUF). Results go to
benchmarks/results/synthesis-TEACHER.json and docs/results/synthesis-TEACHER.md.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from machine import ROOT, describe_commit, describe_machine, make_parser, run_journeyman, write_figure, write_result
from rows.weather import read_weather
from rows.weather_teacher import serve_teacher

Document = dict[str, Any]
TASK = "weather"
SHOWN, DEV, SEALED = slice(0, 20), slice(1000, 1100), slice(1200, 1500)
PRICE = (0.25, 2.0)
"""US dollars of a million tokens, so that there is something to count."""
ARMS = ("20 real", "20 real and {rows} synthetic", "20 and {rows} more real")


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--teacher", default="scripted")
    parser.add_argument("--rows", type=int, default=500)
    given = parser.parse_args()
    rows = read_weather(given.data)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = given.folder or Path(scratch)
        url = stack.enter_context(serve_teacher()) if given.teacher == "scripted" else ""
        measured = [
            measure(folder / f"arm-{place}", place, rows, given.rows, given.teacher, url) for place in range(len(ARMS))
        ]
    document = {
        "command": f"python benchmarks/synthesis.py --teacher {Path(given.teacher).name} --rows {given.rows}",
        "teacher": Path(given.teacher).name,
        "rows": given.rows,
        "arms": measured,
        "commit": describe_commit(),
        "machine": describe_machine(),
    }
    name = Path(given.teacher).stem.lower()
    write_result(ROOT / f"benchmarks/results/synthesis-{name}.json", document)
    (ROOT / f"docs/results/synthesis-{name}.md").write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if given.json else describe(document))
    return 0


def measure(folder: Path, arm: int, rows: list[Document], count: int, teacher: str, url: str) -> Document:
    """A project of its own, from import to figures."""
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / f"benchmarks/tasks/{TASK}.yaml", folder / "tasks")
    settings = f'[teacher]\nmodel = "scripted"\nurl = "{url}"\ninput_usd_per_million = {PRICE[0]}\noutput_usd_per_million = {PRICE[1]}\n'
    (folder / "journeyman.toml").write_text(settings if url else "", encoding="utf-8")
    more = rows[SHOWN.stop : SHOWN.stop + count] if arm == 2 else []
    parts = {"train": rows[SHOWN] + more, "dev": rows[DEV], "test": rows[SEALED]}
    for split, part in parts.items():
        path = folder / f"{split}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
        run(folder, "import", path.name, "--task", TASK, "--split", split)
    made: Document = {}
    if arm == 1:
        run(folder, "prepare", TASK)
        whose = ["--budget", "20usd"] if url else ["--teacher", teacher, "--samples", "1"]
        made = run(folder, "synthesize", TASK, "--n", str(count), *whose)
    run(folder, "prepare", TASK)
    tuned = run(folder, "tune", TASK, "--answers", "lines")
    assessed = run(folder, "assess", TASK, "--base-rows", "1", allowed=(0, 1))
    figures = {
        item["split"]: {name: item["metrics"][name] for name in ("exact_match", "field_f1")}
        for item in assessed["candidates"]
        if item["kind"] == "lora"
    }
    return {
        "arm": ARMS[arm].format(rows=count),
        "train": assessed["dataset"]["train"],
        "figures": figures,
        "tuning_s": tuned["tuned"]["seconds"],
        "synthesis": made,
    }


def run(folder: Path, *arguments: str, allowed: tuple[int, ...] = (0,)) -> Document:
    sys.stderr.write(f"== {folder.name}: {' '.join(arguments)}\n")
    ran = run_journeyman(folder, *arguments, "--json")
    if ran.status not in allowed:
        raise SystemExit(f"{' '.join(arguments)} ended with status {ran.status}: {ran.output[:2000]}")
    done: Document = json.loads(ran.output)
    return done


def describe(document: Document) -> str:
    lines = [
        f"# Synthetic rows: {document['teacher']}",
        "",
        f"`{document['command']}`",
        "",
        "SNIPS, intent GetWeather; the answers are slots, each copied from the text. SmolLM2-135M, `--answers lines`; dev and sealed rows are real ones.",
        "",
        "| train rows | n | exact match, sealed | fields F1, sealed | exact match, dev |",
        "|---|---|---|---|---|",
    ]
    for item in document["arms"]:
        sealed, dev = item["figures"]["test"], item["figures"]["dev"]
        cells = [
            write_figure(sealed["exact_match"]),
            write_figure(sealed["field_f1"]),
            write_figure(dev["exact_match"]),
        ]
        lines.append(f"| {item['arm']} | {item['train']:,} | {' | '.join(cells)} |")
    made = next(item["synthesis"] for item in document["arms"] if item["synthesis"])
    receipt, forecast = made["receipt"], made["forecast"]
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in made["dropped"].items() if count) or "none"
    usd = f", {receipt['usd']:.4f} US dollars (forecast {forecast['usd']:.4f})" if forecast["usd"] is not None else ""
    machine = document["machine"]
    return "\n".join(
        [
            *lines,
            "",
            f"{made['rows']:,} rows from {receipt['calls']:,} calls (forecast {forecast['calls']:,}){usd}. Dropped: {dropped}.",
            "",
            f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}. Commit `{document['commit']}`.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
