"""`prepare --keep`: fewer train rows, their account, and what uses them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from journeyman.core.errors import DataError
from journeyman.core.progress import Silent
from journeyman.data.dataset import entries, read_manifest, read_split
from journeyman.data.subset import keep_rows
from journeyman.flows.material import load_material
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.subset import Keep, choose_keep
from journeyman.flows.vectors import project_words
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.models.words import weigh_words
from tests.flows.projects import journeyman, make_project, paint_rows, write_rows


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 rows of which two thirds have one colour, and ten more whose terms restrict training."""
    folder = make_project(tmp_path_factory.mktemp("keep") / "project", Path("/nowhere.gguf"))
    rows = paint_rows(400, 1)
    reds = [row for row in rows if cast(Any, row)["gold"]["colour"] == "red"]
    others = [row for row in rows if cast(Any, row)["gold"]["colour"] != "red"]
    write_rows(folder / "train.jsonl", reds[:120] + others[:70])
    write_rows(folder / "bound.jsonl", others[70:80])
    with open_workspace(folder) as workspace:
        import_sources(workspace, "paint", [str(folder / "train.jsonl")])
        import_sources(workspace, "paint", [str(folder / "bound.jsonl")], split="train", terms="restricted")
        prepare_task(workspace, "paint")
    return folder


def _colours(workspace: Workspace, manifest: Any) -> Counter[str]:
    rows = read_split(workspace.store, manifest, "train")
    return Counter(cast(Any, row.answer).value["colour"] for row in rows)


def test_fewer_train_rows_are_another_dataset_and_all_else_is_the_same(workspace: Workspace) -> None:
    whole = prepare_task(workspace, "paint")
    kept = prepare_task(workspace, "paint", keep=Keep(40))
    latest, manifest = read_manifest(workspace.store, "paint")
    assert latest == kept.hash != whole.hash
    assert kept.count("train") == 40
    assert set(entries(manifest, "train")) < set(entries(whole.manifest, "train"))
    for split in ("dev", "calibration", "test"):
        assert entries(manifest, split) == entries(whole.manifest, split)  # type: ignore[arg-type]
    account: Any = manifest["kept"]
    left = whole.count("train") - 40
    assert (account["of"], account["rows"], account["left_out"]) == (whole.hash, 40, left)
    assert (account["by"], account["seed"]) == ("coverage", 0)
    funnel: Any = manifest["funnel"]
    assert (funnel["left_out"], funnel["splits"]["train"]) == (left, 40)
    restricted = sum(row.terms == "restricted" for row in read_split(workspace.store, manifest, "train"))
    assert cast(Any, manifest["terms"]).get("restricted", 0) == restricted < 10
    colours = _colours(workspace, manifest)
    assert {json.loads(value): kept for value, (kept, _all) in account["values"]["colour"].items()} == colours
    before = _colours(workspace, whole.manifest)
    assert colours["red"] / 40 < before["red"] / whole.count("train")
    assert min(colours.values()) >= 5
    assert prepare_task(workspace, "paint", keep=Keep(40)).hash == kept.hash
    assert prepare_task(workspace, "paint").hash == whole.hash == read_manifest(workspace.store, "paint")[0]


def test_a_draw_is_told_by_its_seed(workspace: Workspace) -> None:
    drawn = [prepare_task(workspace, "paint", keep=Keep(40, "random", seed)) for seed in (1, 2, 1)]
    assert drawn[0].hash == drawn[2].hash != drawn[1].hash
    account: Any = drawn[1].manifest["kept"]
    assert (account["by"], account["seed"], account["hard"]) == ("random", 2, 0)


def test_synthetic_rows_that_are_left_out_are_not_counted(workspace: Workspace) -> None:
    whole = prepare_task(workspace, "paint")
    hashes = [hash for hash, _count, _group in entries(whole.manifest, "train")]
    said = replace(whole, manifest={**whole.manifest, "synthetic": {"train": 6}}, made_up=frozenset(hashes[:6]))
    kept = keep_rows(workspace.store, said, set(hashes[4:20]), {}, {"by": "random"}, datetime(2026, 1, 1, tzinfo=UTC))
    assert kept.manifest["synthetic"] == {"train": 2}


def test_no_more_rows_than_there_are_and_no_fewer_than_values(workspace: Workspace) -> None:
    whole = prepare_task(workspace, "paint")
    assert prepare_task(workspace, "paint", keep=Keep(5000)).hash == whole.hash
    with pytest.raises(DataError, match=r"JM-367.*2 rows cannot hold every value of colour"):
        prepare_task(workspace, "paint", keep=Keep(2))
    assert read_manifest(workspace.store, "paint")[0] == whole.hash
    with pytest.raises(DataError, match="JM-368"):
        choose_keep(None, seed=3)


def test_the_command_says_what_was_kept_and_tune_learns_from_that(folder: Path) -> None:
    done = journeyman(folder, "prepare", "paint", "--keep", "60")
    assert done.returncode == 0, done.stderr
    assert "kept 60 of " in done.stdout
    assert "colour: " in done.stdout
    assert "next: journeyman tune paint" in done.stdout
    with open_workspace(folder) as workspace:
        assert load_material(workspace, "paint", use="none").to_json()["rows"]["train"] == 60  # type: ignore[index, call-overload]


def test_words_brought_to_few_numbers_keep_their_angles() -> None:
    texts = [str(cast(Any, row)["input"]["line"]) for row in paint_rows(120, 4)] * 2 + ["\u2603"]
    vectors = project_words(texts, Silent())
    sparse = weigh_words(texts).embed(texts).vectors.toarray()  # type: ignore[union-attr]
    assert np.abs(vectors @ vectors.T - sparse @ sparse.T).max() < 0.25
    assert np.allclose(np.linalg.norm(vectors[:-1], axis=1), 1)
    assert not vectors[-1].any()
