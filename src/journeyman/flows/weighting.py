"""`tune --weak`: train rows that have a part in which the student assessed before erred weigh more. What reaches a loss is the rows' own weight, as anywhere.

The most frequent spots come first, and one is taken only while all rows with a taken part have half of the weight at the most after it was raised; where that leaves none out of
many, the first that is smaller than the rest of the rows is raised as far as half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.core.example import Example
from journeyman.evaluation.weak import WeakSpot
from journeyman.flows.earlier import Aimed
from journeyman.flows.runs import MATERIAL, RunFolder

FACTOR, MOST_FACTOR = 2.0, 100.0
MOST_SHARE = 0.5
"""Of the weight, that rows with a weak part may have."""


@dataclass(frozen=True, slots=True)
class Weighting:
    """``rows`` of ``of`` train rows weigh ``factor`` times what they did: those with a part of the ``spots``, which the ``student`` of the assessment ``run`` errs in. ``asked``
    is what the caller wanted."""

    asked: float
    factor: float
    student: str
    run: str
    spots: tuple[WeakSpot, ...]
    rows: int
    of: int

    def key(self) -> dict[str, Json]:
        """What decides the weights."""
        return {"factor": self.factor, "spots": [list(spot.identity) for spot in self.spots]}

    def to_json(self) -> dict[str, Json]:
        said: dict[str, Json] = {
            name: getattr(self, name) for name in ("asked", "factor", "student", "run", "rows", "of")
        }
        return said | {"spots": [spot.to_json() for spot in self.spots]}

    @property
    def reason(self) -> str:
        lowered = (
            f", not {self.asked:g}, which would be more than half of the weight" if self.factor < self.asked else ""
        )
        spots = "; ".join(spot.name for spot in self.spots)
        return f"{self.rows:,} of {self.of:,} train rows{lowered}: {spots}"


def read_weighting(run: RunFolder) -> str:
    """How the rows of a tuning run weighed, in a few words; empty where they did as in the dataset."""
    found = (run.read(MATERIAL) or {}).get("weighting")
    return (
        ""
        if not isinstance(found, dict)
        else f"{found['factor']:.3g} on {found['rows']:,} of {found['of']:,} train rows"
    )


def read_setting(run: RunFolder) -> dict[str, Json]:
    """As it stands among a run's settings; none where nothing was weighed."""
    found = (run.read(MATERIAL) or {}).get("weighting")
    if not isinstance(found, dict):
        return {}
    spots = "; ".join(str(cast(dict[str, Json], spot)["name"]) for spot in cast(list[Json], found["spots"]))
    why = f"{read_weighting(run)}: {spots}; asked for: {found['asked']}"
    return {"weak": {"value": found["factor"], "origin": "flag", "reason": why}}


def weigh_rows(rows: Sequence[Example], aimed: Aimed, factor: float) -> tuple[list[Example], Weighting]:
    """The rows with their new weights, in their order.

    Raises:
        DataError: JM-386 a factor that cannot be, JM-387 no rows to weigh more.
    """
    if not 1 < factor <= MOST_FACTOR:
        raise DataError(
            "JM-386",
            "this factor does not make rows weigh more",
            expected=f"more than 1, at most {MOST_FACTOR:g}",
            got=f"{factor:g}",
            hint=f"leave it out, and it is {FACTOR:g}",
        )
    parts = [_find_parts(spot, rows) for spot in aimed.spots]
    total = sum(row.weight for row in rows)

    def share(places: frozenset[int], times: float) -> float:
        weight = sum(rows[place].weight for place in places)
        return times * weight / (total + (times - 1) * weight) if weight else 0.0

    spots, heavy, times = list[WeakSpot](), frozenset[int](), factor
    for spot, candidates in zip(aimed.spots, parts, strict=True):
        fitting = [part for part in candidates if part and share(heavy | part, factor) <= MOST_SHARE]
        if fitting:
            spots, heavy = [*spots, spot], heavy | fitting[0]
    if not heavy:
        smaller = [
            (spot, part)
            for spot, candidates in zip(aimed.spots, parts, strict=True)
            for part in candidates
            if 0 < share(part, 1.0) < MOST_SHARE
        ]
        if not smaller:
            raise _nothing_to_weigh(aimed, rows, parts)
        spots, heavy = [smaller[0][0]], smaller[0][1]
        times = (1 - share(heavy, 1.0)) / share(heavy, 1.0)
    weighed = [replace(row, weight=row.weight * times) if place in heavy else row for place, row in enumerate(rows)]
    return weighed, Weighting(factor, times, aimed.student, aimed.run, tuple(spots), len(heavy), len(rows))


def _find_parts(spot: WeakSpot, rows: Sequence[Example]) -> list[frozenset[int]]:
    """Places of the rows with its part: of two values those with either, and second, where they are too many, those with the value that was missed."""
    known = [(place, row.answer) for place, row in enumerate(rows) if row.answer is not None]
    whole = frozenset(place for place, answer in known if spot.is_part_of(answer))
    if spot.kind != "taken for another":
        return [whole]
    return [whole, frozenset(place for place, answer in known if spot.is_open_to(answer))]


def _nothing_to_weigh(aimed: Aimed, rows: Sequence[Example], parts: Sequence[Sequence[frozenset[int]]]) -> DataError:
    return DataError(
        "JM-387",
        "no weak spot has train rows that could weigh more",
        expected="a part of the answer that some train rows have, and less than half of them",
        got="; ".join(
            f"{spot.name}: {len(part[-1]):,} of {len(rows):,}" for spot, part in zip(aimed.spots, parts, strict=True)
        ),
        hint="`journeyman synthesize TASK --weak` makes rows; or tune without --weak",
    )
