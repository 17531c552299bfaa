"""Guards in a task file: what they become, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from journeyman.core.errors import TaskError
from journeyman.task.file import load_guards, load_task
from journeyman.task.guard import GuardSpec
from journeyman.task.task import Task

TASK = """\
edition: 1
name: tickets
instruction: Sort it.
input: {message: string}
output: text
guards:
"""


def load(folder: Path, guards: str) -> tuple[GuardSpec, ...]:
    path = folder / "tickets.yaml"
    path.write_text(TASK + guards, encoding="utf-8")
    return load_task(path).guards


def test_guards_keep_their_order_and_get_defaults(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "  - {kind: secrets, on: input, mode: block}\n"
        "  - {kind: echo, mode: shadow, share: 0.3}\n"
        "  - {kind: deny, words: [blue falcon], patterns: ['PRJ-[0-9]{3}'], mode: redact, name: projects}\n"
        "  - {kind: task, task: injection, answer: injection, threshold: 0.9, mode: flag, fail: open}\n",
    )
    assert found == (
        GuardSpec("secrets", "block", "input"),
        GuardSpec("echo", "shadow", "output", share=0.3),
        GuardSpec("deny", "redact", "both", "projects", words=("blue falcon",), patterns=("PRJ-[0-9]{3}",)),
        GuardSpec("task", "flag", "both", task="injection", answer="injection", threshold=0.9, fail="open"),
    )
    assert [spec.title for spec in found] == ["secrets", "echo", "projects", "task"]


def test_support_is_asked_of_tasks_with_passages(tmp_path: Path) -> None:
    knowing = TASK.replace("{message: string}", "{message: string, passages: string}\nknowledge: {name: handbook}")
    path = tmp_path / "tickets.yaml"
    path.write_text(knowing + "  - {kind: grounded, mode: escalate, threshold: 0.5}\n", encoding="utf-8")
    assert load_task(path).guards == (GuardSpec("grounded", "escalate", "output", threshold=0.5),)
    path.write_text(knowing + "  - {kind: grounded, mode: redact, threshold: 0.5}\n", encoding="utf-8")
    with pytest.raises(TaskError, match="are not replaced"):
        load_task(path)


def test_guards_are_the_projects_business_and_no_part_of_a_release(tmp_path: Path) -> None:
    path = tmp_path / "tickets.yaml"
    load(tmp_path, "  - {kind: secrets, mode: block}\n")
    task = load_task(path)
    assert task.guards
    assert Task.from_json(task.to_json()).guards == ()


@pytest.mark.parametrize(
    ("guard", "said"),
    [
        ("{kind: secrets}", "JM-203"),
        ("{kind: rumours, mode: block}", "JM-203"),
        ("{kind: deny, word: [x], mode: block}", "did you mean words?"),
        ("{kind: deny, mode: block}", "it needs words or patterns"),
        ("{kind: deny, words: [' '], mode: block}", "JM-203"),
        ("{kind: size, mode: block}", "it needs a size"),
        ("{kind: size, most: 10, mode: redact}", "nothing that could be replaced"),
        ("{kind: echo, on: input, mode: block}", "answers alone"),
        ("{kind: secrets, most: 5, mode: block}", "most belongs to others"),
        ("{kind: echo, on: both, mode: escalate}", "answers alone"),
        ("{kind: deny, words: [x], mode: escalate}", "looks at answers alone"),
        ("{kind: http, url: 'http://h/x', on: output, mode: escalate}", "finds something by itself"),
        ("{kind: grounded, threshold: 0.5, mode: block}", "support in passages"),
        ("{kind: secrets, threshold: 0.5, mode: block}", "threshold belongs to others"),
        ("{kind: task, answer: x, mode: block}", "it needs a task"),
        ("{kind: task, task: injection, mode: block}", "an answer that counts"),
        ("{kind: http, url: 'file:///etc/passwd', mode: block}", "it needs an address"),
        ("{kind: http, url: 'http://:80/x', mode: block}", "it needs an address"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, guard: str, said: str) -> None:
    with pytest.raises(TaskError) as caught:
        load(tmp_path, f"  - {{kind: personal, mode: flag}}\n  - {guard}\n")
    assert said in str(caught.value)
    assert "tickets.yaml:8" in str(caught.value)


def test_a_file_of_guards_alone(tmp_path: Path) -> None:
    path = tmp_path / "guards.yaml"
    path.write_text("guards:\n  - {kind: secrets, mode: block}\n", encoding="utf-8")
    assert load_guards(path) == (GuardSpec("secrets", "block"),)
    path.write_text("guards:\n  - {kind: secrets, mode: refuse}\n", encoding="utf-8")
    with pytest.raises(TaskError, match=r"guards.yaml:2"):
        load_guards(path)
