"""Replies that end: no provider, and nothing that stands in its place, can fill this machine's memory."""

from __future__ import annotations

MOST_BYTES = 128 << 20
"""Of a body, as it is read: 2,048 vectors of 3,072 numbers written out have some 80 MB."""
MOST_EVENT_BYTES = 32 << 20


class BrokenReply(ConnectionError):
    """What came is no reply, or not all of one."""


class TooLong(BrokenReply):
    """More came than is read."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"more than {most_bytes:,} bytes came, the rest is not read")
