"""A document as the bytes that the index keeps of it, and back, equal in every field."""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np

from journeyman.knowledge.document import Block, Document, Link, Places

HEAD_BYTES = 1 << 16
LEVEL = 3  # of zlib: text at a third of its size, 100 MB/s


def pack_text(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8", "surrogatepass"), LEVEL)


def unpack_text(packed: bytes) -> str:
    return zlib.decompress(packed).decode("utf-8", "surrogatepass")


def pack_layout(document: Document) -> bytes:
    """All but the name, the text and the facts."""
    places = document.places
    head = {
        "blocks": [[block.kind, block.start, block.end, block.level, block.page] for block in document.blocks],
        "links": [[link.start, link.end, link.target, link.kind] for link in document.links],
        "pages": [list(page) for page in document.pages],
        "notes": list(document.notes),
        "words": len(places),
    }
    arrays = (places.spans.astype("<i4"), places.pages.astype("<i4"), places.boxes.astype("<f4"))
    return zlib.compress(
        json.dumps(head, separators=(",", ":")).encode() + b"\n" + b"".join(array.tobytes() for array in arrays), LEVEL
    )


def unpack_layout(packed: bytes) -> dict[str, Any]:
    """``blocks``, ``links``, ``pages``, ``notes`` and ``places`` as `Document` takes them."""
    line, _, rest = zlib.decompress(packed).partition(b"\n")
    head = json.loads(line)
    words = head["words"]
    spans, pages, boxes = rest[: 8 * words], rest[8 * words : 12 * words], rest[12 * words : 28 * words]
    places = Places(
        np.frombuffer(spans, "<i4").reshape(words, 2),
        np.frombuffer(pages, "<i4"),
        np.frombuffer(boxes, "<f4").reshape(words, 4),
    )
    return {
        "blocks": tuple(Block(*block) for block in head["blocks"]),
        "links": tuple(Link(*link) for link in head["links"]),
        "pages": tuple((width, height) for width, height in head["pages"]),
        "notes": tuple(head["notes"]),
        "places": places,
    }


def unpack_links(packed: bytes) -> tuple[Link, ...]:
    """Without the words' places, which may be a hundred times as much."""
    unpacking, head = zlib.decompressobj(), b""
    while b"\n" not in head and not unpacking.eof:
        piece = unpacking.decompress(packed, HEAD_BYTES)
        head, packed = head + piece, unpacking.unconsumed_tail
        if not piece:
            break
    return tuple(Link(*link) for link in json.loads(head.partition(b"\n")[0])["links"])
