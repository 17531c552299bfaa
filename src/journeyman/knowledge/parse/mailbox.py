"""An mbox file as its messages: where each begins and ends, found line by line in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

FROM = re.compile(rb"From \S+\s+(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b")
QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
LINE_BYTES = 1 << 20


def find_messages(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Begin and end of each message, without its ``From`` line."""
    position, begin, is_after_blank, is_at_line = 0, -1, True, True
    while line := file.readline(LINE_BYTES):
        if is_at_line and is_after_blank and FROM.match(line):
            if begin >= 0:
                yield begin, position
            begin = position + len(line)
        is_after_blank = is_at_line and not line.strip()
        is_at_line = line.endswith(b"\n")
        position += len(line)
    if begin >= 0:
        yield begin, position


def unquote(message: bytes) -> bytes:
    """Lines that were quoted because they begin with ``From``."""
    return QUOTED.sub(rb"\1", message)
