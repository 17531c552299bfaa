"""Values that a person should look at: those that their document does not say, those that its windows differ on, and those that the model is not sure of.

A doubt belongs to the window that said the value, for that is the row which a correction makes right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

from journeyman.core.canonical import Json
from journeyman.knowledge.extract.equal import canonical
from journeyman.knowledge.extract.leaves import Path, field_of
from journeyman.knowledge.extract.merge import Merged, Read
from journeyman.knowledge.extract.place import Placed

DoubtReason = Literal["ungrounded", "conflict", "unsure"]
REASONS: tuple[DoubtReason, ...] = get_args(DoubtReason)
BELOW = 0.8
"""A value that is right with a smaller chance is doubted."""
MOST_OTHERS = 3
_Sign: TypeAlias = tuple[str, int, int, object]


@dataclass(frozen=True, slots=True)
class Said:
    """A value of another window: its number from 0, and the value's place in that window's answer."""

    window: int
    path: Path


@dataclass(frozen=True, slots=True)
class Doubt:
    """The first of the reasons that holds for the value at ``path`` of its window's answer; ``others`` is what other windows say instead."""

    path: Path
    reason: DoubtReason
    confidence: float | None = None
    page: int = 0
    others: tuple[Said, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """Without any value: these stand in the windows' calls alone, and are erased with them."""
        others: list[Json] = [[other.window, list(other.path)] for other in self.others]
        known: dict[str, Json] = {"path": list(self.path), "reason": self.reason, "confidence": self.confidence}
        return known | {"page": self.page, "others": others}

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> Doubt:
        others = cast(list[tuple[int, list[str | int]]], raw["others"])
        return Doubt(
            tuple(cast(list[str | int], raw["path"])),
            cast(DoubtReason, raw["reason"]),
            cast(float | None, raw["confidence"]),
            cast(int, raw["page"]),
            tuple(Said(window, tuple(path)) for window, path in others),
        )


def find_doubts(reads: Sequence[Read], merged: Merged, below: float = BELOW) -> list[list[Doubt]]:
    """For each window of one document, in the order of its answer."""
    apart = _find_apart(reads, merged)
    return [
        [
            found
            for one in read.placed
            if (found := _doubt(one, apart.get(number, {}).get(one.path, ()), below)) is not None
        ]
        for number, read in enumerate(reads)
    ]


def _doubt(one: Placed, others: tuple[Said, ...], below: float) -> Doubt | None:
    if one.status == "ungrounded":
        reason: DoubtReason = "ungrounded"
    elif others:
        reason = "conflict"
    elif one.confidence is not None and one.confidence < below:
        reason = "unsure"
    else:
        return None
    return Doubt(one.path, reason, one.confidence, one.page, others)


def _find_apart(reads: Sequence[Read], merged: Merged) -> dict[int, dict[Path, tuple[Said, ...]]]:
    """By window and path: which windows say something else of a value that they do not agree on."""
    if not merged.conflicts:
        return {}
    saying: defaultdict[_Sign, list[Said]] = defaultdict(list)
    for number, read in enumerate(reads):
        for one in read.placed:
            saying[_sign(one)].append(Said(number, one.path))
    chosen = {one.path: one for one in merged.placed}
    found: defaultdict[int, dict[Path, tuple[Said, ...]]] = defaultdict(dict)
    for conflict in merged.conflicts:
        sides = [*conflict.others, *([chosen[conflict.path]] if conflict.path in chosen else [])]
        signs = list(dict.fromkeys(map(_sign, sides)))
        for sign in signs:
            others = [said for other in signs if other[-1] != sign[-1] for said in saying[other]]
            for said in saying[sign]:
                found[said.window][said.path] = tuple(others[:MOST_OTHERS])
    return found


def _sign(one: Placed) -> _Sign:
    """What a value keeps when windows are merged."""
    return field_of(one.path), one.start, one.end, canonical(one.value)
