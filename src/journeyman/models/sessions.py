"""One aiohttp session per event loop: a model that is used from a second loop gets a second session."""

from __future__ import annotations

import asyncio
import weakref

import aiohttp

from journeyman.models.bounded import BoundedReply


class Sessions:
    """Sessions with the same settings; `get` inside a running loop, `close` at the end. ``limit`` connections at the most, 0: as many as there are calls.

    ``keep_alive`` False opens a connection per call: llama.cpp gives every idle connection one of its few threads for
    five seconds, and closes it while we may be writing to it.
    """

    def __init__(self, timeout: aiohttp.ClientTimeout, *, keep_alive: bool = True, limit: int = 256) -> None:
        self._timeout = timeout
        self._limit = limit
        self._keep_alive = keep_alive
        self._open: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession]
        self._open = weakref.WeakKeyDictionary()

    def get(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        session = self._open.get(loop)
        if session is None or session.closed:
            connector = aiohttp.TCPConnector(limit=self._limit, force_close=not self._keep_alive)
            session = self._open[loop] = aiohttp.ClientSession(
                timeout=self._timeout, connector=connector, response_class=BoundedReply
            )
        return session

    async def close(self) -> None:
        """Close this loop's session; those of loops that have ended can only be dropped."""
        session = self._open.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()
