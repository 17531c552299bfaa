"""Which split each input is on. A side is for good: new inputs join the side of their near copies, or start a group.

Order of rule: the split given at import; the stored assignment; the side of the group; else a new group takes the split
that is furthest behind its share, groups in the order of their hashes. A split that a file was imported for takes no
other rows.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

from journeyman.core.canonical import content_hash
from journeyman.core.example import SPLITS, Split
from journeyman.data.near import Groups, find_pairs
from journeyman.data.shares import Shares

# The small splits first: with equal need they take a group before train does.
ORDER: tuple[Split, ...] = ("test", "calibration", "dev", "train")
NEAR_SEALED = "near copies of sealed rows"
NEAR_MEASURED = "made-up rows near to rows that are measured on"
GROUP_SEALED = "of one group with sealed rows"
FORMERLY_SEALED = "sealed before the test file was imported"
LINKS_SPLITS = "links two splits"
Kind = Literal["near copies", "rows of one given group"]
"""Why two rows belong together: found by their text, or told at import."""


@dataclass(frozen=True, slots=True)
class Item:
    """One distinct input. ``given``: its split from the import; ``stored``: from an earlier dataset; either may be empty.
    ``sources`` are the conversations, documents or people that it comes from: inputs with one in common stand or fall together, as near copies do.
    One that ``is_synthetic`` was made up, for train."""

    input_hash: str
    text: str
    given: str = ""
    stored: str = ""
    is_labelled: bool = True
    sources: tuple[str, ...] = ()
    is_synthetic: bool = False

    @property
    def side(self) -> str:
        return self.given or self.stored


@dataclass(slots=True)
class Placement:
    """What became of every input: ``splits`` and ``groups`` by input hash, or the reason in ``aside``.

    An input without a label and without a group on any side is in neither ``splits`` nor ``aside``. ``crossing`` counts
    pairs of rows that belong together and were given to different splits at import, by their sides and kind. ``told``: groups that more than near copies make.
    """

    splits: dict[str, Split] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    aside: dict[str, str] = field(default_factory=dict)
    crossing: Counter[tuple[str, str, Kind]] = field(default_factory=Counter)
    told: set[str] = field(default_factory=set)


def place(items: Iterable[Item], shares: Shares) -> Placement:
    """Group near copies and assign groups to splits. The order of ``items`` does not matter."""
    ordered = sorted(items, key=lambda item: (item.given != "test", not item.side, item.input_hash))
    sealed = sum(item.given == "test" for item in ordered)
    work = _Work(ordered, sealed)
    work.link(find_pairs([item.text for item in ordered], shares.jaccard, kept=sealed), "near copies")
    work.link(work.pair_sources(), "rows of one given group")
    work.join_sided()
    work.join_new()
    work.assign(shares)
    return work.placement


class _Work:
    """Rows are numbers into ``items``: first the sealed ones, then those with a side, then the new ones."""

    def __init__(self, items: Sequence[Item], sealed: int) -> None:
        self.items = items
        self.sealed = sealed
        self.placement = Placement()
        self._groups = Groups(len(items))
        self._near: defaultdict[int, list[int]] = defaultdict(list)
        self._told: set[tuple[int, int]] = set()  # pairs that are no near copies
        self._sides: dict[int, str] = {}

    def link(self, pairs: Iterable[tuple[int, int]], kind: Kind) -> None:
        """Keep near pairs; set aside what is near a sealed row of a file, unless it was itself given to a split."""
        for earlier, later in pairs:
            if self._drop_synthetic(earlier, later):
                continue
            if earlier >= self.sealed or later < self.sealed:
                if earlier in self._near[later]:
                    continue
                if kind != "near copies":
                    self._told.add((earlier, later))
                self._near[later].append(earlier)
                self._near[earlier].append(later)
            elif self.items[later].given:
                self._count_crossing(earlier, later, kind)
            else:
                self._set_aside(later, NEAR_SEALED if kind == "near copies" else GROUP_SEALED)
        if self.sealed:
            for row, item in enumerate(self.items):
                if not item.given and item.stored == "test":
                    self._set_aside(row, FORMERLY_SEALED)

    def _drop_synthetic(self, first: int, second: int) -> bool:
        """A made-up row near to one that is measured on is left out."""
        for one, other in ((first, second), (second, first)):
            side = self.items[other].side
            if self.items[one].is_synthetic and side not in ("", self.items[one].side):
                self._set_aside(one, NEAR_SEALED if side == "test" else NEAR_MEASURED)
                return True
        return False

    def pair_sources(self) -> Iterator[tuple[int, int]]:
        """Pairs ``(earlier, later)`` of rows with a source in common: each with the first that has it on every side there is, sealed ones first."""
        first: dict[str, dict[str, int]] = {}
        for later, item in enumerate(self.items):
            for source in sorted(item.sources, key=lambda source: source not in first):
                for earlier in list(first.get(source, {}).values()):
                    if not self._is_aside(later):  # it may have become so by the pair before
                        yield earlier, later
                if self._is_aside(later):
                    break
                first.setdefault(source, {}).setdefault(item.side, later)

    def join_sided(self) -> None:
        """Near copies of one side are one group; those of two sides stay as they were assigned, and are counted."""
        for row, item in enumerate(self.items):
            if not item.side:
                break
            for earlier in self._near[row]:
                if earlier < row and self.items[earlier].side == item.side:
                    self._groups.join(earlier, row)
                elif earlier < row:
                    is_told = (earlier, row) in self._told
                    self._count_crossing(earlier, row, "rows of one given group" if is_told else "near copies")
        for row, item in enumerate(self.items):
            if item.side:
                self._sides[self._groups.find(row)] = item.side

    def join_new(self) -> None:
        """New inputs join their near copies, one by one; one whose near copies are on two sides is set aside."""
        for row, item in enumerate(self.items):
            if item.side or self._is_aside(row):
                continue
            near = [other for other in self._near[row] if other < row and not self._is_aside(other)]
            sides = {side for other in near if (side := self._sides.get(self._groups.find(other), ""))}
            if len(sides) > 1:
                self._set_aside(row, LINKS_SPLITS)
            else:
                for other in near:
                    self._groups.join(other, row)
                if sides:
                    self._sides[self._groups.find(row)] = sides.pop()

    def assign(self, shares: Shares) -> None:
        """Give every group that has a label a side, and write down where each input is."""
        members = self._members()
        names = {leader: min(self.items[row].input_hash for row in rows) for leader, rows in members.items()}
        sizes = {leader: self._size(rows) for leader, rows in members.items()}
        wanted = wanted_shares(shares, {item.given for item in self.items})
        total = sum(sizes.values())
        placed = Counter(dict.fromkeys(wanted, 0))
        for leader in members:
            if side := self._sides.get(leader):
                placed[cast(Split, side)] += sizes[leader]
        fresh = [leader for leader in members if leader not in self._sides and sizes[leader]]
        for leader in sorted(fresh, key=lambda leader: content_hash(names[leader])):
            split = choose_split(wanted, placed, sizes[leader], total)
            self._sides[leader] = split
            placed[split] += sizes[leader]
        self.placement.told = {names[leader] for leader in self._told_leaders() if leader in names}
        for leader, rows in members.items():
            self._write(names[leader], self._sides.get(leader, ""), rows)

    def _told_leaders(self) -> set[int]:
        find = self._groups.find
        return {find(later) for earlier, later in self._told if find(earlier) == find(later)}

    def _members(self) -> dict[int, list[int]]:
        members: defaultdict[int, list[int]] = defaultdict(list)
        for row in range(len(self.items)):
            if not self._is_aside(row):
                members[self._groups.find(row)].append(row)
        return members

    def _size(self, rows: Sequence[int]) -> int:
        """What a group adds to the shares: rows with a label that no file was given a split for."""
        return sum(self.items[row].is_labelled and not self.items[row].given for row in rows)

    def _write(self, group: str, side: str, rows: Sequence[int]) -> None:
        for row in rows:
            name = self.items[row].input_hash
            self.placement.groups[name] = group
            if self.items[row].is_labelled and side:
                self.placement.splits[name] = cast(Split, side)
            elif side == "test":
                self._set_aside(row, GROUP_SEALED if group in self.placement.told else NEAR_SEALED)

    def _count_crossing(self, first: int, second: int, kind: Kind) -> None:
        sides = sorted((self.items[first].side, self.items[second].side), key=SPLITS.index)
        self.placement.crossing[(sides[0], sides[1], kind)] += 1

    def _set_aside(self, row: int, reason: str) -> None:
        self.placement.aside.setdefault(self.items[row].input_hash, reason)

    def _is_aside(self, row: int) -> bool:
        return self.items[row].input_hash in self.placement.aside


def wanted_shares(shares: Shares, given: Collection[str]) -> dict[Split, float]:
    """What the rows without a given split are divided by; ``train`` takes the rest."""
    wanted = {split: shares.share(split) for split in ORDER if split != "train" and split not in given}
    return wanted | {"train": 1.0 - sum(wanted.values())}


def choose_split(wanted: Mapping[Split, float], placed: Mapping[Split, int], size: int, total: int) -> Split:
    """The split that is furthest behind its share of the rows placed so far, if a group of ``size`` rows fits into it.

    ``train`` fits any group: one that is larger than a small split must not become it.
    """
    so_far = size + sum(placed.get(split, 0) for split in wanted)

    def lack(split: Split) -> float:
        return wanted[split] * so_far - placed.get(split, 0)

    fitting = [
        split
        for split in wanted
        if split == "train" or (wanted[split] > 0 and placed.get(split, 0) + size <= math.ceil(wanted[split] * total))
    ]
    return max(fitting, key=lack)


def rows_needed(wanted: Mapping[Split, float]) -> int:
    """The fewest rows, each its own group, that fill train, dev and test where they have a share."""
    needed = {split for split in wanted if wanted[split] > 0 and split != "calibration"}
    total = len(needed)
    while True:
        placed: Counter[Split] = Counter()
        for _ in range(total):
            placed[choose_split(wanted, placed, 1, total)] += 1
        if needed <= set(placed):
            return total
        total += 1
