"""Weak spots of one student weigh more when the next is tuned, and its assessment says whether that helped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from journeyman.cli.main import run
from journeyman.core.errors import DataError, TuneError
from journeyman.evaluation.asides import describe_asides
from journeyman.flows.assess import Assessed, assess, find_assessed
from journeyman.flows.masks import show_mask
from journeyman.flows.material import load_material, weigh_weak
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.releases import release
from journeyman.flows.reports import report
from journeyman.flows.tune import Request, tune
from journeyman.flows.workspace import Workspace, open_workspace
from tests.flows.projects import fill_project, make_project, paint_rows, write_rows

NONE = {"kind": "head", "features": "none"}
"""Always the answer of most weight: what rows weigh can be read off it."""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    folder = make_project(tmp_path / "project", Path("/nowhere.gguf"), rows=240)
    with open_workspace(folder) as opened:
        fill_project(opened)
        yield opened


def colours(assessed: Assessed) -> set[str]:
    return {str(item.target.value["colour"]) for _row, item in assessed.dev if item.target}  # type: ignore[index, call-overload]


def test_a_raised_value_is_answered_and_the_report_says_what_it_cost(workspace: Workspace) -> None:
    tune(workspace, "paint", NONE)
    first = assess(workspace, "paint")
    assert first.document.weak is None
    (usual,) = colours(first)
    raised = tune(workspace, "paint", NONE, Request(weak=2.0))
    material = raised.run.read("material.json") or {}
    weighting = material["weighting"]
    assert isinstance(weighting, dict)
    assert (weighting["student"], weighting["run"]) == (first.student.hash, first.run.id)
    assert 0 < weighting["rows"] < weighting["of"] / 2  # type: ignore[operator]
    assert 1 < weighting["factor"] <= 2  # type: ignore[operator]
    (spot,) = weighting["spots"]  # type: ignore[misc]
    assert spot["given"] == usual  # type: ignore[index, call-overload]

    second = assess(workspace, "paint", named=raised.run.id)
    (now,) = colours(second)
    assert now == spot["value"] != usual  # type: ignore[index, call-overload]
    weak = second.document.weak
    assert weak is not None
    assert (weak.student, weak.common_rows, weak.is_same_dataset) == (first.student.hash, len(first.dev), True)
    before = sum(item.target != row.expected for row, item in first.dev)
    after = sum(item.target != row.expected for row, item in second.dev)
    assert (weak.whole.before, weak.whole.after) == (before, after)
    assert weak.whole.difference is not None
    assert weak.whole.difference.value == pytest.approx((after - before) / len(first.dev))
    assert weak.whole.difference.low < (after - before) / len(first.dev) < weak.whole.difference.high
    mended = next(item for item in weak.spots if item.name == spot["name"])  # type: ignore[index, call-overload]
    assert mended.rows == mended.before > mended.after == 0
    assert mended.difference is not None
    assert mended.difference.high < 0

    said = " ".join(describe_asides(second.document))
    assert f"errors on {len(first.dev)} of {len(first.dev)} dev rows: {before} → {after}" in said
    page = report(workspace, "paint").read_text()
    assert "Weak spots of the student before" in page
    assert "asked for: 2" in page
    assert find_assessed(workspace, "paint").document.weak == weak
    card = release(workspace, "paint", "a test").path / "attachments/README.md"
    assert "Tuned with weight" in card.read_text()
    assert assess(workspace, "paint", named=raised.run.id).document.weak == weak


def test_the_same_command_finds_its_run_and_what_was_assessed_last_counts(workspace: Workspace) -> None:
    tune(workspace, "paint", NONE)
    assess(workspace, "paint")
    runs = [tune(workspace, "paint", NONE, Request(weak=factor)).run.id for factor in (2.0, 2.0, 1.5)]
    assert runs[0] == runs[1] != runs[2]
    words = tune(workspace, "paint", {"kind": "head", "features": "words"}).run.id
    assert assess(workspace, "paint", named=words).document.weak is not None
    with pytest.raises(DataError, match=r"JM-363|JM-387"):
        tune(workspace, "paint", NONE, Request(weak=2.0))


def test_another_dataset_counts_on_the_rows_of_both(workspace: Workspace) -> None:
    tune(workspace, "paint", NONE)
    first = assess(workspace, "paint")
    more = write_rows(workspace.project.root / "more.jsonl", paint_rows(80, 5))
    import_sources(workspace, "paint", [str(more)])
    prepare_task(workspace, "paint")
    raised = tune(workspace, "paint", NONE, Request(weak=2.0))
    second = assess(workspace, "paint", named=raised.run.id)
    weak = second.document.weak
    assert weak is not None
    assert not weak.is_same_dataset
    assert weak.common_rows == len(first.dev) < weak.dev_rows == len(second.dev)
    assert weak.whole.before == sum(item.target != row.expected for row, item in first.dev)
    assert "the dataset was another one" in " ".join(describe_asides(second.document))


def test_what_cannot_be_weighed_is_told(workspace: Workspace) -> None:
    with pytest.raises(DataError, match="JM-385"):
        tune(workspace, "paint", NONE, Request(weak=2.0))
    tune(workspace, "paint", NONE)
    assess(workspace, "paint")
    for factor in (1.0, 0.5, 1e6, float("nan")):
        with pytest.raises(DataError, match="JM-386"):
            tune(workspace, "paint", NONE, Request(weak=factor))
    with pytest.raises(TuneError, match="JM-569"):
        tune(workspace, "paint", {"kind": "nearest"}, Request(weak=2.0))


def test_the_commands(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    project = ("--project", str(workspace.project.root))
    tune(workspace, "paint", NONE)
    assess(workspace, "paint")
    assert run(["tune", "paint", "--kind", "head", "--features", "none", "--weak", "--json", *project]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["weighting"]["asked"] == 2
    assert run(["assess", "paint", "--run", Path(told["run"]).name, *project]) == 1
    said = capsys.readouterr().out
    assert "Against the student assessed before" in said
    assert "Its weak spots: colour" in said


def test_a_factor_alone_is_refused(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tune", "paint", "--weak-factor", "3", "--project", str(workspace.project.root)]) == 2
    assert "--weak-factor belongs to --weak" in capsys.readouterr().err


def test_a_language_model_is_shown_the_weighed_rows(workspace: Workspace, tiny_gguf: Path) -> None:
    tune(workspace, "paint", NONE)
    assess(workspace, "paint")
    material = load_material(workspace, "paint", str(tiny_gguf))
    weighed = weigh_weak(workspace, material, 2.0)
    assert weighed.weighting is not None
    (spot,) = weighed.weighting.spots
    values = {row.hash: row.answer.value["colour"] for row in material.splits["train"] if row.answer}  # type: ignore[index, call-overload]
    shown = show_mask(workspace, "paint", {}, 500, str(tiny_gguf), weak=2.0)
    assert len(shown) == len(values)
    for row in shown:
        loss = max(token.weight for token in row.tokens)
        assert loss == pytest.approx(weighed.weighting.factor if values[row.source] == spot.value else 1.0)
    total = sum(row.weight for row in weighed.splits["train"])
    heavy = sum(row.weight for row in weighed.splits["train"] if values[row.hash] == spot.value)
    assert heavy <= total / 2 + 1e-9
