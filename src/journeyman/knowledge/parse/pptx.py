"""Presentations: slides are pages in the order in which they are shown, titles headings, and each word has the box of its shape.

Speakers' notes are quotes behind their slide. Slides without a title get the heading ``Slide 3``, so that they do not stand below another's. Dates, footers and
numbers of slides are left out; hidden slides are read and named in a note.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element

import numpy as np

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document, Places
from journeyman.knowledge.parse.charts import read_chart, read_diagram
from journeyman.knowledge.parse.marked import Draft, Marked, marked
from journeyman.knowledge.parse.office_math import M, write_math
from journeyman.knowledge.parse.ooxml import ID, OFFICE, Package, alternative, to_int
from journeyman.knowledge.parse.word_styles import write_count

MEDIA = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}chart"
DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}relIds"
ALTERNATE = "{http://schemas.openxmlformats.org/markup-compatibility/2006}AlternateContent"
EMU = 12_700  # in a point
WORD = re.compile(r"\S+")
RUNNING = ("dt", "ftr", "sldNum", "hdr", "sldImg")
TITLES = ("title", "ctrTitle")
BODIES = ("body", "obj", "")
FORMS = {"alphaLc": "lowerLetter", "alphaUc": "upperLetter", "romanLc": "lowerRoman", "romanUc": "upperRoman"}
MOST_SLIDES = 5_000
LONGEST_REPEATED = 200
BULLET = "•"

Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where coordinates of a group stand on the slide: ``x * scale + shift``, in EMU."""

    x_scale: float = 1.0
    x_shift: float = 0.0
    y_scale: float = 1.0
    y_shift: float = 0.0

    def box(self, place: Rectangle) -> Rectangle:
        """Left, top, right, bottom in points of a shape's left, top, width, height."""
        left, top, width, height = place
        return (
            (left * self.x_scale + self.x_shift) / EMU,
            (top * self.y_scale + self.y_shift) / EMU,
            ((left + width) * self.x_scale + self.x_shift) / EMU,
            ((top + height) * self.y_scale + self.y_shift) / EMU,
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape of the slide itself; ``role`` and ``index`` name the place of the layout that it fills."""

    element: Element
    role: str | None
    index: str
    box: Rectangle | None


def read_pptx(name: str, data: bytes) -> Document:
    """A .pptx, .pptm, .ppsx or .potx.

    Raises:
        KnowledgeError: JM-935 a password, JM-936 damaged, JM-937 no presentation, JM-938 too large when unpacked, JM-939 its XML, JM-941 an older format.
    """
    package = Package(name, data, "a presentation", ("presentation", "powerpoint"))
    return _Reader(package).read()


class _Reader:
    """Walks through the slides of one presentation."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.part = package.main
        self.draft = Draft()
        self.page = 0
        self.notes: list[str] = []
        self.comments = 0
        self.spans: list[tuple[int, int]] = []
        self.pages: list[int] = []
        self.boxes: list[Rectangle] = []
        self.behind: list[str] = []  # the layout of the slide, and its master
        self.layouts: dict[str, dict[tuple[str, str], Rectangle]] = {}

    def read(self) -> Document:
        root = self.package.archive.tree(self.package.main)
        slides = list(self._slides(root))
        size = _size(root)
        for part in slides:
            self.page += 1
            self.part = part
            try:
                self._slide(self.package.archive.tree(part))
            except KnowledgeError as error:
                self.package.note(error)
        if slides and not self.draft.writing.blocks:
            self.notes.append("no text in it")
        title, facts = self.package.facts()
        text = self.draft.writing.text
        heading = next((text[block.start : block.end] for block in self.draft.writing.blocks if block.level), "")
        if self.comments:
            self.notes.append(f"comments on {self.comments} slides left out")
        return Document(
            self.package.name,
            MEDIA,
            text,
            tuple(self.draft.writing.blocks),
            title=title or heading,
            facts=facts,
            links=tuple(self.draft.links),
            places=self._places(),
            pages=(size,) * len(slides),
            notes=(*self.package.notes, *self.notes),
        )

    def _places(self) -> Places:
        if not self.spans:
            return Places()
        return Places(np.array(self.spans, np.int32), np.array(self.pages, np.int32), np.array(self.boxes, np.float32))

    def _slides(self, root: Element) -> Iterator[str]:
        relations = self.package.relations(self.package.main)
        listed = [slide.get(ID, "") for slide in root.iterfind(f"{P}sldIdLst/{P}sldId")]
        parts = [relations[name].target for name in listed if name in relations]
        missing = len(listed) - sum(part in self.package.archive for part in parts)
        if missing:
            self.notes.append(f"{missing} slides are listed but not in the file")
        if len(parts) > MOST_SLIDES:
            self.notes.append(f"only the first {MOST_SLIDES:,} of {len(parts):,} slides read")
        return (part for part in dict.fromkeys(parts[:MOST_SLIDES]) if part in self.package.archive)

    def _slide(self, root: Element) -> None:
        if root.get("show") in ("0", "false"):
            self.notes.append(f"slide {self.page} is hidden")
        self.comments += any("omment" in relation.kind for relation in self.package.relations(self.part).values())
        layouts = self.package.related(self.part, "slideLayout")[:1]
        self.behind = layouts + [part for layout in layouts for part in self.package.related(layout, "slideMaster")[:1]]
        tree = root.find(f"{P}cSld/{P}spTree")
        shapes = list(self._shapes(tree, Frame())) if tree is not None else []
        title = next((shape for shape in shapes if shape.role in TITLES and self._flat(shape.element)), None)
        self._write(
            "heading",
            self._flat(title.element) if title else marked(f"Slide {self.page}"),
            title.box if title else None,
        )
        for shape in shapes:
            if shape is not title and shape.role not in RUNNING:
                self._shape(shape)
        for part in self.package.related(self.part, "notesSlide"):
            self._speaker(part)

    def _speaker(self, part: str) -> None:
        root = self.package.tree(part)
        before, self.part = self.part, part
        for shape in root.iter(P + "sp") if root is not None else ():
            if _placeholder(shape)[0] == "body":
                lines = Marked()
                for paragraph in shape.iterfind(f"{P}txBody/{A}p"):
                    lines.extend(self._line(paragraph), "\n")
                self.draft.add("quote", lines, page=self.page)
        self.part = before

    def _shapes(self, tree: Element, frame: Frame) -> Iterator[Shape]:
        """The shapes of a slide in its own order, groups opened."""
        for element in tree:
            if element.tag == P + "grpSp":
                yield from self._shapes(element, _inside(element, frame))
            elif element.tag == ALTERNATE and len(element):
                yield from self._shapes(element[0], frame)
            elif element.tag in (P + "sp", P + "graphicFrame", P + "pic", P + "cxnSp"):
                role, index = _placeholder(element)
                place = _place(element)
                if place is not None:
                    yield Shape(element, role, index, frame.box(place))
                else:
                    yield Shape(element, role, index, self._inherited(role, index) if role is not None else None)

    def _shape(self, shape: Shape) -> None:
        element = shape.element
        if element.tag == P + "graphicFrame":
            self._graphic(element, shape.box)
        elif element.tag == P + "sp":
            self._text(element, shape)
        if text := _described(element):
            self._write("paragraph", marked(f"[image: {text}]"), shape.box)

    def _graphic(self, element: Element, box: Rectangle | None) -> None:
        for table in element.iter(A + "tbl"):
            self._locate(self.draft.table(self._rows(table), self.page), box)
        relations = self.package.relations(self.part)
        for chart in element.iter(CHART):
            relation = relations.get(chart.get(ID, ""))
            if relation and (root := self.package.tree(relation.target)) is not None:
                title, rows = read_chart(root)
                self._write("paragraph", marked(title), box)
                self._locate(self.draft.table([[marked(cell) for cell in row] for row in rows], self.page), box)
        for diagram in element.iter(DIAGRAM):
            relation = relations.get(diagram.get(f"{{{OFFICE}}}dm", ""))
            if relation and (root := self.package.tree(relation.target)) is not None:
                lines = [marked(f"{BULLET} {line}") for line in read_diagram(root)]
                self._locate(self.draft.lines("list", lines, self.page), box)

    def _rows(self, table: Element) -> Iterator[list[Marked]]:
        """A cell that goes on from the row above says again what stands there, if that is short; one that goes on from the left is empty."""
        above: dict[int, Marked] = {}
        for row in table.iterfind(A + "tr"):
            line = []
            for column, cell in enumerate(row.iterfind(A + "tc")):
                if cell.get("vMerge") in ("1", "true"):
                    text = above.get(column, Marked())
                else:
                    text = Marked() if cell.get("hMerge") in ("1", "true") else self._flat(cell)
                    above[column] = text if text.length <= LONGEST_REPEATED else Marked()
                line.append(text)
            yield line

    def _text(self, element: Element, shape: Shape) -> None:
        """Lines with bullets or numbers are a list; the text of a body's place too, where it is more than one line."""
        body = element.find(P + "txBody")
        paragraphs = [
            (paragraph, self._line(paragraph)) for paragraph in (body.iterfind(A + "p") if body is not None else ())
        ]
        paragraphs = [(paragraph, line) for paragraph, line in paragraphs if line]
        is_body = shape.role in BODIES and len(paragraphs) > 1
        counts: Counter[int] = Counter()
        items: list[Marked] = []
        for paragraph, line in paragraphs:
            label, level = _label(paragraph, is_body, counts)
            if label is not None:
                item = marked("  " * level + (f"{label} " if label else ""))
                item.extend(line)
                items.append(item)
                continue
            self._list(items, shape.box)
            items = []
            self._write("paragraph", line, shape.box)
        self._list(items, shape.box)

    def _list(self, items: list[Marked], box: Rectangle | None) -> None:
        if items:
            self._locate(self.draft.lines("list", items, self.page), box)

    def _write(self, kind: Literal["heading", "paragraph"], text: Marked, box: Rectangle | None) -> None:
        self._locate(self.draft.add(kind, text, int(kind == "heading"), self.page), box)

    def _locate(self, span: tuple[int, int], box: Rectangle | None) -> None:
        if box is None or span[0] == span[1]:
            return
        for word in WORD.finditer(self.draft.last):
            self.spans.append((span[0] + word.start(), span[0] + word.end()))
            self.pages.append(self.page)
            self.boxes.append(box)

    def _flat(self, element: Element) -> Marked:
        text = Marked()
        for paragraph in element.iter(A + "p"):
            text.extend(self._line(paragraph), " ")
        return text.on_one_line()

    def _line(self, paragraph: Element) -> Marked:
        out = Marked()
        for child in paragraph:
            if child.tag in (A + "r", A + "fld"):
                start = out.length
                out.add(child.findtext(A + "t") or "")
                link = child.find(f"{A}rPr/{A}hlinkClick")
                relation = self.package.relations(self.part).get(link.get(ID, "")) if link is not None else None
                if relation and relation.kind == "hyperlink":
                    out.link(start, relation.target)
            elif child.tag == A + "br":
                out.add("\n")
            else:
                for formula in child.iter(M + "oMath"):
                    out.add(write_math(formula))
        return out.stripped()

    def _inherited(self, role: str, index: str) -> Rectangle | None:
        """Where the layout puts a place, or the master behind it."""
        for part in self.behind:
            places = self._places_of(part)
            wanted = {"ctrTitle": "title", "obj": "body", "": "body", "subTitle": "body"}.get(role, role)
            found = (places.get((role, index)) or places.get(("*", index))) if index else None
            found = found or places.get((role, "*")) or places.get((wanted, "*"))
            if found:
                return found
        return None

    def _places_of(self, part: str) -> Mapping[tuple[str, str], Rectangle]:
        if part not in self.layouts:
            root = self.package.tree(part)
            self.layouts[part] = {}
            for shape in root.iter(P + "sp") if root is not None else ():
                role, index = _placeholder(shape)
                if role is not None and (place := _place(shape)):
                    for key in ((role, index), ("*", index), (role, "*")):
                        self.layouts[part].setdefault(key, Frame().box(place))
        return self.layouts[part]


def _placeholder(element: Element) -> tuple[str | None, str]:
    found = next((child.find(f"{P}nvPr/{P}ph") for child in element if child.tag.startswith(P + "nv")), None)
    return (None, "") if found is None else (found.get("type", ""), found.get("idx", ""))


def _described(element: Element) -> str:
    """The alternative text of a picture or another shape."""
    own = next((child.find(P + "cNvPr") for child in element if child.tag.startswith(P + "nv")), None)
    return "" if own is None else alternative(own.get("descr"))


def _place(element: Element) -> Rectangle | None:
    transform = next(
        (
            found
            for found in (
                element.find(f"{P}spPr/{A}xfrm"),
                element.find(f"{P}grpSpPr/{A}xfrm"),
                element.find(P + "xfrm"),
            )
            if found is not None
        ),
        None,
    )
    return None if transform is None else _rectangle(transform, "off", "ext")


def _rectangle(transform: Element, corner: str, extent: str) -> Rectangle | None:
    begin, size = transform.find(A + corner), transform.find(A + extent)
    if begin is None or size is None:
        return None
    return (
        float(to_int(begin.get("x"))),
        float(to_int(begin.get("y"))),
        float(to_int(size.get("cx"))),
        float(to_int(size.get("cy"))),
    )


def _inside(group: Element, frame: Frame) -> Frame:
    transform = group.find(f"{P}grpSpPr/{A}xfrm")
    if transform is None:
        return frame
    outer, inner = _rectangle(transform, "off", "ext"), _rectangle(transform, "chOff", "chExt")
    if outer is None or inner is None or not inner[2] or not inner[3]:
        return frame
    x_scale, y_scale = outer[2] / inner[2], outer[3] / inner[3]
    return Frame(
        frame.x_scale * x_scale,
        frame.x_scale * (outer[0] - inner[0] * x_scale) + frame.x_shift,
        frame.y_scale * y_scale,
        frame.y_scale * (outer[1] - inner[1] * y_scale) + frame.y_shift,
    )


def _label(paragraph: Element, is_body: bool, counts: Counter[int]) -> tuple[str | None, int]:
    """The mark before a line and its level; None for a line that belongs to no list."""
    properties = paragraph.find(A + "pPr")
    level = min(max(to_int(properties.get("lvl")), 0), 8) if properties is not None else 0
    for deeper in [other for other in counts if other > level]:
        del counts[deeper]
    if properties is not None and (number := properties.find(A + "buAutoNum")) is not None:
        counts[level] = counts[level] + 1 if counts[level] else to_int(number.get("startAt"), 1)
        return _numbered(counts[level], number.get("type", "")), level
    counts[level] = 0
    if properties is not None and properties.find(A + "buNone") is not None:
        return ("" if is_body else None), level
    is_marked = properties is not None and (
        properties.find(A + "buChar") is not None or properties.find(A + "buBlip") is not None
    )
    return (BULLET if is_marked or is_body else None), level


def _numbered(count: int, form: str) -> str:
    text = write_count(count, next((style for prefix, style in FORMS.items() if form.startswith(prefix)), "decimal"))
    if form.endswith("ParenBoth"):
        return f"({text})"
    return text + (")" if form.endswith("ParenR") else "." if form.endswith("Period") else "")


def _size(root: Element) -> tuple[float, float]:
    size = root.find(P + "sldSz")
    return (720.0, 540.0) if size is None else (to_int(size.get("cx")) / EMU, to_int(size.get("cy")) / EMU)
