"""The nearest example as a student: made without a model, measured, released, served and refused like any other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from journeyman.core.errors import GateError, ModelError, TuneError
from journeyman.core.messages import make_message
from journeyman.flows.assess import assess
from journeyman.flows.exporting import export
from journeyman.flows.releases import release
from journeyman.flows.runs import RESULT
from journeyman.flows.serving import load_students
from journeyman.flows.tune import Request as TuneRequest
from journeyman.flows.tune import tune
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.models.nearest import Examples, Nearest, load_examples
from journeyman.models.protocol import Decoding, Request
from journeyman.models.words import FILE, weigh_words
from tests.flows.projects import fill_project, make_project

KIND = {"kind": "nearest"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = make_project(tmp_path_factory.mktemp("nearest") / "project", Path("/nowhere.gguf"))
    with open_workspace(folder) as opened:
        fill_project(opened)
        yield opened


def test_the_likest_comes_first_and_of_equals_the_first() -> None:
    texts = ("a red car", "a blue boat", "two red cars", "a red car")
    examples = Examples(weigh_words(texts), texts, ("1", "2", "3", "4"))
    found = examples.nearest("a red car", 4)
    assert [place for place, _score in found][:2] == [0, 3]
    assert found[0][1] == pytest.approx(1.0, abs=1e-6)
    assert [score for _place, score in found] == sorted((score for _place, score in found), reverse=True)
    assert examples.nearest("nothing known", 1) == [(0, 0.0)]


def test_its_confidence_is_how_near_it_was(workspace: Workspace) -> None:
    examples = load_examples(tune(workspace, "paint", KIND).student.folder)
    model = Nearest(examples, "near")
    asked = [
        Request((make_message("user", text),), Decoding(confidence=True)) for text in (examples.texts[3], "unheard-of")
    ]
    known, unknown = (asyncio.run(model.complete(request)) for request in asked)
    assert known.text == examples.answers[examples.nearest(examples.texts[3], 1)[0][0]]
    assert known.confidence is not None
    assert unknown.confidence is not None
    assert known.confidence.whole > 0.99 > unknown.confidence.whole


def test_it_is_measured_released_and_served_as_it_was_written(workspace: Workspace) -> None:
    result = tune(workspace, "paint", KIND)
    assert result.run.read(RESULT) is not None
    assert tune(workspace, "paint", KIND).run.id == result.run.id
    assessed = assess(workspace, "paint")
    assert assessed.student.hash == result.student.hash
    assert assessed.document.candidates[0].kind == "nearest"
    released = release(workspace, "paint", force="to see it served")
    assert (released.path / "attachments/README.md").read_text().count("most similar example") == 1
    sealed = [json.loads(line) for line in (workspace.project.root / "sealed.jsonl").read_text().splitlines()]
    held = (released.path / "examples.json").read_text()
    assert not [row for row in sealed if json.dumps(row["input"]["line"]) in held], "no sealed row travels with it"

    async def ask() -> str:
        async with AsyncExitStack() as stack:
            (served,) = await load_students(stack, [result.student])
            assert served.task is not None
            return (await served.model.complete(Request(served.write(served.task, {"line": "two red cars"})))).text

    assert set(json.loads(asyncio.run(ask()))) == {"colour", "many"}
    with pytest.raises(GateError, match="JM-628"):
        export(workspace, "paint", "gguf", workspace.project.root / "out")


def test_what_it_has_no_setting_for_is_refused(workspace: Workspace) -> None:
    with pytest.raises(TuneError, match="JM-569"):
        tune(workspace, "paint", KIND | {"shots": 2})
    with pytest.raises(TuneError, match="JM-569"):
        tune(workspace, "paint", KIND, TuneRequest(base="other"))
    with pytest.raises(TuneError, match="JM-569"):
        tune(workspace, "paint", KIND, TuneRequest(method="dpo"))


def test_damaged_examples_are_told(workspace: Workspace, tmp_path: Path) -> None:
    source = tune(workspace, "paint", KIND).student.folder
    for name in ("examples.json", FILE):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    (tmp_path / "examples.json").write_text("[]")
    with pytest.raises(ModelError, match="JM-436"):
        load_examples(tmp_path)
