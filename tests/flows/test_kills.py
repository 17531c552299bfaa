"""The small form of benchmarks/kills.py: a tiny model, three kills; the benchmark itself takes twenty on the real one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_runs_end_with_the_same_dataset_and_release() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/kills.py"), "--small", "--kills", "3", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["kills"] == 3
    assert document["outcome"]["looks"] == 1
