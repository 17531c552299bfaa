"""Behavioural tests in a task file: what is read, and what cannot be meant."""

from __future__ import annotations

from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from journeyman.core.errors import TaskError
from journeyman.task.behaviour import REQUIRED_ROWS, ROWS, BehaviourSpec, required_tests
from journeyman.task.file import load_task, task_file_schema
from journeyman.task.task import Task

HEAD = """\
edition: 1
name: t
instruction: Sort it.
input: {title: string, body: string, size: integer, place: {enum: [here, there]}}
output:
  priority: {enum: [low, normal, high]}
  total: number
  who: {name: string}
behaviour:
"""
FULL = """\
  typos: {kind: invariance, change: typos, field: priority, least: 0.8}
  injected: {kind: invariance, change: inject, required: true, fields: [body]}
  reworded: {kind: invariance, cases: reworded.jsonl}
  urgent: {kind: direction, append: " Now!", field: priority, by: rises, rows: 7}
  free: {kind: direction, append: " For free.", field: total, becomes: 0}
  least: {kind: minimum, cases: simple.jsonl, least: 0.98, required: true}
"""


def load(folder: Path, behaviour: str) -> Task:
    path = folder / "t.yaml"
    path.write_text(HEAD + behaviour, encoding="utf-8")
    return load_task(path)


def test_a_full_section(tmp_path: Path) -> None:
    task = load(tmp_path, FULL)
    assert task.behaviour["typos"] == BehaviourSpec("invariance", change="typos", field="priority", least=0.8)
    assert task.behaviour["injected"].rows == REQUIRED_ROWS
    assert (task.behaviour["reworded"].rows, task.behaviour["urgent"].rows) == (ROWS, 7)
    assert task.behaviour["injected"].fields == ("body",)
    assert (task.behaviour["free"].becomes, task.behaviour["free"].how) == (0, "' For free.' appended")
    assert list(required_tests(task.behaviour)) == ["injected", "least"]
    assert Task.from_json(task.to_json()) == task
    assert "behaviour" not in task.answering(), "a student is the same whatever is tested"
    assert Task.from_json(task.answering()).behaviour == {}
    assert jsonschema_rs.validator_for(task_file_schema()).is_valid(yaml.safe_load(HEAD + FULL))


REFUSED = [
    ("{kind: invariance, chang: typos}", "JM-202", "did you mean change?"),
    ("{kind: invariant, change: typos}", "JM-203", "'invariance'"),
    ("{kind: invariance, change: shout}", "JM-203", "'typos'"),
    ("{kind: invariance, change: typos, least: 1}", "JM-203", "less than 1"),
    ("{kind: invariance, change: typos, rows: 0}", "JM-203", "greater than or equal to 1"),
    ("{kind: invariance}", "JM-206", "one of change, append and cases"),
    ("{kind: invariance, change: typos, append: x}", "JM-206", "got: change, append"),
    ("{kind: invariance, change: typos, by: rises}", "JM-206", "belongs to kind: direction"),
    ("{kind: direction, append: x, field: priority}", "JM-206", "one of by and becomes"),
    ("{kind: direction, append: x, field: total, by: rises, becomes: 3}", "JM-206", "got: by, becomes"),
    ("{kind: direction, append: x, field: who.name, by: rises}", "JM-206", "cannot rise or fall"),
    ("{kind: direction, append: x, by: rises}", "JM-206", "field: (all)"),
    ("{kind: direction, append: x, field: prio, by: rises}", "JM-206", "no such field"),
    ("{kind: direction, append: x, field: priority, becomes: top}", "JM-206", '"low", "normal", "high"'),
    ("{kind: invariance, change: typos, fields: [boddy]}", "JM-206", "expected: title, body"),
    ("{kind: invariance, change: typos, fields: [place]}", "JM-206", "got: place"),
    ("{kind: invariance, cases: a.jsonl, fields: [body]}", "JM-206", "changed already"),
    ("{kind: invariance, cases: a.jsonl, rows: 5}", "JM-206", "every case is asked"),
    ("{kind: minimum}", "JM-206", "cases: FILE"),
    ("{kind: minimum, cases: a.jsonl, field: total}", "JM-206", "whole answers"),
]


@pytest.mark.parametrize(("test", "code", "message"), REFUSED)
def test_refusals_name_the_test_and_its_line(tmp_path: Path, test: str, code: str, message: str) -> None:
    with pytest.raises(TaskError, match=code) as caught:
        load(tmp_path, f"  good: {{kind: invariance, change: upper}}\n  bad: {test}\n")
    assert caught.value.where == f"{tmp_path / 't.yaml'}:11"
    assert message in str(caught.value)
    assert "bad" in str(caught.value)
    assert caught.value.hint
    if code in ("JM-202", "JM-203"):
        raw = yaml.safe_load(f"{HEAD}  bad: {test}\n")
        assert not jsonschema_rs.validator_for(task_file_schema()).is_valid(raw)


def test_an_input_without_text_has_cases_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    text = "edition: 1\nname: t\ninstruction: x\ninput: {size: integer}\noutput: text\nbehaviour:\n  a: "
    path.write_text(text + "{kind: invariance, change: upper}\n", encoding="utf-8")
    with pytest.raises(TaskError, match="no text to change"):
        load_task(path)
    path.write_text(text + "{kind: invariance, cases: a.jsonl}\n", encoding="utf-8")
    assert load_task(path).behaviour["a"].how == "a.jsonl"
    path.write_text(text + "{kind: direction, cases: a.jsonl, by: rises}\n", encoding="utf-8")
    with pytest.raises(TaskError, match="cannot rise"):
        load_task(path)
