"""What a tuning run works on: the task, its base, and the splits that tuning may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from journeyman.core.canonical import Json
from journeyman.core.example import Example
from journeyman.data.dataset import check_current, read_manifest, read_split, read_unlabelled
from journeyman.flows.earlier import find_aims
from journeyman.flows.weighting import Weighting, weigh_rows
from journeyman.flows.workspace import Workspace
from journeyman.models.catalog import ResolvedModel, Use, find_entry, resolve, resolve_entry
from journeyman.models.embedder import DEFAULT
from journeyman.task.task import Task

NO_BASE = ResolvedModel("", Path(), "", "")
"""Of a student that needs no model."""


@dataclass(frozen=True, slots=True)
class Material:
    """``splits``: train, dev, calibration, and ``unlabelled``, the rows that have no answer. ``weighting``: which train rows weigh more, and why."""

    task: Task
    dataset: str
    base: ResolvedModel
    splits: Mapping[str, Sequence[Example]]
    weighting: Weighting | None = None

    @property
    def learnable(self) -> list[Example]:
        """Train rows, and rows without an answer to learn: what was rejected there can still be unlearned."""
        return [*self.splits["train"], *self.splits["unlabelled"]]

    def key(self) -> dict[str, Json]:
        """What a run is found by: rows that weigh otherwise make another student."""
        key: dict[str, Json] = {"task": self.task.answering(), "dataset": self.dataset, "base": self.base.sha256}
        return key | ({"weighting": self.weighting.key()} if self.weighting else {})

    def to_json(self) -> dict[str, Json]:
        train = self.splits["train"]
        said: dict[str, Json] = {
            "dataset": self.dataset,
            "base": {"name": self.base.name, "sha256": self.base.sha256},
            "rows": {name: len(rows) for name, rows in self.splits.items()},
            "restricted": sum(row.terms == "restricted" for row in train),
        }
        return said | ({"weighting": self.weighting.to_json()} if self.weighting else {})


def load_material(
    workspace: Workspace,
    task_name: str,
    base: str = "",
    dataset: str = "",
    use: Use | Literal["none"] = "language",
    is_current: bool = True,
) -> Material:
    """``is_current``: the dataset must have been prepared for the task's output as it is now.

    Raises: DataError: JM-352 nothing prepared, JM-354 it was for another output. ModelError: JM-401 base not pulled, JM-435 a model for
    another use."""
    task = workspace.task(task_name)
    chosen, manifest = read_manifest(workspace.store, task_name, dataset)
    if is_current:
        check_current(manifest, task.name, task.schema)
    splits: dict[str, Sequence[Example]] = {
        "train": read_split(workspace.store, manifest, "train", purpose="tune"),
        "dev": read_split(workspace.store, manifest, "dev", purpose="tune"),
        "calibration": read_split(workspace.store, manifest, "calibration"),
        "unlabelled": read_unlabelled(workspace.store, manifest),
    }
    if use == "none":
        return Material(task, chosen, NO_BASE, splits)
    if use == "embedding":
        return Material(task, chosen, resolve_entry(find_entry(base or DEFAULT, use=use)), splits)
    model = resolve(base or workspace.project.text("base", "model"), progress=workspace.progress)
    return Material(task, chosen, model, splits)


def weigh_weak(workspace: Workspace, material: Material, factor: float) -> Material:
    """With a ``factor`` on the train rows of weak spots; as it is where that is 0.

    Raises:
        DataError: JM-363, JM-385 no weak spot is known, JM-386 the factor, JM-387 no rows to weigh more.
    """
    if not factor:
        return material
    aimed = find_aims(workspace, material.task)
    rows, weighting = weigh_rows(material.splits["train"], aimed, factor)
    workspace.progress.note(f"weight {weighting.factor:.3g} on {weighting.reason}")
    return replace(material, splits={**material.splits, "train": rows}, weighting=weighting)
