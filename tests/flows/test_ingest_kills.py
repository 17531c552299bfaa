"""The small form of benchmarks/ingest_kills.py: ten kills on forty files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.model
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
@pytest.mark.timeout(600)
def test_an_index_survives_kills_and_ends_as_if_there_had_been_none() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/ingest_kills.py"), "--small", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["kills"] + document["processes_that_ended_before"] >= 10
    assert document["compared_chunks"] > 40
