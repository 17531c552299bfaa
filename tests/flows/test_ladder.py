"""The ladder: the cheapest rung that is enough on dev goes to the sealed split, and stays the choice until something else is tuned."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from journeyman.core.errors import GateError
from journeyman.evaluation.gate import Score, Verdict, describe_more
from journeyman.evaluation.labels import Design
from journeyman.evaluation.ladder import (
    Rung,
    Sheet,
    advise,
    break_even_days,
    choose_rung,
    conclude,
    describe_figure,
    foresee,
    foresee_labelled,
    usd_per_1000,
)
from journeyman.flows.assess import assess
from journeyman.flows.labels import draw_labels
from journeyman.flows.ladder import climb
from journeyman.flows.read_labels import read_labels
from journeyman.flows.students import name_student
from journeyman.flows.tune import tune
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.task.task import Gate
from tests.flows.projects import fill_project, journeyman, make_project, paint_rows, write_rows
from tests.flows.sheets import SEALED, fill


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """Words tell everything here, and no model is there; the teacher is wrong on every tenth sealed and dev row."""
    folder = make_project(tmp_path / "project", Path("/nowhere.gguf"), rows=240)
    for name, rows, seed in (("train", 240, 1), ("sealed", 120, 2)):
        recorded = [
            {
                "input": row["input"],
                "gold": row["gold"],
                "output": {"colour": "blue", "many": True} if place % 10 == 0 else row["gold"],
            }
            for place, row in enumerate(paint_rows(rows, seed))
        ]
        write_rows(folder / f"{name}.jsonl", recorded)
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text().split("gate:")[0] + "gate: {against: teacher, margin: 0.05}\n")
    settings = folder / "journeyman.toml"
    settings.write_text(settings.read_text() + "\n[serve]\nmachine_usd_per_hour = 0.36\n")
    with open_workspace(folder) as opened:
        fill_project(opened)
        yield opened


def test_the_cheapest_rung_that_is_enough_goes_to_the_sealed_split(workspace: Workspace) -> None:
    ladder = climb(workspace, "paint")
    names = [rung.name for rung in ladder.rungs]
    assert "the majority answer" in names
    assert ladder.chosen is not None
    assert ladder.chosen.is_promising
    assert ladder.chosen.name != "the majority answer"
    assert "a head on an embedding model" not in names, "the climb ends at the first that is enough"
    assert ladder.advice.startswith("Do not tune a language model: ")
    assert ladder.chosen.usd == pytest.approx(usd_per_1000(ladder.chosen.p50_ms or 0, 0.36))
    assessed = assess(workspace, "paint")
    assert assessed.student.hash == ladder.chosen.student
    document = assessed.document.ladder
    assert document is not None
    assert document.chosen == ladder.chosen.run
    assert document.advice.startswith(f"Do not tune a language model: {ladder.chosen.name} passes (n = 120, ")
    assert ladder.chosen.days is None, "nobody said what the teacher costs"
    assert len(workspace.store.looks("paint")) == 1, "rungs are measured on dev"
    again = climb(workspace, "paint")
    assert again == ladder, "nothing is asked twice"


def test_days_until_it_has_earned_what_it_cost(workspace: Workspace) -> None:
    settings = workspace.project.root / "journeyman.toml"
    settings.write_text(
        settings.read_text().replace("[serve]\n", "[serve]\ncalls_per_day = 5000\nsetup_usd = 100\n")
        + "[teacher]\ninput_usd_per_million = 1.0\noutput_usd_per_million = 4.0\n"
    )
    with open_workspace(workspace.project.root) as opened:
        counted = [
            dataclasses.replace(
                trace, id=f"priced-{place}", row_key=f"priced-{place}", input_tokens=1000, output_tokens=250
            )
            for place, trace in enumerate(opened.store.traces("paint"))
        ]
        opened.store.add_traces(counted[:3])
        ladder = climb(opened, "paint")
        chosen = ladder.chosen
        assert chosen is not None
        assert ladder.rungs[-1].usd == pytest.approx(2.0), "1,000 calls of 1,000 tokens in and 250 out"
        assert chosen.days == pytest.approx(100 / (5 * (2.0 - (chosen.usd or 0))), rel=0.01)
        part = assess(opened, "paint").document.ladder
        assert part is not None
        assert [rung.break_even_days for rung in part.rungs if rung.run == part.chosen] == [chosen.days]


def test_what_saves_nothing_never_pays() -> None:
    assert break_even_days(100, 1000, 2.0, 1.0) == pytest.approx(100)
    assert break_even_days(100, 1000, 1.0, 1.0) is None
    assert break_even_days(100, 0, 2.0, 1.0) is None


def test_what_the_sealed_rows_decide_is_said_in_one_sentence() -> None:
    figure = describe_figure("teacher", "exact_match", 3080, 0.004, -0.011, 0.019)
    assert conclude("a linear head", "head", "pass", figure, "") == (
        "Do not tune a language model: a linear head passes (n = 3,080, +0.4 points against the teacher, -1.1 to +1.9)."
    )
    assert conclude("a linear head", "head", "fail", figure, "").startswith(
        "A linear head, the best that was tried, does not"
    )
    for against, is_judged, more in (
        ("teacher", False, "label more rows"),
        ("teacher", True, "import more sealed rows with a recorded answer"),
        ("floor", False, "import more sealed rows with gold"),
        ("agreement", False, "import more sealed rows with a recorded answer"),
    ):
        said = conclude("base", "prompt", "inconclusive", figure, describe_more(against, is_judged))  # type: ignore[arg-type]
        assert more in said
    assert conclude("base", "lora", "pass", figure, "").startswith("Use base: it passes")


def test_a_student_that_was_tuned_since_ends_the_ladders_choice(workspace: Workspace) -> None:
    ladder = climb(workspace, "paint")
    assert assess(workspace, "paint").document.ladder is not None
    tune(workspace, "paint", {"kind": "head", "features": "words", "seed": 7})
    assert assess(workspace, "paint").document.ladder is None
    assert climb(workspace, "paint").rungs[0].name == ladder.rungs[0].name
    assert assess(workspace, "paint").document.ladder is not None


def test_the_command(workspace: Workspace) -> None:
    done = journeyman(workspace.project.root, "assess", "paint", "--ladder", "--json")
    assert done.returncode in (0, 1), done.stderr
    document = json.loads(done.stdout)
    assert document["ladder"]["chosen"]
    assert [rung["p50_ms"] for rung in document["ladder"]["rungs"] if rung["run"]] == sorted(
        rung["p50_ms"] for rung in document["ladder"]["rungs"] if rung["run"]
    )
    shown = journeyman(workspace.project.root, "assess", "paint", "--ladder")
    assert "the majority answer" in shown.stdout
    assert "Do not tune a language model" in shown.stdout
    report = journeyman(workspace.project.root, "report", "paint", "--out", "report.html")
    assert report.returncode == 0, report.stderr
    assert "The ladder" in (workspace.project.root / "report.html").read_text()
    assert journeyman(workspace.project.root, "assess", "paint", "--all").returncode == 2


def test_dev_without_rows_is_told(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project", Path("/nowhere.gguf"), settings="[prepare]\ndev_share = 0.0\n")
    with open_workspace(folder) as opened:
        fill_project(opened)
        with pytest.raises(GateError, match="JM-632"):
            climb(opened, "paint")


def test_a_rung_is_promising_where_the_sealed_rows_would_pass_it() -> None:
    gate, scores = Gate(margin=0.05), [Score(1.0, 1.0)] * 29 + [Score(0.0, 1.0)]
    assert foresee(gate, scores, 900, 0.02, "binary", 1.0), "3.3 points below, seen on 900 rows"
    assert not foresee(gate, scores, 60, 0.02, "binary", 1.0), "too few sealed rows to show it"
    assert not foresee(gate, [*scores, Score(0.0, 1.0)], 900, 0.02, "binary", 1.0)
    assert not foresee(gate, scores, 1, 0.02, "binary", 1.0)
    floor = Gate(against="floor", margin=None, floor=0.9)
    assert foresee(floor, [Score(1.0)] * 10, 60, 0.02, "binary", 1.0)
    assert not foresee(floor, [Score(1.0)] * 10, 20, 0.02, "binary", 1.0)


def test_by_drawn_labels_a_rung_is_promising_where_they_would_pass_it() -> None:
    gate = Gate(margin=0.05)
    scores = [Score(1.0, 1.0)] * 70 + [Score(1.0, 0.0)] * 20 + [Score(0.0, 1.0)] * 10
    is_alike = [True] * 70 + [False] * 30

    def is_promising(asked: int, gold: int = 0, without: int = 900, given: Sequence[Score] = scores) -> bool:
        sheet = Sheet(gold, without, Design(asked, 270, 270))
        return foresee_labelled(gate, given, is_alike, sheet, 0.02, "binary", 1.0)

    assert is_promising(270)
    assert is_promising(100)
    assert not is_promising(20), "too few labels, however many rows are alike"
    assert is_promising(20, gold=900), "rows with gold need no label"
    assert not is_promising(270, given=[Score(1.0, 1.0)] * 70 + [Score(0.0, 1.0)] * 30)
    assert not is_promising(1, gold=1, without=0)


def test_which_rows_lie_beside_each_other_changes_nothing_that_is_foreseen() -> None:
    """The student wins as often as it loses where both differ, and every second such row was drawn."""
    differing = [Score(1.0, 0.0), Score(0.0, 1.0)] * 10
    sheet = Sheet(0, 1000, Design(100, 200, 200))

    def is_promising(differing: Sequence[Score]) -> bool:
        scores, is_alike = [*differing, *[Score(1.0, 1.0)] * 80], [False] * 20 + [True] * 80
        return foresee_labelled(Gate(margin=0.08), scores, is_alike, sheet, 0.02, "binary", 1.0)

    assert is_promising(differing)
    assert is_promising(differing[::-1])
    assert is_promising(sorted(differing, key=lambda score: score.candidate))


def test_what_came_very_often_counts_no_more_in_the_outlook_than_in_the_verdict() -> None:
    scores = [Score(1.0, 1.0, 50.0), *[Score(0.0, 1.0)] * 7, *[Score(1.0, 1.0)] * 12]
    is_alike = [score.candidate == score.reference for score in scores]
    sheet, gate = Sheet(0, 4000, Design(140, 1400, 1400)), Gate(margin=0.3)
    assert not foresee_labelled(gate, scores, is_alike, sheet, 0.2, "binary", 1.0), "the student loses on 35 %"


def test_labels_that_were_drawn_are_what_the_ladder_foresees(tmp_path: Path) -> None:
    """Nobody has gold for the sealed rows, on every third of which the teacher is wrong."""
    folder = make_project(tmp_path / "project", Path("/nowhere.gguf"), rows=400)
    wrong = {"colour": "blue", "many": True}
    for name, rows, seed in (("train", 400, 1), ("sealed", SEALED, 2)):
        recorded = [
            {"input": row["input"], "output": wrong if place % 3 == 0 else row["gold"]}
            | ({"gold": row["gold"]} if name == "train" else {})
            for place, row in enumerate(paint_rows(rows, seed))
        ]
        write_rows(folder / f"{name}.jsonl", recorded)
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text().split("gate:")[0] + "gate: {against: teacher, margin: 0.05}\n")
    with open_workspace(folder) as workspace:
        fill_project(workspace)
        before = climb(workspace, "paint", is_whole=True)
        assert not any(rung.is_promising for rung in before.rungs), "no sealed row fits the rule"
        words = next(rung for rung in before.rungs if rung.name == "a linear head on words")
        name_student(workspace, "paint", str(workspace.store.latest_dataset("paint")), words.run)
        path = draw_labels(workspace, "paint", 24, folder / "labels.csv").out
        assert climb(workspace, "paint", is_whole=True).rungs != before.rungs
        read_labels(workspace, "paint", fill(path), "ada")
        ladder = climb(workspace, "paint", is_whole=True)
        assert [rung.name for rung in ladder.rungs if rung.is_promising] == ["a linear head on words"]
        assert ladder.chosen is not None
        assert ladder.chosen.run == words.run
        assessed = assess(workspace, "paint").document
        assert assessed.gate is not None
        assert assessed.gate.verdict == "pass"
        levels = {look.release: look.level for look in workspace.store.looks("paint")}
        assert climb(workspace, "paint", is_whole=True).chosen == ladder.chosen, f"the same look, at {levels}"


def _rung(name: str, run: str, difference: float, verdict: str, kind: str = "head") -> Rung:
    found = Verdict(
        verdict, "teacher", "exact_match", difference, difference - 0.1, difference + 0.1, difference - 0.1, difference + 0.1,  # type: ignore[arg-type]
        0.05, None, 0.2, 50, 50, None, "tango", None,
    )  # fmt: skip
    return Rung(name, kind, run, "hash", found, 1.0, None, verdict == "pass")


def test_which_rung_is_chosen() -> None:
    low, middle, high = (
        _rung("low", "1", -0.5, "fail"),
        _rung("middle", "2", -0.01, "pass"),
        _rung("high", "3", 0.02, "pass", "lora"),
    )
    base, teacher = _rung("base", "", 0.1, "pass", "base"), Rung("teacher", "teacher", "", "", None, 900.0, 1.0)
    assert choose_rung([low, base, middle, high, teacher]) == middle
    assert choose_rung([low, high]) == high
    assert choose_rung([low, base, teacher]) == low
    assert choose_rung([base, teacher]) is None
    assert "n = 50, -1.0 points against the teacher, -11.0 to +9.0" in advise(middle)
    assert advise(high).startswith("high is the cheapest")
    assert "Tune a larger student" in advise(low)
    assert "tune a student" in advise(None)
