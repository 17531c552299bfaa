"""Every place at which a document says a value, and in which writing: what is equal is as good as what is alike to the letter, for a row says it in its own way.

Likeness (fuzzy) is asked of text alone, and only where nothing else is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from journeyman.knowledge.extract.leaves import Leaf
from journeyman.knowledge.ground.alignment import Found, Kind
from journeyman.knowledge.ground.folded import fold
from journeyman.knowledge.ground.fuzzy import Gates
from journeyman.knowledge.ground.source import Source
from journeyman.knowledge.ground.values import SIGNS

PlacedStatus = Literal["exact", "normalized", "typed", "fuzzy", "chosen", "ungrounded"]
"""``typed``: an equal date, number or sum in another writing. ``chosen``: one of what the schema lists, which the document need not say in these words."""
MOST = 2000
"""Places of one value that are told apart."""
_KINDS: tuple[Kind, ...] = ("date", "money", "number")


@dataclass(frozen=True, slots=True)
class Candidate:
    start: int
    end: int
    status: PlacedStatus
    score: float = 1.0


def find_candidates(leaf: Leaf, source: Source, gates: Gates | None) -> list[Candidate]:
    """In the order of the text."""
    said = leaf.written.strip()
    if not said:
        return []
    found: dict[tuple[int, int], Candidate] = {}
    for candidate in _find(leaf, said, source, gates):
        found.setdefault((candidate.start, candidate.end), candidate)
        if len(found) >= MOST:
            break
    kept = list(found.values())
    return sorted(_narrowest(kept), key=lambda one: (one.start, one.end))


def _find(leaf: Leaf, said: str, source: Source, gates: Gates | None) -> Iterator[Candidate]:
    if leaf.kind == "number":
        plain = list(_valued(said, source, "number"))
        yield from plain or _valued(said, source, "money")  # "1.2k"
        return
    if leaf.kind == "date":
        yield from _valued(said, source, "date")
        return
    spelled = source.find_exact(said, "text") + source.find_normalized(said, "text")
    yield from _describe(spelled, said, source)
    signs = [sign for sign, code in SIGNS.items() if code == said]
    for sign in signs:
        yield from (Candidate(one.start, one.end, "typed") for one in source.find_exact(sign, "text"))
    if leaf.kind == "choice" or spelled or signs:
        return
    valued = [one for kind in _KINDS if _is_plain(said) for one in _valued(said, source, kind)]
    yield from valued
    if not valued and gates is not None:
        yield from _describe(source.find_fuzzy(said, gates), said, source)


def _is_plain(said: str) -> bool:
    """Not a number of something, whose zeros in front are part of it."""
    return not (said[0] == "0" and said[1:2].isdigit())


def _valued(said: str, source: Source, kind: Kind) -> Iterator[Candidate]:
    yield from _describe(source.find_exact(said, kind), said, source)
    yield from _describe(source.find_values(said, kind), said, source)


def _describe(found: Iterable[Found], said: str, source: Source) -> Iterator[Candidate]:
    for one in found:
        if one.status == "fuzzy":
            yield Candidate(one.start, one.end, "fuzzy", one.score)
        else:
            yield Candidate(one.start, one.end, _status(source.text[one.start : one.end], said))


def _status(there: str, said: str) -> PlacedStatus:
    if there == said:
        return "exact"
    return "normalized" if fold(there).text.strip() == fold(said).text.strip() else "typed"


def _narrowest(found: list[Candidate]) -> list[Candidate]:
    """Without those in which another one stands: "80" is said by the 80 of "80 %" and by all of it."""
    kept: list[Candidate] = []
    for one in sorted(found, key=lambda one: (one.end, -one.start)):
        if not (kept and one.start <= kept[-1].start):
            kept.append(one)
    return kept
