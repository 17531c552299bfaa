"""JSON that is no lines: one array, one document, or several behind each other, split into the texts of its elements.

    [ELEMENT, ELEMENT, ...]          {"data": [ELEMENT, ...], ...}          {"resourceSpans": [{"scopeSpans": [{"spans": [ELEMENT, ...]}]}]}

The list under the first key of a document is opened where the key is one of ``WRAPPERS``, and in OTLP's the lists below it. Brackets and quotes are all that is looked at,
so an element that is broken inside costs itself only, unless a bracket or a quote is what is missing. At most one element of ``LINE_LIMIT_BYTES`` characters is held at a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from journeyman.data import lines as lines_module
from journeyman.data.lines import Line

WRAPPERS = ("data", "resourceSpans", "traces", "items", "rows", "results")
NESTED = {"resourceSpans": ("scopeSpans", "instrumentationLibrarySpans"), "scopeSpans": ("spans",)}
NESTED["instrumentationLibrarySpans"] = NESTED["scopeSpans"]
OPENED = re.compile(r'\{\s*"(' + "|".join(WRAPPERS) + r')"\s*:\s*\[')
KEY = re.compile(r'"(\w+)"\s*:\s*\[')
BLANKS, BARE = re.compile(r"[\s,:]*"), re.compile(r"[^,\]}\s]+")
DECODER = json.JSONDecoder()
MARK = re.compile(r'["\[\]{}]')
QUOTE = re.compile(r'(?:[^"\\]++|\\.)*+', re.DOTALL)
HEAD = 65_536
LOOKED_AT = 200
SPACE = " \t\r\n"


def is_document(head: str) -> bool:
    """Whether this beginning of a file is one JSON document over several lines, an array, or a wrapper of rows on one line."""
    text = head.lstrip("\ufeff" + SPACE)
    if not text.startswith(("[", "{")):
        return False
    lines = [line for line in text.split("\n") if line.strip()]
    first, is_cut = lines[0], len(lines) == 1 and len(head) >= HEAD
    if text[0] == "[":
        return is_cut or len(lines) == 1 or not (_is_json(first) and lines[1].startswith("{"))
    is_opened = OPENED.match(text) is not None
    if is_cut or _is_json(first):
        return is_cut and is_opened
    if is_opened or first.strip() == "{":
        return True
    return first.rstrip().endswith(("{", "[", ",")) and not any(
        line.startswith("{") and _is_json(line) for line in lines[1:]
    )


def split_document(chunks: Iterator[str]) -> Iterator[Line]:
    """The elements, numbered from 1 in the order of the file."""
    text, number = _Text(chunks), 0
    above: list[str] = []  # what is open: the key of a list ("" for none), "{" for an object around lists
    while begin := text.next_mark():
        if above and begin in "]}":
            above.pop()
            text.take(1)
        elif above and above[-1] == "{":
            inner = NESTED.get(above[-2] if len(above) > 1 else "", ())
            if (key := text.match(KEY)) and key[1] in inner:
                text.take(len(key[0]))
                above.append(key[1])
            else:
                text.skip_value()  # what stands beside the rows: a key, or a value that is no row
        elif begin == "[" and not above:
            text.take(1)
            above.append("")
        elif begin == "{" and above and above[-1] in NESTED:
            text.take(1)
            above.append("{")
        elif begin == "{" and not above and (opened := text.match(OPENED)):
            text.take(len(opened[0]))
            above += ["{", opened[1]]
        else:
            number += 1
            yield _line(number, *text.take_value())
    if above:
        yield Line(number + 1, "", "the file ends in the middle of the document")


class _Text:
    """A text that comes in chunks, with a place in it."""

    def __init__(self, chunks: Iterator[str]) -> None:
        self._chunks = chunks
        self._buffer = ""
        self._place = 0

    def peek(self) -> str:
        while self._place >= len(self._buffer):
            if not self._more():
                return ""
        return self._buffer[self._place]

    def next_mark(self) -> str:
        """The next character that is neither white space, comma nor colon; nothing at the end."""
        while self.peek():
            found = BLANKS.match(self._buffer, self._place)
            self._place = found.end() if found else self._place
            if self._place < len(self._buffer):
                return self._buffer[self._place]
        return ""

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        while len(self._buffer) - self._place < LOOKED_AT and self._more():
            pass
        return pattern.match(self._buffer, self._place)

    def take(self, count: int) -> None:
        self._place += count

    def skip_value(self) -> None:
        self.take_value(limit=0)

    def take_value(self, limit: int | None = None) -> tuple[str, str]:
        """The text of the value that begins here, and what is wrong with it; of one over ``limit`` only the beginning."""
        limit = lines_module.LINE_LIMIT_BYTES if limit is None else limit
        if (whole := self._whole(limit)) is not None:
            return whole, ""
        value, depth, problem = list[str](), 0, ""
        size = 0
        for piece, change in self._pieces():
            depth += change
            if size <= limit:
                value.append(piece)
            size += len(piece)
            if depth <= 0:
                break
        else:
            problem = "the file ends in the middle of this element" if depth > 0 else ""
        if size > limit and limit:
            problem = f"the element is longer than {limit / 1_000_000:g} MB"
        shown = "".join(value)
        return (shown[: lines_module.KEPT_BYTES] if problem else shown), problem

    def _whole(self, limit: int) -> str | None:
        """The value, where it is valid and in memory already: the fast way."""
        try:
            end = DECODER.raw_decode(self._buffer, self._place)[1]
        except (ValueError, RecursionError):
            return None
        return self._until(end) if end < len(self._buffer) and end - self._place <= limit else None

    def _pieces(self) -> Iterator[tuple[str, int]]:
        """Text up to and with the next bracket or whole string, and by how much it changes the depth; a bare value is one piece."""
        depth = 0
        while self.peek():
            if depth == 0 and self._buffer[self._place] not in '"[{':
                yield self._bare(), 0
                return
            found = MARK.search(self._buffer, self._place)
            if found is None:
                yield self._until(len(self._buffer)), 0
                continue
            mark = found.group()
            if mark == '"':
                yield self._until(found.end()), 1
                for piece, is_end in self._string():
                    yield piece, -1 if is_end else 0
                if depth == 0:
                    return
                continue
            change = 1 if mark in "[{" else -1
            depth += change
            yield self._until(found.end()), change

    def _string(self) -> Iterator[tuple[str, bool]]:
        """The rest of a string behind its opening quote, in one piece or several."""
        while self.peek():
            found = QUOTE.match(self._buffer, self._place)
            end = found.end() if found else self._place
            if end < len(self._buffer) and self._buffer[end] == '"':
                yield self._until(end + 1), True
                return
            yield self._until(end), False
            if self._place < len(self._buffer) and not self._more():  # a backslash that nothing follows
                yield self._until(len(self._buffer)), False

    def _bare(self) -> str:
        """A number or a word."""
        piece = ""
        while (begin := self.peek()) and begin not in ",]}" + SPACE:
            found = BARE.match(self._buffer, self._place)
            piece += self._until(found.end() if found else self._place + 1)
        return piece or self._until(self._place + 1)

    def _until(self, end: int) -> str:
        piece = self._buffer[self._place : end]
        self._place = end
        return piece

    def _more(self) -> bool:
        chunk = next(self._chunks, "")
        self._buffer = self._buffer[self._place :] + chunk
        self._place = 0
        return bool(chunk)


def _line(number: int, text: str, problem: str) -> Line:
    if problem:
        return Line(number, text, problem)
    try:
        text.encode()
    except UnicodeEncodeError:
        shown = text[: lines_module.KEPT_BYTES].encode("utf-8", "replace").decode()
        return Line(number, shown, "the element is not UTF-8")
    return Line(number, text)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
