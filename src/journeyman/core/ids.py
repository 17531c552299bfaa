"""Identifiers: sortable by time where a person reads them, content hashes everywhere else."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def make_id(prefix: str, now: datetime | None = None, entropy: int | None = None) -> str:
    """``prefix-20261121T101500-4k2m9x``: sorts by creation time, unique by 30 random bits."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    number = secrets.randbits(30) if entropy is None else entropy
    tail = "".join(ALPHABET[(number >> shift) & 31] for shift in range(25, -1, -5))
    return f"{prefix}-{moment:%Y%m%dT%H%M%S}-{tail}"
