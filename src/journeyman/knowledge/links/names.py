"""Documents by the names that links use, as Obsidian resolves them: without regard to case, by the last part of a path, by more of it, by an alias.

Of several documents with one name a link means the one whose whole path it writes; else one below the folder that the link stands in, else the one that lies highest. Documents that
were added together are a vault; what was added on its own is looked at where the vault has nothing of the name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from posixpath import dirname, join, normpath
from unicodedata import normalize
from urllib.parse import unquote

BESIDE = ("./", "../")
NOTE_ENDINGS = (".md", ".markdown")


@dataclass(frozen=True, slots=True)
class Note:
    """A document by what links call it: its ``name`` below the ``root`` that it was added with, and its aliases."""

    id: int
    root: str
    name: str
    aliases: tuple[str, ...] = ()


class Names:
    """All documents that a link may lead to."""

    def __init__(self, notes: Iterable[Note]) -> None:
        self.notes = {note.id: note for note in notes}
        self._by_page: dict[str, list[Note]] = defaultdict(list)
        self._by_alias: dict[str, list[Note]] = defaultdict(list)
        for note in sorted(self.notes.values(), key=_depth):
            self._by_page[_key(note.name.rsplit("/", 1)[-1])].append(note)
            for alias in note.aliases:
                self._by_alias[_key(alias)].append(note)

    def find(self, page: str, source: int | None = None) -> list[Note]:
        """What ``page`` may mean in the document ``source``, the likeliest first; one alone where the link leaves no doubt."""
        at = self.notes.get(source) if source is not None else None
        written = (self._find_written(way, at) for way in dict.fromkeys((page.strip(), unquote(page.strip()))))
        return next(filter(None, written), [])

    def _find_written(self, page: str, source: Note | None) -> list[Note]:
        last = _key(page.rstrip("/").rsplit("/", 1)[-1])
        named = self._by_page.get(last, [])
        for path in _paths(page, source):
            exact = [note for note in named if _key(note.name) == path and (source is None or note.root == source.root)]
            if exact:
                return exact
        if page.startswith(BESIDE) and source is not None:
            return []
        if "/" in page:
            ending = f"/{_key(normpath(page.lstrip('/')))}"
            named = [note for note in named if f"/{_key(note.name)}".endswith(ending)]
        else:
            named = named or self._by_alias.get(_key(page), [])
        return _sort(named, source)


def _paths(page: str, source: Note | None) -> Sequence[str]:
    """Whole paths that a link may have written: from the vault's folder, and beside the note; with an ending it is read as other Markdown is, beside the note first."""
    if source is None:
        return (_key(page.lstrip("/")),)
    vault = source.name.partition("/")[0] if "/" in source.name else ""
    beside = _key(normpath(join(dirname(source.name), page)))
    whole = [_key(normpath(join(vault, page.lstrip("/")))), _key(normpath(page.lstrip("/")))]
    if page.startswith(BESIDE):
        return (beside,)
    if page.startswith("/"):
        return whole
    if "." in page.rsplit("/", 1)[-1]:
        return (beside, *whole)
    return (*whole, beside) if "/" in page else whole


def _sort(notes: Sequence[Note], source: Note | None) -> list[Note]:
    if source is None or len(notes) < 2:
        return list(notes)
    folder = f"{dirname(source.name)}/".lstrip("/")
    return sorted(notes, key=lambda note: (note.root != source.root, not note.name.startswith(folder), *_depth(note)))


def _depth(note: Note) -> tuple[int, str, str, int]:
    return note.name.count("/"), note.name, note.root, note.id


def _key(page: str) -> str:
    page = normalize("NFC", page).casefold().strip()
    for ending in NOTE_ENDINGS:
        page = page.removesuffix(ending)
    return page
