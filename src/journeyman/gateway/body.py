"""The body of a request as JSON, of a depth that everything after it can follow."""

from __future__ import annotations

from typing import cast

import orjson
from starlette.requests import Request

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError
from journeyman.data.record import find_depth

DEEPEST = 150
"""Levels: well below what showing a value in an error, or writing it again, can follow."""


async def read_body(request: Request, most_bytes: int) -> Json:
    """Raises: ServeError JM-702 too long, JM-703 not JSON, or nested too deeply."""
    size, chunks, has_more = 0, list[bytes](), True
    while has_more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ServeError("JM-703", "the request broke off", where="body", hint="send it again")
        chunk, has_more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size <= most_bytes:
            chunks.append(chunk)
        elif size > 16 * most_bytes:  # read on for a while, so that the client hears the answer
            break
    if size > most_bytes:
        raise ServeError(
            "JM-702",
            "the request body is too long",
            expected=f"at most {most_bytes} bytes",
            got=f"{size} bytes or more",
            hint="shorten the input",
        )
    return _parse(b"".join(chunks))


def _parse(data: bytes) -> Json:
    try:
        raw = cast(Json, orjson.loads(data))
    except orjson.JSONDecodeError as error:
        raise ServeError(
            "JM-703", "the request body is not JSON", got=str(error), hint="send one JSON object in UTF-8"
        ) from error
    if data.count(b"[") + data.count(b"{") > DEEPEST and find_depth(raw) > DEEPEST:
        raise ServeError(
            "JM-703",
            "the request body is nested too deeply",
            expected=f"at most {DEEPEST} levels",
            hint="nest it less deeply",
        )
    return raw
