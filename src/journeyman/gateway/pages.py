"""Lists as OpenAI has them, a page at a time: what may be asked of one, and how it is written."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError


def read_limit(request: Request, default: int, most: int) -> int:
    """Raises: ServeError: JM-772 not a number from 1 to ``most``."""
    given = request.query_params.get("limit")
    if given is None:
        return default
    if not (given.isascii() and given.isdecimal() and 1 <= int(given[:9]) <= most):
        raise ServeError(
            "JM-772", "this is no length of a page", where="limit", expected=f"1 to {most}", got=given[:40]
        )
    return int(given)


def check_query(request: Request, known: Sequence[str]) -> None:
    """Raises: ServeError: JM-772 something that is not looked at, and so would be wrongly thought to hold."""
    for name in request.query_params:
        if name not in known:
            raise ServeError(
                "JM-772", "this list cannot be asked that", where=name[:80], expected=", ".join(known) or "no parameter"
            )


def write_page(items: Sequence[dict[str, Json]], *, has_more: bool) -> dict[str, Json]:
    first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return {"object": "list", "data": list(items), "first_id": first, "last_id": last, "has_more": has_more}
