"""Documents as passages of some 1,200 characters, cut where paragraphs end: what made-up inputs take their content from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from journeyman.core.errors import DataError

LETTERS = 1200
PARAGRAPHS = re.compile(r"\n[ \t]*\n")


def read_passages(paths: Iterable[Path]) -> list[str]:
    """Raises: DataError: JM-362 no text in UTF-8."""
    return [passage for path in paths for passage in split_passages(_read(path))]


def split_passages(text: str) -> Iterator[str]:
    """Paragraphs together as long as they are short enough; one that is too long is cut between words."""
    held = ""
    for paragraph in (part.strip() for part in PARAGRAPHS.split(text.replace("\r\n", "\n"))):
        for piece in _cut(paragraph):
            if held and len(held) + len(piece) > LETTERS:
                yield held
                held = ""
            held = f"{held}\n\n{piece}" if held else piece
    if held:
        yield held


def _cut(paragraph: str) -> Iterator[str]:
    while len(paragraph) > LETTERS:
        place = paragraph.rfind(" ", LETTERS // 2, LETTERS)
        place = place if place > 0 else LETTERS
        yield paragraph[:place].strip()
        paragraph = paragraph[place:].strip()
    if paragraph:
        yield paragraph


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        got = (error.strerror or str(error)) if isinstance(error, OSError) else "bytes that are no UTF-8"
        raise _unread(path, got) from error
    if not text.strip() or "\0" in text:
        raise _unread(path, "nothing" if not text.strip() else "NUL characters")
    return text


def _unread(path: Path, got: str) -> DataError:
    return DataError(
        "JM-362",
        "this document cannot be read",
        where=str(path),
        expected="a file of text in UTF-8",
        got=got,
        hint="give text or Markdown; write other formats as text first",
    )
