"""What the documents of an index point to: of one note where its links lead and what links to it, of all of them the links that lead nowhere or may mean several."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Literal

from journeyman.core.errors import KnowledgeError
from journeyman.core.progress import Progress
from journeyman.flows.knowledge import NAME, open_library
from journeyman.flows.workspace import Workspace
from journeyman.knowledge.document import Link
from journeyman.knowledge.index.file import Index
from journeyman.knowledge.links.names import Note
from journeyman.knowledge.links.shelf import Shelf
from journeyman.knowledge.links.vault import NOWHERE, Lead, Place, Vault, is_outside

Status = Literal["found", "ambiguous", "no such part", "not read", "dead", "outside"]
BAD: frozenset[Status] = frozenset(("ambiguous", "no such part", "not read", "dead"))
MOST_SAID = 200
"""Characters of a place that are shown."""


@dataclass(frozen=True, slots=True)
class Pointed:
    """A link of the document ``source``, on ``line``, and where it leads: ``text[start:end]`` of ``document``, which begins as ``text`` says. ``others`` have the same name, ``lacks`` is what the document does
    not have, ``why`` a file of that name was not read."""

    source: str
    line: int
    link: Link
    status: Status
    document: str = ""
    start: int = 0
    end: int = 0
    text: str = ""
    others: tuple[str, ...] = ()
    lacks: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Linked:
    """``note`` with the links that it has, and those of other documents that lead to it."""

    note: str
    links: tuple[Pointed, ...]
    backlinks: tuple[Pointed, ...]


def show_links(workspace: Workspace, note: str, name: str = NAME) -> Linked:
    """
    Raises:
        KnowledgeError: JM-995 there is no document of this name, JM-996 there are several, JM-950 no index.
    """
    with open_library(workspace, name) as library:
        looking = _Looking(library.index)
        id = looking.find(note, name)
        own = [looking.follow(id, link) for link in looking.links(id)]
        others = [looking.follow(source, link) for source, link in looking.shelf.backlinks.get(id, ())]
        return Linked(looking.names[id].name, tuple(own), tuple(others))


def find_bad_links(workspace: Workspace, name: str = NAME) -> tuple[int, list[Pointed]]:
    """How many links lead to documents or should, and those of them that do not, or may mean several. Raises: KnowledgeError JM-950 no index."""
    with open_library(workspace, name) as library:
        return _Looking(library.index).find_bad(workspace.progress)


class _Looking:
    def __init__(self, index: Index) -> None:
        self._index = index
        self.shelf = Shelf(index)
        self._vault: Vault = self.shelf.vault
        self.names: Mapping[int, Note] = self._vault.names.notes
        self._ends: tuple[int, list[int]] = (-1, [])
        self._refused = {_last(item.name): f"{item.code} {item.reason}" for item in index.refusals()}

    def find(self, note: str, name: str) -> int:
        found = self._vault.names.find(note.partition("#")[0])
        if len(found) == 1:
            return found[0].id
        if not found:
            stems = {PurePosixPath(item.name).stem.casefold(): item.name for item in self.names.values()}
            near = [stems[stem] for stem in get_close_matches(PurePosixPath(note).stem.casefold(), stems)]
            raise KnowledgeError(
                "JM-995",
                "no document of this index is called that",
                where=name,
                got=note,
                expected=f"a name, a path or an alias, as {', '.join(near)}" if near else "a name, a path or an alias",
                hint=f"journeyman knowledge list --name {name}",
            )
        raise KnowledgeError(
            "JM-996",
            "several documents are called that",
            where=name,
            got=note,
            expected=f"one of {', '.join(item.name for item in found)}",
            hint="write more of its path",
        )

    def links(self, id: int) -> Sequence[Link]:
        return [link for link in self._vault.find_links(id) if link.kind != "tag"]

    def find_bad(self, progress: Progress) -> tuple[int, list[Pointed]]:
        progress.start("links", total=len(self.names), unit="documents")
        count, bad = 0, []
        for id, links in self._index.links():
            for link in links if id in self.names else ():
                status, _ = self._judge(id, link)
                count += link.kind != "tag" and status != "outside"
                if link.kind != "tag" and status in BAD:
                    bad.append(self.follow(id, link))
            progress.advance()
        progress.finish()
        return count, bad

    def follow(self, source: int, link: Link) -> Pointed:
        status, lead = self._judge(source, link)
        at, line = self.names[source].name, bisect_left(self._find_ends(source), link.start) + 1
        if lead.place is None:
            why = self._refused.get(_last(link.target), "") if status == "not read" else ""
            return Pointed(at, line, link, status, why=why)
        others = tuple(self.names[other].name for other in lead.others)
        return Pointed(at, line, link, status, *self._describe(lead.place), others, lead.lacks)

    def _judge(self, source: int, link: Link) -> tuple[Status, Lead]:
        if is_outside(link.target):
            return "outside", NOWHERE
        lead = self._vault.resolve(link.target, source)
        if lead.place is None:
            return ("not read" if _last(link.target) in self._refused else "dead"), lead
        return ("no such part" if lead.lacks else "ambiguous" if lead.others else "found"), lead

    def _find_ends(self, id: int) -> list[int]:
        """Where the lines of a document end."""
        if self._ends[0] != id:
            self._ends = id, [match.start() for match in re.finditer("\n", self._vault.read(id).text)]
        return self._ends[1]

    def _describe(self, place: Place) -> tuple[str, int, int, str]:
        text = self._vault.read(place.document).text[place.start : min(place.end, place.start + MOST_SAID)]
        return self.names[place.document].name, place.start, place.end, " ".join(text.split())


def _last(target: str) -> str:
    return target.partition("#")[0].rsplit("/", 1)[-1].casefold()
