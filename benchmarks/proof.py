"""What the proof costs beside the models: resampling, and the share of `assess` that is not asking.

    python benchmarks/proof.py [--only resampling|assess] [--project FOLDER --task TASK] [--json]

resampling: 10,000 resamples of 3,000 paired rows for 10 slices at once, median of 5, beside scipy's bootstrap of one slice. assess: `journeyman assess` in a
copy of a project with a tuned student, once with nothing asked yet and once with every answer kept; what the second run takes, the start of the engine
included, is what was not asking. Results go to benchmarks/results/proof.json and docs/results/proof.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from machine import ROOT, describe_commit, describe_machine, run_journeyman, write_result
from scipy.stats import bootstrap

from journeyman.measure.bootstrap import bootstrap_ratio

Document = dict[str, Any]
RESULT = ROOT / "benchmarks/results/proof.json"
ROWS, SLICES, DRAWS, TIMES = 3000, 10, 10_000, 5
MOST_S, LEAST_SHARE = 2.0, 0.95


def main() -> int:
    arguments = _parse()
    known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {"parts": []}
    parts: dict[str, Callable[[], Document]] = {"resampling": resampling}
    if arguments.project:
        parts["assess"] = lambda: assessing(arguments.project, arguments.task)
    elif arguments.only == "assess":
        raise SystemExit("assess needs --project FOLDER --task TASK")
    for name in [arguments.only] if arguments.only else list(parts):
        part = parts[name]() | {"name": name, "commit": describe_commit(), "machine": describe_machine()}
        known["parts"] = [item for item in known["parts"] if item["name"] != name] + [part]
        write_result(RESULT, known)
        (ROOT / "docs/results/proof.md").write_text(describe(known), encoding="utf-8")
    sys.stdout.write(json.dumps(known, indent=2) + "\n" if arguments.json else describe(known))
    return 0


def resampling() -> Document:
    rng = np.random.default_rng(1)
    values = (rng.random(ROWS) < 0.9).astype(np.float64) - (rng.random(ROWS) < 0.92)
    members = [rng.random(ROWS) < share for share in np.linspace(0.05, 0.95, SLICES)]
    ours = _median(lambda: [bootstrap_ratio(values[mask], draws=DRAWS) for mask in members])
    single = values[members[-1]]
    scipys = _median(
        lambda: bootstrap((single,), np.mean, n_resamples=DRAWS, method="percentile", batch=500, rng=rng), times=1
    )
    return {"ours_s": round(ours, 3), "scipy_one_slice_s": round(scipys, 3), "bar_s": MOST_S, "met": ours < MOST_S}


def assessing(project: Path, task: str) -> Document:
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "project"
        shutil.copytree(project, copy)
        for run in (copy / ".journeyman/runs").glob(f"{task}-assess-*"):
            shutil.rmtree(run)
        seconds, documents = [], []
        for _ in range(2):
            started = time.monotonic()
            done = run_journeyman(copy, "assess", task, "--json")
            seconds.append(time.monotonic() - started)
            if done.status > 1:
                raise SystemExit(done.output[-800:])
            documents.append(json.loads(done.output))
    share = 1 - seconds[1] / seconds[0]
    return {
        "first_s": round(seconds[0], 1),
        "again_s": round(seconds[1], 1),
        "share": round(share, 4),
        "bar": LEAST_SHARE,
        "met": share >= LEAST_SHARE,
        "rows": documents[0]["dataset"],
        "same": {key: value for key, value in documents[0].items() if key != "candidates"}
        == {key: value for key, value in documents[1].items() if key != "candidates"},
    }


def _median(work: Callable[[], object], times: int = TIMES) -> float:
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def describe(document: Document) -> str:
    lines = [
        "# What the proof costs beside the models",
        "",
        "`python benchmarks/proof.py`, `python benchmarks/proof.py --only assess --project FOLDER --task snips` (the project of `benchmarks/loop.py --only snips`)",
        "",
    ]
    lines += ["| what | seconds | bar | met | commit |", "|---|---|---|---|---|"]
    for part in document["parts"]:
        if part["name"] == "resampling":
            what = f"{DRAWS:,} resamples of {ROWS:,} paired rows, {SLICES} slices, median of {TIMES}"
            lines.append(
                f"| {what} | {part['ours_s']} (scipy: {part['scipy_one_slice_s']} for one slice) | < {part['bar_s']:g} "
                f"| {'yes' if part['met'] else 'no'} | `{part['commit']}` |"
            )
        else:
            sizes = part["rows"]
            what = f"`assess` of {sizes['test']} sealed, {sizes['dev']} dev and {sizes['calibration']} calibration rows, the share that is asking"
            lines.append(
                f"| {what} | {part['first_s']}, with all answers kept {part['again_s']}: {100 * part['share']:.1f} % | ≥ {100 * part['bar']:.0f} % "
                f"| {'yes' if part['met'] else 'no'} | `{part['commit']}` |"
            )
    machine = document["parts"][0]["machine"]
    return "\n".join(
        [*lines, "", f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}.", ""]
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["resampling", "assess"])
    parser.add_argument("--project", type=Path, help="a project with a tuned student; it is copied")
    parser.add_argument("--task", default="")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
