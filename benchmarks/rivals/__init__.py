"""Other tools, each in its own pinned environment under `.rivals/`, made at first use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent.parent / ".rivals"
# No rival calls home, and none looks for a newer file than the one it is given.
QUIET = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "UNSLOTH_DISABLE_STATISTICS": "1"}


class NoRival(Exception):
    """The rival cannot be had here; its text is the reason that the row gives instead of a figure."""


def rival_python(name: str, environments: Path = ENVIRONMENTS) -> Path:
    """The interpreter of the rival's environment, installed from ``rivals/NAME.txt``: a call of pip per line, which may hold options."""
    folder = environments / name
    python, stamp = folder / "bin/python", folder / ".installed"
    wanted = (HERE / f"{name}.txt").read_text(encoding="utf-8")
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        sys.stderr.write(f"installing {name} into {folder}\n")
        steps = [[sys.executable, "-m", "venv", str(folder)]]
        # torch first and alone, so that its exact build is there before anything else can choose one
        lines = [line.split() for line in wanted.splitlines() if line and not line.startswith("#")]
        steps += [[str(python), "-m", "pip", "install", "--quiet", *line] for line in lines]
        for step in steps:
            done = subprocess.run(step, cwd=HERE, capture_output=True, text=True, check=False)
            if done.returncode:
                raise NoRival(f"{name} cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
        stamp.write_text(wanted, encoding="utf-8")
    return python


def run_script(python: Path, script: Path, job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run a script on a job; its last line of output is one JSON document."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{script.stem}.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    log = folder / f"{script.stem}.log"
    with log.open("w", encoding="utf-8") as errors:
        done = subprocess.run(
            [str(python), str(script), str(path)],
            env=os.environ | QUIET,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            check=False,
        )
    if done.returncode:
        raise NoRival(f"{script.name} failed: {log.read_text(encoding='utf-8').strip().splitlines()[-1]}")
    document: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return document
