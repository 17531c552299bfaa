"""Two runs side by side on dev: a paired interval, what they disagree on, and nothing of the sealed rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from journeyman.core.errors import GateError
from journeyman.flows.comparing import compare_runs
from journeyman.flows.tune import tune
from journeyman.flows.workspace import Workspace, open_workspace
from tests.flows.projects import fill_project, journeyman, make_project


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = make_project(tmp_path_factory.mktemp("comparing") / "project", Path("/nowhere.gguf"), rows=240)
    with open_workspace(folder) as opened:
        fill_project(opened)
        yield opened


def test_the_second_is_compared_with_the_first_and_nothing_is_asked_twice(workspace: Workspace) -> None:
    none, words = (tune(workspace, "paint", {"kind": "head", "features": name}).run.id for name in ("none", "words"))
    comparison, path = compare_runs(workspace, "paint", (none, words))
    first, second = comparison.cells
    assert (first.name, second.name) == (none, words)
    assert first.difference is None
    assert second.difference is not None
    gap = second.metrics["exact_match"].value - first.metrics["exact_match"].value
    assert second.difference.value == pytest.approx(gap)
    assert second.difference.low < gap < second.difference.high
    counts = second.difference.counts
    assert counts is not None
    assert comparison.disagreed == counts.n10 + counts.n01 > 0
    assert {item.first.score for item in comparison.disagreements} <= {0.0, 1.0}
    again, _path = compare_runs(workspace, "paint", (none, words))
    assert [cell.asked for cell in again.cells] == [0, 0]
    mirrored, _path = compare_runs(workspace, "paint", (words, none))
    assert mirrored.cells[1].difference is not None
    assert mirrored.cells[1].difference.value == pytest.approx(-gap)
    page = path.read_text()
    assert words in page
    sealed = [json.loads(line)["input"]["line"] for line in (workspace.project.root / "sealed.jsonl").open()]
    dev = {str(item.input["line"]) for item in comparison.disagreements}
    assert not dev & set(sealed)
    assert workspace.store.looks("paint") == []


def test_the_command(workspace: Workspace) -> None:
    runs = [tune(workspace, "paint", {"kind": "head", "features": name}).run.id for name in ("none", "words")]
    done = journeyman(workspace.project.root, "report", "paint", "--compare", *runs, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert Path(document["report"]).is_file()
    shown = journeyman(workspace.project.root, "report", "paint", "--compare", *runs)
    assert "disagree on" in shown.stdout


def test_a_run_that_is_none_is_told(workspace: Workspace) -> None:
    run = tune(workspace, "paint", {"kind": "nearest"}).run.id
    for name in ("paint-tune-none", "../../elsewhere"):
        with pytest.raises(GateError, match="JM-634"):
            compare_runs(workspace, "paint", (run, name))
