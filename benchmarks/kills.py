"""Twenty random `kill -9` over all stages: the dataset and the release must be those of an undisturbed run.

    python benchmarks/kills.py [--kills 20] [--seed 0] [--small] [--json]

The undisturbed run gives each stage's duration; then rounds of the same commands are killed at uniformly random moments of a stage
and started again, until so many kills have fallen. Every round must end with the same dataset and release, byte for byte, and no
process may outlive its killed parent. ``--small`` uses a tiny random model and made-up rows, else SmolLM2-135M on the bundled example:
120 calls, 30 sealed, about 60 steps. Results go to benchmarks/results/kills.json.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from machine import ROOT, describe_commit, describe_machine, write_result

ORPHAN_S = 20.0
STAGE_S = 1800.0


@dataclass(frozen=True, slots=True)
class Setup:
    """A project's template folder, its task and the commands of the loop by stage."""

    folder: Path
    task: str
    stages: dict[str, list[str]]


@dataclass(slots=True)
class Tally:
    """Kills by stage, and rounds that ended well."""

    kills: Counter[str] = field(default_factory=Counter)
    rounds: int = 0

    @property
    def total(self) -> int:
        return sum(self.kills.values())


def main() -> int:
    arguments = _parse()
    draw = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as scratch:
        setup = make_setup(Path(scratch), arguments.small)
        calm = Path(scratch) / "calm"
        durations = {stage: run_stage(setup, calm, stage) for stage in setup.stages}
        wanted = read_outcome(setup, calm)
        tally = Tally()
        while tally.total < arguments.kills:
            folder = Path(scratch) / f"round-{tally.rounds}"
            disturb(setup, folder, durations, arguments.kills, tally, draw)
            got = read_outcome(setup, folder)
            if got != wanted:
                raise SystemExit(f"round {tally.rounds} ended with {got}, undisturbed with {wanted}")
            tally.rounds += 1
            say(f"round {tally.rounds}: {tally.total} kills so far, same dataset and release")
    document = {
        "machine": describe_machine(),
        "commit": describe_commit(),
        "command": "python benchmarks/kills.py " + " ".join(sys.argv[1:]),
        "kills": tally.total,
        "kills_by_stage": dict(tally.kills),
        "rounds": tally.rounds,
        "undisturbed_s": {stage: round(seconds, 1) for stage, seconds in durations.items()},
        "outcome": wanted,
    }
    if not arguments.small:
        write_result(ROOT / "benchmarks/results/kills.json", document)
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return 0


def make_setup(scratch: Path, is_small: bool) -> Setup:
    folder = scratch / "template"
    (folder / "tasks").mkdir(parents=True)
    if is_small:
        sys.path.insert(0, str(ROOT))
        from tests.flows.projects import TASK, paint_rows, write_rows
        from tests.tiny import write_tiny_llama

        base = write_tiny_llama(scratch / "tiny.gguf")
        (folder / "tasks/paint.yaml").write_text(TASK)
        (folder / "journeyman.toml").write_text(f'[base]\nmodel = "{base}"\n')
        write_rows(folder / "calls.jsonl", paint_rows(90, 1))
        write_rows(folder / "sealed.jsonl", paint_rows(30, 2))
        return Setup(folder, "paint", _stages("paint", "6"))
    example = ROOT / "examples/ingredients"
    (folder / "journeyman.toml").touch()
    (folder / "tasks/ingredients.yaml").write_text((example / "tasks/ingredients.yaml").read_text(encoding="utf-8"))
    for name, rows in (("calls.jsonl", 120), ("sealed.jsonl", 30)):
        lines = (example / name).read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / name).write_text("".join(lines[:rows]), encoding="utf-8")
    return Setup(folder, "ingredients", _stages("ingredients", "2.2"))


def _stages(task: str, epochs: str) -> dict[str, list[str]]:
    """Number type and threads are given, since another choice gives other bits."""
    return {
        "import sealed": ["import", "sealed.jsonl", "--task", task, "--split", "test"],
        "import": ["import", "calls.jsonl", "--task", task],
        "prepare": ["prepare", task],
        "tune": ["tune", task, "--epochs", epochs, "--number", "float32", "--threads", "2"],
        "assess": ["assess", task, "--base-rows", "5"],
        "release": ["release", task, "--force", "killed often"],
    }


def run_stage(setup: Setup, folder: Path, stage: str) -> float:
    """Run a stage to its end; its seconds."""
    _copy_once(setup, folder)
    started = time.monotonic()
    done = subprocess.run(_command(setup, stage), cwd=folder, capture_output=True, text=True, timeout=STAGE_S)
    if done.returncode not in ((0, 1) if stage == "assess" else (0,)):
        raise SystemExit(f"{stage} ended with status {done.returncode}\n{done.stdout}{done.stderr}")
    return time.monotonic() - started


def disturb(
    setup: Setup, folder: Path, durations: dict[str, float], most: int, tally: Tally, draw: random.Random
) -> None:
    """All stages, each killed up to three times at a random moment before it may run to its end."""
    _copy_once(setup, folder)
    for stage, seconds in durations.items():
        for _ in range(3):
            if tally.total < most and kill_stage(setup, folder, stage, draw.uniform(0, seconds)):
                tally.kills[stage] += 1
                say(f"killed {stage}")
        run_stage(setup, folder, stage)


def kill_stage(setup: Setup, folder: Path, stage: str, delay_s: float) -> bool:
    """Start a stage, SIGKILL its main process after ``delay_s``; False when it ended before."""
    with subprocess.Popen(
        _command(setup, stage), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            process.wait(delay_s)
            return False
        except subprocess.TimeoutExpired:
            children = psutil.Process(process.pid).children(recursive=True)
            process.kill()
    _gone, alive = psutil.wait_procs(children, timeout=ORPHAN_S)
    if alive:
        raise SystemExit(f"{len(alive)} processes outlived the killed {stage}")
    return True


def read_outcome(setup: Setup, folder: Path) -> dict[str, object]:
    """Dataset hash, release hash and the bytes of the answers' verdict."""
    (release,) = [
        path for path in (folder / ".journeyman/releases" / setup.task).iterdir() if not path.name.startswith(".")
    ]
    evaluation = json.loads((release / "attachments/evaluation.json").read_text())
    run = next((folder / ".journeyman/runs").glob(f"{setup.task}-tune-*"))
    machine = json.loads((run / "machine.json").read_text())
    status = subprocess.run(
        [sys.executable, "-m", "journeyman", "status", "--json"], cwd=folder, capture_output=True, text=True, check=True
    )
    (state,) = json.loads(status.stdout)["tasks"]
    return {
        "dataset": evaluation["dataset"]["hash"],
        "release": release.name,
        "verdict": evaluation["gate"]["verdict"],
        "looks": state["looks"],
        "number": machine["number"],
        "threads": machine["threads"],
        "steps": json.loads((run / "tuned.json").read_text())["steps"],
    }


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _copy_once(setup: Setup, folder: Path) -> None:
    if folder.exists():
        return
    for path in setup.folder.rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(setup.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())


def _command(setup: Setup, stage: str) -> list[str]:
    return [sys.executable, "-m", "journeyman", *setup.stages[stage]]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="a tiny random model, in about a minute")
    parser.add_argument("--json", action="store_true", help="taken as given: the output is one document anyway")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
