"""A whole reply as the framework sends it, made without what it looks up and copies for each."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response


class Reply(Response):
    """``headers`` have lower-case names, and the content type where there is one."""

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        self.raw_headers.append((b"content-length", b"%d" % len(body)))
