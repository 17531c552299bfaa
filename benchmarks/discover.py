"""Whether `journeyman discover` finds the prompts in traffic: calls made from twenty known templates and from chats that somebody had once.

    python benchmarks/discover.py [--data FOLDER] [--small] [--only SET] [--large CALLS] [--json]

Sets: tuned (the templates that the mining was made with, seeds 0 to 4), held (twenty others, written after it, seeds 100 to 109; the first look at them gave 89.3 % and
led to changes), fresh (twenty more, written after those changes, seeds 200 to 209), timeless (fresh, no call has a time). A call is right where it is in the group that is its template's, by the best matching of groups to templates, or in none where it is
of no template. The rival puts calls together that have the same system text, tools and first five words. What people wrote in public sets, each message once and
behind the most common system text, is to be in no group. --large makes a file of so many calls and runs the
command on it alone; the sets keep what was measured before. Results go to benchmarks/results/discover.json and docs/results/discover.md.
"""

from __future__ import annotations

import csv
import json
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import ROOT, describe_commit, describe_machine, make_parser, run_journeyman, write_result
from scipy.optimize import linear_sum_assignment
from traffic import fresh, held, tuned
from traffic.template import GENERIC, Template, make_rows, without_time

from journeyman.core.example import text_target
from journeyman.core.messages import make_message
from journeyman.data import openai
from journeyman.data.mining.call import Call, Seen, make_call, see_record
from journeyman.data.mining.discover import LEAST, Group, Sorter, mine
from journeyman.data.mining.form import squeeze
from journeyman.measure.intervals import clopper_pearson

Document = dict[str, Any]
RESULT, PAGE = ROOT / "benchmarks/results/discover.json", ROOT / "docs/results/discover.md"
SETS: dict[str, tuple[Sequence[Template], range, bool]] = {
    "tuned": (tuned.TEMPLATES, range(5), True),
    "held": (held.TEMPLATES, range(100, 110), True),
    "fresh": (fresh.TEMPLATES, range(200, 210), True),
    "timeless": (fresh.TEMPLATES, range(200, 205), False),
}
CALLS, SMALL_CALLS, NOISE = 3000, 1200, 0.15
BAR = 0.95
PUBLIC = (
    ("Banking77", "banking77/train.csv", "text"),
    ("SNIPS", "snips_nlu/train.jsonl", "text"),
    ("GSM8K", "gsm8k/train.jsonl", "question"),
)
FRESH = "The first look at them gave 99.77 % (140 of 170 word for word); signs beside places, examples that change and lines that some calls lack were mended after it."


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--small", action="store_true", help="one seed of few calls, and no file is written")
    parser.add_argument("--only", choices=list(SETS))
    parser.add_argument("--large", type=int, default=0, help="calls in a file that the command is run on")
    given = parser.parse_args()
    names = [given.only] if given.only else list(SETS)
    document: Document = {"calls": SMALL_CALLS if given.small else CALLS, "noise": NOISE, "least": LEAST, "bar": BAR}
    kept = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    document["sets"] = kept["sets"] if given.large else [measure(name, is_small=given.small) for name in names]
    document["large"] = run_large(given.large) if given.large else kept.get("large")
    document["messages"] = [] if given.small else measure_messages(given.data)
    document |= {"commit": describe_commit(), "machine": describe_machine()}
    if not given.small and not given.only:
        write_result(RESULT, document)
        PAGE.write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if given.json else describe(document))
    return 0 if all(item["share"] >= BAR for item in document["sets"]) else 1


def measure(name: str, *, is_small: bool) -> Document:
    templates, seeds, has_times = SETS[name]
    runs = [
        run(templates, seed, SMALL_CALLS if is_small else CALLS, has_times)
        for seed in (seeds[:1] if is_small else seeds)
    ]
    calls, right = sum(item["calls"] for item in runs), sum(item["right"] for item in runs)
    exact = clopper_pearson(right, calls)
    return {
        "name": name,
        "seeds": [item["seed"] for item in runs],
        "n": calls,
        "share": right / calls,
        "low": exact.low,
        "high": exact.high,
        "least": min(item["right"] / item["calls"] for item in runs),
        "spread": statistics.stdev([item["right"] / item["calls"] for item in runs]) if len(runs) > 1 else None,
        "rival": sum(item["rival"] for item in runs) / calls,
        "found": sum(item["found"] for item in runs),
        "templates": len(templates) * len(runs),
        "groups": sum(item["groups"] for item in runs),
        "recovered": sum(item["recovered"] for item in runs),
        "recoverable": sum(item["recoverable"] for item in runs),
        "missed": dict(sum((Counter(item["missed"]) for item in runs), Counter[str]())),
        "read": sum(item["read"] for item in runs) / max(1, sum(item["readable"] for item in runs)),
    }


def measure_messages(data: Path) -> list[Document]:
    """Messages of the public sets that are there, and how many are wrongly put into a group."""
    found = []
    for name, file, key in PUBLIC:
        if not (data / file).is_file():
            continue
        with (data / file).open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines) if file.endswith(".csv") else map(json.loads, lines)
            texts = [row[key] for row in rows][:10_000]
        seen = [_say(text) for text in texts]
        mined = mine(lambda seen=seen: iter(seen))  # type: ignore[misc]
        exact = clopper_pearson(mined.calls - mined.rest.calls, mined.calls)
        found.append({"name": name, "n": mined.calls, "wrong": mined.calls - mined.rest.calls, "high": exact.high})
    return found


def _say(text: str) -> Seen:
    messages = make_message("system", GENERIC), make_message("user", text)
    return Seen(make_call(messages, text_target(text)), messages[1:], None)


def run(templates: Sequence[Template], seed: int, count: int, has_times: bool) -> Document:
    made = [(place, row if has_times else without_time(row)) for place, row in make_rows(templates, count, NOISE, seed)]
    truth = [place for place, _ in made]
    calls = [see_record(openai.read(row)).call for _, row in made]
    mined = mine(lambda: (see_record(openai.read(row)) for _, row in made))
    sorter = Sorter(mined.groups)
    places = [group.number if (group := sorter.find(call)) else None for call in calls]
    matched, right = match(truth, places, len(templates))
    groups = {group.number: group for group in mined.groups}
    pairs = [(templates[place], groups[number]) for place, number in matched.items()]
    readable = [(template, group) for template, group in pairs if template.has_form]
    recovered = {template.name for template, group in readable if is_recovered(template, group)}
    wanted = {template.name for template in templates if template.has_form}
    return {
        "seed": seed,
        "calls": count,
        "right": right,
        "rival": match(truth, guess(calls), len(templates))[1],
        "found": len(matched),
        "groups": len(groups),
        "recovered": len(recovered),
        "recoverable": len(wanted),
        "missed": dict.fromkeys(sorted(wanted - recovered), 1),
        "read": sum(group.tally.read for _, group in readable),
        "readable": sum(group.tally.calls for _, group in readable),
    }


def match(truth: Sequence[int], places: Sequence[Hashable | None], templates: int) -> tuple[dict[int, Any], int]:
    """The group of each template, one to one, by the most calls in common; and how many calls are right."""
    groups = list(dict.fromkeys(place for place in places if place is not None))
    number = {group: index for index, group in enumerate(groups)}
    common = np.zeros((templates, len(groups)), int)
    for template, place in zip(truth, places, strict=True):
        if template >= 0 and place is not None:
            common[template, number[place]] += 1
    rows, columns = linear_sum_assignment(-common)
    matched = {int(row): groups[column] for row, column in zip(rows, columns, strict=True) if common[row, column]}
    right = sum(
        place is None if template < 0 else place is not None and matched.get(template) == place
        for template, place in zip(truth, places, strict=True)
    )
    return matched, right


def guess(calls: Sequence[Call]) -> list[Hashable | None]:
    """The rival: the same system text, tools and first five words; a set of fewer than ``LEAST`` calls is none."""
    keys = [(call.system, call.tools, tuple(call.body[1:].split()[:5])) for call in calls]
    counts = Counter(keys)
    return [key if counts[key] >= LEAST else None for key in keys]


def is_recovered(template: Template, group: Group) -> bool:
    """Whether instruction and prompt are the template's, word for word, with the same number of fields at the same places."""
    has_instruction = (
        template.system is None
        or template.noise
        or template.later
        or template.system.split() == group.draft.instruction.split()
    )
    return bool(has_instruction) and [squeeze(item) for item in template.pieces] == [
        squeeze(item) for item in group.draft.literals
    ]


def run_large(count: int) -> Document:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        run_journeyman(path, "init", ".", "--json")
        with (path / "calls.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for _, row in make_rows(fresh.TEMPLATES, count, NOISE, 200))
        size = (path / "calls.jsonl").stat().st_size
        ran = run_journeyman(path, "discover", "calls.jsonl", "--json")
        said = json.loads(ran.output)
    return {
        "calls": count,
        "file_mb": round(size / 1e6, 1),
        "seconds": round(ran.seconds, 1),
        "peak_mb": round(ran.peak_bytes / 1e6, 1),
        "groups": len(said["groups"]),
        "none": said["rest"]["calls"],
    }


def describe(document: Document) -> str:
    lines = [
        "# Discovering tasks in traffic",
        "",
        "`python benchmarks/discover.py`, then `python benchmarks/discover.py --large 100000`",
        "",
        f"Traffic made from twenty known templates (extraction, choices, rewriting, summaries, questions on passages, support chats, function calling, examples in the prompt and as turns, pairs that differ in a "
        f"sentence, system texts with names and times or with a new version half-way) and {100 * document['noise']:.0f} % chats that somebody had once; {document['calls']:,} calls a seed. `tuned`: the templates that "
        "the mining was made with. `held`: twenty others, written after it: the first look gave 89.3 % (prompts of three words, and system texts that begin with what changes, were taken for chats), and led to changes. "
        f"`fresh`: twenty more, written after those. {FRESH} `timeless`: these, without the times of calls. The rival: the same system text, tools and first five words.",
        "",
        "| set | seeds | calls put right (exact 95 % interval) | worst seed | rival | templates found | word for word | read by the prompt |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for item in document["sets"]:
        lines.append(
            f"| {item['name']} | {len(item['seeds'])} | {100 * item['share']:.2f} % ({100 * item['low']:.2f} to {100 * item['high']:.2f}), n = {item['n']:,} | {100 * item['least']:.2f} % | {100 * item['rival']:.1f} % | "
            f"{item['found']} of {item['templates']}, in {item['groups']} groups | {item['recovered']} of {item['recoverable']} | {100 * item['read']:.1f} % |"
        )
    lines += [
        "",
        f"The bar: {100 * document['bar']:.0f} % of the calls right. Word for word: instruction, constant pieces and places are the template's; of templates whose user message has one form (no earlier turns, no optional "
        "line, no odd white space). Read by the prompt: of these groups' calls, what an import with the written task file reads.",
        "",
    ]
    for item in document["sets"]:
        if item["missed"]:
            missed = ", ".join(f"{name} ({count})" for name, count in sorted(item["missed"].items()))
            lines.append(f"Not word for word in `{item['name']}` (seeds): {missed}.")
    for item in document["messages"]:
        lines.append(
            f"- {item['n']:,} messages of {item['name']}, each once and behind `{GENERIC}`: {item['wrong']} put into a group (at most {100 * item['high']:.2f} %)."
        )
    if large := document["large"]:
        lines += [
            "",
            f"{large['calls']:,} calls in a file of {large['file_mb']:,.0f} MB: `journeyman discover` took {large['seconds']:.0f} s and {large['peak_mb']:,.0f} MB at the peak, and found {large['groups']} groups.",
        ]
    machine = document["machine"]
    lines += [
        "",
        f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}. Commit `{document['commit']}`.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
