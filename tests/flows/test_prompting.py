"""A student that is the base with a prompt: made in seconds, then assessed, released, served and refused like any other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from journeyman.core.errors import GateError, ModelError, TuneError
from journeyman.flows.assess import assess
from journeyman.flows.exporting import export
from journeyman.flows.ladder import climb
from journeyman.flows.releases import release
from journeyman.flows.serving import load_students, loadable
from journeyman.flows.shots import open_prompt
from journeyman.flows.tune import Request as TuneRequest
from journeyman.flows.tune import tune
from journeyman.flows.workspace import Workspace, open_workspace
from tests.flows.projects import fill_project, journeyman, make_project

KIND = {"kind": "prompt"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path) -> Iterator[Workspace]:
    folder = make_project(tmp_path_factory.mktemp("prompts") / "project", tiny_gguf)
    with open_workspace(folder) as opened:
        fill_project(opened)
        yield opened


def test_the_nearest_examples_stand_before_the_input(workspace: Workspace) -> None:
    result = tune(workspace, "paint", KIND | {"shots": 3})
    assert tune(workspace, "paint", KIND | {"shots": 3}).student.hash == result.student.hash
    prompt, task = open_prompt(result.student), workspace.task("paint")
    assert prompt.examples is not None
    line = prompt.examples.texts[7]
    system, *turns, user = prompt(task, {"line": line})
    assert (system.role, system.text) == ("system", task.instruction)
    assert (user.role, user.text) == ("user", line)
    assert [message.role for message in turns] == ["user", "assistant"] * 3
    assert turns[-2].text == line, "the nearest is last"
    assert turns[-1].text == prompt.examples.answers[7]
    assert set(json.loads(turns[-1].text)) == {"colour", "many"}
    alone = open_prompt(tune(workspace, "paint", KIND).student)(task, {"line": line})
    assert [message.role for message in alone] == ["system", "user"]
    assert tune(workspace, "paint", KIND | {"shots": 0}).run.id == tune(workspace, "paint", KIND).run.id


def test_no_example_is_a_sealed_or_a_dev_row(workspace: Workspace) -> None:
    examples = open_prompt(tune(workspace, "paint", KIND | {"shots": 3}).student).examples
    assert examples is not None
    texts = set(examples.texts)
    folder = workspace.project.root
    sealed = {json.loads(text)["input"]["line"] for text in (folder / "sealed.jsonl").read_text().splitlines()}
    train = {json.loads(text)["input"]["line"] for text in (folder / "train.jsonl").read_text().splitlines()}
    assert texts
    assert texts < train
    assert not texts & sealed


def test_it_is_measured_released_and_served(workspace: Workspace) -> None:
    result = tune(workspace, "paint", KIND | {"shots": 1})
    climb(workspace, "paint", is_whole=True)
    ladder = assess(workspace, "paint").document.ladder
    assert ladder is not None
    names = [rung.name for rung in ladder.rungs]
    assert {"the untuned base", "the untuned base with the 4 nearest examples"} <= set(names)

    async def ask() -> str:
        async with AsyncExitStack() as stack:
            (served,) = await load_students(stack, [result.student], threads=1)
            assert served.task is not None
            messages = served.write(served.task, {"line": "two red cars"})
            assert len(messages) == 4
            return served.name

    assert asyncio.run(ask()).endswith(result.student.hash)


def test_a_release_of_it_answers_and_has_no_other_form(tmp_path: Path, tiny_gguf: Path) -> None:
    folder = make_project(tmp_path / "project", tiny_gguf)
    with open_workspace(folder) as opened:
        fill_project(opened)
        tune(opened, "paint", KIND | {"shots": 1})
        assessed = assess(opened, "paint", base_rows=2)
        assert {item.kind for item in assessed.document.candidates} == {"prompt", "base"}
        released = release(opened, "paint", "a test")
        assert "Nothing was tuned" in (released.path / "attachments/README.md").read_text()
        with pytest.raises(GateError, match="JM-628"):
            export(opened, "paint", "gguf", folder / "out")
        with pytest.raises(TuneError, match="JM-533"):
            tune(opened, "paint", {}, TuneRequest(method="dpo", start=assessed.tune_run.id))
    asked = journeyman(folder, "ask", "paint", "two red cars", "--json")
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["model"].endswith(released.hash)
    assert journeyman(folder, "report", "paint", "--out", "report.html").returncode == 0
    path = released.path / "examples.json"
    path.write_text(path.read_text().replace("red", "rot"))
    with open_workspace(folder) as opened, pytest.raises(ModelError, match="JM-412"):
        loadable(opened, "paint")


@pytest.mark.parametrize(
    ("given", "request_"),
    [
        ({"rate": 1e-3}, TuneRequest()),
        ({"shots": 1000}, TuneRequest()),
        ({"shots": -1}, TuneRequest()),
        ({}, TuneRequest(method="dpo")),
        ({}, TuneRequest(answers="lines")),
        ({}, TuneRequest(threads=2)),
    ],
)
def test_what_a_prompt_does_not_have_is_refused(
    workspace: Workspace, given: dict[str, object], request_: TuneRequest
) -> None:
    with pytest.raises(TuneError, match="JM-569"):
        tune(workspace, "paint", KIND | given, request_)  # type: ignore[arg-type]
