"""Text of rows on a terminal, made harmless: what would move the cursor, change colours or hide shows as its code point."""

from __future__ import annotations

import re

from journeyman.guards.invisible import find_invisible

MOVES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def show_plainly(text: str) -> str:
    """The text with ``<U+001B>`` for an escape character and its like; lines stay lines, a tab is four spaces."""
    parts, end = [], 0
    for begin, stop in find_invisible(text):
        parts += [text[end:begin], *(_name(char) for char in text[begin:stop])]
        end = stop
    joined = "".join([*parts, text[end:]])
    return MOVES.sub(lambda match: _name(match.group()), joined.replace("\r\n", "\n")).replace("\t", "    ")


def show_line(text: str) -> str:
    """As `show_plainly`, on one line: names of files may have several."""
    return show_plainly(text).replace("\n", _name("\n"))


def _name(char: str) -> str:
    return f"<U+{ord(char):04X}>"
