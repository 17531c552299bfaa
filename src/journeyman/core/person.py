"""Who a call was made for, as far as it says so: known by a hash alone, so that it can be found and erased."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from journeyman.core.canonical import Json

KEYS = ("user", "safety_identifier")
CONVERSATIONS = ("conversation_id", "session_id", "thread_id")


def hash_person(id: str) -> str:
    """32 hexadecimal digits: the beginning of a SHA-256."""
    return hashlib.sha256(b"person " + id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def find_person(raw: Mapping[str, Json]) -> str:
    """The hashes of all that a request calls its person: ``user``, ``safety_identifier`` and ``metadata.user_id``, with spaces between; empty where there are none."""
    metadata = raw.get("metadata")
    named = [raw.get(key) for key in KEYS] + [metadata.get("user_id") if isinstance(metadata, dict) else None]
    return " ".join(sorted({hash_person(id) for id in named if isinstance(id, str) and id}))


def find_conversation(raw: Mapping[str, Json]) -> str:
    """What a request's ``metadata`` calls its conversation; empty where it does not."""
    metadata = raw.get("metadata")
    named = (metadata.get(key) for key in CONVERSATIONS) if isinstance(metadata, dict) else ()
    return next((id for id in named if isinstance(id, str) and id), "")
