"""`journeyman import` at the command line."""

import json
from pathlib import Path

import pytest

from journeyman.cli.main import run

TASK = """edition: 1
name: notes
instruction: Sort the note.
input: {text: string}
output: {label: {enum: [a, b]}}
"""


@pytest.mark.parametrize(
    ("more", "is_kept"), [((), False), (("--split", "train"), True), (("--split", "train", "--private"), False)]
)
def test_rows_that_are_assigned_keep_their_text_unless_they_are_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], is_kept: bool
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/notes.yaml").write_text(TASK)
    (tmp_path / "journeyman.toml").touch()
    row = {"input": {"text": "write to jane.roe@mail.com"}, "gold": {"label": "a"}}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    monkeypatch.chdir(tmp_path)
    assert run(["import", "rows.jsonl", "--task", "notes", "--json", *more]) == 0
    kept = b"".join(path.read_bytes() for path in (tmp_path / ".journeyman").glob("journeyman.db*"))
    assert (b"jane.roe@mail.com" in kept) is is_kept
    assert b"write to " in kept
