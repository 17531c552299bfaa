"""The words of a PDF's page: what is written, where it stands on the page as it is shown, how large and how heavy.

PDFium gives characters in the order in which the file draws them; a word ends at a space, at a jump, and where PDFium saw a gap. Knows nothing
about lines and columns. Legend: ``n`` characters of a page, ``k`` of them visible, ``w`` words.
"""

from __future__ import annotations

import ctypes
import unicodedata
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

MOST_CHARACTERS = 300_000  # of one page: a novel has 500,000
HYPHEN = 0x02  # PDFium's sign for a hyphen at a line's end
BOLD_NAMES = ("bold", "black", "heavy", "cmbx", "sfbx", "ecbx")
MONO_NAMES = ("courier", "mono", "consol", "menlo", "cmtt", "sftt", "ectt")
FORCED_BOLD = 1 << 18
FALLING = 1.6  # a box this much higher than its letters' size is a font's mistake, or a formula's
JUMP = 0.35  # of the height: letters of a word are nearer
COMPATIBLE = ((0xFB00, 0xFDFF), (0xFE70, 0xFEFC))  # ligatures and letters by form: the same letters as elsewhere
SIGNS = {HYPHEN: "-", 0xF0B7: "•", 0xF0A7: "▪", 0xF0D8: "➢", 0xF0FC: "✓"}  # Symbol's and Wingdings' bullets

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Word:
    """``left, top, right, bottom`` in points of the page as it is shown. ``turn``: quarter turns clockwise by which the word is turned there."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    size: float
    is_bold: bool = False
    is_mono: bool = False
    turn: int = 0

    @property
    def height(self) -> float:
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Shown:
    """A page as it is shown: ``width`` and ``height`` in points, and where its corners are in the file's coordinates."""

    width: float
    height: float
    quarter_turns: int
    left: float
    bottom: float
    right: float
    top: float

    def place(self, boxes: Floats) -> Floats:
        """[n, 4] left, top, right, bottom in the file's coordinates (upwards) to the shown page's (downwards)."""
        left, top, right, bottom = boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 3]
        match self.quarter_turns:
            case 0:
                turned = (left - self.left, self.top - top, right - self.left, self.top - bottom)
            case 1:
                turned = (bottom - self.bottom, left - self.left, top - self.bottom, right - self.left)
            case 2:
                turned = (self.right - right, bottom - self.bottom, self.right - left, top - self.bottom)
            case _:
                turned = (self.top - top, self.right - right, self.top - bottom, self.right - left)
        return np.stack(turned, axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Read:
    """The words of a page; ``unknown`` characters whose font does not say which letters they are, ``beyond`` the bound
    ones left unread, ``outside`` words that stand beside the page and are left out."""

    words: tuple[Word, ...]
    unknown: int = 0
    beyond: int = 0
    outside: int = 0


def see_page(page: pdfium.PdfPage) -> Shown:
    left, bottom, right, top = page.get_bbox()
    width, height = page.get_size()
    return Shown(width, height, page.get_rotation() // 90 % 4, left, bottom, right, top)


def read_words(page: pdfium.PdfPage, shown: Shown) -> Read:
    """In the file's order."""
    text_page = page.get_textpage()
    try:
        return _read(text_page, shown)
    finally:
        text_page.close()


def _read(text_page: pdfium.PdfTextPage, shown: Shown) -> Read:
    found = text_page.count_chars()
    count = min(found, MOST_CHARACTERS)
    raw = text_page.raw
    unicode_of, is_lost = pdfium_c.FPDFText_GetUnicode, pdfium_c.FPDFText_HasUnicodeMapError
    codes = [unicode_of(raw, index) for index in range(count)]
    lost = {index for index, code in enumerate(codes) if not 0x20 <= code < 0x80 and is_lost(raw, index) == 1}
    visible = [index for index, code in enumerate(codes) if index not in lost and _is_visible(code)]
    if not visible:
        return Read((), len(lost), found - count)
    boxes = _boxes(raw, visible)
    starts = _starts(np.asarray(visible, np.int64), boxes)
    words = _make_words(raw, codes, visible, boxes, starts, shown)
    inside = tuple(
        word
        for word in words
        if word.right > 0 and word.bottom > 0 and word.left < shown.width and word.top < shown.height
    )
    return Read(inside, len(lost), found - count, len(words) - len(inside))


def _is_visible(code: int) -> bool:
    if code < 0x80:
        return (code > 0x20 and code != 0x7F) or code == HYPHEN
    return not chr(code).isspace() and code not in (0xAD, 0xFEFF, 0xFFFE, 0xFFFF, 0x200B)


def _boxes(raw: Any, visible: list[int]) -> Floats:
    """[k, 4] left, top, right, bottom as the font's ascent and descent span them, in the file's coordinates."""
    rectangles = (pdfium_c.FS_RECTF * len(visible))()
    box_of = pdfium_c.FPDFText_GetLooseCharBox
    for place, index in enumerate(visible):
        box_of(raw, index, rectangles[place])
    boxes = np.frombuffer(rectangles, np.float32).reshape(-1, 4).copy()
    np.nan_to_num(boxes, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(boxes, -1e6, 1e6)


def _starts(visible: Ints, boxes: Floats) -> Ints:
    """Where words begin: after what is not visible, and after a jump in any direction."""
    before, after = boxes[:-1], boxes[1:]
    apart = np.maximum.reduce(
        [
            after[:, 0] - before[:, 2],
            before[:, 0] - after[:, 2],
            after[:, 3] - before[:, 1],
            before[:, 3] - after[:, 1],
        ]
    )
    sides = np.stack([boxes[:, 2] - boxes[:, 0], boxes[:, 1] - boxes[:, 3]], axis=1).max(axis=1)
    is_new = (np.diff(visible) > 1) | (apart > JUMP * np.maximum(sides[:-1], sides[1:]))
    return np.concatenate([[0], np.flatnonzero(is_new) + 1])


def _make_words(
    raw: Any, codes: list[int], visible: list[int], boxes: Floats, starts: Ints, shown: Shown
) -> tuple[Word, ...]:
    ends = [*starts[1:].tolist(), len(visible)]
    placed = shown.place(_spans(boxes, starts))
    styles = _Styles(raw, shown.quarter_turns)
    words = []
    for start, end, box in zip(starts.tolist(), ends, placed.tolist(), strict=True):
        text = _text([codes[visible[place]] for place in range(start, end)], boxes[start:end])
        size, is_bold, is_mono, turn = styles.of(visible[start])
        left, top, right, bottom = box
        word = Word(text, left, top, right, bottom, size or bottom - top, is_bold, is_mono, turn)
        across = word.height if turn % 2 == 0 else word.right - word.left
        if across > FALLING * word.size or across <= 0:
            word = _tighten(raw, word, visible[start:end], shown)
        words.append(word)
    return tuple(words)


def _spans(boxes: Floats, starts: Ints) -> Floats:
    """[w, 4] the boxes of words."""
    return np.stack(
        [
            np.minimum.reduceat(boxes[:, 0], starts),
            np.maximum.reduceat(boxes[:, 1], starts),
            np.maximum.reduceat(boxes[:, 2], starts),
            np.minimum.reduceat(boxes[:, 3], starts),
        ],
        axis=1,
    )


def _tighten(raw: Any, word: Word, indices: list[int], shown: Shown) -> Word:
    """The box of the ink, where the font's own box is far off."""
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    ink = []
    for index in indices:
        if pdfium_c.FPDFText_GetCharBox(raw, index, left, right, bottom, top):
            ink.append([left.value, top.value, right.value, bottom.value])
    if not ink:
        return word
    box = shown.place(_spans(np.clip(np.asarray(ink, np.float32), -1e6, 1e6), np.zeros(1, np.int64)))[0].tolist()
    return replace(word, left=box[0], top=box[1], right=box[2], bottom=box[3])


class _Styles:
    """Size, weight, width and turn of a character; fonts are asked once."""

    def __init__(self, raw: Any, quarter_turns: int) -> None:
        self._raw, self._quarter_turns = raw, quarter_turns
        self._name, self._flags, self._matrix = (
            ctypes.create_string_buffer(128),
            ctypes.c_int(),
            pdfium_c.FS_MATRIX(),
        )
        self._fonts: dict[tuple[bytes, int], tuple[bool, bool]] = {}

    def of(self, index: int) -> tuple[float, bool, bool, int]:
        raw, matrix = self._raw, self._matrix
        pdfium_c.FPDFText_GetFontInfo(raw, index, self._name, 128, self._flags)
        font = (self._name.value, self._flags.value)
        if font not in self._fonts:
            self._fonts[font] = _look_at(font[0].decode("utf-8", "replace").lower(), font[1])
        is_bold, is_mono = self._fonts[font]
        if not pdfium_c.FPDFText_GetMatrix(raw, index, matrix):
            return pdfium_c.FPDFText_GetFontSize(raw, index), is_bold, is_mono, self._quarter_turns
        size = pdfium_c.FPDFText_GetFontSize(raw, index) * float(np.hypot(matrix.c, matrix.d))
        if abs(matrix.a) >= abs(matrix.b):
            turn = 0 if matrix.a >= 0 else 2
        else:
            turn = 3 if matrix.b > 0 else 1
        return min(size, 1e4), is_bold, is_mono, (turn + self._quarter_turns) % 4


def _look_at(name: str, flags: int) -> tuple[bool, bool]:
    return (
        any(part in name for part in BOLD_NAMES) or bool(flags & FORCED_BOLD),
        any(part in name for part in MONO_NAMES),
    )


def _text(codes: list[int], boxes: Floats) -> str:
    highest = max(codes)
    if highest < 0x80:
        return "".join(map(chr, codes)).replace(chr(HYPHEN), "-")
    if highest >= 0x590:
        codes = _order_right_to_left(codes, boxes)
    text = "".join(SIGNS.get(code) or chr(code) for code in codes)
    if any(low <= code <= high for code in codes for low, high in COMPATIBLE):
        text = unicodedata.normalize("NFKC", text).replace(" ", "")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if not text.isprintable() else text


def _order_right_to_left(codes: list[int], boxes: Floats) -> list[int]:
    """Letters from right to left by where they stand. Several letters of one glyph stand in one place: PDFium has turned them round, we turn them back."""
    if not any(unicodedata.bidirectional(chr(code)) in ("R", "AL") for code in codes):
        return codes
    rights = boxes[:, 2].tolist()
    places = sorted(range(len(codes)), key=lambda place: (-round(rights[place], 1), -place))
    lefts = boxes[:, 0].tolist()
    is_logical = all(one >= two - 0.5 for one, two in pairwise(lefts))
    has_shared = any(one == two for one, two in pairwise(zip(lefts, rights, strict=True)))
    return codes if is_logical and not has_shared else [codes[place] for place in places]
