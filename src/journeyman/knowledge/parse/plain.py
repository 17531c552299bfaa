"""Plain text: what bytes say, and paragraphs as blocks. The text is the file with its line ends, without a byte order mark.

Other readers of text decode here too.
"""

from __future__ import annotations

import codecs
import re
from itertools import pairwise

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Block, Document
from journeyman.knowledge.parse.lines import find_lines, trim

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\v\b\x1b")) + b"\x7f"
MOST_CONTROLS = 0.01
LOOKED_AT_BYTES = 1 << 16
REPLACED = "\ufffd"
UNDECODED = re.compile(b"[\x80-\xff]")


def is_binary(data: bytes) -> bool:
    """Whether the first bytes are no text in any encoding that is read here."""
    if data.startswith(tuple(mark for mark, _ in MARKS)):
        return False
    head = data[:LOOKED_AT_BYTES]
    return b"\0" in head or len(head) - len(head.translate(None, CONTROLS)) > MOST_CONTROLS * len(head)


def decode(name: str, data: bytes) -> tuple[str, tuple[str, ...]]:
    """The text, and a note where the encoding had to be guessed or characters were lost.

    Raises:
        KnowledgeError: JM-906, this is no text.
    """
    if is_binary(data):
        raise KnowledgeError(
            "JM-906",
            "this file holds no text that can be read",
            where=name,
            expected="text, or a format that is known",
            got=f"bytes that begin with {data[:8].hex(' ')}",
            hint="convert it to text, HTML or PDF",
        )
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return _decode_marked(data[len(mark) :], encoding)
    try:
        return data.decode("utf-8"), ()
    except UnicodeDecodeError:
        return _decode_unmarked(data)


def read_plain(name: str, data: bytes) -> Document:
    """Raises: KnowledgeError: JM-906, this is no text."""
    text, notes = decode(name, data)
    return Document(name, "text/plain", text, tuple(find_paragraphs(text)), notes=notes)


def find_paragraphs(text: str, start: int = 0) -> list[Block]:
    """Runs of lines that are not blank, from the line that begins at ``start``."""
    blocks: list[Block] = []
    lines = [start + line for line in find_lines(text[start:] if start else text)]
    begin = -1
    for left, right in pairwise(lines):
        if not text[left:right].isspace():
            begin = left if begin < 0 else begin
        elif begin >= 0:
            blocks.append(Block("paragraph", *trim(text, begin, left)))
            begin = -1
    if begin >= 0:
        blocks.append(Block("paragraph", *trim(text, begin, len(text))))
    return blocks


def _decode_marked(data: bytes, encoding: str) -> tuple[str, tuple[str, ...]]:
    try:
        return data.decode(encoding), ()
    except UnicodeDecodeError:
        return data.decode(encoding, "replace"), (f"some bytes are not {encoding} and were replaced",)


def _decode_unmarked(data: bytes) -> tuple[str, tuple[str, ...]]:
    """UTF-8 with a few broken places, or an old encoding of one byte a character."""
    text = data.decode("utf-8", "replace")
    lost = text.count(REPLACED)
    if 10 * lost <= len(UNDECODED.findall(data)) / 2:
        return text, (f"{lost} place(s) are not UTF-8 and were replaced",)
    try:
        return data.decode("cp1252"), ("this file is not UTF-8; it was read as Windows-1252",)
    except UnicodeDecodeError:
        return data.decode("latin-1"), ("this file is not UTF-8; it was read as Latin-1",)
