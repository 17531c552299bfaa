"""What is drawn on a PDF's page besides letters: straight lines, which rule tables, and images."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from journeyman.knowledge.parse.pdf_words import Shown

MOST_OBJECTS = 20_000
MOST_SEGMENTS = 60  # of a path: more are a drawing, not a frame
DEEPEST = 3
THIN = 3.0  # points: a rectangle so thin is a line
SHORT = 8.0

Line = tuple[float, float, float, float]
Matrix = tuple[float, float, float, float, float, float]
PLAIN: Matrix = (1, 0, 0, 1, 0, 0)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Lines as left, top, right, bottom in points of the page as it is shown; ``images``: how many."""

    horizontal: tuple[Line, ...] = ()
    vertical: tuple[Line, ...] = ()
    images: int = 0


def read_drawn(page: pdfium.PdfPage, shown: Shown) -> Drawn:
    lines: list[Line] = []
    images = 0
    for item, matrix in _objects(page):
        kind = pdfium_c.FPDFPageObj_GetType(item)
        if kind == pdfium_c.FPDF_PAGEOBJ_IMAGE:
            images += 1
        elif kind == pdfium_c.FPDF_PAGEOBJ_PATH and len(lines) < MOST_OBJECTS:
            lines.extend(_lines(item, matrix))
    if not lines:
        return Drawn(images=images)
    raw = np.clip(np.nan_to_num(np.asarray(lines, np.float32)), -1e6, 1e6)
    placed = shown.place(raw)
    boxes = np.concatenate([np.minimum(placed[:, :2], placed[:, 2:]), np.maximum(placed[:, :2], placed[:, 2:])], axis=1)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    horizontal = boxes[(height <= THIN) & (width >= SHORT)].tolist()
    vertical = boxes[(width <= THIN) & (height >= SHORT)].tolist()
    return Drawn(tuple(map(tuple, horizontal)), tuple(map(tuple, vertical)), images)


def _objects(page: pdfium.PdfPage) -> Iterator[tuple[Any, Matrix]]:
    """The page's objects and those inside its forms, with the forms' matrices."""
    left = MOST_OBJECTS
    waiting: list[tuple[Any, Any, int, Matrix, int]] = [
        (pdfium_c.FPDFPage_GetObject, page.raw, pdfium_c.FPDFPage_CountObjects(page.raw), PLAIN, 0)
    ]
    while waiting:
        get, holder, count, matrix, depth = waiting.pop()
        for number in range(max(0, min(count, left))):
            left -= 1
            item = get(holder, number)
            if not item:
                continue
            yield item, matrix
            if pdfium_c.FPDFPageObj_GetType(item) == pdfium_c.FPDF_PAGEOBJ_FORM and depth < DEEPEST:
                inner = _multiply(_matrix(item), matrix)
                waiting.append(
                    (pdfium_c.FPDFFormObj_GetObject, item, pdfium_c.FPDFFormObj_CountObjects(item), inner, depth + 1)
                )


def _lines(path: Any, matrix: Matrix) -> Iterator[Line]:
    """The straight pieces along the axes, in the file's coordinates; a thin rectangle is one."""
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    if not pdfium_c.FPDFPageObj_GetBounds(path, left, bottom, right, top):
        return
    width, height = right.value - left.value, top.value - bottom.value
    if max(width, height) < SHORT:
        return
    if min(width, height) <= THIN:
        first, second = _apply(matrix, left.value, bottom.value), _apply(matrix, right.value, top.value)
        yield (*first, *second)
        return
    count = pdfium_c.FPDFPath_CountSegments(path)
    if not 2 <= count <= MOST_SEGMENTS:
        return
    yield from _pieces(path, count, _multiply(_matrix(path), matrix))


def _pieces(path: Any, count: int, matrix: Matrix) -> Iterator[Line]:
    x, y = ctypes.c_float(), ctypes.c_float()
    start = last = (0.0, 0.0)
    for number in range(count):
        segment = pdfium_c.FPDFPath_GetPathSegment(path, number)
        if not pdfium_c.FPDFPathSegment_GetPoint(segment, x, y):
            continue
        point = _apply(matrix, x.value, y.value)
        kind = pdfium_c.FPDFPathSegment_GetType(segment)
        if kind == pdfium_c.FPDF_SEGMENT_MOVETO:
            start = point
        elif kind == pdfium_c.FPDF_SEGMENT_LINETO:
            yield (*last, *point)
        last = point
        if pdfium_c.FPDFPathSegment_GetClose(segment):
            yield (*last, *start)
            last = start


def _matrix(item: Any) -> Matrix:
    found = pdfium_c.FS_MATRIX()
    if not pdfium_c.FPDFPageObj_GetMatrix(item, found):
        return PLAIN
    return (found.a, found.b, found.c, found.d, found.e, found.f)


def _multiply(first: Matrix, then: Matrix) -> Matrix:
    a, b, c, d, e, f = first
    g, h, i, j, k, m = then
    return (a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m)


def _apply(matrix: Matrix, x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f
