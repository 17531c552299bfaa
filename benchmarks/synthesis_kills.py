"""`kill -9` of `journeyman synthesize`, again and again: no call may go out twice, and no more may be spent than the budget, by the provider's own books.

    python benchmarks/synthesis_kills.py [--kills 20] [--rows 200] [--budget 0.2] [--seed 0] [--data FOLDER] [--json]

Rounds: a new project with 20 examples, the command started and killed after a random number of calls, three times, then run to its end, and once more. The provider on loopback answers after 30 ms, so that calls are under way at
a kill, and keeps books of what it answered. Of two rounds one has too small a budget for all rows. Results go to benchmarks/results/synthesis-kills.json and docs/results/synthesis-kills.md.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import ROOT, describe_commit, describe_machine, make_parser, run_journeyman, write_result
from rows.weather import read_weather
from rows.weather_teacher import Asked, serve_teacher

Document = dict[str, Any]
TASK = "weather"
PRICE = (0.25, 2.0)
"""US dollars of a million tokens."""
DELAY_S = 0.03
KILLS_A_ROUND = 3
SHORT = 0.15
"""Of the budget, in every other round."""
RESULT, PAGE = ROOT / "benchmarks/results/synthesis-kills.json", ROOT / "docs/results/synthesis-kills.md"


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--budget", type=float, default=0.2, help="US dollars a round")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    examples, draw = read_weather(given.data)[:20], random.Random(given.seed)
    rounds: list[Document] = []
    with tempfile.TemporaryDirectory() as scratch:
        while sum(item["kills"] for item in rounds) < given.kills:
            budget = given.budget * (SHORT if len(rounds) % 2 else 1.0)
            rounds.append(disturb(Path(scratch) / str(len(rounds)), examples, given.rows, budget, draw))
            sys.stderr.write(f"round {len(rounds)}: {rounds[-1]}\n")
    document = {
        "command": f"python benchmarks/synthesis_kills.py --kills {given.kills} --rows {given.rows} --budget {given.budget} --seed {given.seed}",
        "rounds": rounds,
        "kills": sum(item["kills"] for item in rounds),
        "calls": sum(item["answered"] for item in rounds),
        "repeated": sum(item["repeated"] for item in rounds),
        "asked_again": sum(item["asked_again"] + abs(item["lost_rows"]) for item in rounds),
        "over_budget": sum(item["receipt_usd"] > item["budget_usd"] for item in rounds),
        "more_than_receipt": sum(item["billed_usd"] > item["receipt_usd"] + 1e-9 for item in rounds),
        "commit": describe_commit(),
        "machine": describe_machine(),
    }
    write_result(RESULT, document)
    PAGE.write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if given.json else describe(document))
    return (
        1
        if document["repeated"] or document["asked_again"] or document["over_budget"] or document["more_than_receipt"]
        else 0
    )


def disturb(project: Path, examples: list[Document], rows: int, budget: float, draw: random.Random) -> Document:
    """One round, and what the provider's books say of it."""
    books: list[Asked] = []
    with serve_teacher(books, DELAY_S) as url:
        make_project(project, examples, url)
        words = ["synthesize", TASK, "--n", str(rows), "--budget", f"{budget}usd"]
        kills = sum(kill(project, words, books, draw.randrange(rows)) for _ in range(KILLS_A_ROUND))
        made = finish(project, words)
        answered = len(books)
        again = finish(project, words)
    receipt = again["receipt"]
    return {
        "kills": kills,
        "rows": made["rows"],
        "why": made["why"],
        "answered": answered,
        "asked_again": len(books) - answered,
        "lost_rows": made["rows"] - again["rows"],
        "repeated": len(books) - len({asked.body for asked in books}),
        "cut_off": receipt["lost"],
        "billed_usd": sum(asked.read * PRICE[0] + asked.written * PRICE[1] for asked in books) / 1e6,
        "receipt_usd": receipt["usd"],
        "budget_usd": budget,
    }


def finish(project: Path, words: list[str]) -> Document:
    ran = run_journeyman(project, *words, "--json")
    if ran.status:
        raise SystemExit(f"ended with status {ran.status}: {ran.output[:2000]}")
    made: Document = json.loads(ran.output)
    return made


def make_project(project: Path, examples: list[Document], url: str) -> None:
    (project / "tasks").mkdir(parents=True)
    shutil.copy(ROOT / f"benchmarks/tasks/{TASK}.yaml", project / "tasks")
    prices = f"input_usd_per_million = {PRICE[0]}\noutput_usd_per_million = {PRICE[1]}\n"
    (project / "journeyman.toml").write_text(
        f'[teacher]\nmodel = "scripted"\nurl = "{url}"\n{prices}', encoding="utf-8"
    )
    (project / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in examples), encoding="utf-8")
    ran = run_journeyman(project, "import", "train.jsonl", "--task", TASK, "--split", "train")
    if ran.status:
        raise SystemExit(ran.output)


def kill(project: Path, words: list[str], books: list[Asked], after: int) -> bool:
    """Whether it still ran when so many further calls had been answered."""
    command, had = [sys.executable, "-m", "journeyman", *words], len(books)
    with subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while len(books) <= had + after and process.poll() is None:
            time.sleep(0.001)
        is_running = process.poll() is None
        process.kill()
    return is_running


def describe(document: Document) -> str:
    machine = document["machine"]
    lines = [
        "# Killed while it makes rows",
        "",
        f"`{document['command']}`",
        "",
        f"{document['kills']} `kill -9` of `journeyman synthesize` in {len(document['rounds'])} rounds, a provider on loopback whose answers take {1000 * DELAY_S:.0f} ms: of {document['calls']:,} calls that it"
        f" answered {document['repeated']} came twice. Rounds that spent more than their budget: {document['over_budget']}; in which the provider's bill is above the receipt: {document['more_than_receipt']}. The same"
        f" command once more after its end: {document['asked_again']} calls or rows more or fewer.",
        "",
        "| kills | rows | it ended because | calls answered | twice | cut off | provider's bill, USD | receipt, USD | budget, USD |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for item in document["rounds"]:
        why = "all rows are there" if item["why"] == "complete" else item["why"]
        lines.append(
            f"| {item['kills']} | {item['rows']} | {why} | {item['answered']:,} | {item['repeated']} | {item['cut_off']} | {item['billed_usd']:.4f} | {item['receipt_usd']:.4f} | {item['budget_usd']:.4f} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            "A call that a kill cut off counts in the receipt at the most that it may have cost, so that the receipt is never below the bill.",
            "",
            f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}. Commit `{document['commit']}`.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
