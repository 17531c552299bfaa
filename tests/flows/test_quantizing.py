"""`quantize` on files, and on a task's rows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from journeyman.models.torch_weights import load_decoder
from tests.flows.conftest import Loop
from tests.flows.projects import journeyman


def test_a_file_becomes_smaller_and_says_what_it_holds(tiny_gguf: Path, tmp_path: Path) -> None:
    done = journeyman(tmp_path, "quantize", str(tiny_gguf), "small.gguf", "--type", "Q4_K_M", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["written"]["bytes"] == (tmp_path / "small.gguf").stat().st_size < tiny_gguf.stat().st_size
    assert document["written"]["fell_back"] > 0
    assert "Q4_K" not in document["written"]["kinds"]
    load_decoder(tmp_path / "small.gguf")
    again = journeyman(tmp_path, "quantize", str(tiny_gguf), "small.gguf")
    assert again.returncode == 2
    assert "JM-822" in again.stderr


def test_a_tasks_rows_weigh_the_errors_and_are_scored(loop: Loop, tiny_gguf: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(loop.folder, tmp_path / "project"))
    arguments = ["quantize", str(tiny_gguf), "q8.gguf", "--type", "Q8_0", "--task", "paint", "--json"]
    done = journeyman(project, *arguments)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert abs(document["before"]["loss"] - document["after"]["loss"]) < 0.05
