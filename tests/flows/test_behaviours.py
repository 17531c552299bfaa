"""Behavioural tests in assess: asked of the served student, each question once; a required one stands against a pass."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from journeyman.core.canonical import content_hash
from journeyman.core.errors import GateError, UserError
from journeyman.evaluation.behaviour import combine
from journeyman.evaluation.document import BehaviourPart, Document
from journeyman.flows.assess import assess, find_assessed
from journeyman.flows.ladder import climb
from journeyman.flows.releases import release
from journeyman.flows.students import gate_rule, read_rules
from journeyman.flows.tune import tune
from journeyman.flows.workspace import Workspace, open_workspace
from tests.flows.conftest import Loop
from tests.flows.projects import fill_project, journeyman, make_project, write_rows

HELD = """\
behaviour:
  casing: {kind: invariance, change: upper, required: true}
  typos: {kind: invariance, change: typos, rows: 20}
  least: {kind: minimum, cases: simple.jsonl, least: 0.5}
  blue: {kind: direction, cases: pairs.jsonl, field: colour, becomes: blue}
"""
INJECTED = "  injected: {kind: invariance, change: inject, least: 0.95, required: true}\n"
SIMPLE = [
    {"input": {"line": f"{count} {colour}"}, "output": {"colour": colour, "many": count == "two"}}
    for colour in ("red", "green", "blue")
    for count in ("one", "two")
]
WRONG = {"input": {"line": "zzzzz two red"}, "output": {"colour": "blue", "many": False}}
PAIRS = [
    {"input": {"line": f"{count} red bdfhk"}, "changed": {"line": f"{count} blue bdfhk"}} for count in ("one", "two")
]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head on words, which needs no model; 120 sealed rows show easily that it is right on more than half."""
    folder = make_project(tmp_path_factory.mktemp("tests") / "project", Path("/nowhere.gguf"), rows=240, sealed=120)
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text().replace("floor: 0.99", "floor: 0.5"))
    write_rows(folder / "simple.jsonl", [*SIMPLE, WRONG])
    write_rows(folder / "pairs.jsonl", PAIRS)
    with open_workspace(folder) as opened:
        fill_project(opened)
        tune(opened, "paint", {"kind": "head", "features": "words"})
    return folder


@pytest.fixture
def workspace(tuned: Path, tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(Path(shutil.copytree(tuned, tmp_path / "project"))) as opened:
        yield opened


def declare(workspace: Workspace, behaviour: str) -> None:
    path = workspace.project.tasks / "paint.yaml"
    path.write_text(path.read_text().split("behaviour:")[0] + behaviour)


def asked(workspace: Workspace) -> list[str]:
    return [str(trace.input["line"]) for trace in workspace.store.traces("paint") if trace.origin == "assess"]


def by_name(document: Document) -> dict[str, BehaviourPart]:
    return {test.name: test for test in document.behaviours}


def test_required_tests_that_hold_leave_a_pass_a_pass(workspace: Workspace) -> None:
    declare(workspace, HELD)
    document = assess(workspace, "paint").document
    assert document.gate is not None
    assert (document.gate.verdict, document.gate.alone, document.gate.unmet) == ("pass", "pass", {})
    tests = by_name(document)
    assert list(tests) == ["casing", "typos", "least", "blue"]
    casing = tests["casing"]
    assert (casing.n, casing.verdict, casing.required) == (120, "pass", True)
    assert casing.figure is not None
    assert casing.low < casing.figure.low <= casing.figure.value, "0.02 on one side against 0.025"
    assert (tests["typos"].n, tests["typos"].how, tests["typos"].examples) == (20, "typos", ())
    assert (tests["least"].n, tests["blue"].n) == (7, 2)
    (wrong,) = tests["least"].examples
    assert (wrong.place.rpartition("/")[2], wrong.input, wrong.expected) == (
        "simple.jsonl:7",
        WRONG["input"],
        WRONG["output"],
    )
    assert wrong.got == {"colour": "red", "many": True}
    assert release(workspace, "paint").verdict == "pass"


def test_a_required_test_turns_a_pass_into_a_fail(workspace: Workspace) -> None:
    declare(workspace, HELD + INJECTED)
    root = workspace.project.root
    done = journeyman(root, "assess", "paint", "--json")
    assert done.returncode == 1, done.stderr
    document = Document.from_json(done.stdout)
    gate = document.gate
    assert gate is not None
    assert (gate.verdict, gate.alone, gate.unmet) == ("fail", "pass", {"injected": "fail"})
    injected = by_name(document)["injected"]
    assert injected.figure is not None
    assert injected.high < 0.95 <= injected.least
    assert injected.examples == (), "sealed rows are not shown"
    (look,) = workspace.store.looks("paint")
    assert look.verdict is not None
    assert look.verdict["verdict"] == "fail"
    with pytest.raises(GateError, match="JM-621") as caught:
        release(workspace, "paint")
    assert "required tests that do not pass: injected" in str(caught.value)
    shown = journeyman(root, "assess", "paint")
    assert (
        "Fail, with the required tests: injected is shown to hold too seldom. The gate by itself: Pass" in shown.stdout
    )
    assert "injected (invariance, inject)" in shown.stdout
    assert journeyman(root, "report", "paint", "--out", "report.html").returncode == 0
    page = (root / "report.html").read_text()
    assert "<h2>Behaviour</h2>" in page
    assert "injected is shown to hold too seldom" in page
    assert "simple.jsonl:7" in page
    sealed = [json.loads(text)["input"]["line"] for text in (root / "sealed.jsonl").read_text().splitlines()]
    body = page.split("<h2>Failures on dev</h2>")[0]
    assert not any(line in body or line.upper() in body for line in sealed)


def test_nothing_is_asked_twice_and_an_evaluation_goes_on_where_it_was_killed(workspace: Workspace) -> None:
    assess(workspace, "paint")
    before = asked(workspace)
    declare(workspace, HELD + INJECTED)
    first = assess(workspace, "paint")
    after = asked(workspace)
    new = after[len(before) :]
    assert len(new) == 120 + 20 + 7 + 4 + 120, "sealed rows were asked already"
    assert len(set(new)) == len(new)
    assert assess(workspace, "paint").document == first.document
    assert asked(workspace) == after
    cache = first.run.path / "student-behaviour.jsonl"
    whole = cache.read_bytes()
    cache.write_bytes(whole[: len(whole) // 2])  # in the middle of a line
    lost = len(new) - len(cache.read_bytes().splitlines()[:-1])
    assert assess(workspace, "paint").document == first.document
    assert len(asked(workspace)) == len(after) + lost
    assert len(workspace.store.looks("paint")) == 2


def test_required_tests_are_part_of_the_rule_and_others_are_not(workspace: Workspace) -> None:
    task = workspace.task("paint")
    plain = gate_rule(workspace, task)
    assert set(plain) == {"gate", "metric"}
    assert set(read_rules(workspace, task)) == {"gate", "metric", "cascade", "metrics"}
    assess(workspace, "paint")
    declare(workspace, HELD.replace(", required: true", ""))
    assert gate_rule(workspace, workspace.task("paint")) == plain
    with pytest.raises(GateError, match="JM-620"):
        find_assessed(workspace, "paint")
    described = assess(workspace, "paint").document
    assert described.gate is not None
    assert (described.gate.verdict, described.gate.alone) == ("pass", None)
    assert len(workspace.store.looks("paint")) == 1, "what is not required is no other look"
    declare(workspace, HELD.replace("least: 0.5", "least: 0.1, required: true"))
    seen = {content_hash(gate_rule(workspace, workspace.task("paint")))}
    assess(workspace, "paint")
    write_rows(workspace.project.root / "simple.jsonl", SIMPLE)
    seen.add(content_hash(gate_rule(workspace, workspace.task("paint"))))
    assess(workspace, "paint")
    assert len(seen) == 2, "other cases are another rule"
    assert len(workspace.store.looks("paint")) == 3


def test_a_case_that_copies_a_sealed_row_is_asked_and_not_shown(workspace: Workspace) -> None:
    root = workspace.project.root
    row = json.loads((root / "sealed.jsonl").read_text().splitlines()[0])
    other = "red" if row["gold"]["colour"] != "red" else "green"
    cases = [{"input": {"line": f"{row['input']['line']} "}, "output": row["gold"] | {"colour": other}}, WRONG]
    write_rows(root / "simple.jsonl", cases)
    declare(workspace, "behaviour:\n  least: {kind: minimum, cases: simple.jsonl}\n")
    (test,) = assess(workspace, "paint").document.behaviours
    assert test.figure is not None
    assert (test.n, test.figure.value) == (2, 0.0)
    assert [item.input for item in test.examples] == [WRONG["input"]]


BAD = [
    ("{kind: minimum, cases: gone.jsonl}", "", "JM-640", "gone.jsonl"),
    ("{kind: minimum, cases: bad.jsonl}", '{"input": {"line": "x"}, "output": ', "JM-641", "bad.jsonl:2"),
    ("{kind: minimum, cases: bad.jsonl}", '{"input": {"line": "x"}, "output": {"colour": "pink"}}', "JM-642", "bad.jsonl:2"),
    ("{kind: invariance, change: upper, least: 0.99, required: true}", "", "JM-645", "390 rows or cases at least"),
    ("{kind: invariance, change: upper, fields: [lime]}", "", "JM-206", "paint.yaml:14"),
]  # fmt: skip


@pytest.mark.parametrize(("test", "line", "code", "text"), BAD, ids=[code for _test, _line, code, _text in BAD])
def test_bad_input_is_one_message_and_no_look_is_taken(
    workspace: Workspace, test: str, line: str, code: str, text: str
) -> None:
    declare(workspace, f"behaviour:\n  bad: {test}\n")
    write_rows(workspace.project.root / "bad.jsonl", SIMPLE[:1])
    with (workspace.project.root / "bad.jsonl").open("a") as file:
        file.write(line + "\n")
    before = asked(workspace)
    with pytest.raises(UserError, match=code) as caught:
        assess(workspace, "paint")
    assert text in str(caught.value)
    assert caught.value.hint
    assert workspace.store.looks("paint") == []
    assert asked(workspace) == before
    if code == "JM-641":
        done = journeyman(workspace.project.root, "assess", "paint", "--json")
        assert done.returncode == 2, (done.stdout, done.stderr)
        assert json.loads(done.stdout)["error"]["code"] == code
        assert done.stderr.count("JM-") == 1


def test_a_tuned_language_model_is_asked_too(loop: Loop, tmp_path: Path) -> None:
    with open_workspace(Path(shutil.copytree(loop.folder, tmp_path / "project"))) as workspace:
        declare(
            workspace,
            "behaviour:\n  "
            + "typos: {kind: invariance, change: typos, rows: 8}\n"
            + INJECTED[:-1].replace("0.95", "0.8"),
        )
        write_rows(workspace.project.root / "simple.jsonl", SIMPLE)
        assessed = assess(workspace, "paint", base_rows=0)
        tests = by_name(assessed.document)
        assert (tests["typos"].n, tests["injected"].n) == (8, 30)
        gate, before = assessed.document.gate, loop.result.assessed.document.gate
        assert gate is not None
        assert before is not None
        assert (gate.difference, gate.level, before.level) == (before.difference, 0.0025, 0.02), "another look"
        assert gate.verdict == combine(gate.alone or "pass", [tests["injected"].verdict])
        assert find_assessed(workspace, "paint").document == assessed.document


def test_a_rung_whose_required_test_looks_lost_is_not_promising(workspace: Workspace) -> None:
    declare(workspace, HELD)
    free = climb(workspace, "paint")
    assert free.chosen is not None
    assert free.chosen.is_promising
    colours = ("green", "blue", "red")
    lost = [
        {"input": case["input"], "output": {**case["output"], "colour": colours[place // 2]}}  # type: ignore[dict-item]
        for place, case in enumerate(SIMPLE)
    ]
    write_rows(workspace.project.root / "lost.jsonl", lost)
    declare(workspace, HELD + "  lost: {kind: minimum, cases: lost.jsonl, least: 0.5, required: true}\n")
    held = climb(workspace, "paint")
    assert held.chosen is not None
    assert not any(rung.is_promising for rung in held.rungs)
    (again,) = [rung for rung in held.rungs if rung.run == free.chosen.run]
    assert again.verdict == free.chosen.verdict, "the gate's own figure is as it was"
    assert again.note == "lost held on 0 of 6"
    shown = journeyman(workspace.project.root, "assess", "paint", "--ladder", "--json")
    assert again.note in [rung["note"] for rung in json.loads(shown.stdout)["ladder"]["rungs"]]
