"""Tuning and merging against the named rivals, paired on the same data, the same base and the same machine.

    python benchmarks/tuning.py --data FOLDER [--only ROW] [--json] [--folder F]

Rivals live in pinned environments of their own (benchmarks/rivals), made at first use. Results go to benchmarks/results/tuning.json
and docs/results/tuning.md, a row at a time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from machine import ROOT, write_result
from rows import merge, preference, sft, utilization

Document = dict[str, Any]
RESULT = ROOT / "benchmarks/results/tuning.json"
# Name -> what measures it, from the folder of public sets and a folder to work in.
ROWS: dict[str, Callable[[Path, Path], list[Document]]] = {
    **{name: partial(sft.measure, name) for name in sft.ROWS},
    "utilization": utilization.measure,
    "losses": preference.measure_losses,
    **{name: partial(preference.measure_speed, name) for name in preference.SETTINGS},
    **{f"merge-{name}": partial(merge.measure, name) for name in merge.CONFIGS},
}


def main() -> int:
    arguments = _parse()
    known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {"rows": []}
    for name in [arguments.only] if arguments.only else list(ROWS):
        with tempfile.TemporaryDirectory() as scratch:
            rows = ROWS[name](arguments.data, Path(arguments.folder or scratch) / name.split("-")[0])
        known["rows"] = [row for row in known["rows"] if row["name"] != name] + rows
        known["rows"].sort(key=lambda row: list(ROWS).index(row["name"]))
        write_result(RESULT, known)
        (ROOT / "docs/results/tuning.md").write_text(describe(known), encoding="utf-8")
    sys.stdout.write(json.dumps(known, indent=2) + "\n" if arguments.json else describe(known))
    return 0


def describe(document: Document) -> str:
    lines = [
        "# Tuning against the rivals",
        "",
        "`python benchmarks/tuning.py --data FOLDER --only ROW`; what is compared and how stands at the top of `benchmarks/rows/*.py`.",
        "n counts rows tuned on (SFT), runs of which the median stands (time, memory), or weights compared.",
        "",
        "| comparison | figure | ours | rival | ratio | bar (target) | met | n | commit |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in document["rows"]:
        sign = "≤" if row.get("is_most") else "≥"
        bar = f"{sign} {row['bar']:g} ({row['target']:g})" if row.get("bar") else ""
        met = {True: "yes", False: "no", None: ""}[row.get("met")]
        figures = (
            f"{row['row']} | {row['ours']} {row['unit']} | {row['rival']} {row['unit']} | {row['ratio']} | {bar} | {met}"
            if row["rival"] is not None
            else f"{row['reason']} | | | | | "
        )
        lines.append(f"| {row['title']} | {figures} | {row['n']} | `{row['commit']}` |")
    machines = {json.dumps(row["machine"]): row["machine"] for row in document["rows"]}
    lines += [
        "",
        *(
            f"Machine: {item['processor']}, {item['cores']} cores, {item['memory_gb']} GB."
            for item in machines.values()
        ),
    ]
    return "\n".join(lines) + "\n"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data", help="the folder of public sets")
    parser.add_argument("--only", choices=list(ROWS))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", type=Path, help="keep the work here")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
