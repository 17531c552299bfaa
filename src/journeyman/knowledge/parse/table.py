"""Which reader a file has, by the end of its name and its first bytes.

To add a format: one line in ``FORMATS`` and the function that loads its reader when it is first needed. A format's ``version`` goes up whenever its reader gives another
document for the same file: what was read by an earlier one is read again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec

from journeyman.knowledge.document import Document
from journeyman.knowledge.parse.plain import is_binary
from journeyman.knowledge.parse.reader import Reader


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a user may say about reading: ``passwords`` that are tried, ``ocr`` for pages without text where RapidOCR is installed."""

    passwords: tuple[str, ...] = ()
    ocr: bool = True


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


def _pdf(name: str, data: bytes, passwords: Sequence[str] = (), has_ocr: bool = False) -> Document:
    from journeyman.knowledge.parse.ocr import read_letters
    from journeyman.knowledge.parse.pdf import read_pdf

    return read_pdf(name, data, passwords, read_letters if has_ocr else None)


def _docx(name: str, data: bytes) -> Document:
    from journeyman.knowledge.parse.docx import read_docx

    return read_docx(name, data)


def _pptx(name: str, data: bytes) -> Document:
    from journeyman.knowledge.parse.pptx import read_pptx

    return read_pptx(name, data)


def _sheets(name: str, data: bytes) -> Document:
    from journeyman.knowledge.parse.sheets import read_sheets

    return read_sheets(name, data)


def _odt(name: str, data: bytes) -> Document:
    from journeyman.knowledge.parse.odt import read_odt

    return read_odt(name, data)


def _rtf(name: str, data: bytes) -> Document:
    from journeyman.knowledge.parse.rtf import read_rtf

    return read_rtf(name, data)


PLAIN = Reader("plain text", 1, (".txt", ".text", ".log", ".rst"), _plain)
PDF = Reader("PDF", 1, (".pdf",), _pdf)
FORMATS: tuple[Reader, ...] = (
    Reader("Markdown", 1, (".md", ".markdown", ".mdown", ".mkd"), _markdown),
    Reader("HTML", 1, (".html", ".htm", ".xhtml"), _html),
    Reader("CSV", 1, (".csv", ".tsv", ".tab"), _csv),
    Reader("e-mail", 1, (".eml",), _email),
    Reader("EPUB", 1, (".epub",), _epub),
    PDF,
    Reader("Word", 1, (".docx", ".docm"), _docx),
    Reader("PowerPoint", 1, (".pptx", ".pptm", ".ppsx"), _pptx),
    Reader("sheets", 1, (".xlsx", ".xlsm", ".xls", ".ods"), _sheets),
    Reader("OpenDocument", 1, (".odt",), _odt),
    Reader("Rich Text", 1, (".rtf",), _rtf),
    PLAIN,
)
BY_ENDING = {ending: reader for reader in FORMATS for ending in reader.suffixes}
STAMPS = frozenset(f"{reader.name}:{reader.version}" for reader in FORMATS)
# What first bytes tell where the name tells nothing, or wrongly.
BY_HEAD: tuple[tuple[bytes, str], ...] = ((b"%PDF-", ".pdf"), (b"{\\rtf", ".rtf"))
BY_INNER: tuple[tuple[bytes, str], ...] = (
    (b"mimetypeapplication/epub+zip", ".epub"),
    (b"word/", ".docx"),
    (b"ppt/", ".pptx"),
    (b"xl/", ".xlsx"),
)
TAGS = (b"<!doctype html", b"<html", b"<head", b"<body")


def find_reader(name: str, head: bytes, wishes: Wishes = Wishes()) -> Reader | None:
    """The reader of a file with these first bytes; None where no format is known. Text of an unknown kind is plain text."""
    found = _find(name, head)
    if found is not PDF:
        return found
    has_ocr = wishes.ocr and find_spec("rapidocr_onnxruntime") is not None
    return replace(PDF, read=partial(_pdf, passwords=wishes.passwords, has_ocr=has_ocr))


def is_current(stamp: str) -> bool:
    """Whether what ``NAME:VERSION`` read would be read so today."""
    return stamp in STAMPS


def _find(name: str, head: bytes) -> Reader | None:
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
