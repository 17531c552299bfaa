"""PDF to a document, by PDFium: characters to words, rows, columns, paragraphs, headings, lists and tables, each word with its box.

PDFium is neither thread-safe nor patient with strangers' files: one document at a time here, and files are read in a process of their own (``process``).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document, Fact, Link, Places
from journeyman.knowledge.parse.pdf_drawn import read_drawn
from journeyman.knowledge.parse.pdf_extras import (
    Extra,
    read_extras,
    read_facts,
    read_outline,
    tell_attachments,
)
from journeyman.knowledge.parse.pdf_furniture import find_furniture
from journeyman.knowledge.parse.pdf_images import Ocr, read_image
from journeyman.knowledge.parse.pdf_layout import Region, lay_out
from journeyman.knowledge.parse.pdf_paragraphs import Paragraph, Part, find_parts, plain
from journeyman.knowledge.parse.pdf_rows import Row
from journeyman.knowledge.parse.pdf_words import Shown, Word, read_words, see_page
from journeyman.knowledge.parse.pdf_writing import PlacedWriting

VERSION = 1
MEDIA = "application/pdf"
SIGN, SIGN_WITHIN = b"%PDF-", 1024
END, END_WITHIN = b"%%EOF", 2048
FAILED_IN_A_ROW = 50  # pages: a file may say that it has millions
TOLD_PAGES = 8

_alone = threading.Lock()


@dataclass(slots=True)
class _Pages:
    """What was found, page by page."""

    sizes: list[tuple[float, float]] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)
    regions: list[list[Region]] = field(default_factory=list)
    extras: list[list[Extra]] = field(default_factory=list)
    images: list[int] = field(default_factory=list)  # pages without text
    empty: list[int] = field(default_factory=list)
    read_by_ocr: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    unknown: Counter[int] = field(default_factory=Counter)
    beyond: Counter[int] = field(default_factory=Counter)
    outside: Counter[int] = field(default_factory=Counter)


def read_pdf(name: str, data: bytes, passwords: Sequence[str] = (), ocr: Ocr | None = None) -> Document:
    """``passwords`` are tried one after the other; ``ocr`` reads pages without text.

    Raises:
        KnowledgeError: JM-920 a password is needed, JM-921 damaged, JM-922 no PDF, JM-923 a protection that nobody here knows,
            JM-924 no page has text, JM-925 no page can be read.
    """
    if SIGN not in data[:SIGN_WITHIN]:
        got = "an empty file" if not data else repr(data[:16])[2:-1]
        raise KnowledgeError(
            "JM-922", "this is no PDF", where=name, expected=f"{SIGN.decode()} at its beginning", got=got
        )
    with _alone, _opened(name, data, passwords) as document:
        outline = read_outline(document)
        title, facts = read_facts(document)
        if outline:
            facts["outline"] = tuple(text for text, _ in outline)
        notes = list(tell_attachments(document))
        pages = _read_pages(document, ocr)
    return _make_document(name, pages, outline, title, facts, notes)


@contextmanager
def _opened(name: str, data: bytes, passwords: Sequence[str]) -> Iterator[pdfium.PdfDocument]:
    """The open document with its form; PDFium closes it before its bytes go."""
    code: int | None = None
    for password in (None, *passwords):
        try:
            document = pdfium.PdfDocument(data, password=password)
        except pdfium.PdfiumError as error:
            code = error.err_code
            if code != pdfium_c.FPDF_ERR_PASSWORD:
                break
            continue
        try:
            if document.get_formtype() in (pdfium_c.FORMTYPE_ACRO_FORM, pdfium_c.FORMTYPE_XFA_FOREGROUND):
                document.init_forms()
            yield document
        finally:
            document.close()
        return
    raise _refusal(name, data, code, bool(passwords))


def _refusal(name: str, data: bytes, code: int | None, has_passwords: bool) -> KnowledgeError:
    if code == pdfium_c.FPDF_ERR_PASSWORD:
        return KnowledgeError(
            "JM-920",
            "this PDF needs a password"
            if not has_passwords
            else "this PDF needs a password, and none of those given opens it",
            where=name,
            hint="put it into the environment variable KNOWLEDGE_PASSWORDS (one a line) and run the same command",
        )
    if code == pdfium_c.FPDF_ERR_SECURITY:
        return KnowledgeError("JM-923", "this PDF is protected in a way that cannot be undone here", where=name)
    is_cut = END not in data[-END_WITHIN:]
    return KnowledgeError(
        "JM-921",
        "this PDF is damaged" if not is_cut else "this PDF is damaged: its end is missing",
        where=name,
        expected="a list of objects and pages" if not is_cut else f"{END.decode()} at its end",
        got=f"{len(data):,} bytes that cannot be put together",
        hint="get the file anew, or save it again with the program that made it",
    )


def _read_pages(document: pdfium.PdfDocument, ocr: Ocr | None) -> _Pages:
    pages = _Pages()
    count, in_a_row = len(document), 0
    for number in range(count):
        try:
            page = document[number]
        except pdfium.PdfiumError:
            _add_failed(pages, number + 1)
            in_a_row += 1
            if in_a_row == FAILED_IN_A_ROW:
                pages.failed.extend(range(number + 2, min(count, number + 2 + TOLD_PAGES) + 1))
                break
            continue
        in_a_row = 0
        try:
            _read_page(document, page, pages, ocr)
        finally:
            page.close()
    return pages


def _add_failed(pages: _Pages, number: int) -> None:
    pages.failed.append(number)
    pages.sizes.append((0.0, 0.0))
    pages.heights.append(0.0)
    pages.regions.append([])
    pages.extras.append([])


def _read_page(document: pdfium.PdfDocument, page: pdfium.PdfPage, pages: _Pages, ocr: Ocr | None) -> None:
    number = len(pages.sizes) + 1
    shown = see_page(page)
    read = read_words(page, shown)
    drawn = read_drawn(page, shown)
    words: Sequence[Word] = read.words
    if not words and drawn.images and ocr is not None:
        words = read_image(page, shown, ocr)
        pages.read_by_ocr.append(number)
    elif not words:
        (pages.images if drawn.images else pages.empty).append(number)
    if read.unknown:
        pages.unknown[number] = read.unknown
    if read.outside:
        pages.outside[number] = read.outside
    if read.beyond:
        pages.beyond[number] = read.beyond
    pages.sizes.append((shown.width, shown.height))
    pages.heights.append(_upright_height(words, shown))
    pages.regions.append(lay_out(words, drawn, shown))
    pages.extras.append(read_extras(document, page, shown))


def _upright_height(words: Sequence[Word], shown: Shown) -> float:
    lying = sum(1 for word in words if word.turn % 2)
    return shown.width if lying * 2 > len(words) else shown.height


def _make_document(
    name: str,
    pages: _Pages,
    outline: Sequence[tuple[str, int]],
    title: str,
    facts: dict[str, Fact],
    notes: list[str],
) -> Document:
    left_out, furniture = find_furniture(pages.regions, pages.heights)
    regions = [[_without(region, left_out) for region in page] for page in pages.regions]
    parts = find_parts(regions, {plain(text): level for text, level in outline if plain(text)})
    written = PlacedWriting(parts)
    waiting = [(number, extra) for number, extras in enumerate(pages.extras, 1) for extra in extras]
    texts = [(number, extra) for number, extra in waiting if extra.kind != "link"]
    for part in parts:
        while texts and texts[0][0] < part.page:
            _add_text(written, *texts.pop(0))
        written.add_part(part)
    for number, extra in texts:
        _add_text(written, number, extra)
    notes = [*notes, *_notes(pages), *furniture]
    if not written.writing.blocks:
        raise _nothing(name, pages)
    places = written.places
    links = _links([(number, extra) for number, extra in waiting if extra.kind == "link"], places)
    return Document(
        name,
        MEDIA,
        written.writing.text,
        tuple(written.writing.blocks),
        title=title or _first_title(parts),
        facts=facts,
        links=links,
        places=places,
        pages=tuple(pages.sizes),
        notes=tuple(notes),
    )


def _without(region: Region, left_out: set[int]) -> Region:
    return [item for item in region if not isinstance(item, Row) or id(item) not in left_out]


def _add_text(written: PlacedWriting, page: int, extra: Extra) -> None:
    written.add_text(extra.kind, extra.text, page, extra.box)


def _first_title(parts: Sequence[Part]) -> str:
    """The first page's highest heading."""
    headings = [part for part in parts if isinstance(part, Paragraph) and part.kind == "heading" and part.page == 1]
    return min(headings, key=lambda part: part.level).text if headings else ""


def _links(links: Sequence[tuple[int, Extra]], places: Places) -> tuple[Link, ...]:
    """The words whose middles stand inside of a link's box."""
    found = []
    middles = (places.boxes[:, :2] + places.boxes[:, 2:]) / 2
    on_pages = {page: np.flatnonzero(places.pages == page) for page in {page for page, _ in links}}
    for page, extra in links:
        left, top, right, bottom = extra.box
        at = middles[on_pages[page]]
        inside = on_pages[page][(at[:, 0] >= left) & (at[:, 0] <= right) & (at[:, 1] >= top) & (at[:, 1] <= bottom)]
        if len(inside):
            found.append(Link(int(places.spans[inside[0], 0]), int(places.spans[inside[-1], 1]), extra.text))
    return tuple(sorted(found, key=lambda link: link.start))


def _notes(pages: _Pages) -> Iterator[str]:
    if pages.images:
        yield f"{_name_pages(pages.images)} no text: an image"
    if pages.empty:
        yield f"{_name_pages(pages.empty)} no text"
    if pages.read_by_ocr:
        yield f"{_name_pages(pages.read_by_ocr)} no text: an image, read by OCR"
    if pages.failed:
        yield f"{_name_pages(pages.failed, ('cannot', 'cannot'))} be read: damaged"
    if pages.unknown:
        total = sum(pages.unknown.values())
        yield f"{_name_pages(list(pages.unknown))} {total:,} characters whose font does not say which letters they are"
    if pages.outside:
        total = sum(pages.outside.values())
        yield f"{_name_pages(list(pages.outside))} {total:,} words beyond the edge, left out"
    for page, beyond in pages.beyond.items():
        yield f"page {page} has {beyond:,} characters more than are read"


def _name_pages(numbers: Sequence[int], verbs: tuple[str, str] = ("has", "have")) -> str:
    """``page 3 has``, ``pages 3, 4 and 9 more have``."""
    if len(numbers) == 1:
        return f"page {numbers[0]} {verbs[0]}"
    shown = ", ".join(str(number) for number in numbers[:TOLD_PAGES])
    rest = f" and {len(numbers) - TOLD_PAGES:,} more" if len(numbers) > TOLD_PAGES else ""
    return f"pages {shown}{rest} {verbs[1]}"


def _nothing(name: str, pages: _Pages) -> KnowledgeError:
    if len(pages.failed) >= len(pages.sizes):
        return KnowledgeError("JM-925", "no page of this PDF can be read: damaged", where=name)
    return KnowledgeError(
        "JM-924",
        "no page of this PDF has text",
        where=name,
        got="; ".join(_notes(pages)),
        hint='if its images show text: pip install "journeyman[ocr]", then the same command' if pages.images else "",
    )
