"""Identifiers: sortable by time where a person reads them, content hashes everywhere else."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def make_id(prefix: str, now: datetime | None = None, entropy: int | None = None, bits: int = 30) -> str:
    """``prefix-20261121T101500-4k2m9x``: sorts by creation time, unique by ``bits`` random ones, a multiple of five."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    number = secrets.randbits(bits) if entropy is None else entropy
    tail = "".join(ALPHABET[(number >> shift) & 31] for shift in range(bits - 5, -1, -5))
    return f"{prefix}-{moment:%Y%m%dT%H%M%S}-{tail}"


def make_trace_id(now: datetime | None = None) -> str:
    """Thousands are made in one second, and two that are equal would be one call lost: 60 random bits."""
    return make_id("trace", now, bits=60)
