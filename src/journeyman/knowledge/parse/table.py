"""Which reader a file has, by the end of its name and its first bytes.

To add a format: one line in ``FORMATS``. A format's ``version`` goes up whenever its reader gives another document for the same file: what was read by an earlier
one is read again. Readers are called in other processes, each of which imports those alone that it meets; whoever imports this module pays for all of them.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from importlib.util import find_spec

from journeyman.knowledge.parse.csv import read_csv
from journeyman.knowledge.parse.docx import read_docx
from journeyman.knowledge.parse.email import read_email
from journeyman.knowledge.parse.epub import read_epub
from journeyman.knowledge.parse.html import read_html
from journeyman.knowledge.parse.obsidian import read_note
from journeyman.knowledge.parse.ocr import read_letters
from journeyman.knowledge.parse.odt import read_odt
from journeyman.knowledge.parse.pdf import read_pdf
from journeyman.knowledge.parse.plain import is_binary, read_plain
from journeyman.knowledge.parse.pptx import read_pptx
from journeyman.knowledge.parse.reader import Reader, Wishes
from journeyman.knowledge.parse.rtf import read_rtf
from journeyman.knowledge.parse.sheets import read_sheets

PLAIN = Reader("plain text", 1, (".txt", ".text", ".log", ".rst"), read_plain)
PDF = Reader("PDF", 1, (".pdf",), read_pdf)
FORMATS: tuple[Reader, ...] = (
    Reader("Markdown", 1, (".md", ".markdown", ".mdown", ".mkd"), read_note),
    Reader("HTML", 1, (".html", ".htm", ".xhtml"), read_html),
    Reader("CSV", 1, (".csv", ".tsv", ".tab"), read_csv),
    Reader("e-mail", 2, (".eml",), read_email),
    Reader("EPUB", 1, (".epub",), read_epub),
    PDF,
    Reader("Word", 1, (".docx", ".docm"), read_docx),
    Reader("PowerPoint", 1, (".pptx", ".pptm", ".ppsx"), read_pptx),
    Reader("sheets", 1, (".xlsx", ".xlsm", ".xls", ".ods"), read_sheets),
    Reader("OpenDocument", 1, (".odt",), read_odt),
    Reader("Rich Text", 1, (".rtf",), read_rtf),
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
    return replace(PDF, read=partial(read_pdf, passwords=wishes.passwords, ocr=read_letters if has_ocr else None))


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
