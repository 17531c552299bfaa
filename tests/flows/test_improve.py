"""The optimizer on the tiny model: what it tries, that it measures on rows that chose nothing, that it resumes, and what --write leaves."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from journeyman.core.errors import GateError, ModelError, ServeError
from journeyman.core.progress import Silent
from journeyman.evaluation.grid import split_rows
from journeyman.evaluation.improvement import ChosenPart, Improvement, describe_improvement
from journeyman.evaluation.run import Row
from journeyman.flows.example_sets import cover, find_sets
from journeyman.flows.examples import gather_examples, known_rows
from journeyman.flows.improve import CHOSEN, IMPROVED, Options, _OutOfTimeError, _Search, improve
from journeyman.flows.improving import adopt
from journeyman.flows.instructions import Edit, edit_instruction
from journeyman.flows.prepare import prepare_task
from journeyman.flows.rewriting import REWRITES, rewrite
from journeyman.flows.runs import RunFolder
from journeyman.flows.shots import open_prompt
from journeyman.flows.student import load_student
from journeyman.flows.students import finished_students
from journeyman.flows.upstream import open_teacher
from journeyman.flows.variants import Asker, Variant, find_ground
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.models.catalog import resolve
from journeyman.store.ledger import level
from journeyman.task.rewrite import write_instruction
from tests.flows.projects import fill_project, journeyman, make_project
from tests.flows.teaching import teaching
from tests.tiny import write_tiny_llama

DEV = "[prepare]\ndev_share = 0.3\n"


OPTIONS = Options(budget_s=3000)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path) -> Path:
    """A project with one search behind it. Do not change it."""
    for opened in _open(tmp_path_factory.mktemp("searched") / "project", tiny_gguf):
        improve(opened, "paint", OPTIONS)
        return opened.project.root
    raise AssertionError("there is one project")


@pytest.fixture
def workspace(searched: Path, tmp_path: Path) -> Iterator[Workspace]:
    """A copy of it."""
    with open_workspace(Path(shutil.copytree(searched, tmp_path / "project"))) as opened:
        yield opened


def _open(folder: Path, gguf: Path, settings: str = DEV) -> Iterator[Workspace]:
    make_project(folder, gguf, rows=36, settings=settings)
    with open_workspace(folder) as opened:
        fill_project(opened)
        yield opened


def _answers(workspace: Workspace) -> int:
    """Answers on disk."""
    paths = workspace.project.runs.glob("paint-prompts-*/*.jsonl")
    return sum(len(path.read_text().splitlines()) for path in paths)


def _choose(workspace: Workspace, found: Improvement, chosen: ChosenPart) -> None:
    """As if the search had ended there, and the process too: what was chosen is kept, what was measured is not."""
    (run,) = workspace.project.runs.glob("paint-improve-*")
    (run / IMPROVED).unlink()
    text = found.model_copy(update={"chosen": chosen, "measured": None}).model_dump_json()
    (run / CHOSEN).write_text(text)


def test_a_search_races_examples_then_instructions_and_is_found_again(workspace: Workspace) -> None:
    asked = _answers(workspace)
    found = improve(workspace, "paint", OPTIONS)
    tried = {(arm.phase, arm.name) for arm in found.arms}
    assert {("examples", "no examples"), ("examples", "4 nearest"), ("examples", "4 covering")} <= tried
    assert {("instruction", f"own + {name}") for name in ("reminder", "fields", "values", "rules")} <= tried
    assert not found.is_cut
    assert not [arm for arm in found.arms if arm.failed and "nearest" not in arm.name and "8" not in arm.name]
    most = max(arm.rows for arm in found.arms)
    pick, _measure = split_rows(find_ground(workspace, "paint").dev)
    assert most == len(pick), "the last round has all rows of its half"
    assert _answers(workspace) == asked > 0
    assert workspace.store.looks("paint") == []


def test_the_gain_is_measured_on_rows_that_chose_nothing(workspace: Workspace) -> None:
    found = improve(workspace, "paint", OPTIONS)
    train = [row.hash for row in find_ground(workspace, "paint").train][:2]
    _choose(workspace, found, ChosenPart(name="two", instruction="Colour?", shots=2, examples=tuple(train)))
    measured = improve(workspace, "paint", OPTIONS)
    _pick, rest = split_rows(find_ground(workspace, "paint").dev)
    assert measured.measured is not None
    assert measured.own is not None
    assert measured.improved is not None
    assert (measured.measured.n, measured.look) == (len(rest), 1)
    assert measured.measured.error == pytest.approx(2 * level(1))
    assert measured.measured.value == pytest.approx(measured.improved.value - measured.own.value)
    assert measured.measured.low < measured.measured.value < measured.measured.high
    said = describe_improvement(measured)
    assert any(f"{len(rest)} other rows, measured once" in line for line in said)
    asked = _answers(workspace)
    assert improve(workspace, "paint", OPTIONS) == measured
    assert _answers(workspace) == asked


def test_another_look_at_the_same_rows_has_a_wider_interval(workspace: Workspace) -> None:
    found = improve(workspace, "paint", OPTIONS)
    _choose(workspace, found, ChosenPart(name="short", instruction="Colour?", shots=0))
    (run,) = workspace.project.runs.glob("paint-improve-*")
    for path in workspace.project.runs.glob("paint-improve-*/look.json"):
        path.unlink()
    earlier = run.with_name("paint-improve-earlier")
    earlier.mkdir()
    (earlier / "look.json").write_text(json.dumps({"dataset": found.dataset, "look": 1}))
    second = improve(workspace, "paint", OPTIONS)
    assert second.look == 2
    assert second.measured is not None
    assert second.measured.error == pytest.approx(2 * level(2))
    assert "look 2 at these rows" in "\n".join(describe_improvement(second))


def test_a_budget_ends_the_search_and_nothing_is_lost(workspace: Workspace) -> None:
    for path in workspace.project.runs.glob("paint-prompts-*/*.jsonl"):
        path.unlink()
    ticks = iter(range(10_000))
    cut = improve(workspace, "paint", Options(budget_s=12), clock=lambda: float(next(ticks)))
    assert cut.is_cut
    assert 0 < len(cut.arms) < 12
    asked = _answers(workspace)
    assert asked > 0
    assert improve(workspace, "paint", Options(budget_s=12)) == cut, "what was chosen in time stays chosen"


def test_what_was_spent_before_a_kill_counts(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes a second with each look at it; the kill comes in the fourth block."""
    for path in workspace.project.runs.glob("paint-prompts-*/*.jsonl"):
        path.unlink()
    options, ask, asked = Options(budget_s=12), Asker.ask, list[int]()

    async def killed(*arguments: Any) -> Any:
        asked.append(len(arguments[2]))
        if len(asked) > 3:
            raise KeyboardInterrupt
        return await ask(*arguments)

    monkeypatch.setattr(Asker, "ask", killed)
    ticks = iter(range(10_000))
    with pytest.raises(KeyboardInterrupt):
        improve(workspace, "paint", options, clock=lambda: float(next(ticks)))
    monkeypatch.undo()
    spent, before = next(ticks), _answers(workspace)
    assert before > 0
    (run,) = (
        path.parent
        for path in workspace.project.runs.glob("paint-improve-*/spent.json")
        if not (path.parent / IMPROVED).exists()
    )
    later = iter(range(1000, 10_000))
    found = improve(workspace, "paint", options, clock=lambda: float(next(later)))
    assert found.is_cut
    spent += next(later) - 1000
    whole = json.loads((run / "spent.json").read_text())["seconds"]
    assert whole == pytest.approx(spent - 2), "but for the looks at the clock that begin a command"
    for path in workspace.project.runs.glob("paint-prompts-*/*.jsonl"):
        path.unlink()
    shutil.rmtree(run)
    again = iter(range(10_000))
    improve(workspace, "paint", options, clock=lambda: float(next(again)))
    assert whole <= next(again) + 1, "a search that was killed takes no longer than one that was not"


def test_answers_that_are_there_are_measured_when_the_time_is_out(workspace: Workspace) -> None:
    found = improve(workspace, "paint", OPTIONS)
    _choose(workspace, found, ChosenPart(name="short", instruction="Colour?", shots=0))
    measured = improve(workspace, "paint", OPTIONS).measured
    (run,) = workspace.project.runs.glob("paint-improve-*")
    (run / IMPROVED).unlink()
    (run / "spent.json").write_text('{"seconds": 1e9}')
    again = improve(workspace, "paint", OPTIONS)
    assert again.measured == measured
    assert not again.is_cut


@pytest.mark.parametrize(("in_time", "winner"), [(0, "a"), (2, "b"), (3, "c"), (5, "c")])
def test_a_race_that_is_cut_goes_to_the_best_that_was_asked(in_time: int, winner: str) -> None:
    """Four arms, so two rounds: the scores of the second are others than those of the first."""
    scores, asked = {"a": 0.1, "b": 0.8, "c": 0.9, "d": 0.2}, []

    async def score(_asker: object, _phase: str, arm: SimpleNamespace, _rows: object, _until: float) -> float:
        if len(asked) == in_time:
            raise _OutOfTimeError
        asked.append(arm.name)
        return scores[arm.name] if len(asked) <= 4 else 1.0

    search = SimpleNamespace(workspace=SimpleNamespace(progress=Silent()), _score=score, is_cut=False)
    arms = [SimpleNamespace(name=name) for name in scores]
    best = asyncio.run(_Search._race(search, None, "examples", arms, list(range(32)), 1.0))  # type: ignore[arg-type]
    assert search.is_cut
    assert best.name == winner


def test_what_cannot_be_improved_is_refused(workspace: Workspace, tmp_path: Path, tiny_gguf: Path) -> None:
    with pytest.raises(ModelError, match="JM-402"):
        improve(workspace, "paint", Options(model="smolm2"))
    for path in workspace.project.runs.glob("paint-prompts-*/*.jsonl"):
        path.unlink()
    with pytest.raises(ServeError, match="JM-730"):
        improve(workspace, "paint", Options(proposer="teacher"))
    assert _answers(workspace) == 0, "a teacher that is not there is found before anything is asked"
    for few in _open(tmp_path / "few", tiny_gguf, "[prepare]\ndev_share = 0.0\n"):
        with pytest.raises(GateError, match="JM-666"):
            improve(few, "paint", Options())


def test_edits_come_from_train_and_schema_alone(workspace: Workspace) -> None:
    ground = find_ground(workspace, "paint")
    edits = {edit.name: edit.text for edit in edit_instruction(ground.task, known_rows(ground.train))}
    own = ground.task.instruction
    assert edits["own"] == own
    assert all(text.startswith(own) for text in edits.values())
    assert "the keys colour, many" in edits["own + reminder"]
    for value in ("red", "green", "blue"):
        assert f'"{value}" (' in edits["own + values"]
    assert "colour is copied from the input" in edits["own + rules"]
    inputs = {row.input["line"] for row in ground.train}
    cases = [line[2:].split(" -> ")[0] for line in edits["own + cases"].splitlines() if " -> " in line]
    assert len(cases) == 3
    assert set(cases) <= inputs


def test_sets_are_of_train_rows_and_a_covering_one_is_unlike_itself(workspace: Workspace) -> None:
    ground = find_ground(workspace, "paint")
    known = known_rows(ground.train)
    examples = gather_examples(ground.task, known, 0)
    sets = find_sets([row.hash for row in known], examples)
    assert [shown.shots for shown in sets] == sorted(shown.shots for shown in sets)
    assert sets[0].shots == 0
    assert {shown.chosen for shown in sets if shown.chosen} == {
        shown.chosen for shown in find_sets([row.hash for row in known], examples) if shown.chosen
    }
    for shown in sets:
        assert len(set(shown.chosen)) == len(shown.chosen) in (0, shown.shots)
        assert set(shown.chosen) <= {row.hash for row in known}
    places = cover(examples, 3)
    colours = {word for place in places for word in examples.texts[place].split() if word in ("red", "green", "blue")}
    assert colours == {"red", "green", "blue"}, "three rows that cover the inputs have the three words that recur"


def test_write_leaves_a_task_and_a_student(workspace: Workspace) -> None:
    path = workspace.project.tasks / "paint.yaml"
    before = path.read_text()
    ground = find_ground(workspace, "paint")
    rows = tuple(row.hash for row in known_rows(ground.train)[3:5])
    chosen = ChosenPart(
        name="two", instruction="Name the colour.\nThe word stands in the line.", shots=2, examples=rows
    )
    found = Improvement(
        task="paint", dataset=ground.dataset, metric="exact_match", model="base", arms=(), chosen=chosen, budget_s=1
    )
    said = adopt(workspace, found)
    after = path.read_text()
    assert (
        after.replace(
            "instruction: |-\n  Name the colour.\n  The word stands in the line.\n",
            "instruction: Name the colour that the line asks for.\n",
        )
        == before
    )
    assert any("--any-instruction" in line for line in said)
    ((run, student),) = finished_students(workspace, workspace.task("paint"), ground.dataset)
    assert any(run in line for line in said)
    prompt = open_prompt(student)
    (system, *turns, user) = prompt(workspace.task("paint"), {"line": "two red cars"})
    assert (system.text, user.text) == (chosen.instruction, "two red cars")
    shown = {row.input["line"] for row in known_rows(ground.train)[3:5]}
    assert {turn.text for turn in turns if turn.role == "user"} == shown
    assert load_student(student.folder) == student
    assert adopt(workspace, found) == said[-1:], "the second time the instruction is there already"
    assert prepare_task(workspace, "paint", "any").hash == ground.dataset


def test_a_write_that_was_killed_is_finished_and_nothing_is_searched(workspace: Workspace) -> None:
    rows = tuple(row.hash for row in known_rows(find_ground(workspace, "paint").train)[3:5])
    chosen = ChosenPart(name="two", instruction="Name the colour.", shots=2, examples=rows)
    _choose(workspace, improve(workspace, "paint", OPTIONS), chosen)
    found = improve(workspace, "paint", OPTIONS)
    write_instruction(workspace.project.tasks / "paint.yaml", chosen.instruction)  # and the kill comes here
    asked, folder = _answers(workspace), workspace.project.root
    student = None
    for _time in range(2):
        done = journeyman(folder, "improve", "paint", "--budget", "50m", "--write", "--json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        said = document.pop("written")
        assert Improvement.model_validate(document) == found
        ((run, _student),) = finished_students(workspace, workspace.task("paint"), found.dataset)
        assert said == [f"student {run}; next: journeyman assess paint"]
        assert run == (student or run)
        student = run
    assert _answers(workspace) == asked
    assert len(list(workspace.project.runs.glob("paint-improve-*"))) == 1
    further = improve(workspace, "paint", OPTIONS)
    assert len(list(workspace.project.runs.glob("paint-improve-*"))) == 2, "without --write a search begins there"
    assert improve(workspace, "paint", OPTIONS, is_write=True) == further != found


def test_a_teacher_proposes_from_train_rows_alone(tmp_path: Path, tiny_gguf: Path) -> None:
    large = write_tiny_llama(tmp_path / "large.gguf", context=4096)  # the failures that it is shown are long
    with teaching(large, tmp_path / "teacher") as teacher:
        for opened in _open(tmp_path / "project", tiny_gguf, DEV + teacher.settings):
            options = Options(budget_s=3000, proposer="teacher", rewrites=2)
            found = improve(opened, "paint", options)
            asked = teacher.asked()
            assert not found.problem
            assert 0 < len(asked) <= 2
            ground = find_ground(opened, "paint")
            train = {str(row.input["line"]) for row in ground.train}
            dev = {str(row.input["line"]) for row in ground.dev}
            for text in asked:
                assert ground.task.instruction in text
                assert any(line in text for line in train)
                assert not any(line in text for line in dev)
            assert found.rewrites == len([arm for arm in found.arms if arm.name.startswith("rewrite")])
            assert improve(opened, "paint", options) == found
            assert len(teacher.asked()) == len(asked)


async def _rewrite(workspace: Workspace, run: RunFolder) -> tuple[list[Edit], str]:
    """Three calls at the most."""
    teacher = open_teacher(workspace, workspace.task("paint"))
    try:
        return await rewrite(teacher, workspace.task("paint"), [], 3, run, lambda: True)
    finally:
        await teacher.close()


def test_a_teacher_is_asked_within_time_and_calls(tmp_path: Path, tiny_gguf: Path) -> None:
    ticks = iter(range(10_000))
    with teaching(tiny_gguf, tmp_path / "teacher") as teacher:
        for opened in _open(tmp_path / "project", tiny_gguf, DEV + teacher.settings):
            options = Options(budget_s=3, proposer="teacher", rewrites=3)
            late = improve(opened, "paint", options, clock=lambda: float(next(ticks)))
            assert late.is_cut
            assert late.rewrites == 0
            assert teacher.asked() == [], "the time for proposals was out"
            own = Variant(opened.task("paint"), resolve(str(tiny_gguf)))
            ground = find_ground(opened, "paint")
            train = [Row.from_example(row) for row in known_rows(ground.train)][:24]
            assert ground.missing(own, train) == len(train), "no train row was asked either"
            run = RunFolder(tmp_path / "killed")
            run.write(REWRITES, {"texts": ["Name it."], "calls": 2})
            edits, problem = asyncio.run(_rewrite(opened, run))
            assert (edits[0].text, problem) == ("Name it.", "")
            assert len(teacher.asked()) == 1, "one of three calls was answered, one cut off, one is left"


def test_the_command(workspace: Workspace) -> None:
    folder = workspace.project.root
    done = journeyman(folder, "improve", "paint", "--budget", "50m", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["chosen"]["instruction"]
    shown = journeyman(folder, "improve", "paint", "--budget", "50m")
    assert "instruction:" in shown.stdout
    assert journeyman(folder, "improve", "paint", "--budget", "soon").returncode == 2
