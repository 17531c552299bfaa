"""OpenDocument: texts (.odt) with headings, lists, tables, notes and links, and spreadsheets (.ods) with a table for each region.

Repeated cells and rows are counted, never believed: an empty sheet of a million rows is written in one line. Deleted text of tracked changes and comments are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document, Fact
from journeyman.knowledge.parse.marked import Draft, Marked, marked
from journeyman.knowledge.parse.numbers import write_number
from journeyman.knowledge.parse.ooxml import LONGEST_FACT, alternative, split_keywords, to_int
from journeyman.knowledge.parse.regions import write_regions
from journeyman.knowledge.parse.word_styles import write_count
from journeyman.knowledge.parse.zipped import Archive, iterate, locked, wrong_kind

NAMES = "urn:oasis:names:tc:opendocument:xmlns:"
OFFICE, TEXT, TABLE, STYLE, DRAW, META = (
    f"{{{NAMES}{name}:1.0}}" for name in ("office", "text", "table", "style", "drawing", "meta")
)
SVG = f"{{{NAMES}svg-compatible:1.0}}"
DC = "{http://purl.org/dc/elements/1.1/}"
LINK = "{http://www.w3.org/1999/xlink}href"
MEDIA = "application/vnd.oasis.opendocument."
FORMS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman", "1": "decimal", "": "none"}
BULLET = "•"
MOST_SPACES = 200
MOST_COLUMNS = 1_024
MOST_ROWS_REPEATED = 100
REPEATED_CHARACTERS = 2_000_000  # in a whole document
MOST_CELLS = 2_000_000
LONGEST_CHAIN = 20
LISTS_DEEP = 10
AROUND = {TEXT + name for name in ("section", "index-body", "change", "ruby")}
INDEXES = {TEXT + "table-of-content", TEXT + "illustration-index", TEXT + "table-index", TEXT + "alphabetical-index"}
LEFT_OUT = {"comment": "comments left out", "contents": "tables of contents left out", "deleted": "deletions left out"}


@dataclass(frozen=True, slots=True)
class Style:
    """``level`` of a heading from 1, 0 where it says nothing."""

    name: str
    parent: str
    level: int
    list_style: str


def is_spreadsheet(archive: Archive) -> bool:
    return "mimetype" in archive and archive.read("mimetype").strip().startswith(MEDIA.encode() + b"spreadsheet")


def read_odt(name: str, data: bytes) -> Document:
    """A .odt, .ott or .fodt packed.

    Raises:
        KnowledgeError: JM-935 a password, JM-936 damaged, JM-937 no text of OpenDocument, JM-938 too large when unpacked, JM-939 its XML, JM-941 another format.
    """
    return _Reader(_open(name, data, "text", "a text of OpenDocument"), "text").read()


def read_ods(name: str, data: bytes) -> Document:
    """A .ods.

    Raises:
        KnowledgeError: as ``read_odt``.
    """
    return _Reader(_open(name, data, "spreadsheet", "a spreadsheet of OpenDocument"), "spreadsheet").read()


def _open(name: str, data: bytes, kind: str, expected: str) -> Archive:
    archive = Archive(name, data)
    media = archive.read("mimetype")[:200].decode("ascii", "replace").strip() if "mimetype" in archive else ""
    if not media.startswith(MEDIA + kind):
        raise wrong_kind(name, expected, media or "a zip archive without a mimetype")
    if "META-INF/manifest.xml" in archive and b"encryption-data" in archive.read("META-INF/manifest.xml"):
        raise locked(name)
    return archive


class _Reader:
    """Walks through the content of one document in reading order."""

    def __init__(self, archive: Archive, kind: str) -> None:
        self.archive = archive
        self.kind = kind
        self.draft = Draft()
        self.styles: dict[str, Style] = {}
        self.lists: dict[str, dict[int, tuple[str, str, str, int]]] = {}
        self.page = 0
        self.title = ""
        self.problems: list[str] = []
        self.left_out: Counter[str] = Counter()
        self.notes: list[Marked] = []
        self.boxes: list[Element] = []
        self.noted = 0
        self.counts: dict[str, dict[int, int]] = {}
        self.cells = 0
        self.spare = REPEATED_CHARACTERS

    def read(self) -> Document:
        kind = self.kind
        running = list(self._named_styles())
        text = self.archive.text("content.xml")
        self.page = 1 if "<text:soft-page-break" in text else 0
        try:
            for parent, child in iterate(
                self.archive.name, "content.xml", text, {OFFICE + "automatic-styles", OFFICE + kind}
            ):
                if parent == OFFICE + kind:
                    self._block(child)
                else:
                    self._style(child)
        except KnowledgeError as error:
            if not self.draft.writing.blocks:
                raise
            self.problems.append(f"not read: {error.got}")
        for line in dict.fromkeys(running):
            self.draft.add("paragraph", marked(line))
        title, facts = self._facts()
        blocks = tuple(self.draft.writing.blocks)
        whole = self.draft.writing.text
        heading = next((whole[block.start : block.end] for block in blocks if block.level and kind == "text"), "")
        left = [f"{LEFT_OUT[what]}: {count}" for what, count in self.left_out.items()]
        return Document(
            self.archive.name,
            MEDIA + kind,
            whole,
            blocks,
            title=self.title or title or heading,
            facts=facts,
            links=tuple(self.draft.links),
            notes=(*self.problems, *left, *(() if blocks else ("no text in it",))),
        )

    # blocks

    def _block(self, element: Element) -> None:
        tag = element.tag
        if tag in (TEXT + "p", TEXT + "h"):
            self._paragraph(element)
        elif tag == TEXT + "list":
            lines: list[Marked] = []
            self._list(element, 0, "", lines)
            self.draft.lines("list", lines, self.page)
            self._behind()
        elif tag == TABLE + "table":
            self._table(element)
        elif tag in INDEXES:
            self.left_out["contents"] += 1
        elif tag == TEXT + "tracked-changes":
            self.left_out["deleted"] += sum(1 for _ in element.iter(TEXT + "deletion"))
            if not self.left_out["deleted"]:
                del self.left_out["deleted"]
        elif tag == TEXT + "soft-page-break":
            self.page += 1
        elif tag.startswith(DRAW):
            self._drawing(element, Marked())
            self._behind()
        elif tag in AROUND:
            for child in element:
                self._block(child)

    def _paragraph(self, element: Element) -> None:
        page = self.page
        text = Marked()
        self._inline(element, text)
        if text:
            names, level = self._look(element.get(TEXT + "style-name", ""))
            if element.tag == TEXT + "h":
                level = max(to_int(element.get(TEXT + "outline-level"), 1), 1)
            if "title" in names:
                self.title = self.title or text.on_one_line().text
                level = 1
            if level:
                self.draft.add("heading", text.on_one_line(), min(level, 6), page)
            elif "preformatted text" in names or "source code" in names:
                self.draft.lines("code", [text], page)
            else:
                self.draft.add("quote" if "quotations" in names else "paragraph", text, page=page)
        self._behind()

    def _behind(self) -> None:
        """Notes and text boxes stand behind what names or anchors them."""
        boxes, self.boxes = self.boxes, []
        for box in boxes:
            for child in box:
                self._block(child)
        notes, self.notes = self.notes, []
        for note in notes:
            self.draft.add("paragraph", note, page=self.page)

    def _list(self, element: Element, level: int, style: str, lines: list[Marked]) -> None:
        style = element.get(TEXT + "style-name", "") or style
        if not level and element.get(TEXT + "continue-numbering") != "true":
            self.counts[style] = {}
        for item in element:
            if item.tag not in (TEXT + "list-item", TEXT + "list-header"):
                continue
            is_first = item.tag == TEXT + "list-item"
            for child in item:
                if child.tag == TEXT + "list" and level < LISTS_DEEP:
                    self._list(child, level + 1, style, lines)
                elif child.tag in (TEXT + "p", TEXT + "h"):
                    text = Marked()
                    self._inline(child, text)
                    if not text:
                        continue
                    label = self._label(style, level, to_int(item.get(TEXT + "start-value"), -1)) if is_first else ""
                    line = marked("  " * level + (f"{label} " if label else ""))
                    line.extend(text.stripped())
                    lines.append(line)
                    is_first = False

    def _label(self, style: str, level: int, start: int) -> str:
        kind, before, behind, first = self.lists.get(style, {}).get(level, ("•", "", "", 1))
        counts = self.counts.setdefault(style, {})
        for deeper in [other for other in counts if other > level]:
            del counts[deeper]
        counts[level] = start if start >= 0 else counts.get(level, first - 1) + 1
        if kind == BULLET:
            return BULLET
        return before + write_count(counts[level], FORMS.get(kind, "decimal")) + behind

    def _table(self, element: Element) -> None:
        if self.kind == "spreadsheet":
            self.draft.add("heading", marked(element.get(TABLE + "name", "")), 1)
            write_regions(self.draft, ([cell.text.strip() for cell in row] for row in _squared(self._rows(element))))
        else:
            self.draft.table(self._rows(element), self.page)
        self._behind()

    def _rows(self, table: Element) -> Iterator[list[Marked]]:
        """Rows as often as they are repeated, blank ones once: that parts regions."""
        above: dict[int, tuple[Marked, int]] = {}
        for row in _found(table, TABLE + "table-row"):
            line = self._row(row, above)
            is_blank = not any(line)
            times = max(to_int(row.get(TABLE + "number-rows-repeated"), 1), 1)
            if times > MOST_ROWS_REPEATED and not is_blank:
                self.problems.append(f"a row that is repeated {times:,} times is read {MOST_ROWS_REPEATED} times")
            times = min(times, 1 if is_blank else MOST_ROWS_REPEATED)
            for _ in range(self._affordable(times, sum(cell.length for cell in line))):
                self.cells += len(line)
                if self.cells > MOST_CELLS:
                    self.problems.append(f"only the first {MOST_CELLS:,} cells read")
                    return
                yield line

    def _row(self, row: Element, above: dict[int, tuple[Marked, int]]) -> list[Marked]:
        line: list[Marked] = []
        for cell in row:
            if cell.tag not in (TABLE + "table-cell", TABLE + "covered-table-cell"):
                continue
            text = self._cell(cell)
            times = max(to_int(cell.get(TABLE + "number-columns-repeated"), 1), 1)
            column = len(line)
            if cell.tag == TABLE + "covered-table-cell" and not text and column in above:
                text, left = above.pop(column)
                if left > 1:
                    above[column] = (text, left - 1)
            elif (rows := to_int(cell.get(TABLE + "number-rows-spanned"), 1)) > 1 and self.kind == "text":
                above[column] = (text, rows - 1)
            times = max(min(times, MOST_COLUMNS - column), 0)
            repeated = self._affordable(times, text.length)
            line += [text] * repeated + [Marked()] * (times - repeated)
        while line and not line[-1] and self.kind == "spreadsheet":
            line.pop()
        return line

    def _affordable(self, times: int, length: int) -> int:
        """How often a text of that length is repeated: once where what may be repeated is used up."""
        if times > 1 and (times - 1) * length > self.spare:
            return 1
        self.spare -= max(times - 1, 0) * length
        return times

    def _cell(self, cell: Element) -> Marked:
        """What is shown; of dates and plain numbers on sheets what is stored."""
        kind = cell.get(OFFICE + "value-type", "") if self.kind == "spreadsheet" else ""
        if kind == "date" and (stored := cell.get(OFFICE + "date-value")):
            return marked(stored.replace("T", " ").removesuffix(" 00:00:00"))
        if kind == "float" and (stored := cell.get(OFFICE + "value")):
            return marked(write_number(stored))
        if kind == "boolean":
            return marked(cell.get(OFFICE + "boolean-value", "").upper())
        return self._flat(cell)

    def _flat(self, element: Element) -> Marked:
        """The text of a cell or a note: a list's items and an inner table's rows one behind another."""
        text = Marked()
        for child in element:
            if child.tag in (TEXT + "p", TEXT + "h"):
                line = Marked()
                self._inline(child, line)
                text.extend(line, "\n" if line else "")
            elif child.tag == TABLE + "table":
                for number, row in enumerate(self._rows(child)):
                    inner = Marked()
                    for cell in row:
                        inner.extend(cell, ", ")
                    text.extend(inner, "; " if number else "\n")
            elif child.tag == TEXT + "list":
                lines: list[Marked] = []
                self._list(child, 0, "", lines)
                for line in lines:
                    text.extend(line, "\n")
        return text

    # lines

    def _inline(self, element: Element, out: Marked) -> None:
        out.add(_collapsed(element.text))
        for child in element:
            self._inner(child, out)
            out.add(_collapsed(child.tail))

    def _inner(self, child: Element, out: Marked) -> None:
        tag = child.tag
        if tag == TEXT + "s":
            out.add(" " * min(max(to_int(child.get(TEXT + "c"), 1), 1), MOST_SPACES))
        elif tag == TEXT + "tab":
            out.add("\t")
        elif tag == TEXT + "line-break":
            out.add("\n")
        elif tag == TEXT + "soft-page-break":
            self.page += 1
        elif tag == TEXT + "a":
            start = out.length
            self._inline(child, out)
            out.link(start, child.get(LINK, ""))
        elif tag == TEXT + "note":
            self._note(child, out)
        elif tag == OFFICE + "annotation":
            self.left_out["comment"] += 1
        elif tag.startswith(DRAW):
            self._drawing(child, out)
        elif tag.startswith(TEXT) and tag not in (TEXT + "ruby-text", TEXT + "bookmark-start"):
            self._inline(child, out)

    def _note(self, note: Element, out: Marked) -> None:
        self.noted += 1
        mark = f"[{self.noted}]"
        out.add(mark)
        body = note.find(TEXT + "note-body")
        text = marked(f"{mark} ")
        if body is not None:
            text.extend(self._flat(body).on_one_line())
        self.notes.append(text)

    def _drawing(self, element: Element, out: Marked) -> None:
        for child in element:
            if child.tag == DRAW + "text-box":
                self.boxes.append(child)
            elif child.tag.startswith(DRAW):
                self._drawing(child, out)
            elif child.tag == TEXT + "p" and "".join(child.itertext()).strip():
                box = Element(DRAW + "text-box")
                box.append(child)
                self.boxes.append(box)
        if described := alternative(element.findtext(SVG + "desc"), element.findtext(SVG + "title")):
            out.add(f"[image: {described}]")

    # styles and properties

    def _named_styles(self) -> Iterator[str]:
        """Reads the document's styles; gives the lines of headers and footers."""
        if "styles.xml" not in self.archive:
            return
        try:
            inside = {OFFICE + "styles", OFFICE + "automatic-styles", OFFICE + "master-styles"}
            for parent, child in self.archive.children("styles.xml", inside):
                if parent != OFFICE + "master-styles":
                    self._style(child)
                    continue
                for place in child:
                    if place.tag in (STYLE + "header", STYLE + "footer") and (
                        line := self._flat(place).stripped().text
                    ):
                        yield line
        except KnowledgeError as error:
            self.problems.append(f"not read: {error.got}")

    def _style(self, element: Element) -> None:
        name = element.get(STYLE + "name", "")
        if element.tag == STYLE + "style" and element.get(STYLE + "family") == "paragraph":
            self.styles[name] = Style(
                (element.get(STYLE + "display-name") or name).replace("_20_", " ").lower(),
                element.get(STYLE + "parent-style-name", ""),
                to_int(element.get(STYLE + "default-outline-level")),
                element.get(STYLE + "list-style-name", ""),
            )
        elif element.tag == TEXT + "list-style":
            self.lists[name] = dict(_list_levels(element))

    def _look(self, name: str) -> tuple[set[str], int]:
        """The names of a style and what it is based on, and the heading's level that the nearest of them gives."""
        names: set[str] = set()
        level = 0
        for _ in range(LONGEST_CHAIN):
            style = self.styles.get(name)
            if style is None:
                names.add(name.replace("_20_", " ").lower())
                break
            names.add(style.name)
            level = level or style.level
            name = style.parent
        return names, level

    def _facts(self) -> tuple[str, dict[str, Fact]]:
        facts: dict[str, Fact] = {}
        title = ""
        if "meta.xml" not in self.archive:
            return title, facts
        try:
            values = [
                (element.tag, " ".join("".join(element.itertext()).split())[:LONGEST_FACT])
                for _, element in self.archive.children("meta.xml", {OFFICE + "meta"})
            ]
        except KnowledgeError as error:
            self.problems.append(f"not read: {error.got}")
            return title, facts
        title = next((text for tag, text in values if tag == DC + "title"), "")
        names = {
            META + "initial-creator": "author",
            DC + "creator": "author",
            META + "creation-date": "created",
            DC + "date": "modified",
            DC + "subject": "subject",
            DC + "language": "language",
        }
        for tag, text in values:
            if tag in names and text:
                facts.setdefault(names[tag], text)
        if words := split_keywords(",".join(text for tag, text in values if tag == META + "keyword")):
            facts["keywords"] = words
        return title, facts


def _list_levels(element: Element) -> Iterator[tuple[int, tuple[str, str, str, int]]]:
    """By level from 0: the form of the number or a bullet, what stands before and behind it, and where it starts."""
    for level in element:
        number = to_int(level.get(TEXT + "level"), 1) - 1
        if level.tag == TEXT + "list-level-style-number":
            yield (
                number,
                (
                    level.get(STYLE + "num-format", "1"),
                    level.get(STYLE + "num-prefix", "")[:10],
                    level.get(STYLE + "num-suffix", "")[:10],
                    to_int(level.get(TEXT + "start-value"), 1),
                ),
            )
        else:
            yield number, (BULLET, "", "", 1)


def _found(element: Element, tag: str) -> Iterator[Element]:
    """The rows of a table, also those in groups and headers."""
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag in (TABLE + "table-header-rows", TABLE + "table-row-group", TABLE + "table-rows"):
            yield from _found(child, tag)


def _squared(rows: Iterable[list[Marked]]) -> Iterator[list[Marked]]:
    """All rows as wide as the widest."""
    held = list(rows)
    width = max((len(row) for row in held), default=0)
    for row in held:
        yield row + [Marked()] * (width - len(row))


def _collapsed(text: str | None) -> str:
    """White space in the file's text means one space."""
    if not text:
        return ""
    return " ".join(f"_{text}_".split())[1:-1] if text != " " else " "
