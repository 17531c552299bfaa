"""What a PDF holds besides its pages' text: form fields, remarks, links, attachments, what it says of itself, its outline."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from journeyman.knowledge.document import Fact
from journeyman.knowledge.parse.pdf_words import Shown

MOST_ANNOTATIONS = 5_000  # of a page
MOST_OUTLINE = 2_000
MOST_TEXT = 100_000  # characters of one value
TOLD_ATTACHMENTS = 20
SILENT = (pdfium_c.FPDF_ANNOT_POPUP, pdfium_c.FPDF_ANNOT_LINK, pdfium_c.FPDF_ANNOT_WIDGET)
CHECKED = (pdfium_c.FPDF_FORMFIELD_CHECKBOX, pdfium_c.FPDF_FORMFIELD_RADIOBUTTON)
UNWRITTEN = (pdfium_c.FPDF_FORMFIELD_PUSHBUTTON, pdfium_c.FPDF_FORMFIELD_SIGNATURE)
DATE = re.compile(r"D:(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?(?:([+-])(\d{2})'?(\d{2})|Z)?")
UNTOLD = ("untitled", "anonymous", "unspecified", "unknown")  # what programs write when nobody has said anything

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Extra:
    """``field``: text is ``name: value``; ``remark``: what somebody wrote onto the page; ``link``: text is the target."""

    kind: str
    text: str
    box: Box


def read_extras(document: pdfium.PdfDocument, page: pdfium.PdfPage, shown: Shown) -> list[Extra]:
    found: list[Extra] = []
    for number in range(min(pdfium_c.FPDFPage_GetAnnotCount(page.raw), MOST_ANNOTATIONS)):
        annotation = pdfium_c.FPDFPage_GetAnnot(page.raw, number)
        if not annotation:
            continue
        try:
            extra = _read(document, annotation, shown)
        finally:
            pdfium_c.FPDFPage_CloseAnnot(annotation)
        if extra is not None:
            found.append(extra)
    return _join_choices(found)


def _read(document: pdfium.PdfDocument, annotation: Any, shown: Shown) -> Extra | None:
    kind = pdfium_c.FPDFAnnot_GetSubtype(annotation)
    box = _box(annotation, shown)
    if kind == pdfium_c.FPDF_ANNOT_WIDGET and document.formenv is not None:
        text = _field(document.formenv.raw, annotation)
        return Extra("field", text, box) if text else None
    if kind == pdfium_c.FPDF_ANNOT_LINK:
        target = _target(document, annotation)
        return Extra("link", target, box) if target else None
    if kind in SILENT:
        return None
    text = _clean(_wide(lambda buffer, size: pdfium_c.FPDFAnnot_GetStringValue(annotation, b"Contents", buffer, size)))
    return Extra("remark", text, box) if text else None


def _box(annotation: Any, shown: Shown) -> Box:
    found = pdfium_c.FS_RECTF()
    pdfium_c.FPDFAnnot_GetRect(annotation, found)
    raw = np.nan_to_num(np.asarray([[found.left, found.top, found.right, found.bottom]], np.float32))
    left, top, right, bottom = shown.place(np.clip(raw, -1e6, 1e6))[0].tolist()
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)


def _field(form: Any, annotation: Any) -> str:
    kind = pdfium_c.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in UNWRITTEN:
        return ""
    name = _clean(_wide(lambda buffer, size: pdfium_c.FPDFAnnot_GetFormFieldName(form, annotation, buffer, size)))
    said = _clean(
        _wide(lambda buffer, size: pdfium_c.FPDFAnnot_GetFormFieldAlternateName(form, annotation, buffer, size))
    )
    if kind in CHECKED:
        value = "yes" if pdfium_c.FPDFAnnot_IsChecked(form, annotation) else "no"
        if kind == pdfium_c.FPDF_FORMFIELD_RADIOBUTTON:
            chosen = _wide(
                lambda buffer, size: pdfium_c.FPDFAnnot_GetFormFieldExportValue(form, annotation, buffer, size)
            )
            value = _clean(chosen) if value == "yes" else ""
    else:
        value = _clean(_wide(lambda buffer, size: pdfium_c.FPDFAnnot_GetFormFieldValue(form, annotation, buffer, size)))
    return f"{said or name}: {value}".rstrip() if said or name else value


def _join_choices(extras: list[Extra]) -> list[Extra]:
    """A group of radio buttons once: with what is chosen, if anything is."""
    chosen = {extra.text.split(": ", 1)[0] for extra in extras if extra.kind == "field" and ": " in extra.text}
    seen: set[str] = set()
    kept = []
    for extra in extras:
        if extra.kind == "field" and extra.text.endswith(":"):
            if extra.text[:-1] in chosen or extra.text in seen:
                continue
            seen.add(extra.text)
        kept.append(extra)
    return kept


def _target(document: pdfium.PdfDocument, annotation: Any) -> str:
    link = pdfium_c.FPDFAnnot_GetLink(annotation)
    action = pdfium_c.FPDFLink_GetAction(link) if link else None
    if not action or pdfium_c.FPDFAction_GetType(action) != pdfium_c.PDFACTION_URI:
        return ""
    size = min(pdfium_c.FPDFAction_GetURIPath(document.raw, action, None, 0), MOST_TEXT)
    buffer = ctypes.create_string_buffer(max(size, 1))
    pdfium_c.FPDFAction_GetURIPath(document.raw, action, buffer, size)
    return _clean(buffer.value.decode("utf-8", "replace"))


def _wide(ask: Callable[[Any, int], int]) -> str:
    """A text that PDFium writes as UTF-16 into a buffer of as many bytes as it asks for."""
    size = min(ask(None, 0), 2 * MOST_TEXT)
    if size <= 2:
        return ""
    buffer = (ctypes.c_ushort * (size // 2 + 1))()
    ask(buffer, size)
    return bytes(buffer).decode("utf-16-le", "replace").split("\0", 1)[0]


def _clean(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    kept = "\n".join(line for line in lines if line)
    return "".join(letter for letter in kept if letter == "\n" or letter.isprintable())[:MOST_TEXT]


def read_outline(document: pdfium.PdfDocument) -> tuple[tuple[str, int], ...]:
    """Titles with their level from 1."""
    return tuple(
        (title, mark.level + 1)
        for mark in islice(document.get_toc(), MOST_OUTLINE)
        if (title := _clean(mark.get_title()))
    )


def read_facts(document: pdfium.PdfDocument) -> tuple[str, dict[str, Fact]]:
    """The title, and author, subject, keywords and dates, as far as the file says them."""
    said = {key: _clean(value.split("\0", 1)[0]) for key, value in document.get_metadata_dict(skip_empty=True).items()}
    said = {key: value for key, value in said.items() if value and value.casefold() not in UNTOLD}
    facts: dict[str, Fact] = {key.lower(): said[key] for key in ("Author", "Subject") if key in said}
    if words := tuple(word.strip() for word in re.split(r"[;,]", said.get("Keywords", "")) if word.strip()):
        facts["keywords"] = words
    for key, name in (("CreationDate", "created"), ("ModDate", "modified")):
        if date := _date(said.get(key, "")):
            facts[name] = date
    return said.get("Title", ""), facts


def _date(text: str) -> str:
    """ISO 8601, as exact as the file says it."""
    found = DATE.match(text)
    if not found:
        return ""
    year, month, day, hour, minute, second, sign, off_hours, off_minutes = found.groups()
    date = "-".join(part for part in (year, month, day) if part)
    if not (day and hour and minute):
        return date
    zone = f"{sign}{off_hours}:{off_minutes}" if sign else ("Z" if found[0].endswith("Z") else "")
    return f"{date}T{hour}:{minute}:{second or '00'}{zone}"


def tell_attachments(document: pdfium.PdfDocument) -> Iterator[str]:
    """They are files of their own, and are not read."""
    count = document.count_attachments()
    for number in range(min(count, TOLD_ATTACHMENTS)):
        attachment = document.get_attachment(number)
        size = ctypes.c_ulong()
        pdfium_c.FPDFAttachment_GetFile(attachment.raw, None, 0, size)
        yield f"attachment not read: {_clean(attachment.get_name())} ({size.value:,} bytes)"
    if count > TOLD_ATTACHMENTS:
        yield f"{count - TOLD_ATTACHMENTS} more attachments not read"
