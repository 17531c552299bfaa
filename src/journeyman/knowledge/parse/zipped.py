"""The parts of a zip archive of XML (DOCX, PPTX, XLSX, ODT), unpacked within limits, and their XML read a child at a time.

Files come from strangers: a part is unpacked up to a limit of size and of ratio, whatever the archive says of it; XML has no document type, so no entities, and
is nested at most ``DEPTH`` deep. Time is linear in the unpacked size.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from typing import cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser, fromstring

from journeyman.core.errors import KnowledgeError

PART_BYTES = 128_000_000
ALL_BYTES = 400_000_000
RATIO, RATIO_FROM_BYTES = 200, 4_000_000  # deflate reaches 1,000 on zeros; Office's XML 10 to 60
PARTS = 20_000
DEPTH = 200
WINDOW = 65_536
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ENTRY = b"PK\x01\x02"
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    struct.error,
    OSError,
    ArithmeticError,
    LookupError,
)
ENCODINGS = frozenset(["utf-8", "utf-16", "us-ascii", "iso-8859-1", "windows-1252"])
DECLARED = re.compile(rb"""<\?xml[^>]{0,100}?\sencoding\s*=\s*["']([\w.-]{1,40})["']""")
BEFORE_ROOT = re.compile(r"(?:\s++|<\?.*?\?>|<!--.*?-->)*+", re.DOTALL)
STRICT = re.compile(r"http://purl\.oclc\.org/ooxml/(\w+)/")
HEAD = 16_384
KEPT_BY_OLE = {
    "WordDocument": ("Word 97-2003", ".docx"),
    "PowerPoint Document": ("PowerPoint 97-2003", ".pptx"),
    "Workbook": ("Excel 97-2003", ".xlsx"),
    "Book": ("Excel 5", ".xlsx"),
}


class Archive:
    """The parts of one file by name.

    Raises:
        KnowledgeError: JM-935 a password, JM-936 damaged, JM-938 too large when unpacked, JM-941 an older format.
    """

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self._left = ALL_BYTES
        if data.startswith(OLE):
            raise explain_ole(name, data)
        if data.count(ENTRY) > PARTS:
            raise self._too_large(f"more than {PARTS:,} parts")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except BROKEN as error:
            raise self._damaged(str(error)) from error
        self._parts = {_key(part.filename): part for part in self._zip.infolist()}

    def __contains__(self, part: str) -> bool:
        return _key(part) in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(part.filename for part in self._parts.values() if not part.filename.endswith("/"))

    def read(self, part: str) -> bytes:
        """The bytes of a part.

        Raises:
            KnowledgeError: JM-935 a password, JM-936 missing or damaged, JM-938 too large when unpacked.
        """
        info = self._parts.get(_key(part))
        if info is None:
            raise self._damaged(f"{part} is missing")
        if info.flag_bits & 1:
            raise locked(self.name)
        limit = min(PART_BYTES, self._left, max(RATIO_FROM_BYTES, RATIO * info.compress_size))
        try:
            with self._zip.open(info) as stream:
                data = stream.read(limit + 1)
        except BROKEN as error:
            raise self._damaged(f"{part}: {error}") from error
        if len(data) > limit:
            raise self._too_large(f"{part} has more than {limit:,} bytes, of {info.compress_size:,} packed")
        self._left -= len(data)
        return data

    def text(self, part: str) -> str:
        """The XML of a part, with the namespaces of strict files named as everybody else names them.

        Raises:
            KnowledgeError: as ``read``; JM-939 no such XML as we accept.
        """
        text = _decode(self.name, part, self.read(part))
        before = BEFORE_ROOT.match(text)
        if text.startswith("<!", before.end() if before else 0):
            raise unreadable(self.name, f"{part} has a document type (<!DOCTYPE>), which may hide bombs of entities")
        if STRICT.search(text, 0, HEAD):
            text = STRICT.sub(r"http://schemas.openxmlformats.org/\1/2006/", text[:HEAD]) + text[HEAD:]
        return text

    def children(self, part: str, inside: Collection[str]) -> Iterator[tuple[str, Element]]:
        """The children of the elements named ``inside``, each with its parent's name; an element is empty after its turn, so memory holds one.

        Raises:
            KnowledgeError: as ``text``; JM-939 where the XML ends or breaks, after the children before it.
        """
        yield from iterate(self.name, part, self.text(part), inside)

    def tree(self, part: str) -> Element:
        """The whole of a part that is small.

        Raises:
            KnowledgeError: as ``children``.
        """
        try:
            root = fromstring(self.text(part))
        except ParseError as error:
            raise unreadable(self.name, f"{part}: {error}") from error
        level = [root]
        for _ in range(DEPTH):
            level = [child for element in level for child in element]
        if level:
            raise _too_deep(self.name, part)
        return root

    def _damaged(self, got: str) -> KnowledgeError:
        return KnowledgeError(
            "JM-936",
            "this file is damaged: its zip archive cannot be unpacked",
            where=self.name,
            got=got,
            hint="open it in the program that made it and save it again",
        )

    def _too_large(self, got: str) -> KnowledgeError:
        return KnowledgeError(
            "JM-938",
            "this file unpacks to more than we accept",
            where=self.name,
            got=got,
            hint="if it is no bomb, split it, or save it without embedded data",
        )


def iterate(name: str, part: str, text: str, inside: Collection[str]) -> Iterator[tuple[str, Element]]:
    """As ``Archive.children``, of a text."""
    path: list[str] = []
    depth = 0
    for event, element in _events(name, part, text):
        if event == "start":
            path.append(element.tag)
            if not depth and len(path) > 1 and path[-2] in inside:
                depth = len(path)
        else:
            if len(path) == depth:
                yield path[-2], element
                element.clear()
                depth = 0
            path.pop()


def _events(name: str, part: str, text: str) -> Iterator[tuple[str, Element]]:
    """The window doubles where nothing came, because expat begins a long token again with every window."""
    parser: XMLPullParser[Element] = XMLPullParser(("start", "end"))
    depth, place, window = 0, 0, WINDOW
    try:
        while place < len(text):
            parser.feed(text[place : place + window])
            place += window
            window *= 2
            for event, element in cast("Iterator[tuple[str, Element]]", parser.read_events()):
                window = WINDOW
                if event == "start":
                    depth += 1
                    if depth > DEPTH:
                        raise _too_deep(name, part)
                else:
                    depth -= 1
                yield event, element
        parser.close()
    except ParseError as error:
        raise unreadable(name, f"{part}: {error}") from error


def locked(name: str) -> KnowledgeError:
    return KnowledgeError(
        "JM-935",
        "this file is protected by a password",
        where=name,
        hint="save a copy without the password and add that",
    )


def unreadable(name: str, got: str) -> KnowledgeError:
    return KnowledgeError(
        "JM-939",
        "the XML inside this file cannot be read",
        where=name,
        got=got,
        hint="open it in the program that made it and save it again",
    )


def _too_deep(name: str, part: str) -> KnowledgeError:
    return unreadable(name, f"{part} is nested more than {DEPTH} deep")


def wrong_kind(name: str, expected: str, got: str) -> KnowledgeError:
    return KnowledgeError(
        "JM-937",
        "this file is not what its name says",
        where=name,
        expected=expected,
        got=got,
        hint="give it the ending of the program that made it",
    )


def explain_ole(name: str, data: bytes) -> KnowledgeError:
    """Why a file that is an OLE container cannot be read: a password, or the format from before 2007."""
    if _has_stream(data, "EncryptedPackage") or _has_stream(data, "EncryptionInfo"):
        return locked(name)
    for stream, (program, ending) in KEPT_BY_OLE.items():
        if _has_stream(data, stream):
            return KnowledgeError(
                "JM-941",
                f"this is a file of {program}, which we do not read",
                where=name,
                hint=f"save it as {ending} and add that",
            )
    return wrong_kind(name, "a zip archive", "an OLE container without a document that we know")


def _has_stream(data: bytes, stream: str) -> bool:
    return stream.encode("utf-16-le") + b"\0\0" in data


def _key(part: str) -> str:
    """Names of parts are compared without case, as Office does."""
    return part.replace("\\", "/").lstrip("/").lower()


def _decode(name: str, part: str, data: bytes) -> str:
    declared = DECLARED.match(data, 3 if data.startswith(b"\xef\xbb\xbf") else 0)
    encoding = declared[1].decode().lower() if declared else "utf-8"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    if encoding not in ENCODINGS:
        raise unreadable(name, f"{part} is written in {encoding}")
    try:
        return data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        raise unreadable(name, f"{part} is not {encoding} at byte {error.start + 1}") from error
