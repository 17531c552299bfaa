"""A dataset's splits as rows that a model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from journeyman.core.canonical import Json
from journeyman.core.example import Split
from journeyman.data.dataset import Half, Purpose, read_split
from journeyman.evaluation.gate import find_heaviest
from journeyman.evaluation.run import Row
from journeyman.store.database import Store


@dataclass(frozen=True)
class Rows:
    """All splits; ``fit`` and ``threshold`` are the halves of calibration."""

    sealed: list[Row]
    dev: list[Row]
    fit: list[Row]
    threshold: list[Row]
    train: list[Row]

    @cached_property
    def heaviest(self) -> float:
        """What a group may weigh at most, from rows that neither the gate nor the promise decides on."""
        return find_heaviest([*self.train, *self.dev, *self.fit])


def read_rows(store: Store, manifest: Mapping[str, Json]) -> Rows:
    def read(split: Split, purpose: Purpose = "look", half: Half | None = None) -> list[Row]:
        return [Row.from_example(row) for row in read_split(store, manifest, split, purpose=purpose, half=half)]

    return Rows(
        read("test", "assess"),
        read("dev"),
        read("calibration", half="fit"),
        read("calibration", half="threshold"),
        read("train"),
    )
