"""EPUB: the chapters in the order of the book's spine, each read as HTML into one text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import dirname, join, normpath
from urllib.parse import unquote
from xml.etree import ElementTree

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document, Fact, Link
from journeyman.knowledge.parse.archive import Archive, Limits, open_archive
from journeyman.knowledge.parse.html import decode_html, write_html
from journeyman.knowledge.parse.html_taming import VOID
from journeyman.knowledge.writing import Writing

LIMITS = Limits(file_bytes=50_000_000, total_bytes=1_000_000_000)
MOST_CHAPTERS = 5_000
MOST_TEXT_BYTES = 200_000_000
CONTAINER, ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
PAGES = ("application/xhtml+xml", "text/html")
SELF_CLOSED = re.compile(r"<([a-zA-Z][\w:-]{0,50})(\s[^<>]{0,5000})?/>")
FACTS = {"creator": "author", "language": "lang", "date": "date", "publisher": "publisher", "subject": "tags"}


@dataclass(frozen=True, slots=True)
class Book:
    """``chapters`` are names of members, in reading order."""

    title: str
    facts: dict[str, Fact]
    chapters: tuple[str, ...]


def read_epub(name: str, data: bytes) -> Document:
    """Raises: KnowledgeError: JM-904 the archive, JM-910 no chapter can be read."""
    archive = open_archive(name, data, LIMITS)
    book = _read_book(archive, name)
    locked = _find_locked(archive)
    writing, links, notes = Writing(), list[Link](), list[str]()
    taken_bytes = 0
    for chapter in book.chapters[:MOST_CHAPTERS]:
        if chapter in locked:
            notes.append(f"{chapter} is encrypted")
            continue
        try:
            content = archive.read(chapter)
            taken_bytes += len(content)
            if taken_bytes > MOST_TEXT_BYTES:
                notes.append(f"the book is too long; it was read up to {chapter}")
                break
            text, said = decode_html(chapter, content)
        except KnowledgeError as error:
            notes.append(f"{chapter} could not be read: {error.got or error.what}")
            continue
        page = write_html(SELF_CLOSED.sub(_close, text), writing)
        links += page.links
        notes += [f"{chapter}: {note}" for note in said + page.notes]
    if len(book.chapters) > MOST_CHAPTERS:
        notes.append(f"only {MOST_CHAPTERS} chapters were read")
    if not writing.blocks:
        raise _no_epub(name, "; ".join(notes)[:300] or "no chapter with text")
    return Document(
        name,
        "application/epub+zip",
        writing.text,
        tuple(writing.blocks),
        book.title,
        book.facts,
        tuple(links),
        notes=tuple(notes),
    )


def _read_book(archive: Archive, name: str) -> Book:
    container = _read_xml(archive, CONTAINER, name)
    where = next((item.get("full-path", "") for item in _named(container, "rootfile")), "")
    package = _read_xml(archive, where, name)
    base = dirname(where)
    items = {item.get("id", ""): item for item in _named(package, "item")}
    chapters = [
        normpath(join(base, unquote(item.get("href", "").partition("#")[0])))
        for reference in _named(package, "itemref")
        if (item := items.get(reference.get("idref", ""))) is not None
        and item.get("media-type", PAGES[0]) in PAGES
        and "nav" not in (item.get("properties") or "").split()
    ]
    facts: dict[str, Fact] = {}
    for source, target in FACTS.items():
        values = [text for item in _named(package, source) if (text := " ".join((item.text or "").split()))]
        if values:
            facts[target] = tuple(values) if target == "tags" else ", ".join(values)
    title = next((" ".join((item.text or "").split()) for item in _named(package, "title")), "")
    return Book(title, facts, tuple(dict.fromkeys(chapters)))


def _find_locked(archive: Archive) -> frozenset[str]:
    """Members that the publisher encrypted."""
    if ENCRYPTION not in archive.names():
        return frozenset()
    try:
        listed = _read_xml(archive, ENCRYPTION, archive.name)
    except KnowledgeError:
        return frozenset()
    return frozenset(unquote(item.get("URI", "")) for item in _named(listed, "CipherReference"))


def _read_xml(archive: Archive, member: str, name: str) -> ElementTree.Element:
    try:
        data = archive.read(member)
        if b"<!ENTITY" in data:
            raise _no_epub(name, f"{member} defines entities")
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise _no_epub(name, f"{member}: {error}") from error
    except KnowledgeError as error:
        raise _no_epub(name, error.got or error.what) from error


def _named(root: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (item for item in root.iter() if isinstance(item.tag, str) and item.tag.rpartition("}")[2] == name)


def _close(tag: re.Match[str]) -> str:
    """XHTML closes any element so; HTML only those that hold nothing."""
    name = tag[1]
    return tag[0] if name.lower() in VOID else f"<{name}{tag[2] or ''}></{name}>"


def _no_epub(name: str, got: str) -> KnowledgeError:
    return KnowledgeError("JM-910", "this book cannot be read", where=name, expected="an EPUB", got=got)
