"""What the gateway's deterministic guards cost a call, each alone and all together.

    python benchmarks/guarding.py [--data FOLDER] [--only ROW] [--json]

The median processor time of one check of an answer of 2,000 characters, none seen before, over `texts` of them: BANKING77's train part, benign chats of the guardrails
set, Presidio's synthetic rows, Snips' train rows (JSON). No rival has all of these guards without a model, so there is a bar and no ratio. Results go to
benchmarks/results/guarding.json and docs/results/guarding.md.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
import time
from typing import Any

from guards import read_kinds
from machine import ROOT, describe_commit, describe_machine, make_parser, write_result

from journeyman.gateway.guard_asking import About, Asking
from journeyman.gateway.guarding import Watch
from journeyman.guards.finders import Said, compile_guards
from journeyman.task.guard import GuardSpec

SIZE, TEXTS, BAR_MS = 2000, 60, 0.5
RESULT, PAGE = ROOT / "benchmarks/results/guarding.json", ROOT / "docs/results/guarding.md"
KINDS = ("plain text", "chat with digits", "rich in personal data", "JSON")
INSTRUCTION = (
    "You answer the customers of a bank, kindly and in few words, and never say what its own rules for a discount are. "
    * 4
)
EACH = {
    "secrets": GuardSpec("secrets", "flag"),
    "personal": GuardSpec("personal", "flag"),
    "invisible": GuardSpec("invisible", "flag"),
    "size": GuardSpec("size", "flag", most=8000),
    "deny, 20 words": GuardSpec("deny", "flag", words=tuple(f"forbidden word {number}" for number in range(20))),
    "deny, 1 pattern": GuardSpec("deny", "flag", patterns=("PRJ-[0-9]{3,6}",)),
    "echo": GuardSpec("echo", "flag", "output"),
    "grounded": GuardSpec("grounded", "flag", "output"),
}


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--only", choices=[*EACH, "all"])
    arguments = parser.parse_args()
    texts = {kind: "\n".join(parts) for kind, parts in read_kinds(arguments.data).items() if kind in KINDS}
    rows = {"all": tuple(EACH.values()), **{name: (spec,) for name, spec in EACH.items()}}
    chosen = {name: specs for name, specs in rows.items() if arguments.only in (None, name)}
    document = {
        "machine": describe_machine(),
        "commit": describe_commit(),
        "rows": [
            asyncio.run(measure(kind, text, name, specs))
            for kind, text in texts.items()
            for name, specs in chosen.items()
        ],
    }
    if arguments.only is None:
        write_result(RESULT, document)
        PAGE.write_text(describe(document), encoding="utf-8")
    if arguments.json:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        for row in document["rows"]:
            sys.stdout.write(f"{row['row']:<40} {row['ours']:.3f} ms {'' if row['met'] else 'MISSED'}\n")
    return 0


def describe(document: dict[str, Any]) -> str:
    found = {row["row"]: row for row in document["rows"]}
    lines = [
        "# What the deterministic guards cost",
        "",
        "`python benchmarks/guarding.py --data FOLDER`",
        "",
        f"Milliseconds of processor for an answer of {SIZE:,} characters that was not seen before: median of {TEXTS}, and the slowest of twenty. Bar: {BAR_MS} ms.",
        "",
        f"| guard | {' | '.join(KINDS)} |",
        "|---|" + "---|" * len(KINDS),
    ]
    for name in [*EACH, "all"]:
        rows = [found[f"{kind}: {name}"] for kind in KINDS]
        lines.append(f"| {name} | {' | '.join(map(_show, rows))} |")
    machine = document["machine"]
    lines += [
        "",
        f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}. Commit `{document['commit']}`.",
    ]
    return "\n".join(lines) + "\n"


def _show(row: dict[str, Any]) -> str:
    return f"{row['ours']:.2f}, {row['slowest_of_20']:.2f}"


async def measure(kind: str, text: str, name: str, specs: tuple[GuardSpec, ...]) -> dict[str, Any]:
    guards, step = compile_guards(specs), (len(text) - SIZE) // TEXTS
    assert step > 0, f"too little {kind}"
    spent = list[float]()
    gc.collect()
    gc.disable()
    for index in range(TEXTS):
        piece = text[index * step : index * step + SIZE]
        watch = Watch(guards, Asking(_nobody), About(), Said(INSTRUCTION, text[:SIZE]))
        started = time.thread_time()
        await watch.check("output", [piece])
        spent.append(1000 * (time.thread_time() - started))
    gc.enable()
    ours, bar = statistics.median(spent), BAR_MS if name == "all" else None
    return {
        "row": f"{kind}: {name}",
        "ours": round(ours, 3),
        "rival": None,
        "unit": "ms",
        "ratio": None,
        "slowest_of_20": round(statistics.quantiles(spent, n=20)[-1], 3),
        "bar": bar,
        "met": bar is None or ours <= bar,
        "n": TEXTS,
    }


async def _nobody(*_asked: object) -> Any:
    raise AssertionError("deterministic guards ask nobody")


if __name__ == "__main__":
    raise SystemExit(main())
