"""Identifiers: sortable by time where a person reads them, content hashes everywhere else."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ready: list[int] = []
"""Random numbers of 64 bits, which the system gives cheaper many at a time."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ready.clear)  # nobody else has the same ones


def make_id(prefix: str, now: datetime | None = None, entropy: int | None = None, bits: int = 30) -> str:
    """``prefix-20261121T101500-4k2m9x``: sorts by creation time, unique by ``bits`` random ones, a multiple of five."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    number = _draw(bits) if entropy is None else entropy
    tail = "".join(ALPHABET[(number >> shift) & 31] for shift in range(bits - 5, -1, -5))
    return f"{prefix}-{moment:%Y%m%dT%H%M%S}-{tail}"


def _draw(bits: int) -> int:
    if bits > 64:
        return secrets.randbits(bits)
    try:
        return _ready.pop() >> (64 - bits)
    except IndexError:
        drawn = os.urandom(8 * 256)
        _ready.extend(int.from_bytes(drawn[place : place + 8], "big") for place in range(8, len(drawn), 8))
        return int.from_bytes(drawn[:8], "big") >> (64 - bits)


def make_trace_id(now: datetime | None = None) -> str:
    """Thousands are made in one second, and two that are equal would be one call lost: 60 random bits."""
    return make_id("trace", now, bits=60)
