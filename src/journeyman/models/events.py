"""Server-sent events, from bytes that may be cut anywhere."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator


async def split_events(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield each event as it came, without its closing blank line; lines, of any length, end in a newline alone."""
    rest, lines = b"", list[bytes]()
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for raw in whole:
            line = raw.rstrip(b"\r")
            if line:
                lines.append(line)
            elif lines:
                yield b"\n".join(lines)
                lines = []
    if rest.strip():
        lines.append(rest.strip())
    if lines:
        yield b"\n".join(lines)


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
