"""Drift of a live release: silent on calls like the measured rows, loud on others, and the release's own evaluation is all it needs."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from journeyman.core.errors import GateError
from journeyman.flows.answers import open_desk
from journeyman.flows.assess import assess
from journeyman.flows.releases import release
from journeyman.flows.tune import tune
from journeyman.flows.watching import watch
from journeyman.flows.workspace import Workspace, open_workspace
from tests.flows.projects import fill_project, journeyman, make_project, paint_rows, write_rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A released head on words, without any model."""
    folder = make_project(tmp_path / "project", Path("/nowhere.gguf"), rows=240)
    for name, rows, seed in (("train", 240, 1), ("sealed", 160, 2)):
        write_rows(folder / f"{name}.jsonl", [dict(row) for row in paint_rows(rows, seed)])
    with open_workspace(folder) as workspace:
        fill_project(workspace)
        with pytest.raises(GateError, match="JM-633"):
            watch(workspace, "paint")
        tune(workspace, "paint", {"kind": "head", "features": "words"})
        assess(workspace, "paint")
        release(workspace, "paint", force="to watch it")
    return folder


def _ask(workspace: Workspace, lines: list[str]) -> None:
    async def ask() -> None:
        async with AsyncExitStack() as stack:
            desk = await open_desk(stack, workspace, workspace.task("paint"))
            for line in lines:
                await desk.ask({"line": line}, "ask")

    asyncio.run(ask())


def test_calls_like_the_measured_rows_are_silent_and_others_are_not(folder: Path) -> None:
    usual = [str(row["input"]["line"]) for row in paint_rows(150, 9)]  # type: ignore[index]
    with open_workspace(folder) as workspace:
        assert watch(workspace, "paint").signals[0].seen == 0
        _ask(workspace, usual)
        drift = watch(workspace, "paint")
        (signal,) = [item for item in drift.signals if item.name == "new words"]
        assert signal.seen == 150
        assert not drift.is_alarm
    done = journeyman(folder, "drift", "paint", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["is_alarm"] is False
    draw = random.Random(4)
    with open_workspace(folder) as workspace:
        _ask(workspace, [f"kolor {draw.randrange(999)} {draw.choice(['bil', 'hus', 'fugl'])} malet" for _ in range(60)])
        drift = watch(workspace, "paint")
        assert drift.is_alarm
        (signal,) = [item for item in drift.signals if item.name == "new words"]
        assert signal.mean is not None
        assert signal.mean > signal.known
        found = workspace.store.trace(signal.alarm)
        assert found is not None
        assert found.time == signal.since
    shown = journeyman(folder, "drift", "paint")
    assert shown.returncode == 1
    assert "DIFFERS since call" in shown.stdout
    assert "journeyman drift paint --hold" in shown.stdout


def test_what_is_compared_travels_with_the_release_and_not_on_the_screen(folder: Path) -> None:
    with open_workspace(folder) as workspace:
        hash = workspace.store.alias("paint")
    path = folder / f".journeyman/releases/paint/{hash}/attachments/evaluation.json"
    reference = json.loads(path.read_text())["reference"]
    assert len(reference["novelty"]) == len(reference["confidence"]) >= 160
    assert "reference" not in json.loads(journeyman(folder, "assess", "paint", "--json").stdout)
