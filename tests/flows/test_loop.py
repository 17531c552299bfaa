"""The loop from imported rows to a live release, on a tiny model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from journeyman.core.errors import GateError, StoreError, TuneError
from journeyman.evaluation.document import Document
from journeyman.flows.exporting import export
from journeyman.flows.pipeline import run_all
from journeyman.flows.releases import find_release, release, roll_back
from journeyman.flows.reports import report
from journeyman.flows.workspace import open_workspace
from journeyman.models.manifest import load_manifest
from tests.flows.conftest import Loop


@pytest.fixture
def copy(loop: Loop, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(loop.folder, tmp_path / "project"))


def test_the_document_names_every_candidate_with_n_and_interval(loop: Loop) -> None:
    document = loop.result.assessed.document
    assert [(item.kind, item.split) for item in document.candidates] == [
        ("lora", "test"),
        ("base", "test"),
        ("lora", "dev"),
    ]
    for item in document.candidates:
        for figure in item.metrics.values():
            assert 0 <= figure.low <= figure.value <= figure.high <= 1
            assert figure.n > 0
    student = document.candidates[0]
    assert student.metrics["valid"].value == 1.0
    assert student.metrics["valid"].n == 30
    assert document.gate is not None
    assert (document.gate.n, document.gate.level) == (30, 0.02)
    assert document.dataset.test == 30
    assert Document.model_validate(document.model_dump()) == document


def test_a_release_is_named_by_its_content_and_carries_its_evidence(loop: Loop) -> None:
    released = loop.result.released
    assert released is not None
    assert released.path.name == released.hash == load_manifest(released.path).hash
    evaluation = json.loads((released.path / "attachments/evaluation.json").read_text())
    assert evaluation["forced"] == "tiny"
    assert evaluation["release"]["hash"] == released.hash
    card = (released.path / "attachments/README.md").read_text()
    assert "Released although the gate did not pass; the reason given: tiny" in card
    assert "without Journeyman" in card


def test_the_refusals_of_base_and_adapter_are_in_the_document_and_in_the_report(loop: Loop) -> None:
    safety = loop.result.assessed.document.safety
    assert safety is not None
    assert safety.harmful is not None
    assert safety.harmless is not None
    assert (safety.harmful.n, safety.harmless.n) == (16, 16)
    assert safety.harmful.difference.low < safety.harmful.difference.high
    answered = [path.read_text() for path in (loop.folder / ".journeyman/runs").glob("*/safety.jsonl")]
    assert [text.count("\n") for text in answered] == [32, 32]
    base, adapter = ([said for _key, said in map(json.loads, text.splitlines())] for text in answered)
    assert base != adapter  # the adapter was on
    assert "<h2>Refusals</h2>" in loop.result.report.read_text()


def test_the_same_run_again_finds_its_work_and_takes_no_look(loop: Loop, copy: Path) -> None:
    with open_workspace(copy) as workspace:
        before = workspace.store.looks("paint")
        again = run_all(workspace, "paint", {"epochs": 12}, force="tiny", base_rows=5, threads=1)
        assert workspace.store.looks("paint") == before
        assert len(before) == 1
        assert again.released is not None
        assert loop.result.released is not None
        assert again.released.hash == loop.result.released.hash
        assert len(workspace.store.alias_history("paint")) == 1


def test_a_report_is_written_from_what_is_stored(copy: Path, tmp_path: Path) -> None:
    """Nothing is asked: the model may be gone."""
    with open_workspace(copy) as workspace:
        (copy / "journeyman.toml").write_text('[base]\nmodel = "/gone/away.gguf"\n')
        before = workspace.store.count_traces("paint")
        path = report(workspace, "paint", tmp_path / "report.html")
        assert workspace.store.count_traces("paint") == before
    text = path.read_text()
    assert path.stat().st_size > 50_000
    assert "Failures" in text or "failures" in text


def test_a_release_without_a_pass_needs_a_reason(copy: Path) -> None:
    with open_workspace(copy) as workspace, pytest.raises(GateError, match="JM-621"):
        release(workspace, "paint")


def test_roll_back_goes_to_the_release_before_and_says_when_there_is_none(copy: Path) -> None:
    with open_workspace(copy) as workspace:
        first = find_release(workspace, "paint").name
        with pytest.raises(StoreError, match="JM-814"):
            roll_back(workspace, "paint", "")
        run_all(workspace, "paint", {"epochs": 24}, force="second", base_rows=0)  # the better one on dev
        second = find_release(workspace, "paint").name
        assert second != first
        assert roll_back(workspace, "paint", "worse on Monday").hash == first
        assert workspace.store.alias("paint") == first
        assert find_release(workspace, "paint", second[:10]).name == second
        with pytest.raises(GateError, match="JM-623"):
            find_release(workspace, "paint", "ffff")


def test_exports_are_whole_and_never_overwrite(copy: Path, tmp_path: Path) -> None:
    with open_workspace(copy) as workspace:
        for form, names in {
            "gguf": {"adapter.gguf", "template.jinja", "schema.json"},
            "peft": {"adapter_model.safetensors", "adapter_config.json"},
            "ollama": {"adapter.gguf", "Modelfile"},
        }.items():
            out = tmp_path / form
            written = export(workspace, "paint", form, out).files  # type: ignore[arg-type]
            assert {path.name for path in written} == names
            with pytest.raises(StoreError, match="JM-822"):
                export(workspace, "paint", form, out)  # type: ignore[arg-type]


@pytest.mark.parametrize(("form", "kind"), [("merged", "Q8_0"), ("hf", "F32")])
def test_a_merged_model_answers_as_the_adapter_does(copy: Path, tmp_path: Path, form: str, kind: str) -> None:
    with open_workspace(copy) as workspace:
        done = export(workspace, "paint", form, tmp_path / "out", kind)  # type: ignore[arg-type]
        assert done.parity is not None
        assert (done.parity.prompt_mismatches, done.parity.defects) == (0, ())
        if form == "hf":
            assert (done.parity.equal, done.lost) == (done.parity.n, ())
            model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
            assert model.config.model_type == "llama"
        with pytest.raises(TuneError, match="JM-507"):
            export(workspace, "paint", form, tmp_path / "other", "Q9")  # type: ignore[arg-type]
        assert not (tmp_path / "other").exists()


def test_a_changed_release_is_refused(copy: Path) -> None:
    with open_workspace(copy) as workspace:
        folder = find_release(workspace, "paint")
        adapter = folder / "adapter.gguf"
        data = bytearray(adapter.read_bytes())
        data[-1] ^= 1
        adapter.chmod(0o644)
        adapter.write_bytes(data)
        with pytest.raises(Exception, match="JM-412"):
            load_manifest(folder)
