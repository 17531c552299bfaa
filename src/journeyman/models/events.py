"""Server-sent events, from bytes that may be cut anywhere."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from journeyman.models.bounded import MOST_EVENT_BYTES, TooLong

PIECE_BYTES = 16_384


async def split_events(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield each event as it came, without its closing blank line; lines end in a newline alone.

    Raises: TooLong, an event that does not end.
    """
    rest, lines, size = list[bytes](), list[bytes](), 0
    async for chunk in _cut(chunks):
        size += len(chunk)
        *whole, last = chunk.split(b"\n")
        for piece in whole:
            line = b"".join([*rest, piece]).rstrip(b"\r")
            rest = []
            if line:
                lines.append(line)
            elif lines:
                yield b"\n".join(lines)
                lines, size = [], len(last)
        rest.append(last)
        if size > MOST_EVENT_BYTES:
            rest.clear()
            lines.clear()
            raise TooLong(MOST_EVENT_BYTES)
    if end := b"".join(rest).strip():
        lines.append(end)
    if lines:
        yield b"\n".join(lines)


async def _cut(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Small pieces, so that few events wait at once for a client that reads slowly."""
    async for chunk in chunks:
        for start in range(0, len(chunk), PIECE_BYTES):
            yield chunk[start : start + PIECE_BYTES]


def event_data(event: bytes) -> bytes | None:
    """The event's data, its lines joined by newlines; None where it has none (a comment)."""
    data = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(data) if data else None


async def read_events(chunks: AsyncIterable[bytes]) -> AsyncIterator[str]:
    """Yield each event's data; comments and other fields are skipped."""
    async for event in split_events(chunks):
        data = event_data(event)
        if data is not None:
            yield data.decode("utf-8", "replace")
