"""A document as it was read: its text, what its parts are, and where each character stands on a page.

All positions are characters of ``Document.text``: chunks, citations, extracted values and boxes on pages all speak in them. Where a file is text itself
(Markdown, plain text, CSV) the document's text is the file's, character for character, so that a span is a place in the file.

Legend: ``n`` words of a document that have a place on a page.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

BlockKind = Literal["heading", "paragraph", "list", "table", "code", "quote", "field"]
Fact: TypeAlias = str | int | float | bool | tuple[str, ...]
MAIL = "message/rfc822"
ATTACHMENTS = "attachments"  # a fact of mails: names below theirs of what came with them
CELL = " | "  # between the cells of a table's row; a row is a line
LONGEST_TITLE = 500
LONGEST_FACT = 10_000
MOST_VALUES = 1_000
HALVES = re.compile("[\ud800-\udfff]")
REPLACED = "\ufffd"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in points (1/72 inch) from the upper left corner of page ``page``; pages count from 1."""

    page: int
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Block:
    """One part in reading order: ``text[start:end]``. ``level`` 1 to 6 for headings, else 0; ``page`` where it begins, 0 where there are no pages."""

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    page: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """``text[start:end]`` points to ``target``, as it was written; ``kind`` is ``embed`` where the other's content belongs here."""

    start: int
    end: int
    target: str
    kind: Literal["link", "embed", "tag"] = "link"


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where words stand: ``spans`` int32 [n, 2] ascending, ``pages`` int32 [n] from 1, ``boxes`` float32 [n, 4] as left, top, right, bottom in points."""

    spans: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 2), np.int32))
    pages: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    boxes: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 4), np.float32))

    def __len__(self) -> int:
        return len(self.spans)

    def find(self, start: int, end: int) -> list[Box]:
        """The boxes of ``text[start:end]``: one for each run of words that stand on one line of one page."""
        first = int(np.searchsorted(self.spans[:, 1], start, side="right"))
        last = int(np.searchsorted(self.spans[:, 0], end, side="left"))
        found: list[Box] = []
        for number in range(first, last):
            left, top, right, bottom = (float(value) for value in self.boxes[number])
            box = Box(int(self.pages[number]), left, top, right, bottom)
            if found and _is_one_line(found[-1], box):
                found[-1] = _join(found[-1], box)
            else:
                found.append(box)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """What a file says. ``name`` is its path below what was added, with ``/``; ``pages`` has width and height in points; ``notes`` say what could not be read."""

    name: str
    media: str
    text: str
    blocks: tuple[Block, ...]
    title: str = ""
    facts: Mapping[str, Fact] = field(
        default_factory=dict
    )  # what filters ask for: author, tags, git_commit, frontmatter
    links: tuple[Link, ...] = ()
    places: Places = field(default_factory=Places)
    pages: tuple[tuple[float, float], ...] = ()
    notes: tuple[str, ...] = ()
    attached: Mapping[str, bytes] = field(default_factory=dict)  # files that came inside, to be read on their own

    def page_of(self, position: int) -> int:
        """The page of the block in which a character stands, or of the last one before it; 0 where there are no pages."""
        before = bisect_right(self.blocks, position, key=_start) - 1
        page = self.blocks[before].page if before >= 0 else 0
        if len(self.places):
            number = int(np.searchsorted(self.places.spans[:, 0], position, side="right")) - 1
            page = int(self.places.pages[number]) if number >= 0 else page
        return page


def mend(document: Document) -> Document:
    """What can be kept: no halves of characters, which neither a database nor JSON holds, and a title and facts of bounded length. Spans stay as they are."""
    links = (replace(link, target=mend_text(link.target)) for link in document.links)
    return replace(
        document,
        name=mend_text(document.name),
        text=mend_text(document.text),
        title=mend_text(document.title[:LONGEST_TITLE]),
        facts={mend_text(name): _mend_fact(fact) for name, fact in document.facts.items()},
        links=tuple(links),
        notes=tuple(map(mend_text, document.notes)),
    )


def mend_text(text: str) -> str:
    """The text with U+FFFD for each lone surrogate."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return HALVES.sub(REPLACED, text)
    return text


def _mend_fact(fact: Fact) -> Fact:
    if isinstance(fact, tuple):
        return tuple(mend_text(value[:LONGEST_FACT]) for value in fact[:MOST_VALUES])
    return mend_text(fact[:LONGEST_FACT]) if isinstance(fact, str) else fact


def _start(block: Block) -> int:
    return block.start


def _is_one_line(left: Box, right: Box) -> bool:
    overlap = min(left.bottom, right.bottom) - max(left.top, right.top)
    return (
        left.page == right.page
        and right.left >= left.left
        and overlap > 0.5 * min(left.bottom - left.top, right.bottom - right.top)
    )


def _join(left: Box, right: Box) -> Box:
    return Box(
        left.page, left.left, min(left.top, right.top), max(left.right, right.right), max(left.bottom, right.bottom)
    )
