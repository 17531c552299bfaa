"""What `import journeyman` and `journeyman --help` cost over a bare interpreter, in paired runs.

    python benchmarks/start.py [--rounds 20] [--json]

Results go to benchmarks/results/start.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

from machine import ROOT, describe_commit, describe_machine, write_result

BARE = [sys.executable, "-c", "pass"]
CASES = {
    "import journeyman": ([sys.executable, "-c", "import journeyman"], 0.3),
    "journeyman --help": ([sys.executable, "-m", "journeyman", "--help"], None),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [measure(name, command, bar, arguments.rounds) for name, (command, bar) in CASES.items()]
    document = {"machine": describe_machine(), "commit": describe_commit(), "rows": rows}
    write_result(ROOT / "benchmarks/results/start.json", document)
    if arguments.json:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    for row in [] if arguments.json else rows:
        sys.stdout.write(f"{row['row']}: {row['ours']} s, bare {row['rival']} s, median of {row['n']} pairs\n")
    return 0


def measure(name: str, command: list[str], bar: float | None, rounds: int) -> dict[str, object]:
    """Median seconds of both, and of their paired difference."""
    pairs = [(run(command), run(BARE)) for _ in range(rounds)]
    ours, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
    difference = statistics.median(a - b for a, b in pairs)
    return {
        "row": name,
        "ours": round(ours, 4),
        "rival": round(bare, 4),
        "difference": round(difference, 4),
        "unit": "s",
        "ratio": round(ours / bare, 2),
        "bar": bar,
        "met": None if bar is None else difference < bar,
        "n": rounds,
    }


def run(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
