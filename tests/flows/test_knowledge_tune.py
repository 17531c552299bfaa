"""`knowledge tune` through the real encoder: words of a company that no encoder knows, and questions from which nothing can be learned."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from journeyman.cli.main import run
from journeyman.core.errors import KnowledgeError
from journeyman.flows.knowledge import add, index_path, open_library
from journeyman.flows.knowledge_tune import tune_retriever, undo_tuning
from journeyman.flows.retrieving import Shelves
from journeyman.flows.workspace import open_workspace
from journeyman.knowledge.retrieve.pairs import NAMES
from journeyman.knowledge.retrieve.recipe import Recipe
from journeyman.knowledge.retrieve.tuned import read_tuned
from journeyman.task.task import Knowledge, Task

pytestmark = pytest.mark.model
CALLED = {  # what a thing is called in the handbook, and by those who ask
    "printer": "ladybird",
    "elevator": "walnut",
    "projector": "harbour",
    "dishwasher": "violin",
    "server": "meadow",
    "forklift": "teapot",
    "scanner": "glacier",
    "alarm": "pancake",
}
DONE = (
    *("repaired", "cleaned", "replaced", "insured", "inspected", "rented", "sold", "moved", "painted", "recycled"),
    *(
        "ordered",
        "stored",
        "labelled",
        "tested",
        "upgraded",
        "locked",
        "weighed",
        "photographed",
        "counted",
        "returned",
    ),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "journeyman.toml").touch()
    (folder / "docs").mkdir()
    rows = []
    for thing, alias in CALLED.items():
        for done in DONE:
            name = f"docs/{thing}-{done}.txt"
            (folder / name).write_text(
                f"How the {thing} is {done} is decided by the office manager.\n", encoding="utf-8"
            )
            rows.append(
                {
                    "question": f"who says how our {alias} gets {done}?",
                    "document": name,
                    "quote": f"the {thing} is {done}",
                }
            )
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with open_workspace(folder) as workspace:
        assert add(workspace, [str(folder / "docs")])[0].done.added == len(CALLED) * len(DONE)
    return folder


def ask(project: Path, question: str, recipe: Recipe) -> str:
    with open_workspace(project) as workspace, open_library(workspace) as library:
        found = library.find(question, recipe)[0]
        return library.index.document(found.piece.document).name


def test_names_that_no_encoder_knows_are_learned_kept_and_forgotten(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    assert run(["knowledge", "tune", "questions.jsonl", "--json"]) == 0
    done: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert done["kept"]
    assert done["has_map"]
    assert done["split_by"] == "document"
    assert done["fitted"] + done["sealed"] == len(CALLED) * len(DONE)
    first = done["changes"]["right_first"]
    assert first["after"] - first["before"] > 0.3
    assert done["gates"]["right_first"]["verdict"] == done["gates"]["right_found"]["verdict"] == "pass"
    assert done["gates"]["right_first"]["method"] == "tango"
    rows = [json.loads(line) for line in (project / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    on, off = (
        sum(ask(project, row["question"], recipe) == row["document"] for row in rows[::8])
        for recipe in (Recipe(), Recipe(is_tuned=False))
    )
    assert on > off + 5
    assert run(["knowledge", "tune", "--undo"]) == 0
    assert "as before" in capsys.readouterr().out
    assert sum(ask(project, row["question"], Recipe()) == row["document"] for row in rows[::8]) == off
    assert run(["knowledge", "tune", "questions.jsonl"]) == 0  # the same look again, at the same level
    assert "Kept. Undo" in capsys.readouterr().out
    with open_workspace(project) as workspace:
        assert undo_tuning(workspace)
        assert not undo_tuning(workspace)


FILLER = "In between there is a long break for coffee, cake and talk in the garden behind the old house, where nobody works, and all of them enjoy the sun for an hour or two."


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents in pairs that say the same words: which thing is done what tells them apart."""
    folder = tmp_path_factory.mktemp("crossed")
    (folder / "journeyman.toml").touch()
    (folder / "docs").mkdir()
    things, rows = list(CALLED), []
    for one, other in zip(things[::2], things[1::2], strict=True):
        for first, second in zip(DONE[::2], DONE[1::2], strict=True):
            for now, later in ((first, second), (second, first)):
                name = f"docs/{one}-{now}.txt"
                text = f"The {one} gets {now} in the morning. {FILLER} The {other} gets {later} at night.\n"
                (folder / name).write_text(text, encoding="utf-8")
                rows += [
                    {"question": f"is the {thing} {done} today?", "document": name, "quote": f"{thing} gets {done}"}
                    for thing, done in ((one, now), (other, later))
                ]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with open_workspace(folder) as workspace:
        assert add(workspace, [str(folder / "docs")])[0].done.chunks == len(rows) / 2
    return folder


def test_an_order_of_the_first_hits_is_learned_shown_and_used_everywhere(
    crossed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(crossed)
    rows = [json.loads(line) for line in (crossed / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert run(["knowledge", "search", rows[0]["question"], "--rerank", "30"]) == 2
    assert "JM-990" in capsys.readouterr().err
    assert run(["knowledge", "tune", "questions.jsonl", "--top", "1", "--json"]) == 0
    done: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert done["kept"]
    assert set(done["order"]) == set(NAMES)
    alone = done["by_order"]["right_first"]
    assert alone["difference"] > 0.2
    assert alone["low"] > 0
    assert alone["n"] == done["sealed"]
    assert 0 < done["median_ms"]["before"] < 1000

    def count(recipe: Recipe) -> int:
        with open_workspace(crossed) as workspace, open_library(workspace) as library:
            found = [library.find(row["question"], recipe)[0].piece.document for row in asking]
            return sum(
                library.index.document(id).name == row["document"] for id, row in zip(found, asking, strict=True)
            )

    asking = rows[::7]
    assert count(Recipe()) == count(Recipe(rerank=30)) > count(Recipe(rerank=0)) + 4
    for options in (["--rerank", "30"], []):
        assert run(["knowledge", "search", rows[0]["question"], "--json", *options]) == 0
        assert json.loads(capsys.readouterr().out)["passages"][0]["document"] == rows[0]["document"]
    use = Knowledge("documents", "question", "passages", top=1)
    task = Task("t", "", {"question": {"type": "string"}, "passages": {"type": "string"}}, None, knowledge=use)
    found = {}
    with open_workspace(crossed) as workspace, Shelves(workspace) as shelves:
        for most in (None, 0):
            reading = replace(task, knowledge=replace(use, rerank=most))
            named = [shelves.fill(reading, {"question": row["question"]}).found[0].name for row in asking]
            found[most] = sum(name == row["document"] for name, row in zip(named, asking, strict=True))
    assert found == {None: count(Recipe()), 0: count(Recipe(rerank=0))}
    (crossed / "some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asking), encoding="utf-8")
    assert run(["knowledge", "eval", "some.jsonl", "--json"]) == 0
    gain = {row["name"]: row["reciprocal_rank"]["value"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert max(gain, key=lambda name: gain[name]) == "hybrid, in the order it has learned"
    before = count(Recipe(rerank=0, is_tuned=False))
    assert run(["knowledge", "tune", "--undo"]) == 0
    assert count(Recipe()) == before


def test_nothing_is_kept_where_answers_are_by_chance(project: Path) -> None:
    rows = [json.loads(line) for line in (project / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    places = [{"document": row["document"], "quote": row["quote"]} for row in rows]
    mixed = [{"question": row["question"], **places[(37 * at + 11) % len(places)]} for at, row in enumerate(rows)]
    path = project / "mixed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in mixed), encoding="utf-8")
    with open_workspace(project) as workspace:
        done = tune_retriever(workspace, path)
        assert not done.kept
        with open_library(workspace) as library:
            assert read_tuned(library.index) is None


def test_what_is_missing_is_said(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = project / "few.jsonl"
    lines = (project / "questions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    few.write_text("".join(lines[:30]), encoding="utf-8")
    with open_workspace(project) as workspace:
        with pytest.raises(KnowledgeError, match=r"JM-973(.|\n)*expected: 40(.|\n)*knowledge eval"):
            tune_retriever(workspace, few)
        with pytest.raises(KnowledgeError, match="JM-950"):
            undo_tuning(workspace, "nowhere")
        assert not index_path(workspace, "nowhere").exists()
    monkeypatch.chdir(project)
    assert run(["knowledge", "tune"]) == 2
    assert "JM-974" in capsys.readouterr().err
    assert run(["knowledge", "tune", "few.jsonl", "--undo"]) == 2
