from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from journeyman.flows.pipeline import RunResult, run_all
from journeyman.flows.prepare import import_sources
from journeyman.flows.workspace import Workspace, open_workspace
from tests.flows.projects import make_project


@dataclass(frozen=True)
class Loop:
    folder: Path
    result: RunResult


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path) -> Loop:
    """The whole loop on the tiny model, once: imported, prepared, tuned, assessed, released by force. Do not change it."""
    folder = make_project(tmp_path_factory.mktemp("loop") / "project", tiny_gguf)
    with open_workspace(folder) as workspace:
        import_sources(workspace, "paint", [str(folder / "sealed.jsonl")], split="test")
        import_sources(workspace, "paint", [str(folder / "train.jsonl")])
        result = run_all(workspace, "paint", {"epochs": 12}, force="tiny", base_rows=5, threads=1)
    return Loop(folder, result)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of the project that a file of tests has made once."""
    return Path(shutil.copytree(made, tmp_path / "project"))


@pytest.fixture
def workspace(folder: Path) -> Iterator[Workspace]:
    with open_workspace(folder) as opened:
        yield opened
