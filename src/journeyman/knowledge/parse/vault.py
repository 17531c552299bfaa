"""Notes that link to each other by name: where a link leads, what links here, and a note with what it embeds."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from posixpath import dirname, join, normpath
from unicodedata import normalize
from urllib.parse import unquote

from journeyman.knowledge.document import Document, Link

NOTE_ENDINGS = (".md", ".markdown")
BLOCK_ID = re.compile(r"(?:^|(?<=\s))\^([A-Za-z0-9-]{1,100})[^\S\r\n]*$", re.MULTILINE)
ITEM = re.compile(r"^[^\S\r\n]*(?:[-*+]|\d{1,9}[.)])[^\S\r\n]", re.MULTILINE)
WORDS = re.compile(r"[\W_]+")
SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
MOST_PLACES = 500


@dataclass(frozen=True, slots=True)
class Place:
    """``text[start:end]`` of the document of this name."""

    document: str
    start: int
    end: int


class Vault:
    """The documents by the names that links use. ``notes`` say which links were ambiguous, once each."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._documents = {document.name: document for document in documents}
        self._by_page: dict[str, list[str]] = defaultdict(list)
        self._by_alias: dict[str, list[str]] = defaultdict(list)
        self._ids: dict[str, dict[str, Place]] = {}
        self._backlinks: dict[str, list[tuple[str, Link]]] | None = None
        self._noted: dict[str, None] = {}
        for name in sorted(self._documents, key=lambda name: (name.count("/"), name)):
            self._by_page[_key(name.rsplit("/", 1)[-1])].append(name)
            aliases = self._documents[name].facts.get("aliases", ())
            for alias in aliases if isinstance(aliases, tuple) else (str(aliases),):
                self._by_alias[_key(alias)].append(name)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._noted)

    def resolve(self, target: str, source: str = "") -> Place | None:
        """Where a target leads that stands in the document ``source``; None where to nothing here. A heading or block that is not there is the whole note."""
        if SCHEME.match(target) and not target.startswith(NOTE_ENDINGS):
            return None
        page, _, part = target.partition("#")
        name = source if not page.strip() else self._find_page(page.strip(), source)
        document = self._documents.get(name)
        if document is None:
            return None
        part = unquote(part).strip()
        if part.startswith("^"):
            place = self._find_ids(document).get(part[1:].lower())
        else:
            place = _find_section(document, part.split("#")) if part else None
        return place or Place(name, 0, len(document.text))

    def backlinks(self, name: str) -> list[tuple[str, Link]]:
        """Documents that point to this one, with the links, by name and place."""
        if self._backlinks is None:
            self._backlinks = defaultdict(list)
            for source in sorted(self._documents):
                for link in self._documents[source].links:
                    place = self.resolve(link.target, source) if link.kind != "tag" else None
                    if place is not None and place.document != source:
                        self._backlinks[place.document].append((source, link))
        return list(self._backlinks.get(name, ()))

    def expand(self, name: str, most: int = MOST_PLACES) -> list[Place]:
        """A document in reading order with what it embeds in place of the embeds. Each place comes once, so circles end; ``most`` places at most."""
        whole = Place(name, 0, len(self._documents[name].text))
        found: list[Place] = []
        seen = {whole}
        waiting: list[tuple[Place, bool]] = [(whole, False)]
        while waiting and len(found) < most:
            place, is_cut = waiting.pop()
            if is_cut:
                found.append(place)
                continue
            pieces: list[tuple[Place, bool]] = []
            position = place.start
            for link in self._documents[place.document].links:
                if link.kind != "embed" or not place.start <= link.start < place.end:
                    continue
                inner = self.resolve(link.target, place.document)
                if inner is None:
                    continue
                pieces.append((Place(place.document, position, link.start), True))
                position = link.end
                if inner not in seen:
                    seen.add(inner)
                    pieces.append((inner, False))
            pieces.append((Place(place.document, position, place.end), True))
            waiting += [piece for piece in reversed(pieces) if not piece[1] or self._has_text(piece[0])]
        return found

    def _has_text(self, place: Place) -> bool:
        return bool(self._documents[place.document].text[place.start : place.end].strip())

    def _find_page(self, page: str, source: str) -> str:
        for written in dict.fromkeys((page, unquote(page))):
            if found := self._find_written(written, source):
                return found
        return ""

    def _find_written(self, page: str, source: str) -> str:
        last = page.rstrip("/").rsplit("/", 1)[-1]
        named = self._by_page.get(_key(last), [])
        if "/" in page:
            below = _key(normpath(join(dirname(source), page)))
            ending = _key(normpath(page.lstrip("/")))
            exact = [name for name in named if _key(name) == below]
            return self._choose(
                page, exact or [name for name in named if f"/{_key(name)}".endswith(f"/{ending}")], source
            )
        return self._choose(page, named or self._by_alias.get(_key(page), []), source)

    def _choose(self, page: str, names: Sequence[str], source: str) -> str:
        """Of several documents the one beside ``source``, else the first by depth and name."""
        if len(names) < 2:
            return names[0] if names else ""
        chosen = next((name for name in names if dirname(name) == dirname(source)), names[0])
        self._noted[f"[[{page}]] is the name of {len(names)} documents; {chosen} was taken in {source or 'a link'}"] = (
            None
        )
        return chosen

    def _find_ids(self, document: Document) -> dict[str, Place]:
        if document.name not in self._ids:
            self._ids[document.name] = _find_block_ids(document)
        return self._ids[document.name]


def _find_block_ids(document: Document) -> dict[str, Place]:
    """An id stands at the end of its paragraph or list item, or on a line below its block."""
    found: dict[str, Place] = {}
    text = document.text
    for number, block in enumerate(document.blocks):
        if block.kind == "code":
            continue
        items = [item.start() for item in ITEM.finditer(text, block.start, block.end)] if block.kind == "list" else []
        for match in BLOCK_ID.finditer(text, block.start, block.end):
            start, end = block.start, match.start()
            if before := bisect_left(items, end):
                start = items[before - 1]
            if not text[start:end].strip() and number:
                start, end = document.blocks[number - 1].start, document.blocks[number - 1].end
            found.setdefault(match[1].lower(), Place(document.name, start, start + len(text[start:end].rstrip())))
    return found


def _find_section(document: Document, path: Sequence[str]) -> Place | None:
    """From the heading to before the next of its level or a higher one. ``path`` names headings below one another."""
    headings = [block for block in document.blocks if block.kind == "heading"]
    first, last = 0, len(headings)
    for name in path:
        number = next(
            (
                n
                for n in range(first, last)
                if _words(document.text[headings[n].start : headings[n].end]) == _words(name)
            ),
            -1,
        )
        if number < 0:
            return None
        following = (n for n in range(number + 1, last) if headings[n].level <= headings[number].level)
        first, last, start = number + 1, next(following, last), headings[number].start
    beyond = headings[last].start if last < len(headings) else len(document.text) + 1
    end = max((block.end for block in document.blocks if start <= block.start < beyond), default=len(document.text))
    return Place(document.name, start, end)


def _key(page: str) -> str:
    page = normalize("NFC", page).casefold().strip()
    for ending in NOTE_ENDINGS:
        page = page.removesuffix(ending)
    return page


def _words(text: str) -> str:
    return WORDS.sub(" ", normalize("NFC", text).casefold()).strip()
