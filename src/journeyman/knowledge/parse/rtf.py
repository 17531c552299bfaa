"""Rich Text Format: paragraphs, headings by outline level, tables, links of fields; pictures, headers, notes' marks and styles are left out.

Read in one pass over its tokens, groups on a stack; a group that is open at the end costs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document, Fact
from journeyman.knowledge.parse.docx import ADDRESS, LONGEST_HEADING
from journeyman.knowledge.parse.marked import Draft, Marked

MEDIA = "application/rtf"
TOKEN = re.compile(
    rb"\\([a-z]{1,32})(-?\d{1,9})? ?|\\'([0-9a-fA-F]{2})|\\([^a-z'])|([{}])|([^\\{}\r\n]+)|[\r\n]+|\\", re.DOTALL
)
SKIPPED = frozenset(
    [
        "fonttbl",
        "colortbl",
        "stylesheet",
        "listtable",
        "listoverridetable",
        "filetbl",
        "revtbl",
        "info",
        "pict",
        "nonshppict",
        "object",
        "annotation",
        "fldinst",
        "header",
        "headerl",
        "headerr",
        "headerf",
        "footer",
        "footerl",
        "footerr",
        "footerf",
    ]
)
FACTS = {"title": "title", "author": "author", "subject": "subject", "keywords": "keywords"}
WRITTEN = {"tab": "\t", "line": "\n", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“"}
WRITTEN |= {"rdblquote": "”", "bullet": "•", "emspace": " ", "enspace": " ", "~": "\u00a0", "_": "-", "-": ""}
DEEPEST = 1_000
MOST_COLUMNS = 64


@dataclass(frozen=True, slots=True)
class State:
    """What holds until the group ends: whether its text is shown, or goes into a property or a field's instruction."""

    into: str = ""  # "" the text, "skip", "link" a field's instruction, or the name of a property
    unicode_skip: int = 1
    is_hidden: bool = False


@dataclass(slots=True)
class Link:
    """A field that is open at a depth of groups."""

    depth: int
    start: int
    instruction: str = ""


@dataclass(slots=True)
class _Reader:
    name: str
    draft: Draft = field(default_factory=Draft)
    line: Marked = field(default_factory=Marked)
    row: list[Marked] = field(default_factory=list)
    rows: list[list[Marked]] = field(default_factory=list)
    outline: int = 9
    is_in_table: bool = False
    encoding: str = "cp1252"
    raw: bytearray = field(default_factory=bytearray)
    skip: int = 0
    facts: dict[str, str] = field(default_factory=dict)
    stack: list[State] = field(default_factory=list)
    state: State = field(default_factory=State)
    links: list[Link] = field(default_factory=list)

    def read(self, data: bytes) -> Document:
        place = 0
        while match := TOKEN.match(data, place):
            word, number, code, symbol, brace, text = match.groups()
            place = match.end() + (max(int(number or 0), 0) if word == b"bin" else 0)
            if code is not None:
                self._bytes(bytes([int(code, 16)]))
            elif text is not None:
                self._bytes(text)
            elif brace is not None:
                self._flush()
                self._group(brace)
            elif word is not None or symbol is not None:
                self._flush_before(word)
                self._word((word or symbol).decode("latin-1"), None if number is None else int(number))
        self._flush()
        self._paragraph()
        self._table()
        facts: dict[str, Fact] = {name: " ".join(_whole(text).split()) for name, text in self.facts.items()}
        title = str(facts.pop("title", ""))
        blocks = tuple(self.draft.writing.blocks)
        notes = () if blocks else ("no text in it",)
        return Document(
            self.name,
            MEDIA,
            self.draft.writing.text,
            blocks,
            title=title,
            facts=facts,
            links=tuple(self.draft.links),
            notes=notes,
        )

    def _bytes(self, text: bytes) -> None:
        """Bytes wait until something else comes: a character may have several."""
        if self.skip:
            gone = min(self.skip, len(text))
            self.skip -= gone
            text = text[gone:]
        self.raw += text

    def _flush_before(self, word: bytes | None) -> None:
        self._flush()
        if word != b"u":
            self.skip = 0

    def _flush(self) -> None:
        if self.raw:
            self._say(self.raw.decode(self.encoding, "replace"))
            self.raw.clear()

    def _say(self, text: str) -> None:
        into = self.state.into
        if into == "link" and self.links and len(self.links[-1].instruction) < 4_000:
            self.links[-1].instruction += text
        elif into in FACTS.values():
            self.facts[into] = (self.facts.get(into, "") + text)[:1_000]
        elif not into and not self.state.is_hidden:
            self.line.add(text)

    def _group(self, brace: bytes) -> None:
        self.skip = 0
        if brace == b"{":
            if len(self.stack) >= DEEPEST:
                raise _unreadable(self.name, f"groups are nested more than {DEEPEST:,} deep")
            self.stack.append(self.state)
        elif self.stack:
            self.state = self.stack.pop()
            while self.links and self.links[-1].depth > len(self.stack):
                link = self.links.pop()
                if match := ADDRESS.match(link.instruction):
                    target = _whole(match[2] or match[3] or "")
                    self.line.link(link.start, f"#{target}" if match[1] else target)

    def _word(self, word: str, number: int | None) -> None:
        if word == "*":
            self.state = replace(self.state, into="skip")
        elif word == "field":
            self.links.append(Link(len(self.stack), self.line.length))
        elif word == "fldinst":
            self.state = replace(self.state, into="link" if self.links else "skip")
        elif word in FACTS and self.state.into == "skip":
            self.state = replace(self.state, into=FACTS[word])
        elif word in SKIPPED:
            self.state = replace(self.state, into="skip")
        elif word == "ansicpg" and number:
            self.encoding = _encoding(number)
        elif word == "uc":
            self.state = replace(self.state, unicode_skip=min(max(number or 0, 0), 10))
        elif word == "u" and number is not None:
            self._unicode(number)
        elif word in ("v", "deleted"):
            self.state = replace(self.state, is_hidden=number != 0)
        elif not self.state.into:
            self._shown(word, number)
        elif word in WRITTEN:
            self._say(WRITTEN[word])

    def _unicode(self, number: int) -> None:
        """Halves of a pair come one after another and are joined by the next."""
        self._say(chr(number % 0x10000))
        self.skip = self.state.unicode_skip

    def _shown(self, word: str, number: int | None) -> None:
        if word in WRITTEN:
            self._say(WRITTEN[word])
        elif word in "\\{}":
            self._say(word)
        elif word in ("par", "sect", "page", "\n", "\r"):
            if self.is_in_table:
                self.line.add("\n")
            else:
                self._paragraph()
        elif word == "pard":
            self.outline, self.is_in_table = 9, False
        elif word == "intbl":
            self.is_in_table = True
        elif word == "outlinelevel":
            self.outline = number or 0
        elif word in ("cell", "nestcell"):
            if len(self.row) < MOST_COLUMNS:
                self.row.append(_paired(self.line))
            self._start_line()
        elif word == "row":
            self.rows.append(self.row)
            self.row = []

    def _start_line(self) -> None:
        self.line = Marked()
        for link in self.links:
            link.start = 0

    def _paragraph(self) -> None:
        line = _paired(self.line)
        self._start_line()
        if not line:
            return
        self._table()
        if 0 <= self.outline < 9 and line.length <= LONGEST_HEADING:
            self.draft.add("heading", line.on_one_line(), min(self.outline + 1, 6))
        else:
            self.draft.add("paragraph", line)

    def _table(self) -> None:
        if self.row:
            self.rows.append(self.row)
        self.draft.table(self.rows)
        self.row, self.rows = [], []


def read_rtf(name: str, data: bytes) -> Document:
    """A .rtf.

    Raises:
        KnowledgeError: JM-942 no such text, or nested too deeply.
    """
    if not data.lstrip()[:5] == b"{\\rtf":
        raise _unreadable(name, "it does not begin with {\\rtf")
    return _Reader(name).read(data)


def _paired(line: Marked) -> Marked:
    """Characters beyond 65,535 are written as two halves; the links keep their place."""
    text = line.text
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return line
    whole = Marked()
    begin = 0
    became: dict[int, int] = {}
    for place in sorted({*(place for link in line.links for place in (link.start, link.end)), len(text)}):
        whole.add(_whole(text[begin:place]))
        became[place], begin = whole.length, place
    whole.links = [replace(link, start=became[link.start], end=became[link.end]) for link in line.links]
    return whole


def _whole(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _encoding(page: int) -> str:
    encoding = "utf-8" if page == 65_001 else f"cp{page}"
    try:
        b"".decode(encoding)
    except LookupError:
        return "cp1252"
    return encoding


def _unreadable(name: str, got: str) -> KnowledgeError:
    return KnowledgeError(
        "JM-942",
        "this file is no Rich Text that can be read",
        where=name,
        got=got,
        hint="open it in a word processor and save it as .docx",
    )
