"""What a passage embeds (``![[note#heading]]``), as passages of their own documents: whoever cites them points to where the words stand."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from operator import attrgetter

from journeyman.knowledge.document import Document, Link
from journeyman.knowledge.index.file import Index, Piece
from journeyman.knowledge.links.shelf import Shelf
from journeyman.knowledge.links.vault import Place, Vault

MOST_EMBEDDED = 8
"""Passages that follow one that embeds them."""
MOST_CHARS = 2000
"""Of a place that is longer, the first chunks that fit."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """``text[start:end]`` of the document in which ``piece``, its first chunk, stands."""

    piece: Piece
    start: int
    end: int
    text: str


def find_embedded(
    index: Index, shelf: Shelf, document: int, start: int, end: int, allowed: Collection[int] | None = None
) -> list[Excerpt]:
    """In the order in which a reader of ``text[start:end]`` meets them, those of embedded ones behind them; lines of embeds alone belong to what stands above them. ``allowed`` are documents that may be read; None: all."""
    vault = shelf.vault
    embeds = [link for link in vault.find_links(document) if link.kind == "embed" and link.start >= start]
    if not embeds:
        return []
    end = _reach(vault.read(document), embeds, end)
    places = vault.embedded(Place(document, start, end), MOST_EMBEDDED)
    read = (_read(index, vault, place) for place in places if allowed is None or place.document in allowed)
    return [excerpt for excerpt in read if excerpt is not None]


def _reach(document: Document, embeds: Sequence[Link], end: int) -> int:
    """The end of the last block of nothing but embeds that follows what ends at ``end``."""
    for block in document.blocks[bisect_left(document.blocks, end, key=attrgetter("start")) :]:
        said, place = "", block.start
        for link in embeds[bisect_left(embeds, block.start, key=attrgetter("start")) :]:
            if link.start >= block.end:
                break
            said, place = said + document.text[place : link.start], link.end
        if place == block.start or (said + document.text[place : block.end]).strip():
            break
        end = block.end
    return end


def _read(index: Index, vault: Vault, place: Place) -> Excerpt | None:
    """None where no chunk has any of it: an empty note, one of facts alone."""
    pieces = index.overlapping(place.document, place.start, place.end)
    if not pieces:
        return None
    start, end = max(place.start, pieces[0].start), pieces[0].end
    for piece in pieces[1:]:
        if min(piece.end, place.end) - start <= MOST_CHARS:
            end = piece.end
    end = min(end, place.end)
    return Excerpt(pieces[0], start, end, vault.read(place.document).text[start:end])
