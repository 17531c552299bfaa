"""`init` and `new`: a project folder and a task file to edit."""

from __future__ import annotations

import re
from pathlib import Path

from journeyman.core.errors import SettingsError, TaskError
from journeyman.core.files import write_atomic
from journeyman.core.settings import FILE_NAME, TABLE
from journeyman.task.file import load_task

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
GITIGNORE = "*\n"
TASK = """\
edition: 1
name: {name}
instruction: >-
  Sort a customer's message: what they want, and whether it is urgent.
input:
  message: string
output:
  intent: {{enum: [refund, card_lost, other]}}
  urgent: boolean
gate:
  metric: exact_match
  against: teacher
  margin: 0.05
"""


def create_project(root: Path) -> list[Path]:
    """Write ``journeyman.toml`` and ``tasks/``; what exists is left as it is.

    Returns:
        The files that were made.

    Raises:
        StoreError: JM-801, JM-802 from the disk.
        SettingsError: JM-105 the path is a file.
    """
    if root.exists() and not root.is_dir():
        raise SettingsError("JM-105", "this is a file, not a folder", where=str(root), hint="choose another folder")
    made = []
    for path, text in (
        (root / FILE_NAME, _settings_text()),
        (root / ".journeyman" / ".gitignore", GITIGNORE),
        (root / "tasks" / ".gitkeep", ""),
    ):
        if not path.exists():
            write_atomic(path, text)
            made.append(path)
    return made


def create_task(folder: Path, name: str) -> Path:
    """Write ``tasks/NAME.yaml`` with an example to edit.

    Raises:
        TaskError: JM-261 a bad name, JM-262 the file exists.
    """
    path = new_task_path(folder, name)
    write_atomic(path, TASK.format(name=name))
    load_task(path)
    return path


def new_task_path(folder: Path, name: str) -> Path:
    """Where a task of this name would be written.

    Raises:
        TaskError: JM-261 a bad name, JM-262 the file exists.
    """
    if not NAME.fullmatch(name):
        raise TaskError(
            "JM-261",
            "this is not a task name",
            expected="a lower-case letter, then letters, digits, - or _, at most 63 characters",
            got=name,
            hint="journeyman new tickets",
        )
    path = folder / f"{name}.yaml"
    if path.exists():
        raise TaskError("JM-262", f"the task {name} exists", where=str(path), hint="edit that file")
    return path


def _settings_text() -> str:
    """Every setting with its default, commented out, so that the file documents itself."""
    lines, section = ["# Journeyman project. Every line shows a default; remove the # to change it."], ""
    for (part, key), (default, what) in TABLE.items():
        if part != section:
            lines += ["", f"[{part}]"]
            section = part
        shown = f'"{default}"' if isinstance(default, str) else "" if default is None else str(default)
        lines.append(f"# {key} = {shown}".rstrip() + f"  # {what}")
    return "\n".join(lines) + "\n"
