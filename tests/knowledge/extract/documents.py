"""Documents and schemas for extraction, written here."""

from __future__ import annotations

from journeyman.core.canonical import Json
from journeyman.knowledge.document import Block, Document

ITEM: dict[str, Json] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "quantity": {"type": "number"},
        "price": {"type": "number"},
        "amount": {"type": "number"},
    },
}
SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {
        "number": {"type": "string"},
        "issued": {"type": "string", "format": "date", "description": "Rechnungsdatum"},
        "due": {"type": ["string", "null"], "format": "date"},
        "net": {"type": "number", "description": "Netto"},
        "total": {"anyOf": [{"type": "number", "description": "Summe"}, {"type": "null"}]},
        "currency": {"enum": ["EUR", "USD"]},
        "paid": {"type": "boolean"},
        "phone": {"type": ["string", "null"]},
        "items": {"type": "array", "items": ITEM},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}


def document(text: str, *tables: str) -> Document:
    """A text whose blocks are its paragraphs; those that are named are tables."""
    blocks, place = [], 0
    for part in text.split("\n\n"):
        start = text.index(part, place)
        place = start + len(part)
        blocks.append(Block("table" if part.strip() in tables else "paragraph", start, place))
    return Document("a.txt", "text/plain", text, tuple(blocks))
