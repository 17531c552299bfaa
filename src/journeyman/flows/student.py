"""A student folder: the layout of a release, before or after anybody decided on it. Knows nothing about how it was tuned."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from journeyman.core.canonical import Json, file_hash
from journeyman.core.files import write_atomic
from journeyman.core.lines import Lines
from journeyman.models.catalog import ResolvedModel
from journeyman.models.codes import Codes, Writing
from journeyman.models.manifest import MANIFEST, BaseRef, Manifest, StudentKind, load_manifest
from journeyman.task.task import Task

Form = Literal["json", "codes", "lines"]
"""How a student writes its answers; a text counts as JSON."""
SPARE_TOKENS, LEAST_TOKENS = 1.5, 64


@dataclass(frozen=True, slots=True)
class Sampling:
    """``samples`` at ``temperature`` of the student ``student`` (its hash), which is of the kind ``kind``; ``seed`` begins their seeds."""

    student: str
    kind: StudentKind
    samples: int
    temperature: float
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Student:
    """A folder with a manifest; ``hash`` names what answers."""

    folder: Path
    manifest: Manifest

    @property
    def hash(self) -> str:
        return self.manifest.hash

    @property
    def adapter(self) -> str | None:
        """The adapter's content hash, which is its name in the engine; None for a student that is a whole model."""
        entry = self.manifest.files.get("adapter")
        return entry["sha256"] if entry else None

    @property
    def adapters(self) -> dict[str, Path]:
        """What the engine loads on top of the weights."""
        entry = self.manifest.files.get("adapter")
        return {entry["sha256"]: self.folder / entry["path"]} if entry else {}

    @property
    def own_weights(self) -> Path | None:
        """The GGUF of a student that is a whole model; None: it answers on its base."""
        entry = self.manifest.files.get("model")
        return self.folder / entry["path"] if entry else None

    @property
    def is_light(self) -> bool:
        """Whether it answers without a language model: classifiers, or the nearest example."""
        return self.manifest.kind in ("head", "nearest")

    @property
    def sampling(self) -> Sampling | None:
        """How often it is asked, and what is asked, where its samples vote; None: it is asked once."""
        raw = cast(dict[str, Json] | None, self.manifest.decoding.get("sampling"))
        return Sampling(**raw) if raw else None  # type: ignore[arg-type]

    @property
    def is_prompted(self) -> bool:
        """Whether a base answers with the instruction and examples before the input."""
        return "prompt" in (self.manifest.kind, self.sampling.kind if self.sampling else "")

    @property
    def max_tokens(self) -> int:
        return int(cast(int, self.manifest.decoding["max_tokens"]))

    @property
    def json_tokens(self) -> int:
        """Most tokens of an answer in JSON: what a model that writes JSON is given beside this one."""
        return int(cast(int, self.manifest.decoding.get("json_tokens", self.max_tokens)))

    @property
    def form(self) -> Form:
        return (
            "codes" if "codes" in self.manifest.decoding else "lines" if "lines" in self.manifest.decoding else "json"
        )

    @property
    def writing(self) -> Writing | None:
        """What it writes instead of JSON; None: it writes JSON, or text."""
        codes, lines = self.manifest.decoding.get("codes"), self.manifest.decoding.get("lines")
        if codes:
            return Codes.from_json(cast(list[tuple[str, int, str]], codes))
        if lines and self.manifest.schema is not None:
            return Lines.from_json(cast(list[tuple[str, list[str]]], lines), self.manifest.schema)
        return None


def load_student(folder: Path) -> Student | None:
    """None when the folder is not finished."""
    if not (folder / MANIFEST).is_file():
        return None
    return Student(folder, load_manifest(folder))


def write_manifest(
    folder: Path,
    kind: StudentKind,
    task: Task,
    base: ResolvedModel,
    files: Mapping[str, str],
    decoding: Mapping[str, Json],
    engine: str,
    template: str = "",
) -> Student:
    """Write schema, template and manifest beside ``files`` (role to path in the folder), which are there; the manifest comes last, so a folder with one is
    whole."""
    if template:
        write_atomic(folder / "template.jinja", template)
    if task.schema is not None:
        write_atomic(folder / "schema.json", json.dumps(task.schema, indent=2, ensure_ascii=False) + "\n")
    manifest = Manifest(
        kind=kind,
        base=BaseRef(base.name, base.sha256, base.licence),
        files={role: {"path": path, "sha256": file_hash(folder / path)} for role, path in files.items()},
        template=template,
        task=task.answering(),
        decoding=decoding,
        engine=engine,
    )
    write_atomic(folder / MANIFEST, json.dumps(manifest.to_json(), indent=2, ensure_ascii=False) + "\n")
    return Student(folder, manifest)


def answer_budget(lengths: Iterable[int]) -> int:
    """Most tokens that a student may write: half as much again as the longest answer it knows, at least 64."""
    return max(LEAST_TOKENS, int(SPARE_TOKENS * max(lengths, default=0)) + 8)
