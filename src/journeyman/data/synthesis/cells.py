"""What inputs to ask for: each call a cell of the coverage, so that the answers' values and the kinds of case, easy and hard, come alike often and the texts differ in length, style and noise.

Axes turn at speeds that share no factor, so that every pair of their values meets; the value that has the fewest rows is asked for first, and so is the kind of case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Protocol, cast

from journeyman.core.canonical import Json, dump
from journeyman.measure.metrics import flatten

LENGTHS = (
    "short",
    "of the length of the examples",
    "long, with things around that do not matter for the answer",
)
STYLES = (
    "as in the examples",
    "casual, as one writes to a friend",
    "formal and polite",
    "a few key words, no sentence",
    "indirect: what is meant has to be inferred",
)
NOISE = (
    "clean",
    "clean",
    "with the slips of fast typing",
    "in lower case and without punctuation",
    "as a speech recogniser would write it",
)
CASES = (
    "a plain one",
    "an uncommon one, with values that are rarely seen",
    "a plain one",
    "one with a trap: something in it looks like another answer",
    "one in which something that could be said is left out",
    "one in which the person corrects themselves",
    "one that is at the edge of what the task is for",
)
LOST = 0.25
"""What an input without an answer to keep counts towards its kind of case, so that a kind of which nothing comes is not asked for alone."""
MOST_VALUES = 60
"""Of a field that rows are balanced by."""


class Balance(Protocol):
    """What rows are balanced by: ``values`` that answers have, each of which comes as often as the others."""

    @property
    def field(self) -> str: ...

    @property
    def values(self) -> tuple[Json, ...]: ...

    def read(self, answer: Json) -> str:
        """The value that an answer has, as a key for counting."""

    def describe(self, value: Json, number: int) -> str:
        """What is said of the inputs of call ``number``, which are to have the value."""


NONE_YET: Mapping[str, float] = {}


@dataclass(frozen=True, slots=True)
class Axis:
    """A closed field of the answer, by its path, and its values; the path is empty where the answer itself is closed."""

    field: str
    values: tuple[Json, ...]

    def read(self, answer: Json) -> str:
        if not self.field:
            return dump(answer)
        return dump(answer.get(self.field)) if isinstance(answer, dict) else dump(None)

    def describe(self, value: Json, number: int) -> str:
        return f"the right answer {f'has {self.field}' if self.field else 'is'} {dump(value)}"


@dataclass(frozen=True, slots=True)
class Aim:
    """A part of the answers that more rows are wanted of: ``field`` by its dotted path (empty: all of them), with ``value`` where one is meant; ``weight``: how much more
    than of the others."""

    field: str
    value: Json = None
    weight: int = 1

    def fits(self, answer: Json) -> bool:
        found = flatten(answer)
        return not self.field or (self.field in found and self.value in (None, found[self.field]))

    def to_json(self) -> list[Json]:
        return [self.field, self.value, self.weight]


@dataclass(frozen=True, slots=True)
class Cell:
    """One call's worth of inputs. ``wanted``: what the answer should say, where an axis is balanced, or have, where one aims (the value is None then); None: whatever comes. ``need``: how that is said,
    where it has words of its own."""

    length: str
    style: str
    noise: str
    case: str
    language: str = ""
    topic: str = ""
    wanted: tuple[str, Json] | None = None
    need: str = ""

    def to_json(self) -> dict[str, Json]:
        said: dict[str, Json] = {"length": self.length, "style": self.style, "noise": self.noise, "case": self.case}
        said |= {"language": self.language} if self.language else {}
        said |= {"topic": self.topic} if self.topic else {}
        return said | ({"wanted": {self.wanted[0]: self.wanted[1]}} if self.wanted else {})


def find_axis(schema: Mapping[str, Json] | None) -> Axis | None:
    """What rows are balanced by: the first required field of the answer that has a few values; None where there is none."""
    if schema is None:
        return None
    if own := _values(schema):
        return Axis("", own)
    properties = schema.get("properties")
    required = cast(Sequence[str], schema.get("required") or ())
    for name, node in properties.items() if isinstance(properties, dict) else ():
        if name in required and isinstance(node, dict) and (found := _values(node)):
            return Axis(name, found)
    return None


def quota(rows: int, axis: Balance) -> int:
    """Rows that one value may have: a quarter more than its share, since a value that never comes must not stop the others."""
    return ceil(1.25 * rows / len(axis.values))


def make_cells(
    start: int,
    count: int,
    axis: Balance | None,
    had: Mapping[str, int],
    languages: Sequence[str] = (),
    topics: Sequence[str] = (),
    cases: Mapping[str, float] = NONE_YET,
) -> Iterator[Cell]:
    """Cells number ``start`` and following. ``had``: rows by value so far, ``cases``: by kind of case, which are of all difficulties."""
    counts = Counter({dump(value): had.get(dump(value), 0) for value in axis.values} if axis else {})
    filled = {case: cases.get(case, 0.0) / CASES.count(case) for case in CASES}
    for number in range(start, start + count):
        wanted, need = None, ""
        if axis is not None:
            value = min(axis.values, key=lambda value: counts[dump(value)])
            counts[dump(value)] += 1
            wanted, need = (axis.field, value), axis.describe(value, number)
        turned = CASES[number % len(CASES) :] + CASES[: number % len(CASES)]
        case = min(turned, key=filled.__getitem__)  # of equals the one whose turn it is
        filled[case] += 1 / CASES.count(case)
        yield Cell(
            LENGTHS[number % len(LENGTHS)],
            STYLES[(number + number // len(STYLES)) % len(STYLES)],
            NOISE[(number + number // (len(STYLES) * len(LENGTHS))) % len(NOISE)],
            case,
            languages[number % len(languages)] if languages else "",
            topics[number % len(topics)] if topics else "",
            wanted,
            need,
        )


def aim_cells(
    start: int, count: int, aims: Sequence[Aim], topics: Sequence[str] = (), cases: Mapping[str, float] = NONE_YET
) -> Iterator[Cell]:
    """As `make_cells`, but for what one aims at: each as often as it weighs, by turns."""
    turns = [aim for aim in aims for _ in range(aim.weight)]
    for number, cell in enumerate(make_cells(start, count, None, {}, topics=topics, cases=cases), start):
        aim = turns[number % len(turns)]
        yield replace(cell, wanted=(aim.field, aim.value) if aim.field or aim.value is not None else None)


def _values(node: Mapping[str, Json]) -> tuple[Json, ...]:
    listed = node.get("enum")
    if isinstance(listed, list) and 2 <= len(listed) <= MOST_VALUES:
        return tuple(listed)
    return (True, False) if node.get("type") == "boolean" else ()
