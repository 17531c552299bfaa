"""What styles say of paragraphs in Word: headings, lists, quotes, code; and the labels that lists give to their items."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal
from xml.etree.ElementTree import Element

from journeyman.knowledge.parse.ooxml import is_on, to_int

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
VAL = W + "val"
LONGEST_CHAIN = 20
LEVELS = 9
BODY = 9  # the outline level of text that is no heading
HEADING = re.compile(r"heading (\d)")
CODE = re.compile(r"\b(source code|code|html preformatted|preformatted text|macro)\b")
PLACE = re.compile(r"%([1-9])")
BULLET = "•"
ROMAN = {
    1000: "m",
    900: "cm",
    500: "d",
    400: "cd",
    100: "c",
    90: "xc",
    50: "l",
    40: "xl",
    10: "x",
    9: "ix",
    5: "v",
    4: "iv",
    1: "i",
}

Kind = Literal["heading", "title", "code", "quote", "contents", ""]


@dataclass(frozen=True, slots=True)
class Style:
    """A paragraph's style as it is written; ``outline`` and ``list_id`` are None where it says nothing."""

    name: str
    based_on: str
    outline: int | None
    list_id: str | None
    list_level: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """What a style says with all that it is based on; ``level`` of a heading from 1."""

    kind: Kind = ""
    level: int = 0
    list_id: str | None = None
    list_level: int = 0


class Styles:
    """The paragraph styles of a document by id."""

    def __init__(self, root: Element | None) -> None:
        self._styles: dict[str, Style] = {}
        self.default = ""
        for element in root if root is not None else ():
            if element.tag != W + "style" or element.get(W + "type", "paragraph") != "paragraph":
                continue
            name = element.get(W + "styleId", "")
            self._styles[name] = _style(element)
            if is_on(element, W + "default") and element.get(W + "default"):
                self.default = name
        self.look = cache(self._look)

    def _look(self, name: str) -> Look:
        chain = list(self._chain(name or self.default))
        kind, level = _kind(chain)
        list_id = next((style.list_id for style in chain if style.list_id is not None), None)
        list_level = next((style.list_level for style in chain if style.list_level is not None), 0)
        return Look(kind, level, list_id, list_level)

    def _chain(self, name: str) -> Iterator[Style]:
        for _ in range(LONGEST_CHAIN):
            style = self._styles.get(name)
            if style is None:
                return
            yield style
            name = style.based_on

    def list_of(self, name: str) -> str | None:
        return self._styles[name].list_id if name in self._styles else None


def _style(element: Element) -> Style:
    properties = element.find(W + "pPr")
    outline, list_id, list_level = read_outline(properties), *read_list(properties)
    return Style(_val(element, "name").lower(), _val(element, "basedOn"), outline, list_id, list_level)


def read_outline(properties: Element | None) -> int | None:
    element = properties.find(W + "outlineLvl") if properties is not None else None
    return None if element is None else to_int(element.get(VAL), BODY)


def read_list(properties: Element | None) -> tuple[str | None, int | None]:
    """The list's id (``0`` takes a paragraph out of its style's list) and the level."""
    element = properties.find(W + "numPr") if properties is not None else None
    if element is None:
        return None, None
    number, level = element.find(W + "numId"), element.find(W + "ilvl")
    return (
        None if number is None else number.get(VAL),
        None if level is None else min(max(to_int(level.get(VAL)), 0), LEVELS - 1),
    )


def _kind(chain: list[Style]) -> tuple[Kind, int]:
    for style in chain:
        if style.name == "title":
            return "title", 1
        if style.name.startswith(("toc ", "table of figures")) and style.name != "toc heading":
            return "contents", 0
        if style.name in ("quote", "intense quote", "quotations", "block text"):
            return "quote", 0
        if CODE.search(style.name):
            return "code", 0
        if style.outline is not None:
            return ("heading", style.outline + 1) if 0 <= style.outline < BODY else ("", 0)
        if match := HEADING.fullmatch(style.name):
            return "heading", max(int(match[1]), 1)
    return "", 0


@dataclass(frozen=True, slots=True)
class Level:
    """How one level of a list is numbered: ``text`` is a pattern such as ``%1.%2)``."""

    start: int
    format: str
    text: str
    is_legal: bool


class Numbering:
    """Counts the items of all lists of a document, in reading order."""

    def __init__(self, root: Element | None, styles: Styles) -> None:
        self._abstract: dict[str, dict[int, Level]] = {}
        self._linked: dict[str, str] = {}  # an abstract list that only names the style that holds the list
        self._of: dict[str, str] = {}
        self._overridden: dict[str, dict[int, Level]] = {}
        self._restarts: dict[str, dict[int, int]] = {}
        self._restarted: set[tuple[str, int]] = set()
        self._counts: dict[str, dict[int, int]] = {}
        self._styles = styles
        for element in root if root is not None else ():
            if element.tag == W + "abstractNum":
                self._read_abstract(element)
            elif element.tag == W + "num":
                self._read_list(element)

    def label(self, list_id: str | None, level: int) -> str | None:
        """``1.``, ``a)``, ``•`` or nothing for the next item; None where the id names no list."""
        abstract = self._find_abstract(list_id)
        if list_id is None or abstract is None:
            return None
        levels = self._abstract[abstract] | self._overridden.get(list_id, {})
        counts = self._counts.setdefault(abstract, {})
        restart = self._restarts.get(list_id, {}).get(level)
        if restart is not None and (list_id, level) not in self._restarted:
            self._restarted.add((list_id, level))
            counts[level] = restart - 1
        own = levels.get(level, Level(1, "decimal", f"%{level + 1}.", False))
        counts[level] = counts.get(level, own.start - 1) + 1
        for deeper in [other for other in counts if other > level]:
            del counts[deeper]
        if own.format == "bullet":
            return BULLET
        return PLACE.sub(lambda place: _count(levels, counts, int(place[1]) - 1, own.is_legal), own.text)

    def _find_abstract(self, list_id: str | None) -> str | None:
        for _ in range(LONGEST_CHAIN):
            abstract = self._of.get(list_id or "")
            if abstract is None or abstract not in self._linked:
                return abstract if abstract in self._abstract else None
            list_id = self._styles.list_of(self._linked[abstract])
        return None

    def _read_abstract(self, element: Element) -> None:
        name = element.get(W + "abstractNumId", "")
        self._abstract[name] = dict(_levels(element))
        if link := _val(element, "numStyleLink"):
            self._linked[name] = link

    def _read_list(self, element: Element) -> None:
        name = element.get(W + "numId", "")
        if name == "0":
            return
        self._of[name] = _val(element, "abstractNumId")
        for override in element.iter(W + "lvlOverride"):
            level = to_int(override.get(W + "ilvl"))
            if (start := override.find(W + "startOverride")) is not None:
                self._restarts.setdefault(name, {})[level] = to_int(start.get(VAL), 1)
            self._overridden.setdefault(name, {}).update(_levels(override))


def _levels(element: Element) -> Iterator[tuple[int, Level]]:
    for level in element.findall(W + "lvl")[:LEVELS]:
        start = to_int(_val(level, "start") or "0")
        text = _val(level, "lvlText")[:40]
        yield (
            to_int(level.get(W + "ilvl")),
            Level(start, _val(level, "numFmt") or "decimal", text, is_on(level.find(W + "isLgl"), VAL)),
        )


def _count(levels: Mapping[int, Level], counts: Mapping[int, int], level: int, is_legal: bool) -> str:
    own = levels.get(level, Level(1, "decimal", "", False))
    count = counts.get(level, own.start)
    return write_count(count, "decimal" if is_legal else own.format)


def write_count(count: int, form: str) -> str:
    """A number as letters, Roman, with a zero in front or as it is; those of other scripts as it is."""
    if form in ("lowerLetter", "upperLetter") and 0 < count <= 780:
        text = chr(97 + (count - 1) % 26) * ((count - 1) // 26 + 1)
        return text.upper() if form == "upperLetter" else text
    if form in ("lowerRoman", "upperRoman") and 0 < count < 4000:
        return _roman(count).upper() if form == "upperRoman" else _roman(count)
    if form == "decimalZero":
        return f"{count:02d}"
    return "" if form in ("none", "bullet") else str(count)


def _roman(count: int) -> str:
    text = ""
    for value, letters in ROMAN.items():
        text += letters * (count // value)
        count %= value
    return text


def _val(element: Element, name: str) -> str:
    child = element.find(W + name)
    return "" if child is None else child.get(VAL, "")
