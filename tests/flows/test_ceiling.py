"""The teacher's agreement with itself: from inputs that were recorded twice, and from a real provider on loopback that is asked again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from journeyman.core.errors import GateError
from journeyman.evaluation.document import CeilingPart, Document
from journeyman.flows.assess import assess
from journeyman.flows.ceiling import ask_ceiling, find_ceiling
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.tune import tune
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.measure.intervals import clopper_pearson
from journeyman.measure.metrics import METRICS
from tests.flows.projects import fill_project, journeyman, make_project, paint_rows, write_rows
from tests.flows.providers import provider

EXACT = METRICS["exact_match"]
ROWS = paint_rows(300, 1)
OTHER = {"colour": "red", "many": True}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recorded calls with gold, no input twice, and a student on words."""
    folder = make_project(tmp_path_factory.mktemp("ceiling") / "project", Path("/nowhere.gguf"), rows=300)
    for name, rows in (("train", ROWS), ("sealed", paint_rows(30, 2))):
        write_rows(folder / f"{name}.jsonl", [row | {"output": row["gold"]} for row in rows])
    with open_workspace(folder) as opened:
        fill_project(opened)
        tune(opened, "paint", {"kind": "head", "features": "words"})
    return folder


def gold_of(body: dict[str, Any]) -> object:
    line = body["messages"][-1]["content"]
    return next(row["gold"] for row in ROWS if row["input"]["line"] == line)  # type: ignore[index]


def is_often(body: dict[str, Any]) -> bool:
    return sum(body["messages"][-1]["content"].encode()) % 4 != 0


def steady(body: dict[str, Any]) -> tuple[int, str]:
    """As recorded in three of four."""
    return 200, json.dumps(gold_of(body)) if is_often(body) else "no JSON at all"


def test_inputs_that_were_recorded_twice(workspace: Workspace, folder: Path) -> None:
    task = workspace.task("paint")
    assert find_ceiling(workspace, task, EXACT) is None, "no input came twice"
    again = [
        row | {"id": f"later-{place}", "output": row["gold"] if place else OTHER | {"many": not row["gold"]["many"]}}
        for place, row in enumerate(ROWS[:20])
    ]  # type: ignore[index]
    third = [row | {"id": f"last-{place}", "output": OTHER} for place, row in enumerate(ROWS[:20])]
    for name, rows in (("again", again), ("third", third)):
        import_sources(workspace, "paint", [str(write_rows(folder / f"{name}.jsonl", rows))])
    import_sources(workspace, "paint", [str(folder / "again.jsonl")])
    found, interval = find_ceiling(workspace, task, EXACT), clopper_pearson(19, 20)
    assert found == CeilingPart(value=0.95, low=interval.low, high=interval.high, n=20, how="recorded")
    assert workspace.project.runs.exists()
    document = assess(workspace, "paint").document
    assert document.ceiling == found
    assert Document.from_json(document.to_json()) == document
    shown = journeyman(folder, "report", "paint", "--out", "report.html")
    assert shown.returncode == 0, shown.stderr
    text = "The teacher agrees with itself in 95.0 % (75 to 100, n = 20) of inputs that were recorded twice: more agreement than that cannot be asked for."
    assert text in (folder / "report.html").read_text()


def test_the_same_call_imported_for_a_split_too_is_one(workspace: Workspace, folder: Path) -> None:
    import_sources(workspace, "paint", [str(folder / "train.jsonl")], split="train")
    assert find_ceiling(workspace, workspace.task("paint"), EXACT) is None


def test_the_teacher_is_asked_dev_rows_again(folder: Path) -> None:
    with provider(folder, steady) as seen, open_workspace(folder) as workspace:
        document = assess(workspace, "paint", ceiling=12).document
        assert document.ceiling is not None
        right = sum(map(is_often, seen))
        assert 0 < right < 12
        assert (document.ceiling.n, document.ceiling.how) == (12, "asked")
        assert document.ceiling.value == pytest.approx(right / 12), "an answer that cannot be read is another one"
        assert {body["_origin"] for body in seen} == {"assess"}
        assert {body["messages"][0]["content"] for body in seen} == {workspace.task("paint").instruction}
        asked = {body["messages"][-1]["content"] for body in seen}
        assert assess(workspace, "paint", ceiling=12).document.ceiling == document.ceiling
        assert len(seen) == 12, "answers are kept"
        more = assess(workspace, "paint", ceiling=15).document.ceiling
        assert len(seen) == 15
        assert asked < {body["messages"][-1]["content"] for body in seen}
        assert assess(workspace, "paint").document.ceiling == more, "shown without asking again"
        sealed = {str(row["input"]["line"]) for row in paint_rows(30, 2)}  # type: ignore[index]
        assert not sealed & {body["messages"][-1]["content"] for body in seen}
        assert prepare_task(workspace, "paint").hash == document.dataset.hash, "no call became an example"


def test_a_teacher_that_fails_is_one_message_and_loses_nothing(folder: Path) -> None:
    is_down = True

    def sometimes(body: dict[str, Any]) -> tuple[int, str]:
        return steady(body) if not is_down or is_often(body) else (400, "out of order")

    with provider(folder, sometimes) as seen, open_workspace(folder) as workspace:
        with pytest.raises(GateError, match=r"JM-679 [\s\S]*calls to the teacher failed[\s\S]*out of order"):
            assess(workspace, "paint", ceiling=12)
        assert workspace.store.looks("paint") == []
        is_down, before = False, len(seen)
        assert assess(workspace, "paint", ceiling=12).document.ceiling is not None
        failed = sum(not is_often(body) for body in seen[:before])
        assert len(seen) - before == failed > 0, "only what is missing is asked"


def test_nobody_to_ask(workspace: Workspace) -> None:
    with pytest.raises(GateError, match=r"JM-679 [\s\S]*no teacher to ask again"):
        ask_ceiling(workspace, workspace.task("paint"), 5)


def test_the_command(folder: Path) -> None:
    with provider(folder, steady):
        done = journeyman(folder, "assess", "paint", "--ceiling", "8")
    assert "The teacher agrees with itself in " in done.stdout, done.stderr
    assert "n = 8) of dev rows that it was asked again" in done.stdout
