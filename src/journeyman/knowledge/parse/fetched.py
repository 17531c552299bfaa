"""What stands behind an address, once, as the file that it is: no page that it links to, no script that it runs."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit, urlunsplit

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Fact
from journeyman.knowledge.parse.archive import DEFAULT, Limits

SCHEMES = ("http://", "https://")
WAIT_S = 30.0
"""For each answer of the server."""
WHOLE_S = 300.0
PIECE_BYTES = 1 << 16
ENDINGS = {"text/html": ".html", "application/xhtml+xml": ".html", "application/pdf": ".pdf", "text/markdown": ".md"}
"""For addresses without one."""
GONE = (404, 410)
Fetched = tuple[str, bytes, dict[str, Fact]]  # name, content, facts


def is_address(given: str) -> bool:
    return given.lower().startswith(SCHEMES)


def fetch(address: str, limits: Limits = DEFAULT, wait_s: float = WAIT_S, whole_s: float = WHOLE_S) -> Fetched:
    """
    Raises:
        KnowledgeError: JM-901 nobody answers, or with an error; what may be there another time is marked so. JM-902 it is too large.
    """
    until = time.monotonic() + whole_s
    try:
        request = urllib.request.Request(address, headers={"User-Agent": "journeyman", "Accept": "*/*"})
        with urllib.request.urlopen(request, timeout=wait_s) as reply:
            data = b"".join(_read(address, reply, limits, until))
            if len(data) < int(reply.headers.get("Content-Length") or 0):
                raise TimeoutError("it ended before its end")
            return _name(address, reply.headers), data, _facts(address, reply.headers)
    except urllib.error.HTTPError as error:
        with error:
            raise _shut(address, f"{error.code} {error.reason}", is_gone=error.code in GONE) from None
    except (OSError, HTTPException, ValueError) as error:
        raise _shut(address, str(getattr(error, "reason", "")) or str(error) or type(error).__name__) from None


def _read(address: str, reply: HTTPResponse, limits: Limits, until: float) -> Iterator[bytes]:
    left = limits.file_bytes
    while piece := reply.read1(PIECE_BYTES):
        left -= len(piece)
        if left < 0:
            raise KnowledgeError(
                "JM-902",
                "this file is too large",
                where=address,
                expected=f"at most {limits.file_bytes:,} bytes",
                got="more",
                hint="split it, or add the part that matters",
            )
        if time.monotonic() > until:
            raise TimeoutError("it has not ended in time")
        yield piece


def _name(address: str, headers: Message) -> str:
    """The address, with an ending where it says none."""
    parts = urlsplit(address)._replace(fragment="")
    path = parts.path if parts.path.strip("/") and not parts.path.endswith("/") else f"{parts.path.rstrip('/')}/index"
    if "." not in path.rsplit("/", 1)[-1]:
        path += ENDINGS.get(headers.get_content_type(), "")
    return urlunsplit(parts._replace(path=path))


def _facts(address: str, headers: Message) -> dict[str, Fact]:
    facts: dict[str, Fact] = {"url": address}
    try:
        moment = parsedate_to_datetime(headers.get("Last-Modified", ""))
    except (TypeError, ValueError):
        return facts
    return facts | {"modified": moment.astimezone(UTC).isoformat(timespec="seconds")}


def _shut(address: str, got: str, *, is_gone: bool = False) -> KnowledgeError:
    return KnowledgeError(
        "JM-901",
        "this cannot be read",
        where=address,
        got=got[:200],
        hint="check the address, or add it again later",
        retryable=not is_gone,
    )
