"""The default: chunks along a document's headings and blocks, ends of sentences inside them, no overlap.

A chunk is a paragraph, or an even part of one that is too long, cut where sentences end; lists are cut between items, tables between rows, code between lines. What is tiny (a heading, "as
follows:") goes with what comes after it. A chunk never holds text of two sections, nor of two paragraphs where neither is tiny: benchmarks/chunking.py measured what
joining them costs. Every character of a block that is not blank is in exactly one chunk.

The size is of the chunk's own text. What is put before it when it is embedded (context.py) has its place beside it in the 256 tokens that the encoder reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from journeyman.knowledge.chunk.chunk import Chunk, Tokens
from journeyman.knowledge.chunk.sentences import find_soft_breaks, split_sentences
from journeyman.knowledge.document import Block, Document

SIZE = 96  # tokens; chosen on three of the five corpora in docs/results/chunking.md
WHOLE = 200  # tokens of a table or of code that is not cut yet
TINY = 10  # tokens of what goes with its neighbour
HEADING = 160  # characters of a heading that its chunks know

Span = tuple[int, int]
Path = tuple[str, ...]
BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
ITEM = re.compile(r"^[^\S\n]*(?:[-*+•◦▪–]|\(?\d{1,4}[.)]|[a-zA-Z][.)])[^\S\n]", re.MULTILINE)
UNDERLINE = re.compile(r"\n[=-]+\s*$")
HASHES = re.compile(r"^\s*#{1,6}\s+|\s+#+\s*$")
ENDS = frozenset(".!?…。！？\"'”’»)|")


@dataclass(frozen=True, slots=True)
class Held:
    """What goes with what comes next: ``text[start:end]`` in section ``section``; ``level`` of its last heading, 0 where there is more than headings in it."""

    start: int
    end: int
    section: int
    path: Path
    level: int


def chunk_headed(document: Document, tokens: Tokens, size: int = SIZE, tiny: int = TINY) -> list[Chunk]:
    """Chunks of at most ``size`` tokens (a table or code that is whole: at most 200), ascending; what has less than ``tiny`` goes with a neighbour."""
    writing = _Writing(document.text, tokens, size, tiny)
    for block in _fill(document):
        if block.kind == "heading":
            writing.add_heading(block)
        else:
            writing.add(block)
    writing.release()
    return writing.chunks


def clean_heading(text: str) -> str:
    """Its words on one line, without Markdown's marks."""
    return " ".join(HASHES.sub("", UNDERLINE.sub("", text[: 4 * HEADING])).split())[:HEADING]


class _Writing:
    """Chunks so far, and what is held for the next. A section is what stands between two headings; they count from 0."""

    def __init__(self, text: str, tokens: Tokens, size: int, tiny: int) -> None:
        self.text, self.tokens, self.size, self.tiny = text, tokens, size, tiny
        self.chunks: list[Chunk] = []
        self.held: Held | None = None
        self._headings: list[tuple[int, str]] = []
        self._path: Path = ()
        self._section = 0
        self._last_section = -1  # of the last chunk
        self._empty_under: Path | None = None  # the last chunk is headings of sections without text, under this one

    def add_heading(self, block: Block) -> None:
        if self.held and not 0 < self.held.level < block.level:
            self.release()
        self._open(block)
        if not self._fits(block):
            self.release()
        if self._fits(block):
            self._hold(block, block.level)
        else:
            self._write(split_long(self.text, self.tokens, (block.start, block.end), self.size), self.size)

    def add(self, block: Block) -> None:
        if self.held and self._count(self.held.start, self.held.end) > self.size // 2 and not self._fits(block):
            self.release()
        if block.kind == "paragraph" and not self._fits(block):
            lines = list(_lines(self.text, block))
            if len(lines) > 1:
                for line in lines:
                    self.add(line)
                return
        if self._count(block.start, block.end) < self.tiny:
            self._add_tiny(block)
        else:
            self._split(block)

    def release(self) -> None:
        """What is held becomes a chunk, or the end of the last one where that has the same section, or is such headings too."""
        held, self.held = self.held, None
        if held is None:
            return
        above = held.path[:-1] if held.level else None
        last = self.chunks[-1] if self.chunks else None
        if last is None or self._count(last.start, held.end) > self.size:
            self.chunks.append(Chunk(held.start, held.end, held.path))
        elif above is not None and self._empty_under == above:
            self.chunks[-1] = Chunk(last.start, held.end, above)
        elif above is None and self._last_section == held.section:
            self.chunks[-1] = Chunk(last.start, held.end, last.headings)
        else:
            self.chunks.append(Chunk(held.start, held.end, held.path))
        self._last_section, self._empty_under = held.section, above

    def _open(self, block: Block) -> None:
        while self._headings and self._headings[-1][0] >= block.level:
            self._headings.pop()
        self._headings.append((block.level, clean_heading(self.text[block.start : block.end])))
        self._path = tuple(text for _level, text in self._headings)
        self._section += 1

    def _hold(self, block: Block, level: int) -> None:
        start = self.held.start if self.held else block.start
        self.held = Held(start, block.end, self._section, self._path, level)

    def _add_tiny(self, block: Block) -> None:
        ends, last = self.text[block.end - 1] in ENDS, self.chunks[-1] if self.chunks else None
        same = last is not None and self._last_section == self._section and self._empty_under is None
        if ends and same and last and self.held is None and self._count(last.start, block.end) <= self.size:
            self.chunks[-1] = Chunk(last.start, block.end, last.headings)
            return
        if not self._fits(block):
            self.release()
        self._hold(block, 0)

    def _split(self, block: Block) -> None:
        """A block as one chunk where it fits, else in even parts; the first leaves room for what is held."""
        most = max(self.size, WHOLE) if block.kind in ("table", "code") else self.size
        start = self.held.start if self.held else block.start
        if self._count(start, block.end) <= most:
            self._write([(block.start, block.end)], most)
            return
        pieces = [piece for unit in _units(self.text, block) for piece in self._cut(unit)]
        self._write(group(self.tokens, pieces, self.size, self._count(start, block.start)), self.size)

    def _cut(self, unit: Span) -> list[Span]:
        """A unit that is too long, at ends of sentences, then between words."""
        if self._count(*unit) <= self.size:
            return [unit]
        sentences = split_sentences(self.text, *unit)
        return [piece for sentence in sentences for piece in split_long(self.text, self.tokens, sentence, self.size)]

    def _write(self, spans: Sequence[Span], most: int) -> None:
        """Chunks of these spans, the first with what is held, if that leaves it at most ``most`` tokens."""
        held = self.held
        if held and spans and self._count(held.start, spans[0][1]) > most:
            self.release()
            held = None
        self.held = None
        for number, (start, end) in enumerate(spans):
            self.chunks.append(Chunk(held.start if held and not number else start, end, self._path))
        self._last_section, self._empty_under = self._section, None

    def _fits(self, block: Block) -> bool:
        return self._count(self.held.start if self.held else block.start, block.end) <= self.size

    def _count(self, start: int, end: int) -> int:
        return self.tokens.count(start, end)


def group(tokens: Tokens, units: Sequence[Span], limit: int, held: int = 0) -> list[Span]:
    """Neighbouring units joined to groups of nearly equal length, none longer than ``limit`` where no unit is; ``held`` tokens stand before the first."""
    if not units:
        return []
    firsts, lasts = np.searchsorted(tokens.starts, np.array(units, np.int32).T).tolist()
    total = held + lasts[-1] - firsts[0]
    even = total / max(1, -(-total // limit))
    groups: list[Span] = []
    begin, before = 0, held
    for number in range(1, len(units)):
        without = before + lasts[number - 1] - firsts[begin]
        joined = before + lasts[number] - firsts[begin]
        if joined > limit or abs(joined - even) >= abs(without - even):
            groups.append((units[begin][0], units[number - 1][1]))
            begin, before = number, 0
    return [*groups, (units[begin][0], units[-1][1])]


def split_long(text: str, tokens: Tokens, span: Span, limit: int) -> list[Span]:
    """Pieces of at most ``limit`` tokens, cut at a blank where one is near."""
    start, end = span
    pieces: list[Span] = []
    while tokens.count(start, end) > limit:
        reach = max(start + 1, tokens.reach(start, limit, end))
        blank = (
            -1 if text[reach - 1].isspace() or text[reach].isspace() else text.rfind(" ", (start + reach) // 2, reach)
        )
        cut = blank if blank > start else reach
        pieces += _trimmed(text, start, cut)
        start = cut
    return pieces + _trimmed(text, start, end)


def _fill(document: Document) -> Iterator[Block]:
    """The blocks ascending and apart, without blanks around them. What stands between them says nothing (front matter, marks); a text without blocks is paragraphs."""
    text, place = document.text, 0
    if not document.blocks:
        yield from _paragraphs(text, 0, len(text))
    for block in sorted(document.blocks, key=lambda item: item.start):
        for start, end in _trimmed(text, max(block.start, place), min(block.end, len(text))):
            yield replace(block, start=start, end=end)
        place = max(place, block.end)


def _paragraphs(text: str, start: int, end: int) -> Iterator[Block]:
    for found in BLANK_LINE.finditer(text, start, max(start, end)):
        for span in _trimmed(text, start, found.start()):
            yield Block("paragraph", *span)
        start = found.end()
    for span in _trimmed(text, start, end):
        yield Block("paragraph", *span)


def _lines(text: str, block: Block) -> Iterator[Block]:
    """Paragraphs that are separated by one line end; lines of a narrow page are one."""
    soft = find_soft_breaks(text, block.start, block.end)
    start = place = block.start
    while (place := text.find("\n", place, block.end)) >= 0:
        if place not in soft:
            for span in _trimmed(text, start, place):
                yield Block(block.kind, *span)
            start = place
        place += 1
    for span in _trimmed(text, start, block.end):
        yield Block(block.kind, *span)


def _units(text: str, block: Block) -> list[Span]:
    """Where a block may be cut: between rows, items, lines or sentences."""
    if block.kind in ("table", "code"):
        cuts = [found.end() for found in re.compile("\n").finditer(text, block.start, block.end)]
    elif block.kind == "list":
        cuts = [found.start() for found in ITEM.finditer(text, block.start, block.end)]
    else:
        return split_sentences(text, block.start, block.end)
    edges = [block.start, *(cut for cut in cuts if cut > block.start), block.end]
    return [span for start, end in pairwise(edges) for span in _trimmed(text, start, end)]


def _trimmed(text: str, start: int, end: int) -> list[Span]:
    """The span without blanks around it, or nothing."""
    part = text[start:end]
    inner = part.strip()
    first = start + len(part) - len(part.lstrip())
    return [(first, first + len(inner))] if inner else []
