"""Grid files: what is read, and one message with file and line for what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from journeyman.core.errors import GateError
from journeyman.task.grid import load_grid


def write(folder: Path, text: str) -> Path:
    path = folder / "grid.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_left_out_has_one_value(tmp_path: Path) -> None:
    grid = load_grid(write(tmp_path, "edition: 1\n"))
    assert grid.instruction == {"own": None}
    assert (grid.model, grid.shots, grid.temperature) == (("base",), (0,), (0.0,))
    assert (grid.rows, grid.most_calls) == (100, 0)


def test_every_axis(tmp_path: Path) -> None:
    text = (
        'edition: 1\ninstruction:\n  own: null\n  short: "Colour?"\nmodel: [base, teacher, base]\nshots: [0, 4, 4]\n'
        "temperature: [0, 0.7]\nrows: 20\nmost_calls: 40\n"
    )
    grid = load_grid(write(tmp_path, text))
    assert grid.instruction == {"own": None, "short": "Colour?"}
    assert (grid.model, grid.shots, grid.temperature) == (("base", "teacher"), (0, 4), (0.0, 0.7))
    assert (grid.rows, grid.most_calls) == (20, 40)
    assert grid.where("teacher") == f"{tmp_path / 'grid.yaml'}:5"


@pytest.mark.parametrize(
    ("text", "code", "line", "said"),
    [
        ("edition: 1\nmodels: [base]\n", "JM-661", 2, "did you mean model?"),
        ("edition: 1\nwarmth: [0]\n", "JM-661", 2, "remove warmth"),
        ("edition: 2\n", "JM-661", 1, "edition"),
        ("model: [base]\n", "JM-661", 1, "the key edition is missing"),
        ("edition: 1\nshots: 4\n", "JM-661", 2, "list"),
        ("edition: 1\nshots: []\n", "JM-661", 2, "at least 1 item"),
        ("edition: 1\nshots: [0, 99]\n", "JM-661", 2, "less than or equal to 32"),
        ("edition: 1\ntemperature: [-1]\n", "JM-661", 2, "greater than or equal to 0"),
        ("edition: 1\nrows: 1\n", "JM-661", 2, "greater than or equal to 2"),
        ('edition: 1\ninstruction: {own: ""}\n', "JM-661", 2, "pattern"),
        ("- edition\n", "JM-661", 1, "mapping"),
        ("edition: 1\nmodel: [base\n", "JM-660", 3, "plain YAML"),
        ("", "JM-660", 0, "the grid file is empty"),
    ],
)
def test_one_message_with_file_and_line(tmp_path: Path, text: str, code: str, line: int, said: str) -> None:
    with pytest.raises(GateError) as error:
        load_grid(write(tmp_path, text))
    message = str(error.value)
    assert code in message
    assert said in message
    assert f"grid.yaml:{line}" in message if line else "grid.yaml" in message
    assert "task file" not in message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"JM-660 .*grid\.yaml: the grid file cannot be read"):
        load_grid(tmp_path / "grid.yaml")
