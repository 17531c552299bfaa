"""Where a setting stands in ``journeyman.toml``, and the errors that say so."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from journeyman.core.errors import SettingsError

LINE = re.compile(r"\s*(?:\[\s*(?P<header>[\w.-]+)\s*\]|(?P<key>[\w.-]+)\s*=)")


def wrong_value(path: Path, key: str, expected: str, got: object) -> SettingsError:
    return SettingsError(
        "JM-104",
        f"the setting {key} has a value that it cannot have",
        where=find_place(path, key),
        expected=expected,
        got=repr(got),
        hint="correct the value, or remove the line to get the default",
    )


def unknown_setting(path: Path, key: str, known: Sequence[str]) -> SettingsError:
    near = difflib.get_close_matches(key, known, n=1)
    return SettingsError(
        "JM-103",
        f"unknown setting {key}",
        where=find_place(path, key),
        expected=f"one of {', '.join(known)}",
        got=key,
        hint=f"did you mean {near[0]}?" if near else "remove it",
    )


def find_place(path: Path, key: str) -> str:
    """``file:line`` of a section or a dotted key; the file alone where the line cannot be told."""
    section = ""
    for number, text in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if match := LINE.match(text):
            section = match["header"] or section
            name = ".".join(part for part in (section, match["key"]) if part)
            if name == key:
                return f"{path}:{number}"
    return str(path)
