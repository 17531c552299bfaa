"""What DOCX, PPTX and XLSX share: parts that point to other parts, a main part, and properties of the document."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Fact
from journeyman.knowledge.parse.zipped import Archive, wrong_kind

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATION = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
TYPES = "{http://schemas.openxmlformats.org/package/2006/content-types}"
ID = f"{{{OFFICE}}}id"
FACTS = {
    "creator": "author",
    "created": "created",
    "modified": "modified",
    "subject": "subject",
    "category": "category",
    "language": "language",
}
LONGEST_FACT = 1_000
FILE = re.compile(r"\S+\.(?:png|jpe?g|gif|bmp|tiff?|emf|wmf|svg|webp)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Relation:
    """``kind`` is the last word of the type (``styles``, ``hyperlink``); ``target`` a part's name, or what was written where it is outside."""

    kind: str
    target: str
    is_outside: bool


class Package:
    """An archive whose parts point to each other. ``notes`` say which parts could not be read.

    Raises:
        KnowledgeError: as ``Archive``; JM-937 the main part has none of ``kinds``.
    """

    def __init__(self, name: str, data: bytes, expected: str, kinds: tuple[str, ...]) -> None:
        self.name = name
        self.archive = Archive(name, data)
        self.notes: list[str] = []
        self._relations: dict[str, dict[str, Relation]] = {}
        self.main = self._find_main(expected, kinds)

    def relations(self, part: str) -> Mapping[str, Relation]:
        """By id; those of a part that has none, or broken ones, are empty."""
        if part not in self._relations:
            folder, name = posixpath.split(part)
            self._relations[part] = dict(self._read_relations(folder, posixpath.join(folder, "_rels", f"{name}.rels")))
        return self._relations[part]

    def related(self, part: str, kind: str) -> list[str]:
        """The parts of a kind that a part points to and that are there, each once."""
        found = (relation.target for relation in self.relations(part).values() if relation.kind == kind)
        return [target for target in dict.fromkeys(found) if target in self.archive]

    def tree(self, part: str) -> Element | None:
        """A part that the rest can do without: nothing and a note where it cannot be read."""
        try:
            return self.archive.tree(part)
        except KnowledgeError as error:
            self.note(error)
            return None

    def note(self, error: KnowledgeError) -> None:
        self.notes.append(f"not read: {error.got or error.what}")

    def facts(self) -> tuple[str, dict[str, Fact]]:
        """The title that the properties give, and author, dates, keywords."""
        facts: dict[str, Fact] = {}
        title = ""
        for part in self.related("", "core-properties"):
            for element in self.tree(part) or ():
                name = element.tag.rpartition("}")[2]
                text = " ".join((element.text or "").split())[:LONGEST_FACT]
                if name == "title":
                    title = text
                elif name == "keywords" and (words := split_keywords(text)):
                    facts["keywords"] = words
                elif name in FACTS and text:
                    facts[FACTS[name]] = text
        return title, facts

    def _find_main(self, expected: str, kinds: tuple[str, ...]) -> str:
        mains = self.related("", "officeDocument")
        if not mains:
            raise wrong_kind(self.name, expected, "a zip archive without a main part")
        kind = self._content_type(mains[0])
        if not any(wanted in kind for wanted in kinds):
            raise wrong_kind(self.name, expected, f"{mains[0]} is {kind or 'of no type'}")
        return mains[0]

    def _content_type(self, part: str) -> str:
        ending = part.rpartition(".")[2].lower()
        default = ""
        for element in self.archive.tree("[Content_Types].xml"):
            if element.tag == TYPES + "Override" and element.get("PartName", "").lower() == "/" + part.lower():
                return element.get("ContentType", "")
            if element.tag == TYPES + "Default" and element.get("Extension", "").lower() == ending:
                default = element.get("ContentType", "")
        return default

    def _read_relations(self, folder: str, part: str) -> Iterator[tuple[str, Relation]]:
        if part not in self.archive:
            return
        for element in self.tree(part) or ():
            target = element.get("Target", "")
            if element.tag != RELATION or not target:
                continue
            is_outside = element.get("TargetMode") == "External"
            kind = element.get("Type", "").rpartition("/")[2]
            path = target if is_outside or kind == "hyperlink" else _resolve(folder, target)
            yield element.get("Id", ""), Relation(kind, path, is_outside)


def split_keywords(text: str) -> tuple[str, ...]:
    words = text.replace(";", ",").split(",")
    return tuple(dict.fromkeys(word.strip() for word in words if word.strip()))


def alternative(*texts: str | None) -> str:
    """The first text that says something of a picture; a file's name does not."""
    flat = (" ".join((text or "").split()) for text in texts)
    return next((text for text in flat if text and not FILE.fullmatch(text)), "")


def is_on(element: Element | None, attribute: str) -> bool:
    """Whether a switch such as ``<w:vanish/>`` stands, and is not turned off."""
    return element is not None and element.get(attribute, "1") not in ("0", "false", "off")


def to_int(text: str | None, default: int = 0) -> int:
    """A whole number of at most nine digits; the default for anything else."""
    if text is None or len(text) > 10:
        return default
    try:
        return int(text)
    except ValueError:
        return default


def _resolve(folder: str, target: str) -> str:
    path = unquote(target.replace("\\", "/").split("#", 1)[0])
    return posixpath.normpath(posixpath.join("/", folder, path)).lstrip("/")
