"""What a dataset is said to hold, and the labels that are planted wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from journeyman.core.errors import StoreError
from journeyman.data.dataset import read_manifest, read_split
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.quality import READ, inspect_dataset, write_doubts
from journeyman.flows.workspace import open_workspace
from tests.flows.projects import COLOURS, journeyman, make_project, paint_rows, write_rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """300 rows, of which each fifteenth has another colour than its line names."""
    folder = make_project(tmp_path / "project", Path("/nowhere.gguf"))
    rows = paint_rows(300, 1)
    for row in rows[::15]:
        gold = row["gold"]
        assert isinstance(gold, dict)
        gold["colour"] = COLOURS[(COLOURS.index(gold["colour"]) + 1) % 3]
    write_rows(folder / "train.jsonl", rows)
    write_rows(folder / "odd.jsonl", [{"input": {"line": "покрасьте забор в зелёный цвет"}, "gold": {"colour": "green", "many": False}}, {"input": {"line": "write to ada@example.org " + "or her friends " * 60}, "gold": {"colour": "red", "many": True}}])  # fmt: skip
    with open_workspace(folder) as workspace:
        import_sources(workspace, "paint", [str(folder / "train.jsonl")])
        import_sources(workspace, "paint", [str(folder / "odd.jsonl")], split="train")
        prepare_task(workspace, "paint")
    return folder


def test_planted_labels_are_found_and_each_finding_has_a_command(folder: Path) -> None:
    with open_workspace(folder) as workspace:
        found = inspect_dataset(workspace, "paint")
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    planted = {row["input"]["line"] for row in rows[::15]}
    said = {str(item.input["line"]) for item in found.doubts if item.field == "colour"}
    looked = sum(found.splits[split] for split in ("train", "dev", "calibration")) / 302
    assert len(said & planted) >= 0.6 * looked * len(planted)
    assert len(said & planted) / len(said) >= 0.6
    whats = " | ".join(item.what for item in found.findings)
    for what in ("labels that are likely wrong", "another script", "EMAIL 1", "times as long"):
        assert what in whats
    assert all(item.command for item in found.findings)
    assert found.scripts == {"latin": sum(found.scripts.values()) - 1, "cyrillic": 1}


def test_the_command_says_it_and_writes_the_doubts_to_be_filled_in(folder: Path) -> None:
    done = journeyman(folder, "prepare", "paint", "--quality", "--doubts", "doubts.jsonl")
    assert done.returncode == 0, done.stderr
    assert "labels that are likely wrong" in done.stdout
    assert "rather" in done.stdout
    doubts = [json.loads(line) for line in (folder / "doubts.jsonl").read_text().splitlines()]
    assert doubts
    fixed = [item | {"gold": item["answer"] | {item["field"]: item["likely"]}} for item in doubts]
    write_rows(folder / "fixed.jsonl", fixed)
    with open_workspace(folder) as workspace:
        before = inspect_dataset(workspace, "paint")
        with pytest.raises(StoreError, match="JM-822"):
            write_doubts(before, folder / "doubts.jsonl", workspace.now())
        import_sources(workspace, "paint", [str(folder / "fixed.jsonl")])
        prepare_task(workspace, "paint")
        manifest = read_manifest(workspace.store, "paint")[1]
        rows = [row for split in READ for row in read_split(workspace.store, manifest, split)]  # type: ignore[arg-type]
        golds = {str(row.input["line"]): row.gold and row.gold.value for row in rows}
        assert all(golds[item["input"]["line"]]["colour"] == item["gold"]["colour"] for item in fixed if item["field"] == "colour")  # type: ignore[index, call-overload]  # fmt: skip


def test_too_few_rows_are_said_not_judged(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project", Path("/nowhere.gguf"), rows=30)
    with open_workspace(folder) as workspace:
        import_sources(workspace, "paint", [str(folder / "train.jsonl")])
        prepare_task(workspace, "paint")
        found = inspect_dataset(workspace, "paint")
    assert found.doubts == ()
    assert "fewer than 50" in found.unlooked


def test_odd_inputs_and_leaks_are_counted_and_no_sealed_row_is_shown(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project", Path("/nowhere.gguf"))
    rows = paint_rows(120, 1)
    told = [row | {"input": {"line": f"{row['input']['line']} colour: {row['gold']['colour']}"}} for row in rows[:4]]  # type: ignore[index]
    sealed = paint_rows(30, 2)
    copies = [row | {"input": {"line": f"{row['input']['line']}!"}} for row in sealed[:3]]  # type: ignore[index]
    odd = [{"input": {"line": "<<-- ## --> %% >> q"}, "gold": rows[0]["gold"]}]
    write_rows(folder / "train.jsonl", told + rows[4:90] + copies + odd)
    write_rows(folder / "free.jsonl", rows[90:])
    write_rows(folder / "sealed.jsonl", sealed)
    with open_workspace(folder) as workspace:
        import_sources(workspace, "paint", [str(folder / "sealed.jsonl")], split="test")
        import_sources(workspace, "paint", [str(folder / "train.jsonl")], split="train")
        import_sources(workspace, "paint", [str(folder / "free.jsonl")])
        prepare_task(workspace, "paint")
        found = {item.what: item for item in inspect_dataset(workspace, "paint").findings}
    crossing = "pairs of near copies across train and test, which were given to their split at import"
    assert found[crossing].rows == 3
    assert found[crossing].examples == ()
    assert found["inputs of far fewer letters than is usual"].examples == ("<<-- ## --> %% >> q",)
    said = found["inputs that say their own colour"]
    assert said.rows == 4
    assert all("colour: " in text for text in said.examples)
