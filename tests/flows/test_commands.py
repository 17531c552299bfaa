"""Every verb with --json: one document on stdout, nothing else, and the exit status that it promises."""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.flows.conftest import Loop
from tests.flows.projects import journeyman, serving


def document(folder: Path, *arguments: str, status: int = 0) -> Any:
    done = journeyman(folder, *arguments, "--json")
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def project(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(loop.folder, tmp_path_factory.mktemp("commands") / "project"))


def test_a_project_and_a_task_are_made(tmp_path: Path) -> None:
    assert document(tmp_path, "init", "shop")
    assert (tmp_path / "shop/journeyman.toml").is_file()
    assert document(tmp_path / "shop", "new", "tickets")
    assert (tmp_path / "shop/tasks/tickets.yaml").is_file()


@pytest.mark.model
@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "all-minilm-l6-v2"])
def test_pull_says_where_the_model_is(tmp_path: Path, name: str) -> None:
    told = document(tmp_path, "pull", name)
    assert told["model"] == name
    assert Path(told["path"]).is_file()


def test_the_stages_of_the_loop(project: Path, loop: Loop) -> None:
    assert document(project, "import", "train.jsonl", "--task", "paint")["files"][0]["repeated"] == 90
    prepared = document(project, "prepare", "paint")
    tuned = document(project, "tune", "paint", "--epochs", "12", "--threads", "1")
    assert tuned["dataset"] == prepared["dataset"]
    assessed = document(project, "assess", "paint", "--base-rows", "5", status=1)
    assert {"task", "dataset", "candidates", "gate", "release"} <= set(assessed)
    assert assessed["gate"]["verdict"] != "pass"
    ran = document(project, "run", "paint", "--epochs", "12", "--threads", "1", "--base-rows", "5", status=1)
    assert ran["gate"] == assessed["gate"]
    released = document(project, "release", "paint", "--force", "a test")
    assert released["forced"] == "a test"
    assert loop.result.released is not None
    assert released["hash"] == loop.result.released.hash


def test_what_looks_at_the_project(project: Path) -> None:
    (state,) = document(project, "status")["tasks"]
    assert (state["name"], state["looks"]) == ("paint", 1)
    assert all(item["is_well"] for item in document(project, "doctor")["findings"])
    assert Path(document(project, "report", "paint")["report"]).stat().st_size > 50_000


def test_ask_export_and_rollback(project: Path, tmp_path: Path) -> None:
    asked = document(project, "ask", "paint", "bcdfg hklmn two red prstv zbcdf")
    assert set(asked["answer"]) == {"colour", "many"}
    exported = document(project, "export", "paint", "--to", "gguf", "--out", str(tmp_path / "out"))
    assert all(Path(path).is_file() for path in exported["files"])
    assert document(project, "rollback", "paint", status=2)["error"]["code"] == "JM-814"


def test_serve_says_where_and_stops_when_told(project: Path) -> None:
    with (
        serving(project) as said,
        urllib.request.urlopen(f"{said['url']}/healthz", timeout=10) as reply,
    ):
        assert reply.status == 200
