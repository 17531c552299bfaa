"""A release's manifest: what answers, by content. ``releases/<task>/<hash>/manifest.json``.

The hash covers weights, adapter, template, tokenizer, schema and task; evaluation, card and timings are attachments that
refer to it and are not part of it. Knows nothing about where releases are kept or which one is live.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from journeyman.core.canonical import Json, content_hash, file_hash
from journeyman.core.errors import ModelError

StudentKind = Literal["lora", "full", "head", "nearest", "prompt", "votes"]
MANIFEST = "manifest.json"
EDITION = 1


@dataclass(frozen=True, slots=True)
class BaseRef:
    """The base by content: ``sha256`` of the GGUF; ``name`` is its catalog name or path, for people and for `pull`."""

    name: str
    sha256: str
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """``files`` maps a role (``adapter``, ``model``, ``peft``) to {path relative to the folder, sha256}.

    ``template`` is the Jinja source, ``task`` the task's own JSON, ``decoding`` what the server must use
    (``max_tokens``, ``stop``); ``engine`` the engine that parity was shown with.
    """

    kind: StudentKind
    base: BaseRef
    files: Mapping[str, Mapping[str, str]]
    template: str
    task: Mapping[str, Json]
    decoding: Mapping[str, Json]
    engine: str

    @property
    def hash(self) -> str:
        return content_hash(self._content())

    @property
    def task_name(self) -> str:
        return str(self.task["name"])

    @property
    def schema(self) -> Mapping[str, Json] | None:
        return cast(Mapping[str, Json] | None, self.task.get("schema"))

    def _content(self) -> dict[str, Json]:
        return {
            "edition": EDITION,
            "kind": self.kind,
            "base": {"name": self.base.name, "sha256": self.base.sha256, "licence": self.base.licence},
            "files": {role: dict(entry) for role, entry in self.files.items()},
            "template": self.template,
            "task": dict(self.task),
            "decoding": dict(self.decoding),
            "engine": self.engine,
        }

    def to_json(self) -> dict[str, Json]:
        return self._content() | {"hash": self.hash}


def load_manifest(folder: Path, *, verify: bool = True) -> Manifest:
    """Read a release folder; with ``verify`` every named file is hashed.

    Raises:
        ModelError: JM-410 missing or damaged manifest, JM-411 a later edition, JM-412 a file is missing or changed.
    """
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(
            "JM-410", "this release's manifest cannot be read", where=str(path), got=str(error), hint="release it again"
        ) from error
    if raw.get("edition") != EDITION:
        raise ModelError(
            "JM-411",
            "this release was written by another edition",
            where=str(path),
            expected=f"edition {EDITION}",
            got=f"edition {raw.get('edition')}",
            hint="use the version of journeyman that wrote it, or release it again",
        )
    manifest = Manifest(
        kind=raw["kind"],
        base=BaseRef(**raw["base"]),
        files=raw["files"],
        template=raw["template"],
        task=raw["task"],
        decoding=raw["decoding"],
        engine=raw["engine"],
    )
    if raw.get("hash") != manifest.hash:
        raise ModelError(
            "JM-412",
            "this release was changed after it was made",
            where=str(path),
            expected=str(raw.get("hash")),
            got=manifest.hash,
            hint="restore the folder from a copy, or release again",
        )
    if verify:
        for entry in manifest.files.values():
            _verify(folder / entry["path"], entry["sha256"])
    return manifest


def _verify(path: Path, sha256: str) -> None:
    got = file_hash(path) if path.is_file() else "no such file"
    if got != sha256:
        raise ModelError(
            "JM-412",
            "a file of this release is missing or was changed",
            where=str(path),
            expected=sha256,
            got=got,
            hint="restore the folder from a copy, or release again",
        )
