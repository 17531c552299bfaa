"""HTML as a reader sees it: headings, paragraphs, lists, tables, code and quotes; no markup, no script, no navigation.

The walk has no recursion, and ``html_taming`` bounds the depth before the parser sees the page.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from journeyman.knowledge.document import CELL, BlockKind, Document, Fact, Link
from journeyman.knowledge.parse.html_taming import names_of, tame
from journeyman.knowledge.parse.plain import decode, is_binary
from journeyman.knowledge.writing import SPACES, Writing

NEVER = names_of(
    "script style template noscript iframe object embed svg math canvas audio video map head select option datalist button input textarea title "
    "noembed noframes dialog progress meter area param"
)
ASIDE = names_of("nav aside footer menu")
ASIDE_ROLES = frozenset({"navigation", "banner", "contentinfo", "complementary", "search"})
HEADINGS = {f"h{level}": level for level in range(1, 7)}
BREAKING = (
    names_of(
        "address article blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure footer form header hgroup hr html "
        "legend li main ol p pre section summary table tbody td tfoot th thead tr ul"
    )
    | HEADINGS.keys()
)
LISTS = frozenset({"ul", "ol", "dl", "dir"})
ITEMS = frozenset({"li", "dt", "dd"})
CHARSET = re.compile(rb"""<meta[^>]{0,300}?charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
INVISIBLE = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
META = {
    "author": "author",
    "article:author": "author",
    "dc.creator": "author",
    "description": "description",
    "og:description": "description",
    "dc.description": "description",
    "keywords": "keywords",
    "article:published_time": "date",
    "date": "date",
    "dc.date": "date",
    "dcterms.date": "date",
}
MOST_LINKS = 20_000
MOST_COLUMNS = 1_000
LOOKED_AT_NODES = 400
PARTS = names_of("h1 h2 h3 pre article section blockquote form")
INDENT = "  "


def read_html(name: str, data: bytes) -> Document:
    """Raises: KnowledgeError: JM-906, this is no text."""
    text, notes = decode_html(name, data)
    page = write_html(text, Writing())
    return Document(
        name,
        "text/html",
        page.writing.text,
        tuple(page.writing.blocks),
        page.title,
        page.facts,
        tuple(page.links),
        notes=notes + page.notes,
    )


def decode_html(name: str, data: bytes, charset: str = "") -> tuple[str, tuple[str, ...]]:
    """By byte order mark, by what came with the page or what it says itself, else as other text.

    Raises:
        KnowledgeError: JM-906, this is no text.
    """
    if is_binary(data):
        return decode(name, data)
    said = CHARSET.search(data[:4096])
    charset = charset or (said[1].decode("ascii", "replace") if said else "")
    if charset and not data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            if codecs.lookup(charset).name not in ("utf-8", "ascii") and not charset.lower().startswith("utf"):
                return data.decode(codecs.lookup(charset).name, "replace"), ()
        except (LookupError, ValueError, TypeError):
            pass
    return decode(name, data)


@dataclass(slots=True)
class Page:
    """What was written of a page. ``links`` and blocks speak of the writing's text."""

    writing: Writing
    title: str = ""
    facts: dict[str, Fact] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def write_html(html: str, writing: Writing) -> Page:
    """Add a page to a text; chapters of a book follow each other so."""
    html, was_wild = tame(html.replace("\0", ""))
    notes = ("the page nests too deeply; what is deeper was read without its structure",) if was_wild else ()
    parser = LexborHTMLParser(html)
    page = Page(writing, _find_title(parser), _find_facts(parser), notes=notes)
    root = parser.body or parser.root
    if root is None:
        return page
    before = len(writing.blocks)
    _Walk(page, drops_aside=True).walk(root)
    if len(writing.blocks) == before:
        _Walk(page, drops_aside=False).walk(root)
    if not page.title:
        heading = next((block for block in writing.blocks[before:] if block.level == 1), None)
        page.title = " ".join(writing.text[heading.start : heading.end].split()) if heading else ""
    return page


class _Walk:
    """One pass through the tree. ``_line`` is the text of the block that is being read; links and blocks wait for its end."""

    def __init__(self, page: Page, drops_aside: bool) -> None:
        self._page = page
        self._drops_aside = drops_aside
        self._parts: list[str] = []
        self._length = 0
        self._ends_blank = True
        self._waiting: list[Link] = []
        self._open_links: list[tuple[int, str]] = []
        self._lists = self._quotes = self._pre = 0
        self._tables: list[_Table] = []
        self._heading = 0

    def walk(self, root: LexborNode) -> None:
        node, depth = root, 0
        while True:
            child = node.first_child if self._enter(node) else None
            if child is not None:
                node, depth = child, depth + 1
                continue
            while True:
                self._leave(node)
                if not depth:
                    self._flush()
                    return
                following = node.next
                if following is not None:
                    node = following
                    break
                parent = node.parent
                assert parent is not None
                node, depth = parent, depth - 1

    def _enter(self, node: LexborNode) -> bool:
        tag = node.tag or ""
        if tag == "-text":
            self._write(node.text_content or "")
            return False
        if tag.startswith(("-", "!")) or tag in NEVER or self._is_hidden(node, tag):
            return False
        if tag in BREAKING:
            self._break(tag, node)
        elif tag == "br":
            self._put("\n")
        elif tag == "a":
            self._open_links.append((self._length, (node.attributes.get("href") or "").strip()))
        return True

    def _leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag == "a" and self._open_links and not self._is_hidden(node, tag):
            start, target = self._open_links.pop()
            if target and not target.lower().startswith(("javascript:", "data:")) and self._length > start:
                self._waiting.append(Link(start, self._length, target[:2_000]))
        elif tag in BREAKING and not (tag in NEVER or self._is_hidden(node, tag)):
            self._unbreak(tag)

    def _is_hidden(self, node: LexborNode, tag: str) -> bool:
        if self._drops_aside and tag in ASIDE:
            return True
        if tag == "body":
            return False
        attributes = node.attributes
        if not attributes:
            return False
        return (
            "hidden" in attributes
            or attributes.get("aria-hidden") == "true"
            or (self._drops_aside and attributes.get("role") in ASIDE_ROLES)
            or INVISIBLE.search(attributes.get("style") or "") is not None
        )

    def _break(self, tag: str, node: LexborNode) -> None:
        if tag == "table" and not self._lists and not self._tables:
            self._flush()
            if _is_data(node):
                self._tables.append(_Table())
        elif self._tables:
            self._break_in_table(tag, node)
        elif tag in LISTS:
            if not self._lists:
                self._flush()
            self._lists += 1
        elif self._lists:
            if tag in ITEMS:
                self._item(tag)
            else:
                self._put(" ")
        else:
            self._flush()
            self._heading = HEADINGS.get(tag, self._heading)
            self._quotes += tag == "blockquote"
        self._pre += tag == "pre"

    def _unbreak(self, tag: str) -> None:
        if self._tables:
            if tag == "table" and self._tables[-1].depth == 0:
                self._flush()
                self._tables.pop()
            elif tag == "table":
                self._tables[-1].depth -= 1
            elif tag == "caption" and not self._tables[-1].cells:
                self._flush("paragraph")
            else:
                self._put(" ")
        elif tag in LISTS and self._lists:
            if self._lists == 1:
                self._flush()
            self._lists -= 1
        elif self._lists:
            self._put(" ")
        else:
            self._flush()
            if tag in HEADINGS:
                self._heading = 0
            self._quotes -= tag == "blockquote" and self._quotes > 0
        self._pre -= tag == "pre" and self._pre > 0

    def _break_in_table(self, tag: str, node: LexborNode) -> None:
        table = self._tables[-1]
        if tag == "table":
            table.depth += 1
        elif table.depth:
            self._put(" ")
        elif tag == "tr":
            self._end_row()
        elif tag in ("td", "th"):
            if table.cells:
                self._put(CELL * min(table.span, MOST_COLUMNS))
            table.cells += 1
            table.span = _number(node.attributes.get("colspan"))
        elif tag == "caption":
            pass
        else:
            self._put(" ")

    def _end_row(self) -> None:
        table = self._tables[-1]
        if table.cells:
            line = "".join(self._parts[table.row_parts :])
            if not line.replace(CELL.strip(), "").strip():
                del self._parts[table.row_parts :]
                self._length -= len(line)
            elif self._length:
                self._put("\n")
        table.cells, table.span, table.row_parts = 0, 1, len(self._parts)

    def _item(self, tag: str) -> None:
        if self._length:
            self._put("\n")
        indent = INDENT * min(self._lists - 1, 20)
        self._raw(indent + {"li": "- ", "dt": "", "dd": INDENT}[tag])

    def _write(self, text: str) -> None:
        if self._pre and not self._tables and not self._lists:
            self._raw(text)
            return
        text = SPACES.sub(" ", text)
        if self._ends_blank and text.startswith(" "):
            text = text[1:]
        self._raw(text)

    def _put(self, separator: str) -> None:
        """A separator; blanks before it and beside another blank go."""
        if separator.isspace() and not self._length:
            return
        if separator == " ":
            if not self._ends_blank:
                self._raw(" ")
            return
        while self._parts and self._parts[-1] == " ":
            self._length -= len(self._parts.pop())
        if separator == "\n" and self._parts and self._parts[-1].endswith(" ") and not self._pre:
            stripped = self._parts[-1].rstrip(" ")
            self._length -= len(self._parts[-1]) - len(stripped)
            self._parts[-1] = stripped
        self._raw(separator)

    def _raw(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self._length += len(text)
            self._ends_blank = text[-1].isspace()

    def _flush(self, kind: BlockKind | None = None) -> None:
        """The block ends: its text is written, its links are known."""
        page = self._page
        if self._tables and kind is None:
            self._end_row()
        whole = "".join(self._parts)
        text = whole.rstrip()
        lead = len(text) - len(text.lstrip("\n"))
        start, end = page.writing.add(kind or self._kind(), text[lead:], self._heading)
        if start < end:
            for link in self._waiting:
                left, right = max(start, start + link.start - lead), min(end, start + link.end - lead)
                if left < right and len(page.links) < MOST_LINKS:
                    page.links.append(Link(left, right, link.target))
        self._parts, self._length, self._ends_blank, self._waiting = [], 0, True, []
        self._open_links = [(0, target) for _, target in self._open_links]

    def _kind(self) -> BlockKind:
        if self._tables:
            return "table"
        if self._lists:
            return "list"
        if self._heading:
            return "heading"
        if self._pre:
            return "code"
        return "quote" if self._quotes else "paragraph"


@dataclass(slots=True)
class _Table:
    """Where a table is being read: cells of the row so far, columns of the last cell, tables inside that are open, where the row begins."""

    cells: int = 0
    span: int = 1
    depth: int = 0
    row_parts: int = 0


def _is_data(table: LexborNode) -> bool:
    """Whether a table holds data: several cells in a row, and no parts of a page in them. Told by its first elements."""
    most, columns, has_header, has_list = 0, 0, False, False
    node, depth = table.first_child, 1
    for _ in range(LOOKED_AT_NODES):
        if node is None:
            break
        tag = node.tag or ""
        if tag == "table" or tag in PARTS:
            return False
        columns = 0 if tag == "tr" else columns + (tag in ("td", "th"))
        most = max(most, columns)
        has_header = has_header or tag == "th"
        has_list = has_list or tag in LISTS
        following = node.first_child
        if following is not None:
            depth += 1
        while following is None and depth:
            following = node.next
            if following is None:
                parent = node.parent
                depth -= 1
                if parent is None or not depth:
                    break
                node = parent
        node = following
    return most > 1 and (has_header or not has_list)


def _number(text: str | None) -> int:
    return max(1, min(int(text), MOST_COLUMNS)) if text and text.isascii() and text.isdigit() and len(text) < 6 else 1


def _find_title(parser: LexborHTMLParser) -> str:
    node = parser.css_first("head > title")
    return SPACES.sub(" ", node.text(deep=False) if node else "").strip()[:500]


def _find_facts(parser: LexborHTMLParser) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for node in parser.css("meta")[:500]:
        attributes: Mapping[str, str | None] = node.attributes
        name = META.get((attributes.get("name") or attributes.get("property") or "").lower())
        content = SPACES.sub(" ", attributes.get("content") or "").strip()
        if name and content:
            facts.setdefault(name, content[:2_000])
    root = parser.css_first("html")
    language = (root.attributes.get("lang") or root.attributes.get("xml:lang") or "").strip() if root else ""
    if language:
        facts["lang"] = language[:40]
    return facts
