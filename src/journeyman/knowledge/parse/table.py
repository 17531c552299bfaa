"""Which reader a file has, by the end of its name and its first bytes.

To add a format: one line in ``FORMATS`` and the function that loads its reader when it is first needed. A format's ``version`` goes up whenever its reader gives another
document for the same file: what was read by an earlier one is read again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from journeyman.knowledge.document import Document
from journeyman.knowledge.parse.plain import is_binary

HEAD_BYTES = 4_096
Read = Callable[[str, bytes], Document]


@dataclass(frozen=True, slots=True)
class Reader:
    """``version`` is stored with what it read."""

    name: str
    version: int
    read: Read


def _markdown(name: str, data: bytes) -> Document:
    from journeyman.knowledge.parse.obsidian import read_note

    return read_note(name, data)


def _html(name: str, data: bytes) -> Document:
    from journeyman.knowledge.parse.html import read_html

    return read_html(name, data)


def _csv(name: str, data: bytes) -> Document:
    from journeyman.knowledge.parse.csv import read_csv

    return read_csv(name, data)


def _email(name: str, data: bytes) -> Document:
    from journeyman.knowledge.parse.email import read_email

    return read_email(name, data)


def _epub(name: str, data: bytes) -> Document:
    from journeyman.knowledge.parse.epub import read_epub

    return read_epub(name, data)


def _plain(name: str, data: bytes) -> Document:
    from journeyman.knowledge.parse.plain import read_plain

    return read_plain(name, data)


PLAIN = Reader("plain text", 1, _plain)
FORMATS: tuple[tuple[tuple[str, ...], Reader], ...] = (
    ((".md", ".markdown", ".mdown", ".mkd"), Reader("Markdown", 1, _markdown)),
    ((".html", ".htm", ".xhtml"), Reader("HTML", 1, _html)),
    ((".csv", ".tsv", ".tab"), Reader("CSV", 1, _csv)),
    ((".eml",), Reader("e-mail", 1, _email)),
    ((".epub",), Reader("EPUB", 1, _epub)),
    ((".txt", ".text", ".log", ".rst"), PLAIN),
)
BY_ENDING = {ending: reader for endings, reader in FORMATS for ending in endings}
# What first bytes tell where the name tells nothing, or wrongly.
BY_HEAD: tuple[tuple[bytes, str], ...] = ((b"%PDF-", ".pdf"),)
BY_INNER: tuple[tuple[bytes, str], ...] = (
    (b"mimetypeapplication/epub+zip", ".epub"),
    (b"word/", ".docx"),
    (b"ppt/", ".pptx"),
    (b"xl/", ".xlsx"),
)
TAGS = (b"<!doctype html", b"<html", b"<head", b"<body")


def find_reader(name: str, head: bytes) -> Reader | None:
    """The reader of a file with these first ``HEAD_BYTES``; None where no format is known. Text of an unknown kind is plain text."""
    ending = os.path.splitext(name)[1].lower()
    for magic, known in BY_HEAD:
        if head.startswith(magic):
            return BY_ENDING.get(known)
    if ending in BY_ENDING:
        return BY_ENDING[ending]
    if head.startswith(b"PK\x03\x04"):
        return next((BY_ENDING.get(known) for inner, known in BY_INNER if inner in head), None)
    if is_binary(head):
        return None
    return BY_ENDING[".html"] if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(TAGS) else PLAIN
