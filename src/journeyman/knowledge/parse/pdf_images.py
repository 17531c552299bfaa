"""Pages without text as pictures, and what a reader of letters in pictures (OCR) must be: the part of PDFs that have been scanned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium

from journeyman.knowledge.parse.pdf_words import Shown, Word

Image: TypeAlias = "npt.NDArray[np.uint8]"
Ocr: TypeAlias = "Callable[[Image], Sequence[tuple[str, tuple[float, float, float, float]]]]"
"""Of an image [height, width, 3] the texts that stand in it, each with left, top, right and bottom in its points (pixels)."""

DOTS_PER_INCH = 200
MOST_DOTS = 4_000  # a side


def draw_page(page: pdfium.PdfPage) -> tuple[Image, float]:
    """The page as it is shown, and dots per point."""
    scale = min(DOTS_PER_INCH / 72, MOST_DOTS / max(*page.get_size(), 1))
    bitmap = page.render(scale=scale, rev_byteorder=True)
    try:
        image = np.ascontiguousarray(bitmap.to_numpy()[:, :, :3])
    finally:
        bitmap.close()
    return (image if image.shape[2] == 3 else np.repeat(image[:, :, :1], 3, axis=2)), scale


def read_image(page: pdfium.PdfPage, shown: Shown, ocr: Ocr) -> tuple[Word, ...]:
    """A text of several words is parted; each gets its share of the box by its letters."""
    image, scale = draw_page(page)
    words: list[Word] = []
    for text, (left, top, right, bottom) in ocr(image):
        height = (bottom - top) / scale
        step = (right - left) / scale / max(len(text), 1)
        start = 0
        for part in text.split():
            start = text.index(part, start)
            edge = left / scale + start * step
            words.append(Word(part, edge, top / scale, edge + len(part) * step, bottom / scale, 0.8 * height))
            start += len(part)
    return tuple(word for word in words if word.top < shown.height)
