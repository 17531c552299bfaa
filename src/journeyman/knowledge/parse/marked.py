"""Text with links in it, as a reader gathers it, and the document's text and links that come of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from journeyman.knowledge.document import CELL, BlockKind, Link
from journeyman.knowledge.writing import Writing

PIECES = re.compile(r"\s+|\S+")


@dataclass(slots=True)
class Marked:
    """A text that grows, and the links in it by place."""

    parts: list[str] = field(default_factory=list)
    length: int = 0
    links: list[Link] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.parts)

    def __bool__(self) -> bool:
        return any(not part.isspace() for part in self.parts if part)

    def add(self, text: str) -> None:
        self.parts.append(text)
        self.length += len(text)

    def link(self, start: int, target: str) -> None:
        """What was added since ``start`` points to ``target``."""
        if self.length > start and target:
            self.links.append(Link(start, self.length, target))

    def extend(self, other: Marked, between: str = "") -> None:
        if between and self.length:
            self.add(between)
        shift = self.length
        self.parts += other.parts
        self.length += other.length
        self.links += [_moved(link, shift) for link in other.links]

    def stripped(self) -> Marked:
        """Without white space around it."""
        text = self.text
        if not self.links:
            return marked(text.strip())
        lead = len(text) - len(text.lstrip())
        text = text.strip()
        links = [
            replace(link, start=max(link.start - lead, 0), end=min(link.end - lead, len(text))) for link in self.links
        ]
        return Marked([text], len(text), [link for link in links if link.start < link.end])

    def on_one_line(self) -> Marked:
        """Runs of white space as one space, none around it."""
        text = self.text
        if not self.links:
            return marked(" ".join(text.split()))
        places = sorted({place for link in self.links for place in (link.start, link.end)})
        became: dict[int, int] = {}
        flat, begin = Marked(), 0
        for place in (*places, len(text)):
            for piece in PIECES.findall(text[begin:place]):
                if not piece.isspace():
                    flat.add(piece)
                elif flat.parts and flat.parts[-1] != " ":
                    flat.add(" ")
            became[place], begin = flat.length, place
        flat.links = [replace(link, start=became[link.start], end=became[link.end]) for link in self.links]
        return flat.stripped()


class Draft:
    """What a reader writes: blocks, and the links in them by their place in the document. ``last`` is the text of the last block."""

    def __init__(self) -> None:
        self.writing = Writing()
        self.last = ""
        self.links: list[Link] = []

    def add(self, kind: BlockKind, marked: Marked, level: int = 0, page: int = 0) -> tuple[int, int]:
        return self._write(kind, marked.stripped(), level, page)

    def lines(self, kind: BlockKind, lines: Iterable[Marked], page: int = 0) -> tuple[int, int]:
        """One block of lines that keep their indentation."""
        whole = Marked()
        for line in lines:
            whole.extend(line, "\n")
        return self._write(kind, whole, 0, page)

    def table(self, rows: Iterable[Sequence[Marked]], page: int = 0) -> tuple[int, int]:
        """As ``Writing.table``, with the links of the cells."""
        lines = []
        for row in rows:
            line, is_empty = Marked(), True
            for number, cell in enumerate(row):
                flat = cell.on_one_line()
                is_empty = is_empty and not flat
                if number:
                    line.add(CELL)
                line.extend(flat)
            if not is_empty:
                lines.append(line)
        return self.lines("table", lines, page)

    def _write(self, kind: BlockKind, marked: Marked, level: int, page: int) -> tuple[int, int]:
        text = marked.text
        lead = len(text) - len(text.lstrip("\n"))
        start, end = self.writing.add(kind, text, level, page)
        if end > start:
            self.last = text.strip("\n")
            self.links += [_moved(link, start - lead) for link in marked.links]
        return start, end


def marked(text: str) -> Marked:
    return Marked([text], len(text))


def _moved(link: Link, by: int) -> Link:
    return replace(link, start=link.start + by, end=link.end + by)
