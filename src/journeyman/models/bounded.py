"""Replies that end: no provider, and nothing that stands in its place, can fill this machine's memory."""

from __future__ import annotations

import aiohttp

MOST_BYTES = 128 << 20
"""Of a body, as it is read: 2,048 vectors of 3,072 numbers written out have some 80 MB."""
MOST_EVENT_BYTES = 32 << 20


class TooLong(aiohttp.ClientPayloadError):
    """More came than is read."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"more than {most_bytes:,} bytes came, the rest is not read")


class BoundedReply(aiohttp.ClientResponse):
    """A reply whose body is read up to ``MOST_BYTES``, also where few bytes unpack to many."""

    async def read(self) -> bytes:
        """Raises: TooLong."""
        if self._body is None:
            body = bytearray()  # one piece of memory, which goes back whole
            try:
                async for chunk in self.content.iter_any():
                    body += chunk
                    if len(body) > MOST_BYTES:
                        raise TooLong(MOST_BYTES)
            except BaseException:
                body.clear()  # an error keeps the frames that it passed
                self.close()
                raise
            self._body = bytes(body)
        return await super().read()
