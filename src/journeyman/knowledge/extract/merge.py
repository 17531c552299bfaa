"""The answers of a document's windows to one.

What the windows agree on is said by more than one, or surer, or stands in the document where the others do not: the value with the largest sum wins, and what was said
against it is reported. Lists are joined in the document's order; a row that two windows read in their overlap stands in one line, and is kept once. Windows of a short document
are one, and nothing happens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from journeyman.core.canonical import Json
from journeyman.knowledge.extract.candidates import PlacedStatus
from journeyman.knowledge.extract.equal import canonical
from journeyman.knowledge.extract.leaves import Path
from journeyman.knowledge.extract.place import Placed

WORTH: Mapping[PlacedStatus, float] = {
    "exact": 1.0,
    "normalized": 1.0,
    "typed": 1.0,
    "chosen": 0.5,
    "fuzzy": 0.6,
    "ungrounded": 0.1,
}
"""What one window's word counts by where the document says it, times how sure the model was."""
UNSAID = 0.5  # how sure a model is that does not say it


@dataclass(frozen=True, slots=True)
class Read:
    """One window's answer with its values placed."""

    answer: Json
    placed: Sequence[Placed]


@dataclass(frozen=True, slots=True)
class Conflict:
    """``path`` of the whole answer has ``value``; other windows say ``others``, each with where it stands."""

    path: Path
    value: Json
    others: tuple[Placed, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    answer: Json
    placed: tuple[Placed, ...]
    conflicts: tuple[Conflict, ...] = ()


@dataclass(frozen=True, slots=True)
class _Part:
    """A value of one window's answer, with what is placed in it."""

    value: Json
    placed: tuple[Placed, ...]

    @property
    def worth(self) -> float:
        """Of its clearest value: an object that says more is not surer for that."""
        return max((_worth(one) for one in self.placed), default=0.0)

    def step(self, key: str | int) -> _Part:
        inner = self.value.get(str(key)) if isinstance(self.value, dict) else None
        return _Part(inner, tuple(_shorten(one) for one in self.placed if one.path[:1] == (key,)))

    def rows(self) -> list[_Part]:
        items = self.value if isinstance(self.value, list) else []
        kept: list[list[Placed]] = [[] for _ in items]
        for one in self.placed:
            kept[int(one.path[0])].append(_shorten(one))
        return [_Part(item, tuple(said)) for item, said in zip(items, kept, strict=True)]

    @property
    def places(self) -> frozenset[tuple[int, int]]:
        return frozenset((one.start, one.end) for one in self.placed if one.is_grounded)


def merge(reads: Sequence[Read]) -> Merged:
    """In the order of the windows."""
    if len(reads) == 1:
        return Merged(reads[0].answer, tuple(reads[0].placed))
    part, conflicts = _merge([_Part(read.answer, tuple(read.placed)) for read in reads])
    return Merged(part.value, part.placed, tuple(conflicts))


def _merge(parts: Sequence[_Part]) -> tuple[_Part, list[Conflict]]:
    said = [part for part in parts if canonical(part.value) is not None]
    if not said:
        return (parts[0] if parts else _Part(None, ())), []
    if all(isinstance(part.value, dict) for part in said):
        return _merge_objects(said)
    if all(isinstance(part.value, list) for part in said):
        return _merge_lists(said)
    return _merge_values(said)


def _merge_objects(parts: Sequence[_Part]) -> tuple[_Part, list[Conflict]]:
    value: dict[str, Json] = {}
    placed: list[Placed] = []
    conflicts: list[Conflict] = []
    keys = dict.fromkeys(key for part in parts if isinstance(part.value, dict) for key in part.value)
    for key in keys:
        having = [part for part in parts if isinstance(part.value, dict) and key in part.value]
        inner, against = _merge([part.step(key) for part in having])
        value[key] = inner.value
        placed += [_lengthen(one, key) for one in inner.placed]
        conflicts += [_lengthen_conflict(one, key) for one in against]
    return _Part(value, tuple(placed)), conflicts


def _merge_values(parts: Sequence[_Part]) -> tuple[_Part, list[Conflict]]:
    """The value with the largest sum, the first among equals, as its clearest window says it."""
    groups: dict[object, list[_Part]] = {}
    for part in parts:
        groups.setdefault((isinstance(part.value, bool), canonical(part.value)), []).append(part)
    ranked = sorted(groups.values(), key=lambda group: -sum(part.worth for part in group))
    best = max(ranked[0], key=lambda part: part.worth)
    others = tuple(one for group in ranked[1:] for one in max(group, key=lambda part: part.worth).placed)
    return best, [Conflict((), best.value, others)] if others else []


def _merge_lists(parts: Sequence[_Part]) -> tuple[_Part, list[Conflict]]:
    known = _KnownRows()
    for part in parts:
        found = [(row, known.find(row)) for row in part.rows()]  # rows of one window are never one
        for row, group in found:
            known.put(row, group)
    value: list[Json] = []
    placed: list[Placed] = []
    conflicts: list[Conflict] = []
    for number, rows in enumerate(_in_order(known.groups)):
        row, against = _merge(rows) if len(rows) > 1 else (rows[0], [])
        value.append(row.value)
        placed += [_lengthen(one, number) for one in row.placed]
        conflicts += [_lengthen_conflict(one, number) for one in against]
    return _Part(value, tuple(placed)), conflicts


class _KnownRows:
    """Rows that earlier windows read: the same row is one that shares most of its places, or that stands nowhere and says the same."""

    def __init__(self) -> None:
        self.groups: list[list[_Part]] = []
        self._places: dict[tuple[int, int], set[int]] = {}
        self._said: dict[object, int] = {}

    def find(self, row: _Part) -> int | None:
        places = row.places
        if not places:
            return self._said.get(canonical(row.value))
        shared = Counter(number for place in places for number in self._places.get(place, ()))
        fitting = [number for number, count in shared.items() if 2 * count > self._least(number, places)]
        return max(fitting, key=lambda number: shared[number]) if fitting else None

    def _least(self, number: int, places: frozenset[tuple[int, int]]) -> int:
        return min(len(places), len(self.groups[number][-1].places))

    def put(self, row: _Part, number: int | None) -> None:
        if number is None:
            number = len(self.groups)
            self.groups.append([])
        self.groups[number].append(row)
        for place in row.places:
            self._places.setdefault(place, set()).add(number)
        if not row.places:
            self._said[canonical(row.value)] = number


def _in_order(groups: Iterable[list[_Part]]) -> list[list[_Part]]:
    """Where rows stand; one that stands nowhere stays behind the row that was said before it."""
    place, ranked = -1, list[tuple[int, int, list[_Part]]]()
    for number, group in enumerate(groups):
        place = min((start for start, _end in group[0].places), default=place)
        ranked.append((place, number, group))
    return [group for _place, _number, group in sorted(ranked, key=lambda one: one[:2])]


def _worth(one: Placed) -> float:
    return WORTH[one.status] * (UNSAID if one.confidence is None else one.confidence)


def _shorten(one: Placed) -> Placed:
    return replace(one, path=one.path[1:])


def _lengthen(one: Placed, key: str | int) -> Placed:
    return replace(one, path=(key, *one.path))


def _lengthen_conflict(one: Conflict, key: str | int) -> Conflict:
    others = tuple(_lengthen(other, key) for other in one.others)
    return Conflict((key, *one.path), one.value, others)
