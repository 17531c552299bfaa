"""Shares: how large the splits are and what counts as a near copy, each with the origin of its value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.core.example import Split
from journeyman.core.settings import TABLE, Project, Setting

SECTION = "prepare"


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of rows (0 to 1); ``train`` takes the rest. ``near_copy_jaccard`` is a similarity (0 to 1)."""

    dev: Setting
    calibration: Setting
    test: Setting
    near_copy_jaccard: Setting

    @property
    def jaccard(self) -> float:
        return cast(float, self.near_copy_jaccard.value)

    def share(self, split: Split) -> float:
        if split == "train":
            return 1.0 - self.share("dev") - self.share("calibration") - self.share("test")
        setting = {"dev": self.dev, "calibration": self.calibration, "test": self.test}[split]
        return cast(float, setting.value)

    def to_json(self) -> dict[str, Json]:
        return {
            "dev_share": self.dev.to_json(),
            "calibration_share": self.calibration.to_json(),
            "test_share": self.test.to_json(),
            "near_copy_jaccard": self.near_copy_jaccard.to_json(),
        }


def make_shares(**values: float) -> Shares:
    """The defaults, with ``dev``, ``calibration``, ``test`` or ``near_copy_jaccard`` set by a flag."""
    keys = {"dev": "dev_share", "calibration": "calibration_share", "test": "test_share"}
    defaults = {
        name: Setting(TABLE[(SECTION, keys.get(name, name))][0], "default") for name in (*keys, "near_copy_jaccard")
    }
    return check_shares(replace(Shares(**defaults), **{name: Setting(value, "flag") for name, value in values.items()}))


def read_shares(project: Project) -> Shares:
    """The project's settings.

    Raises:
        DataError: JM-307, shares that leave nothing to train on, or a similarity that is none.
    """
    return check_shares(
        Shares(
            dev=project.get(SECTION, "dev_share"),
            calibration=project.get(SECTION, "calibration_share"),
            test=project.get(SECTION, "test_share"),
            near_copy_jaccard=project.get(SECTION, "near_copy_jaccard"),
        )
    )


def check_shares(shares: Shares) -> Shares:
    """Raises: DataError: JM-307."""
    splits: tuple[Split, ...] = ("dev", "calibration", "test")
    for split in splits:
        if not 0 <= shares.share(split) < 1:
            raise _wrong(f"prepare.{split}_share", "a share of at least 0 and below 1", shares.share(split))
    if shares.share("train") <= 1e-9:
        total = sum(shares.share(split) for split in splits)
        raise _wrong(
            "prepare.dev_share + calibration_share + test_share", "less than 1, for train takes the rest", total
        )
    if not 0 < shares.jaccard <= 1:
        raise _wrong("prepare.near_copy_jaccard", "a similarity above 0 and up to 1", shares.jaccard)
    return shares


def _wrong(where: str, expected: str, got: float) -> DataError:
    return DataError(
        "JM-307",
        "this setting cannot be used",
        where=where,
        expected=expected,
        got=f"{got:g}",
        hint="change it in journeyman.toml",
    )
