"""Another instruction in a task file, every other byte as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journeyman.core.errors import GateError
from journeyman.task.file import load_task
from journeyman.task.rewrite import write_instruction

REST = "input:\n  line: string   # as it came\n\noutput: text\n"
STYLES = {
    "plain": "instruction: Name the colour.\n",
    "a comment behind it": "instruction: Name the colour.  # short\n",
    "quoted": 'instruction: "Name: the colour."\n',
    "folded": "instruction: >-\n  Name the colour\n  of it.\n",
    "a block with empty lines after it": "instruction: |\n  Name the colour\n\n  of it.\n\n\n# the fields\n",
    "over several lines": "instruction: Name\n  the colour\n  of it.\n",
}


def write(folder: Path, text: str) -> Path:
    path = folder / "paint.yaml"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "instruction", ["One line: with # marks.", "Two\nlines\n\n  indented", " begins with a space", "'"]
)
def test_every_other_byte_stays(tmp_path: Path, style: str, instruction: str) -> None:
    before = "edition: 1   # first\nname: paint\n"
    path = write(tmp_path, before + STYLES[style] + REST)
    old = load_task(path)
    task = write_instruction(path, instruction)
    assert task.instruction == instruction
    assert load_task(path) == task
    assert (task.input, task.schema, task.gate) == (old.input, old.schema, old.gate)
    text = path.read_bytes().decode()
    assert text.startswith(before)
    assert text.endswith(REST)
    for comment in ("# short", "# the fields"):
        assert (comment in text) == (comment in STYLES[style])


def test_at_the_end_of_the_file_and_in_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, f"edition: 1\nname: paint\n{REST}instruction: |-\n  Old.")
    assert write_instruction(path, "New.\nTwice.").instruction == "New.\nTwice."
    flow = "{edition: 1, name: paint, instruction: Old., input: {line: string}, output: text}\n"
    path = write(tmp_path, flow)
    assert write_instruction(path, "New: and\nmore").instruction == "New: and\nmore"
    assert path.read_text() == flow.replace("Old.", '"New: and\\nmore"')


def test_line_ends_of_another_system_stay(tmp_path: Path) -> None:
    path = write(tmp_path, f"edition: 1\nname: paint\ninstruction: Old.\n{REST}".replace("\n", "\r\n"))
    assert write_instruction(path, "New.").instruction == "New."
    assert path.read_bytes().endswith(REST.replace("\n", "\r\n").encode())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1).filter(str.strip))
def test_any_text_comes_back_or_is_refused(tmp_path: Path, instruction: str) -> None:
    text = f"edition: 1\nname: paint\ninstruction: Old.\n{REST}"
    path = write(tmp_path, text)
    refused = ""
    try:
        write_instruction(path, instruction)
    except GateError as error:
        refused = error.code
    assert refused in ("", "JM-660")
    assert load_task(path).instruction == ("Old." if refused else instruction.strip("\n"))
    assert not refused or path.read_bytes() == text.encode(), "what is refused changes nothing"
