"""The links of an index: documents by name, their links by document, from the file alone and read again when it changes.

Targets are kept as they were written and resolved when somebody asks, so that a note which comes, changes or goes leaves no wrong link behind in others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

from journeyman.knowledge.document import Document, Fact, Link
from journeyman.knowledge.index.file import Index, Shelved
from journeyman.knowledge.links.names import Names, Note
from journeyman.knowledge.links.vault import Vault

HELD_DOCUMENTS, HELD_LINKS = 16, 1024
Backlinks = Mapping[int, Sequence[tuple[int, Link]]]


class Shelf:
    """``vault`` and ``backlinks`` of the index as it stands."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._version = -1
        self._vault: Vault | None = None
        self._backlinks: Backlinks | None = None

    @property
    def vault(self) -> Vault:
        self._renew()
        assert self._vault is not None
        return self._vault

    @property
    def backlinks(self) -> Backlinks:
        """By document: others that point to it, each with the link, by their numbers and places."""
        self._renew()
        if self._backlinks is None:
            self._backlinks = self._collect(self.vault)
        return self._backlinks

    def _renew(self) -> None:
        """A connection that writes does not see its own changes counted."""
        version = self._index.version()
        if self._vault is None or version != self._version or self._index.is_writer:
            self._vault, self._backlinks, self._version = self._open(), None, version

    def _open(self) -> Vault:
        @lru_cache(HELD_DOCUMENTS)
        def read(id: int) -> Document:
            return self._index.document(id)

        @lru_cache(HELD_LINKS)
        def find_links(id: int) -> Sequence[Link]:
            return next((links for _, links in self._index.links([id])), ())

        return Vault(Names(map(make_note, self._index.documents())), read, find_links)

    def _collect(self, vault: Vault) -> Backlinks:
        found: dict[int, list[tuple[int, Link]]] = defaultdict(list)
        for source, links in self._index.links():
            for link in links:
                target = vault.find_document(link.target, source) if link.kind != "tag" else None
                if target is not None and target != source:
                    found[target].append((source, link))
        return found


def make_note(item: Shelved) -> Note:
    return Note(item.id, item.origin.root, item.origin.name, _list(item.facts.get("aliases", ())))


def _list(aliases: Fact) -> tuple[str, ...]:
    return aliases if isinstance(aliases, tuple) else (str(aliases),)
