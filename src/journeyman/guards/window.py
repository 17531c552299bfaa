"""A text that comes in pieces, checked over a window: what may go on before the rest is there.

    settled ─┬─ reach of the finders ─┐
    ─────────┴────────────────────────┴── what has come

Before ``settled`` nothing begins that was not found. Tokens of letters and digits are never parted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from journeyman.guards.finders import Finder, Hit, Said, replace_hits
from journeyman.guards.look import Look

STEP = 64
BEHIND = 1024
"""Characters before ``settled`` that are looked at again: words that give a secret away stand before it."""
MOST_TOKEN = 12_100
TOKEN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_.=~-")


class Window:
    """``blocking`` finders end the text where they find something, ``redacting`` ones have it replaced."""

    def __init__(self, blocking: Sequence[Finder], redacting: Sequence[Finder], said: Said) -> None:
        self.text = ""
        self.settled = 0
        self.is_blocked = False
        self._blocking = blocking
        self._redacting = redacting
        self._said = said
        reaches = [finder.reach(said) for finder in (*blocking, *redacting) if finder.reach is not None]
        self._reach = max(reaches, default=0) + 1
        self._hits: list[Hit] = []
        self._looked = 0

    def add(self, piece: str) -> None:
        """Settles what it can. Once something was found that blocks, nothing more is settled."""
        self.text += piece
        if self.is_blocked or len(self.text) < max(self.settled + self._reach, self._looked) + STEP:
            return
        self._looked = len(self.text)
        base = max(0, self.settled - BEHIND)
        look = Look(self.text[base:])
        cut = base + look.place(_cut(look.plain, len(look.plain) - self._reach))
        if cut <= self.settled:
            return
        blocks, hits = (list(self._find(look, finders, base)) for finders in (self._blocking, self._redacting))
        for hit in sorted([*blocks, *hits], key=lambda hit: -hit.start):
            if hit.start < cut < hit.end:
                cut = hit.start
        self.is_blocked = any(hit.start < cut for hit in blocks)
        if self.is_blocked or cut <= self.settled:
            return
        self._hits += [hit for hit in hits if hit.start < cut]
        self.settled = cut

    def push(self, piece: str) -> str:
        """What of the text may go on now."""
        before = self.settled
        self.add(piece)
        return self.settled_text(before, self.settled)

    def settled_text(self, start: int, end: int) -> str:
        """What becomes of ``text[start:end]``, which is settled; a hit is replaced where it begins."""
        near = [hit for hit in self._hits if hit.start < end and hit.end > start]
        if not near:
            return self.text[start:end]
        cut = [
            Hit(max(start, hit.start) - start, min(end, hit.end) - start, hit.replacement if hit.start >= start else "")
            for hit in _merge(near)
        ]
        return replace_hits(self.text[start:end], cut)

    def _find(self, look: Look, finders: Sequence[Finder], base: int) -> Iterable[Hit]:
        for finder in finders:
            for hit in finder.find([look], self._said)[0]:
                if base + hit.start >= self.settled:
                    yield Hit(base + hit.start, base + hit.end, hit.replacement)


def _merge(hits: Iterable[Hit]) -> list[Hit]:
    """Those that overlap as one, as `replace_hits` has it."""
    merged = list[Hit]()
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end)):
        if merged and hit.start < merged[-1].end:
            merged[-1] = Hit(merged[-1].start, max(merged[-1].end, hit.end), merged[-1].replacement)
        else:
            merged.append(hit)
    return merged


def _cut(plain: str, place: int) -> int:
    """The place, or one before it that parts no token."""
    if place <= 0:
        return 0
    start = place
    while start > 0 and place - start < MOST_TOKEN and plain[start - 1] in TOKEN and plain[place] in TOKEN:
        start -= 1
    return start if place - start < MOST_TOKEN else place
