"""The body of a request as JSON, of a depth that everything after it can follow."""

from __future__ import annotations

from typing import cast

import orjson
from starlette.requests import ClientDisconnect, Request

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError
from journeyman.data.record import find_depth

DEEPEST = 150
"""Levels: well below what showing a value in an error, or writing it again, can follow."""


async def read_body(request: Request, most_bytes: int) -> Json:
    """Raises: ServeError JM-702 too long, JM-703 not JSON, or nested too deeply."""
    size, chunks = 0, []
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= most_bytes:
                chunks.append(chunk)
            elif size > 16 * most_bytes:  # read on for a while, so that the client hears the answer
                break
    except ClientDisconnect as error:
        raise ServeError("JM-703", "the request broke off", where="body", hint="send it again") from error
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
