"""Which chunks are asked about: documents take turns, and so do the sections of each, in an order that a seed decides and that further documents do not change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from hashlib import sha256

from journeyman.knowledge.index.file import Index

LEAST_LETTERS = 200
"""Of a chunk: shorter ones answer little."""


def sample_chunks(index: Index, seed: int = 0) -> list[int]:
    """Ids of all chunks that are long enough, those that are asked about first at the beginning."""
    names = {item.id: f"{item.origin.root}\n{item.origin.name}" for item in index.documents()}
    sections: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    numbers: dict[int, str] = {}
    for id, document, number, headings in index.rows(
        'SELECT id, document, number, headings FROM chunks WHERE "end" - start >= ? ORDER BY id', (LEAST_LETTERS,)
    ):
        sections[document][headings].append(id)
        numbers[id] = f"{names[document]}\n{number}"
    order = sorted(sections, key=lambda document: _draw(seed, names[document]))
    turns = [_take_turns(sections[document], numbers, seed) for document in order]
    return [id for taken in _by_turns(turns) for id in taken]


def _take_turns(sections: Mapping[str, list[int]], numbers: Mapping[int, str], seed: int) -> list[int]:
    """A document's chunks: one of each section, then a second one of each."""
    parts = [sorted(ids, key=lambda id: _draw(seed, numbers[id])) for ids in sections.values()]
    parts.sort(key=lambda ids: _draw(seed, numbers[ids[0]]))
    return [id for taken in _by_turns(parts) for id in taken]


def _by_turns(lists: list[list[int]]) -> Iterator[list[int]]:
    """The first of each, the second of each, and so on."""
    turn = 0
    while taken := [items[turn] for items in lists if turn < len(items)]:
        yield taken
        turn += 1


def _draw(seed: int, name: str) -> bytes:
    return sha256(f"{seed}\n{name}".encode("utf-8", "surrogatepass")).digest()
