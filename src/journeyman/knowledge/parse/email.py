"""E-mail: the headers that people read as a first block, then the text, else the HTML. Attachments are named in notes and handed on as files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.utils import getaddresses, parsedate_to_datetime

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import ATTACHMENTS, MAIL, Document, Fact, Link, mend_text
from journeyman.knowledge.parse.html import decode_html, write_html
from journeyman.knowledge.parse.plain import find_paragraphs
from journeyman.knowledge.writing import SPACES, Writing

SHOWN = ("Subject", "From", "To", "Cc", "Date")
MOST_PARTS = 1_000
MOST_BOUNDARIES = 300
DEEPEST = 20
LONGEST_HEADER = 20_000
MOST_PEOPLE = 100
QUOTED = re.compile(r">[^\n]*(?:\n>[^\n]*)*")
UNREADABLE = (RecursionError, ValueError, LookupError, TypeError, AttributeError)
"""What the standard library's parser raises for hostile mail."""


def read_email(name: str, data: bytes) -> Document:
    """Raises: KnowledgeError: JM-909, this is no mail that can be read."""
    message = _parse(name, data)
    parts = list(_find_parts(message))
    writing, links = Writing(), list[Link]()
    shown = [f"{header}: {text}" for header in SHOWN if (text := _header(message, header))]
    writing.add("field", "\n".join(shown))
    notes: list[str] = []
    for part in parts:
        if file := _file_name(part):
            notes.append(f"attachment: {file} ({part.get_content_type()})")
        elif part.get_content_type() == "text/html":
            notes += _write_page(name, part, writing, links)
        elif part.get_content_type() == "text/plain":
            notes += _write_text(name, part, writing)
        elif _content(part).strip():
            notes.append("a part of the mail is broken and was not read")
    if len(parts) >= MOST_PARTS:
        notes.append(f"only {MOST_PARTS} parts were read")
    if not writing.blocks and not notes:
        raise _no_email(name, "neither headers nor a text")
    title = _header(message, "Subject")
    facts, attached = _find_facts(message), _find_attached(parts)
    if attached:
        facts[ATTACHMENTS] = tuple(attached)
    return Document(
        *(name, MAIL, writing.text, tuple(writing.blocks), title, facts, tuple(links)),
        notes=tuple(notes),
        attached=attached,
    )


def _find_attached(parts: list[Message]) -> dict[str, bytes]:
    """Files by name, with a number before it where the name is taken; no signatures, and no pictures of the mail's own text."""
    found: dict[str, bytes] = {}
    for number, part in enumerate(parts, 1):
        file, kind = _file_name(part), part.get_content_type()
        is_shown = kind.startswith("image/") and part.get_content_disposition() != "attachment"
        if file and not is_shown and not kind.endswith("signature"):
            found[f"{number}/{file}" if file in found else file] = _content(part)
    return found


def _parse(name: str, data: bytes) -> Message:
    boundaries = data.lower().count(b"boundary=")
    if boundaries > MOST_BOUNDARIES:
        raise _no_email(name, f"{boundaries} parts that hold parts")
    try:
        return BytesParser().parsebytes(data)
    except UNREADABLE as error:
        raise _no_email(name, str(error)) from error


def _find_parts(message: Message) -> Iterator[Message]:
    """Leaves in order: of alternatives the plain text, where it says anything, and what came with them."""
    waiting, taken = [(message, 0)], 0
    while waiting and taken < MOST_PARTS:
        part, depth = waiting.pop()
        inner = part.get_payload()
        if part.get_content_type() == "message/rfc822" or not isinstance(inner, list):
            taken += 1
            yield part
        elif depth < DEEPEST:
            parts = [one for one in inner if isinstance(one, Message)]
            if part.get_content_type() == "multipart/alternative":
                parts = _choose(parts)
            waiting += [(one, depth + 1) for one in reversed(parts)]


def _choose(parts: list[Message]) -> list[Message]:
    plain = [part for part in parts if part.get_content_type() == "text/plain" and _content(part).strip()]
    return plain[:1] or parts[-1:]


def _file_name(part: Message) -> str:
    """Empty for what is read as the mail's own text."""
    try:
        written = part.get_filename()
        file = SPACES.sub(" ", _decode(str(written)) if written else "").replace("/", "_").replace("\\", "_").strip()
    except UNREADABLE:
        file = "attachment"
    kind = part.get_content_type()
    if kind.startswith("multipart/"):
        return ""
    if kind == "message/rfc822":
        return file or "message.eml"
    is_own = kind in ("text/plain", "text/html") and part.get_content_disposition() != "attachment" and not file
    return "" if is_own else mend_text((file or kind.replace("/", "."))[:200].lstrip(".")) or "attachment"


def _content(part: Message) -> bytes:
    inner = part.get_payload()
    try:
        if isinstance(inner, list):
            return inner[0].as_bytes() if inner and isinstance(inner[0], Message) else b""
        content = part.get_payload(decode=True)
    except UNREADABLE:
        return b""
    return content if isinstance(content, bytes) else b""


def _charset(part: Message) -> str:
    try:
        return str(part.get_content_charset() or "")
    except UNREADABLE:
        return ""


def _write_page(name: str, part: Message, writing: Writing, links: list[Link]) -> tuple[str, ...]:
    try:
        text, notes = decode_html(name, _content(part), _charset(part))
    except KnowledgeError as error:
        return (f"a part of the mail could not be read: {error.what}",)
    page = write_html(text, writing)
    links += page.links
    return notes + page.notes


def _write_text(name: str, part: Message, writing: Writing) -> tuple[str, ...]:
    try:
        text, notes = decode_html(name, _content(part), _charset(part))
    except KnowledgeError as error:
        return (f"a part of the mail could not be read: {error.what}",)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if str(part.get_param("format", "")).lower() == "flowed":
        text = re.sub(r"(?<=[^\n\s]) \n(?=[^\n>\s])", " ", text)
    for block in find_paragraphs(text):
        position = block.start
        for quote in QUOTED.finditer(text, block.start, block.end):
            if quote.start() != block.start and text[quote.start() - 1] != "\n":
                continue
            writing.add("paragraph", text[position : quote.start()])
            writing.add("quote", quote[0])
            position = quote.end()
        writing.add("paragraph", text[position : block.end])
    return notes


def _find_facts(message: Message) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    if sender := _header(message, "From"):
        facts["author"] = sender
    for header, name in (("To", "to"), ("Cc", "cc")):
        if people := _people(_header(message, header)):
            facts[name] = people
    for header, name in (("Message-ID", "message_id"), ("In-Reply-To", "in_reply_to")):
        if text := _header(message, header):
            facts[name] = text[:300]
    try:
        moment = parsedate_to_datetime(_header(message, "Date"))
        facts["date"] = (moment.astimezone(UTC) if moment.tzinfo else moment).isoformat()
    except (*UNREADABLE, OverflowError):
        pass
    return facts


def _people(text: str) -> tuple[str, ...]:
    try:
        return tuple(address for _, address in getaddresses([text[:LONGEST_HEADER]])[:MOST_PEOPLE] if address)
    except UNREADABLE:
        return ()


def _header(message: Message, name: str) -> str:
    return SPACES.sub(" ", _decode(str(message.get(name) or "")[:LONGEST_HEADER])).strip()


def _decode(text: str) -> str:
    """Encoded words as text; bytes outside of any encoding are read as UTF-8."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    try:
        return str(make_header(decode_header(text))).encode("utf-8", "replace").decode("utf-8")
    except (HeaderParseError, *UNREADABLE):
        return text


def _no_email(name: str, got: str) -> KnowledgeError:
    return KnowledgeError("JM-909", "this is no e-mail that can be read", where=name, got=got)
