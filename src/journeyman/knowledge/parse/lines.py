"""Where the lines of a text begin, with the ends that Markdown and CSV know: LF, CRLF and CR."""

from __future__ import annotations

import re

LINE_END = re.compile(r"\r\n?|\n")


def find_lines(text: str) -> list[int]:
    """The first character of each line, and the length of the text behind the last."""
    starts = [0, *(end.end() for end in LINE_END.finditer(text))]
    if starts[-1] != len(text):
        starts.append(len(text))
    return starts


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without the blanks around it; spaces before its first line stay, they may be code."""
    inner = text[start:end]
    end = start + len(inner.rstrip())
    left = len(inner) - len(inner.lstrip())
    breaks = max(inner.rfind("\n", 0, left), inner.rfind("\r", 0, left))
    return min(start + breaks + 1, end), end
