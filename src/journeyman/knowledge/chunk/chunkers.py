"""The chunkers by name."""

from __future__ import annotations

from collections.abc import Mapping

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.chunk.chunk import Chunker
from journeyman.knowledge.chunk.fixed import chunk_fixed
from journeyman.knowledge.chunk.headed import chunk_headed
from journeyman.knowledge.chunk.recursive import chunk_recursive

DEFAULT = "headed"
CHUNKERS: Mapping[str, Chunker] = {DEFAULT: chunk_headed, "recursive": chunk_recursive, "fixed": chunk_fixed}


def find_chunker(name: str = DEFAULT) -> Chunker:
    """Raises: KnowledgeError JM-985 there is none of that name."""
    if name not in CHUNKERS:
        raise KnowledgeError(
            "JM-985", "there is no such chunker", where=name, expected=" or ".join(CHUNKERS), hint=f"use {DEFAULT}"
        )
    return CHUNKERS[name]
