"""Faults all around the gateway, made on purpose: what was acknowledged is there, what is answered is right, and what goes wrong is said.

    python benchmarks/faults.py [--only kills|workers|upstreams|disk|clock|crowd|fuzz] [--small] [--json]

kills: `kill -9` of the server under load. workers: the same of the llama.cpp worker, two adapters in it. upstreams: a provider that resets, hangs, lies and never
ends. disk: a full one. clock: one that jumps. crowd: slow clients. fuzz: requests that nobody means. Each is a real `journeyman serve` but for workers and clock, whose
parts are put together here, and each is one module in `hostile/`. ``--small`` takes seconds, and no result is written. Ends with 1 where anything was not as it should be.
Results go to benchmarks/results/faults.json and docs/results/faults.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from machine import ROOT, describe_commit, describe_machine, write_result

RESULT, PAGE = ROOT / "benchmarks/results/faults.json", ROOT / "docs/results/faults.md"
KINDS = {
    "kills": "`kill -9` of the server under load",
    "workers": "`kill -9` of the llama.cpp worker, two adapters in it",
    "upstreams": "a provider that resets, hangs, lies, stops half way and never ends",
    "disk": "a full disk, and space again",
    "clock": "a wall clock that jumps by hours and days",
    "crowd": "slow clients: a byte a second, or a stream that is read slowly",
    "fuzz": "requests that nobody means, of two keys",
}


def main() -> int:
    sys.path.insert(0, str(ROOT))  # for the tests' tiny model
    from hostile import clock, crowd, disk, fuzz, kills, upstreams, workers

    modules = (kills, workers, upstreams, disk, clock, crowd, fuzz)
    parts: dict[str, Callable[..., Any]] = {module.__name__.rpartition(".")[2]: module.run for module in modules}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(parts))
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--json", action="store_true", help="taken as given: the output is one document anyway")
    given = parser.parse_args()
    document = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() and not given.small else {}
    is_right = True
    for name in [given.only] if given.only else parts:
        found = measure(partial(parts[name], is_small=given.small))
        document[name] = found
        is_right = is_right and not found["problems"]
    if not given.small:
        write_result(RESULT, document)
        PAGE.write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return 0 if is_right else 1


def describe(document: dict[str, Any]) -> str:
    lines = [
        "# Faults",
        "",
        "`python benchmarks/faults.py`. What must hold: every acknowledged call is in the store; no answer is another adapter's, and none another key's; no budget is passed; no 5xx is",
        "ours, and no 200 invalid; afterwards all goes on, with the memory and the files that were open before. A small form runs with the tests.",
    ]
    for name, shown in KINDS.items():
        if name not in document:
            continue
        part = document[name]
        problems = [str(problem)[:300] for problem in part["problems"]]
        lines += ["", f"## {shown[0].upper()}{shown[1:]}", ""]
        lines += [f"**{len(problems)} problems**: {'; '.join(problems)}" if problems else "No problem."]
        lines += [f"{part['seconds']:.0f} s, commit `{part['commit']}`.", "", "| | |", "|---|---|"]
        lines += [f"| {key} | {_show(value)} |" for key, value in part["counts"].items()]
    machine = next(iter(document.values()))["machine"]
    return (
        "\n".join([*lines, "", f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}."])
        + "\n"
    )


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_show(item)}" for key, item in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def measure(part: Callable[..., Any]) -> dict[str, Any]:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = part(Path(folder))
    return {
        "counts": tally.counts,
        "problems": tally.problems,
        "seconds": round(time.monotonic() - started, 1),
        "commit": describe_commit(),
        "machine": describe_machine(),
    }


if __name__ == "__main__":
    sys.exit(main())
