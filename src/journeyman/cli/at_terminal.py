"""Who sits at the terminal, and whether anybody does."""

from __future__ import annotations

import getpass
import os
import sys

from journeyman.core.errors import DataError
from journeyman.core.settings import environment

LONGEST_NAME = 80


def check_terminal(task: str) -> None:
    """Raises: DataError: JM-370, nobody sits at a terminal."""
    is_dumb = environment("TERM") == "dumb"
    if sys.stdin.isatty() and sys.stdout.isatty() and not is_dumb and os.name == "posix":
        return
    raise DataError(
        "JM-370",
        "labelling key by key needs a terminal",
        where=f"task {task}",
        expected="a terminal for input and output that moves its cursor",
        got="TERM=dumb" if is_dumb else "a pipe or a file" if os.name == "posix" else "Windows",
        hint=f"`journeyman label {task} --draw 50 --out labels.csv`, fill it in, then `journeyman label {task} --read labels.csv --by NAME`; or for train rows `journeyman prepare {task} --quality --doubts FILE`",
    )


def find_person(by: str) -> str:
    """Who labels: the name given, else the login name. Raises: DataError: JM-371, no name that can be kept."""
    name = by.strip()
    if not name:
        try:
            name = getpass.getuser()
        except (KeyError, OSError):
            name = ""
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise DataError(
            "JM-371",
            "who labels has no name that can be kept",
            where="--by",
            expected=f"a name of 1 to {LONGEST_NAME} characters that can be printed",
            got=f"{name[:LONGEST_NAME]!r}",
            hint="give one: --by ada",
        )
    return name
