"""Labels for the verdict, on a real project: drawn, written for people, filled in, read back, decided on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2_contingency, spearmanr

from journeyman.core.errors import GateError
from journeyman.core.example import object_target
from journeyman.evaluation import run as asking
from journeyman.evaluation.labels import Frame
from journeyman.evaluation.run import Row
from journeyman.evaluation.weak import find_weak_spots
from journeyman.flows.assess import assess, find_assessed
from journeyman.flows.kept_labels import KeptLabels
from journeyman.flows.label_agreement import find_agreement
from journeyman.flows.label_queue import make_queue
from journeyman.flows.labels import _draw, draw_labels, find_labels
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.read_labels import read_labels
from journeyman.flows.students import choose_student
from journeyman.flows.tune import tune
from journeyman.flows.verdict_labelling import open_verdict
from journeyman.flows.workspace import Workspace, open_workspace
from tests.cli.terminals import at_terminal
from tests.flows.projects import fill_project, journeyman, make_project, paint_rows, write_rows
from tests.flows.sheets import GOLD, SEALED, Cells, fill, judge, read_cells, write_cells

WRONG = {"colour": "blue", "many": True}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student on words, which tell everything; the teacher is often wrong on sealed rows and nobody has gold for them."""
    folder = make_project(tmp_path_factory.mktemp("labels") / "project", Path("/nowhere.gguf"), rows=400)
    for name, rows, seed, every in (("train", 400, 1, 10), ("sealed", SEALED, 2, 3)):
        recorded = [
            {"input": row["input"], "output": WRONG if place % every == 0 else row["gold"]}
            for place, row in enumerate(paint_rows(rows, seed))
        ]
        write_rows(folder / f"{name}.jsonl", recorded)
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text().split("gate:")[0] + "gate: {against: teacher, margin: 0.05}\n")
    with open_workspace(folder) as opened:
        fill_project(opened)
        tune(opened, "paint", {"kind": "head", "features": "words"})
    return folder


def kept_of(workspace: Workspace) -> KeptLabels:
    task, dataset = workspace.task("paint"), str(workspace.store.latest_dataset("paint"))
    return find_labels(workspace, task, dataset, choose_student(workspace, "paint", dataset)[1])


def draw(workspace: Workspace, count: int, name: str = "labels.csv") -> Path:
    return draw_labels(workspace, "paint", count, workspace.project.root / name).out


def test_from_the_draw_to_the_verdict(workspace: Workspace) -> None:
    with pytest.raises(GateError, match="JM-604"):
        assess(workspace, "paint")
    path = draw(workspace, 24)
    with pytest.raises(GateError, match=r"JM-677 [\s\S]*got: 24 open"):
        assess(workspace, "paint")
    assert workspace.store.looks("paint") == [], "a draw is no look"
    found = read_labels(workspace, "paint", fill(path), "ada")
    assert (found.labels, found.changed, found.open, found.people) == (24, 24, 0, ("ada",))
    assessed = assess(workspace, "paint")
    gate, labels = assessed.document.gate, assessed.document.labels
    assert gate is not None
    assert labels is not None
    assert (gate.verdict, gate.method, gate.counts) == ("pass", "betting", None)
    assert labels.gold == 0
    assert labels.alike + labels.differing == SEALED
    assert labels.probability == pytest.approx(24 / labels.differing)
    assert gate.n == labels.alike + 24
    # The estimate is Horvitz and Thompson's: by hand, from the kept draw and the labels.
    kept = kept_of(workspace)
    won = sum({"student": 1, "teacher": -1}.get(label.right, 0) for label in kept.settled.values())
    weight = labels.differing / 24
    assert gate.difference == pytest.approx(won * weight / (labels.alike + 24 * weight))
    assert gate.difference > 0.05
    assert [look.number for look in workspace.store.looks("paint")] == [1]
    assert assess(workspace, "paint").document.gate == gate
    assert find_assessed(workspace, "paint").document == assessed.document
    shown = journeyman(workspace.project.root, "report", "paint", "--out", "report.html")
    assert shown.returncode == 0, shown.stderr
    report = (workspace.project.root / "report.html").read_text()
    assert f"labels by 1 person for 24 of the {labels.differing} rows where the answers differ" in report
    assert "both were right on" not in report, "of alike answers it is not known"


def test_another_draw_extends_the_first_and_is_another_look(workspace: Workspace) -> None:
    read_labels(workspace, "paint", fill(draw(workspace, 6)), "ada")
    first = assess(workspace, "paint").document
    more = draw(workspace, 20, "more.csv")
    with pytest.raises(GateError, match=r"JM-620"):
        find_assessed(workspace, "paint")
    kept = kept_of(workspace)
    assert [len(item.rows) for item in kept.draws] == [6, 20]
    assert len({row.hash for row in kept.rows}) == 26, "without replacement"
    assert {row["row"] for row in read_cells(more)} == {row.name for row in kept.draws[1].rows}
    read_labels(workspace, "paint", fill(more), "ada")
    second = assess(workspace, "paint").document
    assert first.labels is not None
    assert second.labels is not None
    assert second.labels.probability == pytest.approx(26 / first.labels.differing)
    assert [look.level for look in workspace.store.looks("paint")] == [0.02, 0.0025]
    assert second.gate is not None
    assert second.gate.level == 0.0025


def test_fewer_rows_than_asked_for_are_all_drawn(workspace: Workspace) -> None:
    path = draw(workspace, 500, "all.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    said = [judge(row) for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in said))
    read_labels(workspace, "paint", path, "ada")
    document = assess(workspace, "paint").document
    assert document.labels is not None
    assert document.gate is not None
    assert (document.labels.probability, document.labels.labelled) == (1.0, len(rows))
    assert document.labels.differing == len(rows)
    assert document.gate.method == "tango", (
        "more were asked for than could differ: the plain bound was fixed beforehand"
    )
    assert document.gate.n == SEALED
    with pytest.raises(GateError, match="JM-671"):
        draw(workspace, 5, "none.csv")


def test_inconclusive_names_further_labels_and_they_decide(workspace: Workspace) -> None:
    """A student that is a little better: few labels do not show it, the number that is named does."""

    def doubt(row: Cells) -> Cells:
        return judge(row) | {"right": "neither"}

    read_labels(workspace, "paint", fill(draw(workspace, 4), doubt), "ada")
    document = assess(workspace, "paint").document
    assert document.gate is not None
    assert document.labels is not None
    if document.gate.verdict != "inconclusive":
        pytest.fail(f"four labels decided: {document.gate}")
    assert document.gate.needed is not None
    assert document.gate.needed >= 1
    read_labels(workspace, "paint", fill(draw(workspace, document.gate.needed, "more.csv"), doubt), "ada")
    after = assess(workspace, "paint").document
    assert after.labels is not None
    assert after.labels.labelled > 4


def test_the_file_says_nothing_of_whose_an_answer_is(workspace: Workspace) -> None:
    path = draw(workspace, 500)
    kept, text = kept_of(workspace), path.read_text("utf-8-sig")
    rows = read_cells(path)
    assert list(rows[0]) == ["row", "input", "first", "second", "right", "answer"]
    task, dataset = workspace.task("paint"), str(workspace.store.latest_dataset("paint"))
    student = choose_student(workspace, "paint", dataset)[1]
    assert not any(row.hash[:8] in text for row in kept.rows)
    assert student.hash[:8] not in text
    assert task.teacher not in text or not task.teacher
    assert [row["input"] for row in rows] != sorted(row["input"] for row in rows)
    lines = list(GOLD)
    places = [lines.index(row["input"]) for row in rows]
    assert places != sorted(places)
    assert {row["right"] + row["answer"] for row in rows} == {""}
    done = journeyman(workspace.project.root, "label", "paint", "--draw", "3", "--out", "again.csv", "--json")
    assert set(json.loads(done.stdout)) == {"task", "student", "number", "written", "out", "is_new"}, "no figure"


def test_a_kill_between_draw_and_file_loses_nothing(workspace: Workspace) -> None:
    path = draw(workspace, 9)
    before = path.read_bytes()
    path.unlink()
    again = draw_labels(workspace, "paint", 9, path)
    assert (again.written, again.is_new, path.read_bytes()) == (9, False, before)
    kept = kept_of(workspace)
    with kept.path.open("a") as file:
        file.write('{"label": {"row": "cut off by a ki')
    assert len(kept_of(workspace).draws) == 1
    read_labels(workspace, "paint", fill(path), "ada")
    assert kept_of(workspace).open == []


def test_killed_while_it_asks_and_run_again(folder: Path) -> None:
    command = [sys.executable, "-m", "journeyman", "label", "paint", "--draw", "8"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        cache = folder / ".journeyman/runs"
        while process.poll() is None:
            files = list(cache.glob("paint-assess-*/student-test.jsonl"))
            if files and files[0].read_bytes().count(b"\n") > 5:
                process.kill()
                break
    done = journeyman(folder, "label", "paint", "--draw", "8")
    assert done.returncode == 0, done.stderr
    assert len(read_cells(folder / "paint-labels.csv")) == 8


def test_assess_finds_the_answers_that_drawing_asked_for(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    read_labels(workspace, "paint", fill(draw(workspace, 8)), "ada")
    asked = []
    ask = asking._ask

    async def counted(*arguments: Any) -> Any:
        asked.append(arguments[1])
        return await ask(*arguments)

    monkeypatch.setattr(asking, "_ask", counted)
    assess(workspace, "paint")
    inputs = {message.text for request in asked for message in request.messages}
    assert not inputs & set(GOLD)


def test_several_people(workspace: Workspace) -> None:
    path = draw(workspace, 10)
    ada = fill(path)
    found = read_labels(workspace, "paint", ada, "ada")
    assert (found.agreement, found.open) == (None, 0)
    bob = [row | {"right": "both" if place < 3 else row["right"]} for place, row in enumerate(read_cells(ada))]
    found = read_labels(workspace, "paint", write_cells(path, bob), "bob")
    assert found.agreement is not None
    assert (found.agreement.value, found.agreement.n) == (0.7, 10)
    assert (found.open, found.apart) == (3, 3)
    with pytest.raises(GateError, match=r"JM-677 [\s\S]*on 3 of them people differ"):
        assess(workspace, "paint")
    assert len(read_cells(draw(workspace, 1, "open.csv"))) == 3, "open rows are written again"
    found = read_labels(workspace, "paint", write_cells(path, bob), "cleo")
    assert (found.open, found.people) == (0, ("ada", "bob", "cleo"))
    document = assess(workspace, "paint").document
    assert document.labels is not None
    assert (document.labels.people, document.labels.agreement is not None) == (3, True)
    kept = kept_of(workspace)
    assert [kept.settled[row["row"]].right for row in bob[:3]] == ["both"] * 3


def test_read_again_adds_nothing_and_a_changed_label_is_a_later_one(workspace: Workspace) -> None:
    path = fill(draw(workspace, 5))
    assert read_labels(workspace, "paint", path, "ada").changed == 5
    assert read_labels(workspace, "paint", path, "ada").changed == 0
    name = read_cells(path)[0]["row"]
    write_cells(path, [row | {"right": "both"} for row in read_cells(path)[:1]])
    assert read_labels(workspace, "paint", path, "ada").changed == 1
    history = [label.right for label in kept_of(workspace).history if label.name == name]
    assert len(history) == 2
    assert history[1] == "both"
    assert kept_of(workspace).settled[name].right == "both"


def test_empty_rows_stay_open_and_answers_can_be_written(workspace: Workspace) -> None:
    path = draw(workspace, 6)
    rows = read_cells(path)
    own = {"colour": "red", "many": False}
    other = next(row for row in rows if json.loads(row["first"]) != own and json.loads(row["second"]) != own)
    rest = [row for row in rows if row is not other]
    said = [
        rest[0] | {"answer": rest[0]["second"]},
        other | {"right": "Neither ", "answer": json.dumps(own)},
        *rest[1:],
    ]
    assert read_labels(workspace, "paint", write_cells(path, said), "ada").open == 4
    kept = kept_of(workspace)
    drawn = {row.name: row for row in kept.rows}
    assert kept.settled[rest[0]["row"]].right == ("teacher" if drawn[rest[0]["row"]].is_student_first else "student")
    answer = kept.settled[other["row"]].answer
    assert answer is not None
    assert answer.value == own


BAD: tuple[tuple[str, Callable[[list[Cells]], list[Cells]], str, str], ...] = (
    ("an unknown value", lambda rows: [rows[0] | {"right": "left"}, *rows[1:]], "JM-676", r"labels.csv:2"),
    ("an edited input", lambda rows: [rows[0], rows[1] | {"input": "two red"}, *rows[2:]], "JM-675", "labels.csv:3"),
    ("an edited answer", lambda rows: [rows[0] | {"first": rows[0]["second"]}, *rows[1:]], "JM-675", "labels.csv:2"),
    ("a row twice", lambda rows: [*rows, rows[1]], "JM-676", r"labels.csv:6[\s\S]*stands in line 3 too"),
    ("a row of nobody", lambda rows: [rows[0] | {"row": "0" * 12}], "JM-674", "no draw of this project has it"),
    ("an answer of another task", lambda rows: [rows[0] | {"answer": '{"colour": "pink"}'}], "JM-676", "labels.csv:2"),
    ("two words", lambda rows: [rows[0] | {"right": "first", "answer": "{}"}], "JM-676", "only where neither is right"),
    ("columns that are gone", lambda rows: [{"row": row["row"]} for row in rows], "JM-673", "labels.csv:1"),
)


@pytest.mark.parametrize(("what", "change", "code", "names"), BAD, ids=[row[0] for row in BAD])
def test_wrong_files_are_refused_whole(
    workspace: Workspace, what: str, change: Callable[[list[Cells]], list[Cells]], code: str, names: str
) -> None:
    path = fill(draw(workspace, 4))
    write_cells(path, change(read_cells(path)))
    with pytest.raises(GateError, match=rf"{code} [\s\S]*{names}"):
        read_labels(workspace, "paint", path, "ada")
    assert kept_of(workspace).history == ()


def test_another_students_draw_is_refused(workspace: Workspace) -> None:
    path = fill(draw(workspace, 4))
    dataset = str(workspace.store.latest_dataset("paint"))
    run, before = choose_student(workspace, "paint", dataset)
    shutil.rmtree(run.path)
    tune(workspace, "paint", {"kind": "head", "features": "none"})
    after = choose_student(workspace, "paint", dataset)[1]
    with pytest.raises(
        GateError, match=rf"JM-674 [\s\S]*drawn for the student {before.hash[:12]}, and {after.hash[:12]}"
    ):
        read_labels(workspace, "paint", path, "ada")


def test_sides_and_names_are_those_of_a_coin(workspace: Workspace) -> None:
    """Neither the place in the file, nor the name of a row, nor what its answers are tells whose the first one is."""
    task, right, wrong = workspace.task("paint"), object_target({"colour": "red", "many": True}), object_target(WRONG)
    rows = tuple(Row(f"{place:064x}", {"line": f"line {place}"}, None, wrong) for place in range(4000))
    frame = Frame(rows, (right,) * 4000, (False,) * 4000)
    drawn = _draw(workspace, task, KeptLabels(Path()), frame, Frame((), (), ()), 2000, "s" * 64, "d" * 64).rows
    first = np.array([row.is_student_first for row in drawn])
    assert abs(int(first.sum()) - 1000) < 4 * np.sqrt(500)
    ranks = np.argsort(np.argsort([row.hash for row in drawn]))
    for clue in (
        np.arange(2000),
        [int(row.name[:8], 16) for row in drawn],
        ranks,
        [int(row.name[-4:], 16) for row in drawn],
    ):
        low = np.asarray(clue) < np.median(clue)
        assert (
            chi2_contingency([[int((first & part).sum()), int((~first & part).sum())] for part in (low, ~low)]).pvalue
            > 1e-4
        )
        assert abs(spearmanr(clue, first).statistic) < 4 / np.sqrt(2000)
    assert abs(spearmanr(np.arange(2000), ranks).statistic) < 4 / np.sqrt(2000), "shown in an order of no meaning"
    again = _draw(workspace, task, KeptLabels(Path()), frame, Frame((), (), ()), 2000, "s" * 64, "d" * 64).rows
    other = _draw(workspace, task, KeptLabels(Path()), frame, Frame((), (), ()), 2000, "t" * 64, "d" * 64).rows
    assert again == drawn
    assert 800 < len({row.hash for row in drawn} & {row.hash for row in other}) < 1200


def test_what_cannot_be_drawn_is_told(workspace: Workspace) -> None:
    with pytest.raises(GateError, match="JM-673"):
        draw(workspace, 4, "labels.xlsx")
    task = workspace.project.tasks / "paint.yaml"
    task.write_text(task.read_text().replace("{against: teacher, margin: 0.05}", "{against: agreement, margin: 0.05}"))
    with pytest.raises(GateError, match=r"JM-670 [\s\S]*against: teacher"):
        draw(workspace, 4)
    assert journeyman(workspace.project.root, "label", "paint").returncode == 2
    assert journeyman(workspace.project.root, "label", "paint", "--read", "x.csv").returncode == 2


def test_a_graded_metric_wants_the_right_answer(workspace: Workspace) -> None:
    task = workspace.project.tasks / "paint.yaml"
    task.write_text(task.read_text().replace("{against", "{metric: row_f1, against"))
    path = draw(workspace, 30)
    fill(path, lambda row: row | {"right": "neither"})
    with pytest.raises(GateError, match=r"JM-676 [\s\S]*row_f1 is graded"):
        read_labels(workspace, "paint", path, "ada")
    fill(path, lambda row: row | {"right": "", "answer": json.dumps(GOLD[row["input"]])})
    read_labels(workspace, "paint", path, "ada")
    gate = assess(workspace, "paint").document.gate
    assert gate is not None
    assert (gate.metric, gate.verdict) == ("row_f1", "pass")


def test_the_commands(workspace: Workspace) -> None:
    folder = workspace.project.root
    done = journeyman(folder, "label", "paint", "--draw", "24", "--out", "labels.csv")
    assert done.returncode == 0, done.stderr
    assert "24 rows drawn" in done.stdout
    assert journeyman(folder, "label", "paint", "--draw", "24", "--out", "labels.csv").returncode == 2
    fill(folder / "labels.csv")
    read = journeyman(folder, "label", "paint", "--read", "labels.csv", "--by", "ada", "--json")
    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout)["open"] == 0
    done = journeyman(folder, "assess", "paint")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "labels by 1 person for 24 of the" in done.stdout


def say_by_keys(workspace: Workspace, by: str, count: int | None = None) -> int:
    """A careful person goes through the draw key by key; the number of rows shown."""
    session, shown = open_verdict(workspace, "paint", by, count), 0
    while session.view.stage == "row":
        answers = session.view.answers
        row = {"input": session.view.input, "first": answers[0].text, "second": answers[1].text}
        right = judge(row)["right"]
        session.act(right) if right == "neither" else session.choose("1" if right == "first" else "2")
        assert session.view.problem == ""
        shown += 1
    return shown


def test_key_by_key_says_what_a_filled_in_sheet_says(workspace: Workspace, made: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(made, tmp_path / "other"))
    read_labels(workspace, "paint", fill(draw(workspace, 24)), "ada")
    by_sheet = kept_of(workspace)
    with open_workspace(other) as opened:
        assert say_by_keys(opened, "ada", 24) == 24
        by_keys = kept_of(opened)
        assert by_keys.said == by_sheet.said
        assert {label.name: label.said for label in by_keys.history} == {
            label.name: label.said for label in by_sheet.history
        }
        assert assess(opened, "paint").document.gate == assess(workspace, "paint").document.gate
        assert say_by_keys(opened, "ada", 24) == 0, "the same command draws no more"
        assert say_by_keys(opened, "bob") == 24, "a second person has the same draw"
        assert len(kept_of(opened).draws) == 1
        found = find_agreement(opened, "paint")
        assert found.sealed is not None
        assert (found.people, found.sealed.n, found.sealed.apart, found.sealed.alpha) == (("ada", "bob"), 24, 0, 1.0)
        assert found.train is None


def test_what_is_taken_back_was_never_said_and_nothing_tells_whose_an_answer_is(workspace: Workspace) -> None:
    session = open_verdict(workspace, "paint", "ada", 6)
    before = kept_of(workspace)
    first = session.view
    assert (first.done, first.left) == (0, 6)
    assert [answer.who for answer in first.answers] == ["", ""]
    said = json.dumps([str(first), str(session.actions)])
    assert not any(word in said for word in ("student", "teacher", kept_of(workspace).rows[0].hash))
    session.act("both")
    session.act("skip")
    skipped = session.view.input
    session.choose("2")
    assert (session.view.done, session.view.left) == (2, 3)
    session = open_verdict(workspace, "paint", "ada", 6)
    assert (session.view.done, session.view.left) == (2, 4), "what was skipped comes back"
    session.act("undo")
    assert session.view.input == skipped
    session.act("undo")
    assert session.view.input == first.input
    assert (session.view.done, session.view.left) == (0, 6)
    session.act("undo")
    assert session.view.problem == "there is nothing to take back"
    after = kept_of(workspace)
    assert (after.said, after.latest, after.people) == (before.said, {}, [])
    assert len(after.history) == 4, "the history keeps it"
    assert {row["row"] for row in read_cells(draw(workspace, 1))} == {row.name for row in after.rows}


def test_an_answer_of_ones_own_is_read_by_the_rules_of_the_sheet(workspace: Workspace) -> None:
    session = open_verdict(workspace, "paint", "ada", 6)
    assert not session.write("  ", is_whole=False)
    assert not session.write("purple", is_whole=False)
    assert "an answer of this task" in session.view.problem
    assert session.view.done == 0
    assert session.write('{"many": true, "colour": "green"}', is_whole=False)
    (label,) = kept_of(workspace).history
    answers = json.loads(session.view.answers[0].text)
    assert set(answers) == {"colour", "many"}
    if label.answer is not None:
        assert label.answer.value == {"colour": "green", "many": True}
    else:
        assert label.right in ("student", "teacher"), "it was one of the two"


def test_the_verdict_at_a_terminal(workspace: Workspace) -> None:
    folder = workspace.project.root
    draw(workspace, 5)
    with at_terminal(folder, "label", "paint", "--verdict", "--by", "ada") as terminal:
        screen = terminal.wait("0 done, 5 left", "1 first", "b both", "n neither")
        assert "student" not in screen
        assert "teacher" not in screen
        terminal.press("1", "1 done, 4 left")
        terminal.press("n", "2 done, 3 left")
        terminal.kill()
    with at_terminal(folder, "label", "paint", "--verdict", "--by", "ada") as terminal:
        terminal.wait("2 done, 3 left")
        terminal.press("u", "1 done, 4 left", "taken back")
        terminal.press("2", "2 done, 3 left")
        terminal.press("bb", "4 done, 1 left")
        terminal.press("1", "5 done", "nothing is left")
        status, said = terminal.end()
    assert status == 0
    assert "next: journeyman assess paint" in said
    kept = kept_of(workspace)
    assert not kept.open
    assert sorted(label.said for labels in kept.latest.values() for label in labels.values()).count("both") == 2
    assert "neither" not in {label.said for labels in kept.latest.values() for label in labels.values()}


def test_new_rows_on_which_an_earlier_student_differs_come_first(workspace: Workspace) -> None:
    """Every second recorded answer of rows that came after tuning is wrong, and the student learned the rule. Rows that it learned it says by heart."""
    rows = [
        {"input": row["input"], "output": WRONG if place % 2 == 0 else row["gold"]}
        for place, row in enumerate(paint_rows(30, 9))
    ]
    wrong = {str(row["input"]["line"]) for row in rows[::2]}  # type: ignore[index,call-overload]
    path = write_rows(workspace.project.root / "more.jsonl", rows)
    import_sources(workspace, "paint", [str(path)], split="train")
    prepare_task(workspace, "paint")
    queue = make_queue(workspace, "paint", "ada")
    differing = [row for row in queue.rows if row.reason == "differs"]
    assert list(queue.rows[: len(differing)]) == differing
    found = {str(row.example.input["line"]) for row in differing}
    assert len(found & wrong) >= 0.7 * len(wrong)
    assert len(found & wrong) >= 0.7 * len(found)
    assert all("% sure" in row.why and row.answers[1].who == "the student" for row in differing)


def test_rows_that_have_what_the_student_gets_wrong_on_dev_come_first_where_asked(workspace: Workspace) -> None:
    read_labels(workspace, "paint", fill(draw(workspace, 24)), "ada")
    assess(workspace, "paint")
    spots = find_weak_spots(workspace.task("paint"), find_assessed(workspace, "paint").dev)
    assert spots
    weak = make_queue(workspace, "paint", "ada", is_weak=True)
    marked = ["the student errs on" in row.why for row in weak.rows]
    assert any(marked)
    assert marked == sorted(marked, reverse=True)
    assert not any("errs on" in row.why for row in make_queue(workspace, "paint", "ada").rows)
