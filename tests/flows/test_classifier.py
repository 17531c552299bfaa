"""A student that is a head on an embedding model: tuned, assessed, released, served and refused like any other."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from journeyman.core.errors import GateError, ModelError, TuneError
from journeyman.core.messages import make_message
from journeyman.flows.assess import assess
from journeyman.flows.exporting import export
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.releases import release
from journeyman.flows.serving import open_classifier
from journeyman.flows.tune import Request as TuneRequest
from journeyman.flows.tune import TuneResult, tune
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.models.protocol import Decoding, Request
from tests.flows.projects import TASK, fill_project, journeyman, make_project, paint_rows, write_rows

pytestmark = pytest.mark.model
KIND = {"kind": "head"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """No language model is there."""
    folder = make_project(tmp_path_factory.mktemp("heads") / "project", Path("/nowhere.gguf"), rows=240)
    with open_workspace(folder) as opened:
        fill_project(opened)
        yield opened


@pytest.fixture(scope="module")
def tuned(workspace: Workspace) -> TuneResult:
    return tune(workspace, "paint", KIND)


def test_a_head_is_tuned_assessed_released_and_asked(workspace: Workspace, tuned: TuneResult) -> None:
    assert tuned.student.manifest.kind == "head"
    assert tuned.parity["is_passed"]
    assert tuned.parity["equal"] == tuned.parity["n"] == 200
    assert tuned.tuned["dev_exact"] > 0.5  # type: ignore[operator]
    assert tune(workspace, "paint", KIND).student.hash == tuned.student.hash
    assessed = assess(workspace, "paint")
    assert assessed.student.hash == tuned.student.hash
    sealed, on_dev = assessed.document.candidates
    assert (sealed.kind, sealed.split, on_dev.split) == ("head", "test", "dev")
    assert sealed.metrics["exact_match"].value > 0.5
    assert sealed.metrics["valid"].value == 1
    released = release(workspace, "paint", "a test")
    card = (released.path / "attachments/README.md").read_text()
    assert "all-minilm-l6-v2" in card
    assert "colour, many" in card
    assert not (released.path / "attachments/Modelfile").exists()
    asked = journeyman(workspace.project.root, "ask", "paint", "bcdfg two red hklmn", "--json")
    assert asked.returncode == 0, asked.stderr
    answer = json.loads(asked.stdout)
    assert answer["model"].endswith(released.hash)
    report = journeyman(workspace.project.root, "report", "paint", "--out", "report.html")
    assert report.returncode == 0, report.stderr
    with pytest.raises(GateError, match="JM-628"):
        export(workspace, "paint", "gguf", workspace.project.root / "out")


def test_every_answer_has_a_probability(tuned: TuneResult) -> None:
    model = open_classifier(tuned.student, "paint")

    def ask(text: str, decoding: Decoding = Decoding(logprobs=True)) -> tuple[str, dict[str, float]]:
        reply = asyncio.run(model.complete(Request((make_message("user", text),), decoding)))
        shares = {answer: math.exp(log) for answer, log in reply.logprobs[0].top}
        assert math.isclose(math.exp(reply.logprobs[0].logprob), shares[reply.text], rel_tol=1e-9)
        return reply.text, shares

    text, shares = ask("bcdfg one green hklmn")
    assert len(shares) == 6
    assert math.isclose(sum(shares.values()), 1)
    assert text == max(shares, key=shares.__getitem__)
    drawn = {ask("bcdfg", Decoding(temperature=100.0, seed=seed, logprobs=True))[0] for seed in range(40)}
    assert len(drawn) > 2
    with pytest.raises(ModelError, match=r"JM-441 .*longer than the embedding model reads"):
        ask("red " * 400)
    with pytest.raises(ModelError, match="JM-425"):
        asyncio.run(model.complete(Request((make_message("user", "red"),), tools=({"name": "paint"},))))


@pytest.mark.parametrize(
    ("given", "request_", "code"),
    [
        ({"rate": 1e-3}, TuneRequest(), r"JM-567 a head has no setting rate(?s:.*)leave out --rate"),
        ({}, TuneRequest(method="dpo"), "JM-567"),
        ({}, TuneRequest(answers="lines"), "JM-567"),
        ({}, TuneRequest(budget_s=60), "JM-567"),
        ({"features": "letters"}, TuneRequest(), "JM-567"),
        ({"features": "words"}, TuneRequest(base="all-minilm-l6-v2"), "JM-567"),
    ],
)
def test_what_a_head_does_not_have_is_refused(
    workspace: Workspace, given: dict[str, object], request_: TuneRequest, code: str
) -> None:
    with pytest.raises(TuneError, match=code):
        tune(workspace, "paint", KIND | given, request_)


def test_a_language_model_is_no_embedding_model(workspace: Workspace) -> None:
    with pytest.raises(ModelError, match="JM-435"):
        tune(workspace, "paint", KIND, TuneRequest(base="smollm2-135m-instruct"))


def test_changed_files_are_not_served(workspace: Workspace) -> None:
    student = tune(workspace, "paint", KIND | {"seed": 1}).student
    path = student.folder / "heads.json"
    path.write_text(path.read_text().replace('"red"', '"rot"'))
    with pytest.raises(ModelError, match="JM-412"):
        tune(workspace, "paint", KIND | {"seed": 1})
    weights = student.folder / "heads.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"0000")
    with pytest.raises(ModelError, match="JM-436"):
        open_classifier(student, "paint")


@pytest.mark.parametrize(
    ("output", "line", "code"),
    [
        ("  colour: {enum: [red, green, blue]}\n  name: string\n", "red", "JM-566"),
        ("  colour: {enum: [red, green, blue]}\n  many: boolean\n", "red " * 400, r"JM-568 .*1 of \d+ rows are longer"),
    ],
)
def test_open_outputs_and_long_texts_are_refused(tmp_path: Path, output: str, line: str, code: str) -> None:
    folder = make_project(tmp_path / "project", Path("/nowhere.gguf"))
    before, after = TASK.index("  colour"), TASK.index("gate:")
    (folder / "tasks/paint.yaml").write_text(TASK[:before] + output + TASK[after:])
    rows = paint_rows(90, 1)
    if "name" in output:
        for row in rows:
            row["gold"] = {"colour": "red", "name": "x"}
    long = {"input": {"line": line}, "gold": rows[0]["gold"]}
    write_rows(folder / "train.jsonl", [*rows, *([long] if len(line) > 10 else [])])
    with open_workspace(folder) as opened:
        import_sources(opened, "paint", [str(folder / "train.jsonl")])
        prepare_task(opened, "paint")
        with pytest.raises(TuneError, match=code):
            tune(opened, "paint", KIND)


@pytest.mark.parametrize("features", ["words", "patterns", "none"])
def test_a_head_without_any_model(workspace: Workspace, features: str) -> None:
    given = KIND | {"features": features}
    result = tune(workspace, "paint", given)
    assert result.parity["is_passed"]
    assert result.parity["equal"] == result.parity["n"] == 200
    assert (result.tuned["dev_exact"] > 0.5) == (features != "none")  # type: ignore[operator]
    assert result.student.manifest.base.name == ""
    assert (result.student.folder / "words.json").is_file()
    model = open_classifier(result.student, "paint")
    asked = Request((make_message("user", "bcdfg one green hklmn"),), Decoding(confidence=True))
    reply = asyncio.run(model.complete(asked))
    assert reply.confidence is not None
    assert math.isclose(reply.confidence.whole, math.prod(reply.confidence.fields.values()))
    if features != "none":
        assert json.loads(reply.text) == {"colour": "green", "many": False}


def test_words_that_were_changed_are_not_served(workspace: Workspace) -> None:
    given = KIND | {"features": "words", "seed": 2}
    path = tune(workspace, "paint", given).student.folder / "words.json"
    path.write_text(path.read_text().replace("red", "rot"))
    with pytest.raises(ModelError, match="JM-412"):
        tune(workspace, "paint", given)


def test_the_default_features_are_no_other_run(workspace: Workspace, tuned: TuneResult) -> None:
    assert tune(workspace, "paint", KIND | {"features": "embedding"}).run.id == tuned.run.id
