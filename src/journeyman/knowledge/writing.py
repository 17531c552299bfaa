"""Writes a document's text a block at a time, for formats whose file is not text: DOCX, PPTX, XLSX, HTML, e-mail, EPUB."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from journeyman.knowledge.document import CELL, Block, BlockKind

BETWEEN = "\n\n"
SPACES = re.compile(r"\s+")


class Writing:
    """``add`` returns the span that the block got; blocks without text leave no trace."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self.blocks: list[Block] = []

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def add(self, kind: BlockKind, text: str, level: int = 0, page: int = 0) -> tuple[int, int]:
        text = text.strip("\n")
        if not text.strip():
            return self._length, self._length
        if self._parts:
            self._parts.append(BETWEEN)
            self._length += len(BETWEEN)
        start = self._length
        self._parts.append(text)
        self._length += len(text)
        self.blocks.append(Block(kind, start, self._length, level, page))
        return start, self._length

    def table(self, rows: Iterable[Sequence[str]], page: int = 0) -> tuple[int, int]:
        """Rows as lines, the first is the header's; cells keep their place where some are empty."""
        lines = [CELL.join(SPACES.sub(" ", cell).strip() for cell in row) for row in rows]
        return self.add("table", "\n".join(line for line in lines if line.replace(CELL.strip(), "").strip()), page=page)
