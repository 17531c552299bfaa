"""The small form of benchmarks/faults.py: each part for seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
WHAT = {
    "kills": "acknowledged calls",
    "workers": "answered",
    "upstreams": "calls",
    "disk": "calls refused",
    "clock": "calls acknowledged",
    "crowd": "slow clients",
    "fuzz": "requests",
}
"""What each part counts, of which there must be some."""


@pytest.mark.slow
@pytest.mark.parametrize("part", WHAT)
def test_what_goes_wrong_is_told_and_nothing_is_lost(part: str) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/faults.py"), "--small", "--only", part]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)[part]
    if reason := found["counts"].get("not run"):
        pytest.skip(reason)
    assert found["problems"] == []
    assert done.returncode == 0
    assert found["counts"][WHAT[part]] > 0
