"""Forms with files (RFC 7578), read as they come: what a part holds goes on piece by piece, and nothing is held but a boundary's length."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP

from journeyman.core.errors import ServeError

HEAD_LIMIT = 16_384


@dataclass(frozen=True, slots=True)
class Head:
    """Of a part: the field's name, and the file's where it is one."""

    name: str
    filename: str | None


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the part that began last."""

    data: bytes


def find_boundary(content_type: str) -> bytes:
    """Raises: ServeError: JM-772 not a form with files."""
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_boundary("")
    if header.get_content_type() != "multipart/form-data" or not 0 < len(boundary) <= 200:
        raise _broken(f"content-type {content_type[:80]!r}")
    return str(boundary).encode("latin-1", "replace")


async def read_form(chunks: AsyncIterator[bytes], boundary: bytes) -> AsyncGenerator[Head | Piece, None]:
    """Heads and pieces of parts in their order; what stands before the first boundary and after the last one is left out.

    Raises:
        ServeError: JM-772 the form breaks off, or a part has no name.
    """
    mark, buffer, is_inside = b"\r\n--" + boundary, b"\r\n", False
    async for chunk in chunks:
        buffer += chunk
        while True:
            at = buffer.find(mark)
            if at < 0:
                spare = len(buffer) - len(mark) + 1
                if spare > 0:
                    if is_inside:
                        yield Piece(buffer[:spare])
                    buffer = buffer[spare:]
                break
            if is_inside and at:
                yield Piece(buffer[:at])
            buffer, is_inside = buffer[at:], False
            rest = buffer[len(mark) :]
            if rest.startswith(b"--"):
                async for _ in chunks:  # the client is still sending
                    pass
                return
            end = rest.find(b"\r\n\r\n")
            if end < 0:
                if len(rest) > HEAD_LIMIT:
                    raise _broken("a part whose head does not end")
                break
            yield _read_head(rest[:end])
            buffer, is_inside = rest[end + 4 :], True
            # A part may be empty: its boundary follows the head's empty line at once.
            if buffer.startswith(mark[2:]):
                buffer = b"\r\n" + buffer
    raise _broken("a form that breaks off")


def _read_head(raw: bytes) -> Head:
    head = BytesParser(policy=HTTP).parsebytes(raw.lstrip(b" \t\r\n") + b"\r\n\r\n", headersonly=True)
    given = head.get("content-disposition")
    name = given.params.get("name") if given is not None else None
    if given is None or given.content_disposition != "form-data" or not name:
        raise _broken("a part without a name")
    filename = given.params.get("filename")
    return Head(_text(name), None if filename is None else _text(filename))


def _text(raw: str) -> str:
    """Names come in UTF-8, which the parser does not know."""
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _broken(got: str) -> ServeError:
    return ServeError(
        "JM-772",
        "this is not a form with a file",
        where="body",
        expected="multipart/form-data with the fields file and purpose",
        got=got,
        hint="client.files.create(file=open(...), purpose='fine-tune') sends one",
    )
