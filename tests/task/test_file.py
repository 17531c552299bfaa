"""Task files: what is read, and every refusal with file, line and the next step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journeyman.core.errors import TaskError
from journeyman.task.file import load_task, load_tasks, task_file_schema, task_from_mapping, write_task
from journeyman.task.task import Gate, Task

HEAD = "edition: 1\nname: t\ninstruction: Sort it.\ninput:\n  message: string\n"
FULL = """\
edition: 1
name: t
instruction: |
  Sort a customer's message.
  Be exact.
input: {message: string, rank: integer}
output:
  intent: {enum: [yes, no, 2024-01-01, "3", null]}
  slots:
    city?: string?
    tags: [string]
prompt: |
  Message: {message}
  Rank {{1}}: {rank}
gate: {metric: valid, against: floor, floor: 0.9}
verbatim: [rank, slots]
redact_also: [DOMAIN]
teacher: openai/gpt-5
max_output_tokens: 99
"""


def write(folder: Path, text: str | bytes, name: str = "t.yaml") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_full_file(tmp_path: Path) -> None:
    task = load_task(write(tmp_path, FULL))
    assert task.instruction == "Sort a customer's message.\nBe exact."
    assert task.prompt == "Message: {message}\nRank {{1}}: {rank}"
    assert task.schema is not None
    properties: Any = task.schema["properties"]
    assert properties["intent"] == {"enum": ["yes", "no", "2024-01-01", "3", None]}
    assert properties["slots"]["required"] == ["tags"]
    assert task.gate == Gate("valid", "floor", None, 0.9)
    assert (task.verbatim, task.redact_also) == (("rank", "slots"), ("DOMAIN",))
    assert (task.teacher, task.max_output_tokens, task.redact) == ("openai/gpt-5", 99, True)
    assert Task.from_json(task.to_json()).to_json() == task.to_json()


def test_the_smallest_file_has_the_defaults(tmp_path: Path) -> None:
    task = load_task(write(tmp_path, HEAD + "output: text\n"))
    assert (task.schema, task.gate, task.prompt, task.notices) == (None, Gate(), "", ())


def test_notices_travel_with_the_task(tmp_path: Path) -> None:
    text = HEAD + "output: {type: object, properties: {a: {type: string}}}\n"
    assert "is open" in load_task(write(tmp_path, text)).notices[0]


REFUSED = [
    (HEAD + "ouput: text\n", "JM-202", 6, "did you mean output?"),
    (HEAD + "output: text\ngate:\n  against: floor\n  flor: 0.9\n", "JM-202", 9, "did you mean floor?"),
    (HEAD, "JM-203", 1, "the key output is missing"),
    (HEAD.replace("Sort it.", "''") + "output: text\n", "JM-203", 3, "the value of instruction is wrong"),
    (HEAD + "output: text\nredact: yes\n", "JM-203", 7, "a valid boolean"),
    (HEAD + "output: text\ngate: {margin: 5}\n", "JM-203", 7, "less than 1"),
    (HEAD.replace("message:", "my message:") + "output: text\n", "JM-203", 5, "input.my message"),
    ("- a\n", "JM-203", 1, "a task file is a mapping"),
    (HEAD.replace("edition: 1", "edition: 2"), "JM-204", 1, "later edition"),
    (HEAD.replace("name: t", "name: u") + "output: text\n", "JM-205", 2, "write name: t"),
    (
        HEAD + "output: text\ngate:\n  against: teacher\n  floor: 0.9\n",
        "JM-206",
        9,
        "a floor belongs to against: floor",
    ),
    (HEAD + "output: text\ngate: {against: floor}\n", "JM-206", 7, "needs a floor"),
    (HEAD + "output: text\ngate: {against: floor, floor: 0.9, margin: 0.1}\n", "JM-206", 7, "exclude each other"),
    (HEAD + "output: text\ngate: {metric: valid}\n", "JM-206", 7, "free text is always valid"),
    (
        HEAD + "output: {a: string}\ngate: {metric: valid, against: agreement}\n",
        "JM-206",
        7,
        "agreement compares answers",
    ),
    (HEAD + "output: text\nredact: false\nverbatim: [message]\n", "JM-206", 8, "every field is verbatim"),
    (HEAD + "output: text\nredact: false\nredact_also: [DOMAIN]\n", "JM-206", 8, "nothing more is redacted"),
    (HEAD + "output: text\nredact_also: [PHONE]\n", "JM-203", 7, "DOMAIN"),
    (HEAD + "output: text\nprompt: 'Say {mesage}'\n", "JM-207", 7, "'{mesage}', which is no input field"),
    (HEAD + "output: text\nprompt: 'Say'\n", "JM-207", 7, "leaves out {message}"),
    (HEAD.replace("string", "string?") + "output: text\n", "JM-208", 5, "can be text and something else"),
    (HEAD + "output: {a: string}\nverbatim:\n- mesage\n", "JM-209", 8, "did you mean message?"),
    (HEAD + "output:\n  a: string\n  b:\n    c: [strin]\n", "JM-210", 9, "unknown type at #/b/c/0"),
    (HEAD.replace("string", "strang") + "output: text\n", "JM-210", 5, "unknown type"),
    (HEAD + "output:\n  a: string\n  b:\n  - type: array\n    not: {}\n", "JM-211", 9, "not at #/properties/b/items"),
    (HEAD + "output:\n  a?:\n    type: string\n    pattern: (?=a)\n", "JM-215", 7, "pattern at #/properties/a"),
    ("edition: 1\nname: t\nname: t\n", "JM-201", 3, "the key 'name' a second time"),
    ("edition: 1\na: &x 1\nb: *x\n", "JM-201", 2, "an anchor or alias"),
    ("edition: 1\na: !!python/object:os.system x\n", "JM-201", 2, "the tag tag:yaml.org,2002:python/object:os.system"),
    ("edition: 1\n---\nedition: 1\n", "JM-201", 2, "a second document"),
    ("edition: 1\n a: b\n", "JM-201", 2, "mapping values are not allowed"),
    ("edition: 1\na: 'b\n", "JM-201", 3, "found unexpected end of stream"),
    ("a: " + "[" * 5000, "JM-201", 1, "more than 64 levels"),
    ("? [a]\n: b\n", "JM-201", 1, "a key that is not text"),
]


@pytest.mark.parametrize(("text", "code", "line", "message"), REFUSED)
def test_refusals_name_file_and_line(tmp_path: Path, text: str, code: str, line: int, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(TaskError) as caught:
        load_task(path)
    assert caught.value.code == code
    assert caught.value.where.startswith(f"{path}:{line}")
    assert not caught.value.where.removeprefix(f"{path}:{line}")[:1].isdecimal()
    assert message in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"# only a comment\n", "is empty"),
        (b"name: \xff", "is not UTF-8"),
        (b"a: b\n" * 250_000, "is too large"),
    ],
)
def test_unreadable_files(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(TaskError, match=f"JM-200 .*t.yaml: the task file {message}"):
        load_task(write(tmp_path, data))


def test_control_characters_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"(?s)JM-201 .*special characters are not allowed"):
        load_task(write(tmp_path, b"a: \x00"))
    with pytest.raises(TaskError, match=r"JM-200 .*cannot be read\n.*\n  got: No such file"):
        load_task(tmp_path / "none.yaml")
    with pytest.raises(TaskError, match="JM-200"):
        load_task(tmp_path)


def test_a_folder_of_tasks(tmp_path: Path) -> None:
    assert load_tasks(tmp_path / "absent") == {}
    write(tmp_path, HEAD + "output: text\n")
    write(tmp_path, HEAD.replace("name: t", "name: a") + "output: text\n", "a.yml")
    assert list(load_tasks(tmp_path)) == ["a", "t"]
    write(tmp_path, HEAD + "output: text\n", "t.yml")
    with pytest.raises(TaskError, match=r"JM-205 .*two files describe one task"):
        load_tasks(tmp_path)


def test_a_mapping_has_a_place_without_lines() -> None:
    raw = {"edition": 1, "name": "t", "instruction": "x", "input": {"m": "string"}, "output": "text"}
    assert task_from_mapping(raw, "triage()").name == "t"
    with pytest.raises(TaskError, match=r"JM-202 triage\(\): unknown key colour"):
        task_from_mapping({**raw, "colour": 1}, "triage()")


def test_the_schema_for_editors_agrees_with_the_loader(tmp_path: Path) -> None:
    validator = jsonschema_rs.validator_for(task_file_schema())
    assert validator.is_valid(yaml.safe_load(FULL.replace("2024-01-01, ", "")))
    assert validator.is_valid(yaml.safe_load(HEAD + "output: text\n"))
    for text, code, _, _ in REFUSED:
        if code in ("JM-202", "JM-203", "JM-204") and "redact" not in text:
            assert not validator.is_valid(yaml.safe_load(text)), text
    described = task_file_schema()["properties"]
    assert all("description" in value or "$ref" in value for value in described.values())


SIGNS = st.text(st.sampled_from("0123456789eE+-._~ny: #'\"!|>\n\x1b\u2028é"), min_size=1, max_size=8)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        SIGNS | st.sampled_from(["1e3", "08", "0x1F", "1_000", "null", "12:30"]), min_size=1, max_size=4, unique=True
    )
)
def test_texts_that_are_written_stay_texts(tmp_path: Path, values: list[str]) -> None:
    mapping: dict[str, Any] = {
        "edition": 1,
        "name": "t",
        "instruction": f"Sort it {values[0]}",
        "input": {"message": "string"},
        "output": {"type": "string", "enum": values},
        "gate": {"metric": "exact_match", "against": "agreement", "margin": 0.05},
    }
    task = load_task(write(tmp_path, write_task(mapping)))
    assert task.schema is not None
    assert task.schema["enum"] == values
    assert task.instruction == task_from_mapping(mapping, "t").instruction
