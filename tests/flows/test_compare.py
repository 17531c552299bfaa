"""A grid on the tiny model: cells through the real server, nothing asked twice, failures shown, paid calls capped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from journeyman.core.errors import GateError
from journeyman.flows import examples
from journeyman.flows.compare import compare
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.tune import tune
from journeyman.flows.variants import find_ground, open_asker
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.models.catalog import resolve
from journeyman.task.grid import Grid
from tests.flows.projects import fill_project, journeyman, make_project, write_rows
from tests.flows.teaching import teaching

GRID = Grid({"own": None, "short": "Colour?"}, ("base",), (0, 2), (0.0,), 12, 0, "grid.yaml")
DEV = "[prepare]\ndev_share = 0.3\n"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path) -> Iterator[Workspace]:
    yield from _open(tmp_path_factory.mktemp("grid") / "project", tiny_gguf)


def _open(folder: Path, gguf: Path, settings: str = DEV) -> Iterator[Workspace]:
    make_project(folder, gguf, settings=settings)
    with open_workspace(folder) as opened:
        fill_project(opened)
        yield opened


def test_cells_are_measured_once_and_compared_on_the_same_rows(workspace: Workspace) -> None:
    first = compare(workspace, "paint", GRID)
    assert [cell.name for cell in first.cells] == [
        "base own, 0 shots",
        "base own, 2 shots",
        "base short, 0 shots",
        "base short, 2 shots",
    ]
    assert first.rows == 12
    assert all(cell.asked == 12 and cell.metrics["exact_match"].n == 12 and not cell.failed for cell in first.cells)
    assert first.cells[0].difference is None
    for cell in first.cells[1:]:
        assert cell.difference is not None
        assert cell.difference.n == 12
        assert cell.difference.error == pytest.approx(0.05 / 3)
        gain = cell.metrics["exact_match"].value - first.cells[0].metrics["exact_match"].value
        assert cell.difference.value == pytest.approx(gain)
        assert cell.difference.low <= gain <= cell.difference.high
    tokens = [cell.tokens_per_call.input for cell in first.cells if cell.tokens_per_call]
    assert tokens[1] > tokens[0] > tokens[2], (
        "two examples are longer than none, and a short instruction than a long one"
    )
    again = compare(workspace, "paint", GRID)
    assert [cell.asked for cell in again.cells] == [0, 0, 0, 0]
    assert [cell.metrics for cell in again.cells] == [cell.metrics for cell in first.cells]
    larger = compare(workspace, "paint", replace(GRID, rows=15))
    assert [cell.asked for cell in larger.cells] == [3, 3, 3, 3], "fewer rows are the first of more"


def test_no_sealed_row_is_looked_at(workspace: Workspace) -> None:
    comparison = compare(workspace, "paint", GRID, pair=(1, 3))
    sealed = {json.loads(line)["input"]["line"] for line in (workspace.project.root / "sealed.jsonl").open()}
    assert sealed
    ground = find_ground(workspace, "paint")
    assert not sealed & {row.input["line"] for row in [*ground.dev, *ground.train]}
    assert not sealed & {item.input["line"] for item in comparison.disagreements}
    assert workspace.store.looks("paint") == []


def test_disagreements_are_those_of_the_pair(workspace: Workspace) -> None:
    comparison = compare(workspace, "paint", replace(GRID, rows=25), pair=(3, 2))
    assert comparison.pair == (3, 2)
    counts = [(cell.metrics["exact_match"].value * 25) for cell in (comparison.cell(3), comparison.cell(2))]
    sides = [item.first.score - item.second.score for item in comparison.disagreements]
    assert sum(sides) == pytest.approx(counts[0] - counts[1])
    assert all(side in (-1, 1) for side in sides)
    for item in comparison.disagreements:
        right = item.first if item.first.score else item.second
        assert json.loads(right.text) == json.loads(item.expected)
    for pair in ((1, 1), (1, 9), (0, 2)):
        with pytest.raises(GateError, match="JM-668"):
            compare(workspace, "paint", GRID, pair=pair)


def test_a_cell_whose_model_fails_is_shown_and_the_others_go_on(workspace: Workspace, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(200))
    grid = replace(GRID, model=(str(broken), "base", "student", "teacher", "gemma-3-270m"), shots=(0,))
    comparison = compare(workspace, "paint", replace(grid, model=grid.model[:4]))
    failed = {cell.model: cell.failed for cell in comparison.cells if cell.failed}
    assert set(failed) == {str(broken), "student", "teacher"}
    assert failed["student"].startswith("JM-630")
    assert failed["teacher"].startswith("JM-730")
    measured = [cell for cell in comparison.cells if not cell.failed]
    assert [cell.model for cell in measured] == ["base", "base"]
    assert comparison.baseline == measured[0].number, "the first cell that was measured"
    assert measured[1].difference is not None
    with pytest.raises(GateError, match="JM-667"):
        compare(workspace, "paint", replace(grid, model=("student",)))


def test_what_cannot_be_compared_is_refused(workspace: Workspace, tiny_gguf: Path, tmp_path: Path) -> None:
    named = replace(GRID, model=("base", "smolm2"), lines={"smolm2": "grid.yaml:4"})
    with pytest.raises(GateError, match=r"JM-663 grid.yaml:4: the grid names a model that is not there"):
        compare(workspace, "paint", named)
    with pytest.raises(GateError, match="JM-663"):
        compare(workspace, "paint", replace(GRID, model=("/nowhere/x.gguf",)))
    with pytest.raises(GateError, match=r"JM-664 grid.yaml(.|\n)*got: 66"):
        compare(workspace, "paint", replace(GRID, shots=tuple(range(33))))
    for count in (0, 1):
        folder = tmp_path / f"few{count}"
        for few in _open(folder, tiny_gguf, "[prepare]\ndev_share = 0.0\n"):
            rows = [{"input": {"line": "one red car"}, "gold": {"colour": "red", "many": False}}][:count]
            if rows:
                import_sources(few, "paint", [str(write_rows(folder / "dev.jsonl", rows))], split="dev")
                prepare_task(few, "paint")
            with pytest.raises(GateError, match=rf"JM-666(.|\n)*got: {count} of {count} rows"):
                compare(few, "paint", GRID)


def test_a_variant_may_write_as_much_as_the_student_of_the_same_prompt(
    tmp_path: Path, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest answer counts, whether or not its row is one of those that can be shown."""
    folder = make_project(tmp_path / "long", tiny_gguf, settings=DEV)
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text().replace("{enum: [red, green, blue]}", "string"))
    with open_workspace(folder) as opened:
        import_sources(opened, "paint", [str(folder / "sealed.jsonl")], split="test")
        import_sources(opened, "paint", [str(folder / "train.jsonl")])
        long = [{"input": {"line": "long"}, "gold": {"colour": "red " * 200, "many": True}}]
        import_sources(opened, "paint", [str(write_rows(folder / "long.jsonl", long))], split="train")
        prepare_task(opened, "paint")
        monkeypatch.setattr(examples, "MOST_EXAMPLES", 1)
        ground = find_ground(opened, "paint")
        assert examples.known_rows(ground.train)[0].input["line"] != "long"

        async def budget() -> int:
            async with open_asker(opened, ground, resolve(str(tiny_gguf))) as asker:
                return asker.budget

        assert asyncio.run(budget()) == tune(opened, "paint", {"kind": "prompt"}).student.max_tokens > 200


def test_a_task_whose_output_changed_is_refused(tmp_path: Path, tiny_gguf: Path) -> None:
    for opened in _open(tmp_path / "changed", tiny_gguf):
        path = opened.project.tasks / "paint.yaml"
        path.write_text(path.read_text().replace("[red, green, blue]", "[red, green, blue, grey]"))
        with pytest.raises(GateError, match="JM-662"):
            compare(opened, "paint", GRID)


def test_a_student_answers_as_it_was_tuned(tmp_path: Path, tiny_gguf: Path) -> None:
    for opened in _open(tmp_path / "tuned", tiny_gguf):
        tune(opened, "paint", {"kind": "head", "features": "words"})
        comparison = compare(opened, "paint", replace(GRID, model=("base", "student"), shots=(0,)))
        assert [cell.name for cell in comparison.cells] == [
            "base own, 0 shots",
            "student as tuned",
            "base short, 0 shots",
        ]
        student = comparison.cell(2)
        assert student.metrics["exact_match"].value > 0.5
        assert comparison.pair == (1, 2), "by default the best cell is shown against the first"
        assert comparison.disagreed >= len(comparison.disagreements) > 0


def test_drawn_answers_differ_from_greedy_ones_and_come_again(workspace: Workspace) -> None:
    grid = replace(GRID, instruction={"own": None}, shots=(0,), temperature=(0.0, 2.0), rows=25)
    comparison = compare(workspace, "paint", grid)
    greedy, drawn = comparison.cells
    assert drawn.name.endswith("T=2")
    assert drawn.metrics != greedy.metrics or comparison.disagreed
    for path in find_ground(workspace, "paint").run.path.glob("*.jsonl"):
        path.unlink()
    assert compare(workspace, "paint", grid).cell(2).metrics == drawn.metrics, "the seed is fixed"


def test_a_teacher_is_asked_within_its_calls_alone(tmp_path: Path, tiny_gguf: Path) -> None:
    with teaching(tiny_gguf, tmp_path) as teacher:
        for opened in _open(tmp_path / "paid", tiny_gguf, DEV + teacher.settings):
            grid = replace(GRID, model=("base", "teacher"), shots=(0,), rows=5, most_calls=9)
            with pytest.raises(GateError, match=r"JM-665(.|\n)*got: 10 calls with most_calls: 9"):
                compare(opened, "paint", grid)
            assert teacher.asked() == []
            comparison = compare(opened, "paint", replace(grid, most_calls=10))
            assert comparison.calls == 10
            task = opened.task("paint")
            assert sorted(teacher.asked()) == sorted(["Colour?"] * 5 + [task.instruction] * 5)
            again = compare(opened, "paint", replace(grid, most_calls=0))
            assert again.calls == 0, "what is cached needs no call"
            assert [cell.metrics for cell in again.cells] == [cell.metrics for cell in comparison.cells]
            more = replace(grid, rows=7, most_calls=3)
            with pytest.raises(GateError, match="got: 4 calls with most_calls: 3"):
                compare(opened, "paint", more)
            assert len(teacher.asked()) == 10


def test_the_command(workspace: Workspace) -> None:
    folder = workspace.project.root
    (folder / "grid.yaml").write_text('edition: 1\ninstruction: {own: null, short: "Colour?"}\nrows: 12\n')
    done = journeyman(folder, "compare", "paint", "grid.yaml", "--disagree", "2", "1", "--out", "grid.html", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["pair"] == [2, 1]
    assert "variants on dev" in (folder / "grid.html").read_text()
    shown = journeyman(folder, "compare", "paint", "grid.yaml")
    assert "hold all together with 95 %" in shown.stdout
    assert "cells 1 and 2 disagree on" in shown.stdout
    (folder / "grid.yaml").write_text("edition: 1\nmodels: [base]\n")
    wrong = journeyman(folder, "compare", "paint", "grid.yaml", "--json")
    assert wrong.returncode == 2
    assert json.loads(wrong.stdout)["error"]["code"] == "JM-661"
