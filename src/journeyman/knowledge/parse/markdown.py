"""Markdown: the text is the file, the blocks are places in it, told by markdown-it's line numbers.

A heading's block is its words, without the signs around them; other blocks are whole lines, so that a chunk of a table or of code is Markdown still. Frontmatter,
rules, definitions of links, and comments, scripts and styles are in no block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from journeyman.knowledge.document import Block, BlockKind, Document, Fact, Link
from journeyman.knowledge.parse.frontmatter import read_frontmatter
from journeyman.knowledge.parse.lines import find_lines, trim
from journeyman.knowledge.parse.links import Masks, find_code_spans, find_links, normal_label
from journeyman.knowledge.parse.plain import decode, find_paragraphs

MOST_CHARS = 4_000_000
KINDS: Mapping[str, BlockKind] = {
    "paragraph_open": "paragraph",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "table_open": "table",
    "blockquote_open": "quote",
    "fence": "code",
    "code_block": "code",
    "html_block": "paragraph",
}
UNSEEN = re.compile(r"\s*<(?:!--|script\b|style\b|\?|!\[CDATA\[)", re.IGNORECASE)
SIGNS = re.compile(r"[^\S\r\n]*#{1,6}[^\S\r\n]+|[^\S\r\n]+")
CLOSING_SIGNS = re.compile(r"(?:[^\S\r\n]#+|^#+)[^\S\r\n]*$")


@dataclass(frozen=True, slots=True)
class Parsed:
    """Blocks, what among them is code, and the targets that links are defined to have, by label."""

    blocks: tuple[Block, ...]
    code: Masks
    references: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Marked:
    """A document and where it is code, for readers of what others write into Markdown."""

    document: Document
    code: Masks


def read_markdown(name: str, data: bytes) -> Document:
    """Raises: KnowledgeError: JM-906, this is no text."""
    return read_marked(name, data).document


def read_marked(name: str, data: bytes) -> Marked:
    """Raises: KnowledgeError: JM-906, this is no text."""
    text, notes = decode(name, data)
    front = read_frontmatter(text)
    parsed = parse_blocks(text, front.end)
    parts = [(block.start, block.end) for block in parsed.blocks if block.kind != "code"]
    links: list[Link] = find_links(text, parts, parsed.code, parsed.references)
    document = Document(
        name,
        "text/markdown",
        text,
        parsed.blocks,
        _find_title(text, parsed.blocks, front.facts),
        front.facts,
        tuple(links),
        notes=notes + front.notes + parsed.notes,
    )
    return Marked(document, parsed.code)


def parse_blocks(text: str, start: int = 0) -> Parsed:
    """The blocks behind ``start``, which begins a line."""
    if len(text) - start > MOST_CHARS:
        note = f"this file has more than {MOST_CHARS:,} characters; its structure was not read"
        return Parsed(tuple(find_paragraphs(text, start)), Masks(), {}, (note,))
    body = text[start:]
    lines = [start + line for line in find_lines(body)]
    environment: dict[str, Any] = {}
    tokens = _make_parser().parse(body, environment)
    blocks = tuple(_find_blocks(text, lines, tokens))
    fences = [
        (lines[token.map[0]], lines[min(token.map[1], len(lines) - 1)])
        for token in tokens
        if token.type in ("fence", "code_block") and token.map
    ]
    inline = (
        span for block in blocks if block.kind != "code" for span in _find_inline_code(text, block, Masks(fences))
    )
    references = {normal_label(label): str(entry["href"]) for label, entry in environment.get("references", {}).items()}
    return Parsed(blocks, Masks([*fences, *inline]), references)


@cache
def _make_parser() -> MarkdownIt:
    """Blocks alone: what stands inside of lines is found by ``links``."""
    parser = MarkdownIt("commonmark", {"maxNesting": 20}).enable("table")
    return parser.disable(["inline", "text_join"])


def _find_blocks(text: str, lines: list[int], tokens: Sequence[Token]) -> Iterator[Block]:
    for number, token in enumerate(tokens):
        if token.level or not token.map:
            continue
        start, end = (lines[min(line, len(lines) - 1)] for line in token.map)
        if token.type == "heading_open":
            block = _find_heading(text, start, end, tokens[number + 1], int(token.tag[1:]))
            if block.start < block.end:
                yield block
        elif (kind := KINDS.get(token.type)) and not (token.type == "html_block" and UNSEEN.match(text, start, end)):
            start, end = trim(text, start, end)
            if start < end:
                yield Block(kind, start, end)


def _find_heading(text: str, start: int, end: int, inline: Token, level: int) -> Block:
    """The words between the signs: those of ``# One #`` on a line of their own, or the lines over an underline."""
    is_underlined = inline.map is not None and inline.map[1] - inline.map[0] < len(find_lines(text[start:end])) - 1
    whole = text[start:end].rstrip()
    if is_underlined:
        whole = whole[: max(whole.rfind("\n"), whole.rfind("\r"))].rstrip()
        begin = len(whole) - len(whole.lstrip())
    else:
        signs = SIGNS.match(whole)
        begin = signs.end() if signs else len(whole)
        whole = whole[:begin] + CLOSING_SIGNS.sub("", whole[begin:]).rstrip()
    return Block("heading", start + begin, start + max(len(whole), begin), level)


def _find_inline_code(text: str, block: Block, fences: Masks) -> list[tuple[int, int]]:
    return [span for span in find_code_spans(text, block.start, block.end) if not fences.covers(span[0])]


def _find_title(text: str, blocks: Sequence[Block], facts: Mapping[str, Fact]) -> str:
    title = facts.get("title")
    if isinstance(title, str | int | float) and str(title).strip():
        return str(title).strip()
    return next(
        (" ".join(text[block.start : block.end].split()) for block in blocks if block.level == 1 and block.end), ""
    )
