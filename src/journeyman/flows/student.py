"""A student folder: the layout of a release, before or after anybody decided on it. Knows nothing about how it was tuned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from journeyman.models.manifest import MANIFEST, Manifest, load_manifest


@dataclass(frozen=True, slots=True)
class Student:
    """A folder with a manifest; ``hash`` names what answers."""

    folder: Path
    manifest: Manifest

    @property
    def hash(self) -> str:
        return self.manifest.hash

    @property
    def adapter(self) -> str:
        """The adapter's content hash, which is its name in the engine."""
        return self.manifest.files["adapter"]["sha256"]

    @property
    def adapter_path(self) -> Path:
        return self.folder / self.manifest.files["adapter"]["path"]

    @property
    def max_tokens(self) -> int:
        return int(cast(int, self.manifest.decoding["max_tokens"]))


def load_student(folder: Path) -> Student | None:
    """None when the folder is not finished."""
    if not (folder / MANIFEST).is_file():
        return None
    return Student(folder, load_manifest(folder))
