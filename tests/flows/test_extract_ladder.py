"""`extract --ladder` on the tiny model: steps that are tuned, killed and gone on with, and the curve of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from journeyman.cli.main import run
from journeyman.core.errors import KnowledgeError
from journeyman.flows.extract_ladder import climb_documents
from journeyman.flows.workspace import open_workspace
from journeyman.knowledge.extract.curve import Line, draw_curve
from journeyman.knowledge.extract.scores import Figure
from journeyman.measure.intervals import Interval
from tests.flows.projects import make_project, paint_rows
from tests.flows.providers import provider


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path) -> Path:
    """Lines with their colours beside them: seven to learn from, three held out."""
    folder = make_project(tmp_path_factory.mktemp("ladder") / "project", tiny_gguf, rows=1, sealed=1)
    for name, count, seed in (("labelled", 7, 5), ("held", 3, 6)):
        (folder / name).mkdir()
        for number, row in enumerate(paint_rows(count, seed)):
            (folder / f"{name}/{number}.txt").write_text(str(row["input"]["line"]))  # type: ignore[index]
            (folder / f"{name}/{number}.json").write_text(json.dumps(row["gold"]))
    return folder


def climb(project: Path, *words: str) -> list[str]:
    sides = [str(project / "labelled"), "--held", str(project / "held")]
    return ["extract", "paint", *sides, "--project", str(project), "--epochs", "1", *words]


def test_each_step_is_tuned_read_and_kept_and_the_project_stays_as_it_was(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plot = project / "curve.svg"

    def answer(body: dict[str, Any]) -> tuple[int, str]:
        text = body["messages"][-1]["content"]
        colour = next(name for name in ("red", "green", "blue") if name in text)
        return 200, json.dumps({"colour": colour, "many": "two" in text.split()})

    with provider(project, answer) as seen:
        assert run(climb(project, "--ladder", "5,0", "--plot", str(plot), "--teacher", "--json")) == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["labelled"], said["held"], len(seen)) == (7, 3, 3)
    assert [(one["how"], one["labelled"], one["rows"]) for one in said["steps"]] == [
        ("base", 0, 0),
        ("teacher", 0, 0),
        ("tuned", 5, 5),
    ]
    assert said["steps"][1]["scores"]["all_right"]["value"] == 1.0
    assert all(one["f1"]["n"] <= 3 and one["seconds_per_document"] > 0 for one in said["steps"] if one["unread"] < 3)
    assert said["steps"][2]["tune_seconds"] > 0
    drawn = ElementTree.fromstring(plot.read_text())
    assert len(drawn.findall("{*}polyline")) == 2
    with open_workspace(project) as workspace:
        assert workspace.store.datasets("paint") == []
        assert {trace.origin for trace in workspace.store.traces("paint")} == {"assess"}
    assert run(climb(project, "--ladder", "0,5,7", "--json")) == 0, "without a teacher: nobody is asked again"
    again = json.loads(capfd.readouterr().out)
    assert [one["labelled"] for one in again["steps"]] == [0, 5, 7]
    kept = [one for one in said["steps"] if one["how"] != "teacher"]
    assert again["steps"][:2] == kept


def test_what_a_kill_cut_off_is_read_again_and_nothing_else(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(climb(project, "--ladder", "5")) == 0
    assert "next: journeyman extract paint" in capfd.readouterr().out
    (file,) = (project / ".journeyman/runs").glob("paint-documents-*/step-5/held.jsonl")
    lines = file.read_text().splitlines()
    assert len(lines) == 3
    file.write_text("\n".join(lines)[:-20])
    assert run(climb(project, "--ladder", "5")) == 0
    read = [json.loads(line) for line in file.read_text().splitlines()]
    assert [json.dumps(item) for item in read[:2]] == lines[:2]
    assert read[2]["answer"] == json.loads(lines[2])["answer"]


def test_documents_that_make_no_ladder_are_refused(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    sides = [str(project / "labelled")]
    with open_workspace(project) as workspace:
        with pytest.raises(KnowledgeError, match=r"JM-998[\s\S]*got: a step of 3"):
            climb_documents(workspace, "paint", sides, [str(project / "held")], steps=[0, 3])
        with pytest.raises(KnowledgeError, match=r"JM-998[\s\S]*8 labelled documents for the largest"):
            climb_documents(workspace, "paint", sides, [str(project / "held")], steps=[8])
        with pytest.raises(KnowledgeError, match=r"JM-998[\s\S]*got: 5 documents that are on both sides"):
            climb_documents(workspace, "paint", sides, sides, steps=[5])
    assert run(climb(project, "--ladder", "5,many")) == 2
    assert run(["extract", "paint", *sides, "--project", str(project), "--plot", "x.svg"]) == 2
    assert "belong to --ladder" in capfd.readouterr().err


def test_names_on_a_curve_are_text() -> None:
    figure = Figure(0.5, Interval(0.25, 0.75), 8)
    drawn = draw_curve("<script>x</script>", ["0", "5 & 6"], [Line("<b>", [figure, None]), Line("t", [figure], True)])
    root = ElementTree.fromstring(drawn)
    assert root.find(".//{*}script") is None
    assert "<b>: 50.0 % (25.0 to 75.0), n = 8" in {item.text for item in root.iter("{http://www.w3.org/2000/svg}title")}
