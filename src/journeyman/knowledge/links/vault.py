"""Where a link leads and what is embedded, by names and by the texts that they name; nothing of it is kept, so that a document that comes, changes or goes changes no other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from journeyman.knowledge.document import Document, Link
from journeyman.knowledge.links.names import Names
from journeyman.knowledge.links.parts import find_part, is_sure

OUTSIDE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:(?=\S)|//")
MOST_PLACES = 500


@dataclass(frozen=True, slots=True)
class Place:
    """``text[start:end]`` of the document with this number."""

    document: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Lead:
    """Where a target leads: ``place`` is None where to nothing here. ``others`` are documents of the same name that were not taken; ``lacks`` is the section or block that the document does not have: the
    link leads to all of it."""

    place: Place | None
    others: tuple[int, ...] = ()
    lacks: str = ""


NOWHERE = Lead(None)


class Vault:
    """``read`` gives the document with a number, ``find_links`` its links without the rest."""

    def __init__(
        self, names: Names, read: Callable[[int], Document], find_links: Callable[[int], Sequence[Link]]
    ) -> None:
        self.names, self.read, self.find_links = names, read, find_links
        self._parts: dict[tuple[int, str], Lead] = {}

    def resolve(self, target: str, source: int | None = None) -> Lead:
        """Where a target leads that stands in the document ``source``."""
        found, part = self._split(target, source)
        if not found:
            return NOWHERE
        key = (found[0], part)
        if key not in self._parts:
            self._parts[key] = self._find_part(*key)
        lead = self._parts[key]
        return Lead(lead.place, tuple(found[1:]), lead.lacks)

    def find_document(self, target: str, source: int) -> int | None:
        """The document alone, which asks for no text."""
        found, _ = self._split(target, source)
        return found[0] if found else None

    def embedded(self, host: Place, most: int = MOST_PLACES) -> list[Place]:
        """What stands in a place by being embedded there, each followed by what it embeds itself, in reading order. Each comes once, and what holds the host not again, so circles end; ``most`` at the most."""
        found: list[Place] = []
        waiting = [*reversed(list(self._embeds(host)))]
        while waiting and len(found) < most:
            place = waiting.pop()
            if _is_within(host, place) or any(_is_within(place, other) for other in (host, *found)):
                continue
            found.append(place)
            waiting += reversed(list(self._embeds(place)))
        return found

    def _embeds(self, place: Place) -> Iterator[Place]:
        for link in self.find_links(place.document):
            if link.kind == "embed" and place.start <= link.start < place.end:
                lead = self.resolve(link.target, place.document)
                if lead.place is not None and not lead.lacks:
                    yield lead.place

    def _split(self, target: str, source: int | None) -> tuple[list[int], str]:
        if is_outside(target):
            return [], ""
        page, _, part = target.partition("#")
        if not page.strip():
            return ([source] if source in self.names.notes else []), part.strip()
        return [note.id for note in self.names.find(page, source)], part.strip()

    def _find_part(self, id: int, part: str) -> Lead:
        document = self.read(id)
        whole = Place(id, 0, len(document.text))
        if not part:
            return Lead(whole)
        span = find_part(document, part)
        if span:
            return Lead(Place(id, *span))
        return Lead(whole, lacks=part if is_sure(document, part) else "")


def is_outside(target: str) -> bool:
    """Whether it is an address, which leads away from all documents."""
    return OUTSIDE.match(target) is not None


def _is_within(place: Place, other: Place) -> bool:
    return place.document == other.document and other.start <= place.start and place.end <= other.end
