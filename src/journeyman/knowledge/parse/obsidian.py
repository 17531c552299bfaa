"""Notes as Obsidian writes them: Markdown with ``[[Page#heading|alias]]``, ``![[embed]]``, ``#tag``, callouts.

They are read in all Markdown, for they mean nothing else there. Where links lead is for ``vault`` to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from journeyman.knowledge.document import Document, Fact, Link
from journeyman.knowledge.parse.links import Masks
from journeyman.knowledge.parse.markdown import Marked, read_marked

WIKILINK = re.compile(r"(!?)\[\[([^\[\]\r\n|]{1,500})(?:\|([^\[\]\r\n]{0,500}))?\]\]")
TAG = re.compile(r"(?<!\S)#([\w/-]{1,200})")
CALLOUT = re.compile(r"[^\S\r\n]*>[^\S\r\n]*\[!([\w-]{1,40})\]")
LISTED = re.compile(r"[,\s]+")


def read_note(name: str, data: bytes) -> Document:
    """Raises: KnowledgeError: JM-906, this is no text."""
    marked = read_marked(name, data)
    document = marked.document
    text = document.text
    if "[[" not in text and "#" not in text and "[!" not in text and not document.facts:
        return document
    pages = list(_find_pages(marked))
    taken = Masks((link.start, link.end) for link in pages)
    others = [link for link in document.links if not taken.covers(link.start)]
    taken = taken.add((link.start, link.end) for link in others)
    tags = list(_find_tags(marked, taken))
    links = sorted([*pages, *others, *tags], key=lambda link: link.start)
    return replace(document, links=tuple(links), facts=_find_facts(document, tags))


def _find_pages(marked: Marked) -> Iterator[Link]:
    document = marked.document
    for block in document.blocks:
        for match in WIKILINK.finditer(document.text, block.start, block.end):
            target = match[2].rstrip("\\").strip()  # a table's cell writes \| before the alias
            if target and not marked.code.covers(match.start()) and block.kind != "code":
                yield Link(match.start(), match.end(), target, "embed" if match[1] else "link")


def _find_tags(marked: Marked, links: Masks) -> Iterator[Link]:
    document = marked.document
    for block in document.blocks:
        for match in TAG.finditer(document.text, block.start, block.end) if block.kind != "code" else ():
            tag = match[1].rstrip("/")
            is_tag = any(not char.isdigit() and char not in "/-_" for char in tag)
            if is_tag and not marked.code.covers(match.start()) and not links.covers(match.start()):
                yield Link(match.start(), match.start() + 1 + len(tag), tag, "tag")


def _find_facts(document: Document, tags: list[Link]) -> dict[str, Fact]:
    facts = dict(document.facts)
    given = _list(facts.pop("tags", facts.pop("tag", ())), LISTED)
    every = dict.fromkeys([*(tag.lstrip("#") for tag in given), *(link.target for link in tags)])
    aliases = _list(facts.pop("aliases", facts.pop("alias", ())), re.compile(r"\s*,\s*"))
    callouts = dict.fromkeys(
        match[1].lower()
        for block in document.blocks
        if block.kind == "quote" and (match := CALLOUT.match(document.text, block.start))
    )
    for name, values in (("tags", every), ("aliases", aliases), ("callouts", callouts)):
        if values:
            facts[name] = tuple(value for value in values if value)
    return facts


def _list(value: Fact, between: re.Pattern[str]) -> tuple[str, ...]:
    if isinstance(value, tuple):
        return value
    return tuple(part for part in between.split(str(value)) if part)
