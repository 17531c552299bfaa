"""Project settings: ``journeyman.toml`` over defaults, with the origin of every value; environment variables are read here only."""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from journeyman.core.canonical import Json
from journeyman.core.errors import SettingsError

Origin = Literal["default", "file", "flag", "environment", "derived"]
FILE_NAME = "journeyman.toml"

# One line per setting: (section, key) -> (default, what it is). The docs page is generated from this table.
TABLE: dict[tuple[str, str], tuple[Json, str]] = {
    ("teacher", "model"): ("", "model name that the teacher's provider knows"),
    ("teacher", "url"): ("https://api.openai.com/v1", "base URL of any OpenAI-shaped API"),
    ("teacher", "api_key_env"): ("OPENAI_API_KEY", "environment variable that holds the teacher's key"),
    ("teacher", "input_usd_per_million"): (None, "price of a million input tokens, for the cost figures"),
    ("teacher", "output_usd_per_million"): (None, "price of a million output tokens, for the cost figures"),
    ("judge", "most_calls"): (
        None,
        "calls that one judge behind an API may answer in all; without it only one on this machine is asked",
    ),
    ("budget", "usd_per_day"): (None, "US dollars that the server's calls to the teacher may cost in a day (UTC)"),
    ("base", "model"): (
        "smollm2-135m-instruct",
        "base model: a catalog name, or the path of a GGUF or of a Hugging Face folder",
    ),
    ("store", "url"): ("", "SQLAlchemy URL; empty means SQLite in .journeyman/journeyman.db"),
    ("store", "durability"): ("wal", "wal: survives kill -9; full: also fsync on every commit"),
    ("prepare", "dev_share"): (0.08, "share of groups that choose candidates"),
    ("prepare", "calibration_share"): (0.02, "share of groups kept for thresholds"),
    ("prepare", "test_share"): (0.2, "share of groups that is sealed, when no file was imported with --split test"),
    ("prepare", "near_copy_jaccard"): (0.8, "Jaccard similarity of word shingles above which rows form one group"),
    ("serve", "calls_per_day"): (None, "calls a day, for the break-even; default: from the recorded calls' times"),
    ("serve", "host"): ("127.0.0.1", "address that the server listens on"),
    ("serve", "machine_usd_per_hour"): (None, "price of an hour of this machine, for the cost figures"),
    ("serve", "setup_usd"): (None, "what making a student cost besides the machine's time, for the break-even"),
    ("serve", "port"): (8765, "port that the server listens on"),
}
CHOICES: dict[tuple[str, str], tuple[str, ...]] = {("store", "durability"): ("wal", "full")}
SECTIONS = frozenset(section for section, _ in TABLE)
LINE = re.compile(r"\s*(?:\[\s*(?P<header>[\w.-]+)\s*\]|(?P<key>[\w.-]+)\s*=)")


@dataclass(frozen=True, slots=True)
class Setting:
    value: Json
    origin: Origin
    reason: str = ""

    def to_json(self) -> dict[str, Json]:
        return {"value": self.value, "origin": self.origin} | ({"reason": self.reason} if self.reason else {})


@dataclass(frozen=True, slots=True)
class Project:
    """A project folder and its settings."""

    root: Path
    settings: Mapping[tuple[str, str], Setting]

    def get(self, section: str, key: str) -> Setting:
        return self.settings[(section, key)]

    def text(self, section: str, key: str) -> str:
        value = self.get(section, key).value
        return "" if value is None else str(value)

    def number(self, section: str, key: str) -> float | None:
        value = self.get(section, key).value
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            raise _type_error(self.root / FILE_NAME, f"{section}.{key}", "a number", value)
        return value

    @property
    def state(self) -> Path:
        return self.root / ".journeyman"

    @property
    def tasks(self) -> Path:
        return self.root / "tasks"

    @property
    def blobs(self) -> Path:
        return self.state / "blobs"

    @property
    def runs(self) -> Path:
        return self.state / "runs"

    @property
    def releases(self) -> Path:
        return self.state / "releases"

    @property
    def store_url(self) -> str:
        return self.text("store", "url") or f"sqlite:///{self.state / 'journeyman.db'}"


def open_project(start: Path | None = None) -> Project:
    """Find ``journeyman.toml`` in ``start`` or a folder above it and read it.

    Raises:
        SettingsError: JM-101 no project here, JM-102 broken TOML, JM-103 unknown key, JM-104 wrong type.
    """
    folder = (start or Path.cwd()).resolve()
    for root in (folder, *folder.parents):
        if (root / FILE_NAME).is_file():
            return load_project(root)
    raise SettingsError(
        "JM-101",
        "there is no Journeyman project here",
        where=str(folder),
        expected=f"a {FILE_NAME} in this folder or one above it",
        hint="run `journeyman init`",
    )


def load_project(root: Path) -> Project:
    path = root / FILE_NAME
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            "JM-102",
            "this file is not valid TOML",
            where=str(path),
            got=str(error),
            hint="correct that line; text stands in quotes",
        ) from error
    settings = {key: Setting(default, "default") for key, (default, _) in TABLE.items()}
    for section, values in raw.items():
        if not isinstance(values, dict) or section not in SECTIONS:
            raise _unknown(path, section)
        for key, value in values.items():
            if (section, key) not in TABLE:
                raise _unknown(path, f"{section}.{key}")
            settings[(section, key)] = Setting(_checked(path, section, key, value), "file")
    return Project(root=root, settings=settings)


def environment(name: str) -> str:
    """One environment variable; empty when unset."""
    return os.environ.get(name, "")


def cache_folder() -> Path:
    """Where pulled models live: ``JOURNEYMAN_CACHE``, else the user's cache folder."""
    if chosen := environment("JOURNEYMAN_CACHE"):
        return Path(chosen)
    base = environment("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "journeyman"


def _checked(path: Path, section: str, key: str, value: Json) -> Json:
    default = TABLE[(section, key)][0]
    name = f"{section}.{key}"
    if isinstance(default, str):
        if not isinstance(value, str):
            raise _type_error(path, name, "text", value)
        choices = CHOICES.get((section, key), (value,))
        if value not in choices:
            raise _type_error(path, name, " | ".join(choices), value)
    elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _type_error(path, name, "a number", value)
    elif isinstance(default, int) and not isinstance(value, int):
        raise _type_error(path, name, "a whole number", value)
    return value


def _type_error(path: Path, key: str, expected: str, got: object) -> SettingsError:
    return SettingsError(
        "JM-104",
        f"the setting {key} has a value that it cannot have",
        where=_place(path, key),
        expected=expected,
        got=repr(got),
        hint="correct the value, or remove the line to get the default",
    )


def _unknown(path: Path, key: str) -> SettingsError:
    known = [f"{section}.{name}" for section, name in TABLE]
    near = difflib.get_close_matches(key, known, n=1)
    return SettingsError(
        "JM-103",
        f"unknown setting {key}",
        where=_place(path, key),
        expected=f"one of {', '.join(known)}",
        got=key,
        hint=f"did you mean {near[0]}?" if near else "remove it",
    )


def _place(path: Path, key: str) -> str:
    """``file:line`` of a section or a dotted key; the file alone where the line cannot be told."""
    section = ""
    for number, text in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if match := LINE.match(text):
            section = match["header"] or section
            name = ".".join(part for part in (section, match["key"]) if part)
            if name == key:
                return f"{path}:{number}"
    return str(path)
