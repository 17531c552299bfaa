"""Project settings: ``journeyman.toml`` over defaults, with the origin of every value; environment variables are read here only."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from journeyman.core.canonical import Json
from journeyman.core.errors import SettingsError
from journeyman.core.places import unknown_setting, wrong_value
from journeyman.core.providers import ANTHROPIC, DEFAULT, KEY_NAMES, URLS, Price, Provider, read_prices, read_providers

Origin = Literal["default", "file", "flag", "environment", "derived"]
FILE_NAME = "journeyman.toml"

# One line per setting: (section, key) -> (default, what it is). The docs page is generated from this table.
TABLE: dict[tuple[str, str], tuple[Json, str]] = {
    ("teacher", "model"): ("", "model name that the teacher's provider knows"),
    ("teacher", "url"): ("https://api.openai.com/v1", "base URL of any OpenAI-shaped API"),
    ("teacher", "api_key_env"): ("OPENAI_API_KEY", "environment variable that holds the teacher's key"),
    ("teacher", "input_usd_per_million"): (None, "price of a million input tokens, for the cost figures"),
    ("teacher", "output_usd_per_million"): (None, "price of a million output tokens, for the cost figures"),
    ("assess", "safety_prompts"): (
        16,
        "harmful requests, and as many harmless ones, that base and student are asked in `assess`; at most 60, 0: none",
    ),
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
    ("knowledge", "file_mb"): (200, "megabytes of a file above which `knowledge add` does not read it"),
    ("knowledge", "read_s"): (60.0, "seconds that reading one file may take; two more for each megabyte"),
    ("knowledge", "read_mb"): (2048, "megabytes of memory that reading one file may take"),
    ("knowledge", "ocr"): (
        "auto",
        "auto: PDF pages without text are read with RapidOCR where it is installed; off: never",
    ),
    ("knowledge", "passwords_env"): (
        "KNOWLEDGE_PASSWORDS",
        "environment variable that holds passwords of PDFs, one a line",
    ),
    ("knowledge", "vectors"): (
        "exact",
        "how near vectors are found in large knowledge. exact: all are compared; usearch: by a graph in a file beside the index; pgvector: by a table in PostgreSQL",
    ),
    ("knowledge", "approximate_from"): (
        300_000,
        "chunks from which usearch or pgvector are used; fewer are all compared",
    ),
    ("knowledge", "postgres_url"): ("", "SQLAlchemy URL of the PostgreSQL that pgvector is in; empty: store.url"),
    ("serve", "calls_per_day"): (None, "calls a day, for the break-even; default: from the recorded calls' times"),
    ("serve", "copies"): (
        1,
        "workers for the same weights, which share out their adapters and the cores: several busy tasks are answered faster, a lone call slower",
    ),
    ("serve", "drain_s"): (
        0.0,
        "seconds after SIGTERM in which calls are still taken while /readyz says 503: as long as your balancer needs to notice",
    ),
    ("serve", "finish_s"): (10.0, "seconds that calls under way then have to end"),
    ("serve", "guards"): (
        "",
        "file of guards for calls to models that are no task's, from the project's folder; `guards:` in it as in a task file",
    ),
    ("serve", "host"): ("127.0.0.1", "address that the server listens on"),
    ("serve", "log"): ("off", "off, json or text: a line for each call, without its content, on stderr"),
    ("serve", "machine_usd_per_hour"): (None, "price of an hour of this machine, for the cost figures"),
    ("serve", "memory_mb"): (
        None,
        "megabytes that the workers of all local models may hold together; default: half of this machine's memory",
    ),
    ("serve", "otlp"): (
        "",
        "address of an OpenTelemetry collector, such as http://127.0.0.1:4318; empty: as OTEL_EXPORTER_OTLP_ENDPOINT says, else none",
    ),
    ("serve", "queue"): (
        64,
        "calls that may be under way or wait at one worker; more are refused, or go to the teacher",
    ),
    ("serve", "silence_s"): (
        600.0,
        "seconds that a provider may say nothing before a call that is passed on to it is given up; 0: as long as it likes",
    ),
    ("serve", "setup_usd"): (None, "what making a student cost besides the machine's time, for the break-even"),
    ("serve", "port"): (8765, "port that the server listens on"),
    ("serve", "sleep_after_s"): (300.0, "seconds without a call after which a worker gives its weights back; 0: never"),
    ("serve", "start"): (
        "ready",
        "ready: the workers of live releases start before the server does; call: at their first call",
    ),
    ("serve", "slots"): (1, "calls that each student answers at once; each takes the memory of its context"),
    ("serve", "stop_after_s"): (3600.0, "seconds without a call after which a worker ends; 0: never"),
    ("serve", "wait_s"): (30.0, "seconds that a call waits for a worker where no teacher would answer it"),
}
CHOICES: dict[tuple[str, str], tuple[str, ...]] = {
    ("store", "durability"): ("wal", "full"),
    ("knowledge", "ocr"): ("auto", "off"),
    ("knowledge", "vectors"): ("exact", "usearch", "pgvector"),
    ("serve", "log"): ("off", "json", "text"),
    ("serve", "start"): ("ready", "call"),
}
SECTIONS = frozenset(section for section, _ in TABLE)
KNOWN = tuple(f"{section}.{key}" for section, key in TABLE)


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
    providers: Mapping[str, Provider] = field(default_factory=dict)
    """Those that have a section of their own."""
    prices: Mapping[str, Price] = field(default_factory=dict)
    """Of models of the teacher's provider, by pattern."""

    def get(self, section: str, key: str) -> Setting:
        return self.settings[(section, key)]

    def text(self, section: str, key: str) -> str:
        value = self.get(section, key).value
        return "" if value is None else str(value)

    def number(self, section: str, key: str) -> float | None:
        value = self.get(section, key).value
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            raise wrong_value(self.root / FILE_NAME, f"{section}.{key}", "a number", value)
        return value

    def find_provider(self, name: str) -> tuple[Provider, str]:
        """Whose model that is, and what it is called there: ``other/gpt-5`` is the model gpt-5 of ``[providers.other]``, ``anthropic/...`` one of Anthropic
        unless ``teacher.url`` says who else answers; every other name is the teacher's provider's."""
        prefix, slash, rest = name.partition("/")
        if slash and rest and prefix in self.providers:
            return self.providers[prefix], rest
        url, key_name = self.get("teacher", "url"), self.get("teacher", "api_key_env")
        to_read, to_write = (self.number("teacher", f"{side}_usd_per_million") for side in ("input", "output"))
        price = None if to_read is None or to_write is None else (to_read, to_write)
        if prefix != ANTHROPIC or not rest or url.origin != "default":
            found = Provider(DEFAULT, str(url.value), str(key_name.value), price=price, prices=self.prices)
            return found, name.removeprefix("openai/")
        if not self.text("teacher", "model").startswith(f"{ANTHROPIC}/"):
            return Provider(ANTHROPIC, URLS[ANTHROPIC], KEY_NAMES[ANTHROPIC], ANTHROPIC), rest
        own = KEY_NAMES[ANTHROPIC] if key_name.origin == "default" else str(key_name.value)
        return Provider(ANTHROPIC, URLS[ANTHROPIC], own, ANTHROPIC, price=price, prices=self.prices), rest

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
    providers = read_providers(path, raw.pop("providers", {}))
    teacher = raw.get("teacher")
    prices = read_prices(path, "teacher.models", teacher.pop("models", {})) if isinstance(teacher, dict) else {}
    for section, values in raw.items():
        if not isinstance(values, dict) or section not in SECTIONS:
            raise unknown_setting(path, section, KNOWN)
        for key, value in values.items():
            if (section, key) not in TABLE:
                raise unknown_setting(path, f"{section}.{key}", KNOWN)
            settings[(section, key)] = Setting(_checked(path, section, key, value), "file")
    return Project(root=root, settings=settings, providers=providers, prices=prices)


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
            raise wrong_value(path, name, "text", value)
        choices = CHOICES.get((section, key), (value,))
        if value not in choices:
            raise wrong_value(path, name, " | ".join(choices), value)
    elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise wrong_value(path, name, "a number", value)
    elif isinstance(default, int) and not isinstance(value, int):
        raise wrong_value(path, name, "a whole number", value)
    return value
