"""A Hugging Face folder wherever a base is named: tuned on, assessed, released, quantized, looked at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from journeyman.core.progress import Silent
from journeyman.core.settings import load_project
from journeyman.flows.assess import assess
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.quantizing import quantize
from journeyman.flows.releases import release
from journeyman.flows.states import examine
from journeyman.flows.tune import Request, tune
from journeyman.flows.workspace import open_workspace
from journeyman.models.catalog import resolve_exactly
from tests.flows.projects import journeyman, make_project
from tests.models.hf_folders import write_folder


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JOURNEYMAN_CACHE", str(tmp_path / "cache"))
    write_folder("qwen2", tmp_path / "Tiny-1.5", "qwen2", max_position_embeddings=512)
    return tmp_path / "Tiny-1.5"


def test_a_student_is_tuned_and_released_on_a_folder(tmp_path: Path, base: Path, tiny_gguf: Path) -> None:
    project = make_project(tmp_path / "project", tiny_gguf, rows=30, sealed=6)
    with open_workspace(project) as workspace:
        import_sources(workspace, "paint", [str(project / "sealed.jsonl")], split="test")
        import_sources(workspace, "paint", [str(project / "train.jsonl")])
        prepare_task(workspace, "paint")
        done = tune(workspace, "paint", {"epochs": 1, "evaluations": 1}, Request(threads=1, base=str(base)))
        made_on = json.loads((done.run.path / "material.json").read_text())["base"]
        assert made_on["name"] == str(base)
        assess(workspace, "paint", base_rows=2)
        release(workspace, "paint", force="tiny")
    # The cache may be emptied at any time: the same folder gives the same file.
    (converted,) = (tmp_path / "cache/converted").glob("*.gguf")
    converted.unlink()
    assert resolve_exactly(str(base), made_on["sha256"]).path == converted


def test_a_folder_is_quantized_and_looked_at(tmp_path: Path, base: Path, tiny_gguf: Path) -> None:
    done = quantize(str(base), tmp_path / "small.gguf", "Q8_0", Silent())
    assert done.written.kinds == {"Q8_0": 22}
    project = make_project(tmp_path / "project", base)
    findings = {finding.name: finding for finding in examine(load_project(project))}
    assert findings["base model"].is_well
    assert findings["base model"].found.endswith(".gguf")


def test_a_folder_that_is_no_base_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = journeyman(tmp_path, "quantize", "empty", "small.gguf")
    assert done.returncode == 2
    assert "JM-414 empty: this folder is not a whole model" in done.stderr
    assert "Traceback" not in done.stderr
