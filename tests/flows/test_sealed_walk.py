"""Sealed rows never reach training: every way in that a user or a client has is walked on a real project."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from journeyman.core.errors import DataError, JourneymanError
from journeyman.data.dataset import find_leaks, read_manifest, read_split
from journeyman.flows.answers import open_desk
from journeyman.flows.material import load_material
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.signals import Writer
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.models.template import make_student_template
from journeyman.tuning.batching import TuneRow
from journeyman.tuning.preference import Pair
from tests.flows.conftest import Loop
from tests.flows.projects import paint_rows, write_rows

SEALED = [str(row["input"]["line"]) for row in paint_rows(30, 2)]  # type: ignore[index]
# Near copies, not copies: a file may give them to a split, and then `prepare` says so.
ALTERED = ("spaced.jsonl", "loud.jsonl", "near.jsonl")


@pytest.fixture
def project(loop: Loop, tmp_path: Path) -> Path:
    return Path(shutil.copytree(loop.folder, tmp_path / "project"))


def pair_rows(pairs: list[Pair]) -> list[TuneRow]:
    return [row for pair in pairs for row in (pair.chosen, pair.rejected)]


def _check(workspace: Workspace) -> int:
    """Prepare anew, then look at the very tokens that tuning would see; the number of rows that it tunes on."""
    prepare_task(workspace, "paint")
    _hash, manifest = read_manifest(workspace.store, "paint")
    sealed = read_split(workspace.store, manifest, "test", purpose="assess")
    assert sorted(str(row.input["line"]) for row in sealed) == sorted(SEALED)
    material = load_material(workspace, "paint")
    template = make_student_template(material.base.path)
    seen = 0
    for split, examples in material.splits.items():
        assert not find_leaks(examples, sealed, 0.8), split
        writer = Writer(material.task, template, 512)
        for row in [*writer.rows(examples), *pair_rows(writer.pairs(examples))]:
            text = template.tokenizer.decode(row.ids)
            assert not any(line in text for line in SEALED), split
            seen += split == "train"
    return seen


def test_calls_of_an_evaluation_never_become_examples(project: Path) -> None:
    with open_workspace(project) as workspace:
        asked = [trace for trace in workspace.store.traces("paint") if trace.origin == "assess"]
        assert {str(trace.input["line"]) for trace in asked} >= set(SEALED)
        before, _manifest = read_manifest(workspace.store, "paint")
        _check(workspace)
        assert read_manifest(workspace.store, "paint")[0] == before


def test_clients_that_ask_the_sealed_questions(project: Path) -> None:
    async def ask(workspace: Workspace) -> None:
        async with AsyncExitStack() as stack:
            desk = await open_desk(stack, workspace, workspace.task("paint"))
            for line in SEALED[:5]:
                await desk.ask({"line": line}, "serve")
                await desk.ask({"line": line}, "ask")

    with open_workspace(project) as workspace:
        before = _check(workspace)
        asyncio.run(ask(workspace))
        assert _check(workspace) == before


@pytest.mark.parametrize("split", [None, "train", "dev"])
def test_importing_the_sealed_file_again_in_other_clothes(project: Path, split: str | None) -> None:
    rows = paint_rows(30, 2)
    draw = random.Random(3)
    clothes = {
        "same.jsonl": rows,
        "shuffled.jsonl": draw.sample(rows, len(rows)),
        "output.jsonl": [{"input": row["input"], "output": row["gold"]} for row in rows],
        "chat.jsonl": [
            {
                "messages": [
                    {"role": "user", "content": row["input"]["line"]},  # type: ignore[index]
                    {"role": "assistant", "content": json.dumps(row["gold"])},
                ]
            }
            for row in rows
        ],
        "spaced.jsonl": [{**row, "input": {"line": f"  {row['input']['line']} "}} for row in rows],  # type: ignore[index]
        "loud.jsonl": [{**row, "input": {"line": str(row["input"]["line"]).upper()}} for row in rows],  # type: ignore[index]
        "near.jsonl": [{**row, "input": {"line": f"{row['input']['line']}!"}} for row in rows],  # type: ignore[index]
    }
    with open_workspace(project) as workspace:
        before = _check(workspace)
        for name, content in clothes.items():
            if split and name in ALTERED:
                continue
            path = write_rows(project / name, content)
            with suppress(DataError):  # a file whose every row is refused is one way to keep them out
                import_sources(workspace, "paint", [str(path)], split=split)  # type: ignore[arg-type]
            assert _check(workspace) == before, name


def test_near_copies_that_a_file_gives_to_train_are_told(project: Path) -> None:
    near = [{**row, "input": {"line": f"{row['input']['line']}!"}} for row in paint_rows(30, 2)]  # type: ignore[index]
    with open_workspace(project) as workspace:
        import_sources(workspace, "paint", [str(write_rows(project / "near.jsonl", near))], split="train")
        assert "30 pairs of near copies lie across" in " ".join(prepare_task(workspace, "paint").notices)


def test_the_same_provider_id_with_a_sealed_question(project: Path) -> None:
    """A retry: an id that is known comes again, with other text."""
    fresh = paint_rows(2, 9)
    first = [{"id": f"call-{index}", **row} for index, row in enumerate(fresh)]
    again = [{"id": f"call-{index}", **row} for index, row in enumerate(paint_rows(30, 2)[:2])]
    with open_workspace(project) as workspace:
        import_sources(workspace, "paint", [str(write_rows(project / "first.jsonl", first))])
        before = _check(workspace)
        import_sources(workspace, "paint", [str(write_rows(project / "again.jsonl", again))])
        assert _check(workspace) == before


def test_nobody_can_read_them_to_tune(project: Path) -> None:
    with open_workspace(project) as workspace:
        _hash, manifest = read_manifest(workspace.store, "paint")
        for purpose in ("tune", "look", ""):
            with pytest.raises(JourneymanError, match="JM-351"):
                read_split(workspace.store, manifest, "test", purpose=purpose)  # type: ignore[arg-type]
