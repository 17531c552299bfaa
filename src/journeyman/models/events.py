"""Server-sent events: the ``data`` of each event, from bytes that may be cut anywhere."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator


async def read_events(chunks: AsyncIterable[bytes]) -> AsyncIterator[str]:
    """Yield each event's data, lines joined by newlines; comments and other fields are skipped. Lines may be of any length."""
    rest, data = b"", list[str]()
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for raw in lines:
            line = raw.rstrip(b"\r").decode("utf-8", "replace")
            if line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))
            elif not line and data:
                yield "\n".join(data)
                data = []
    if rest.startswith(b"data:"):
        data.append(rest[5:].decode("utf-8", "replace").strip())
    if data:
        yield "\n".join(data)
