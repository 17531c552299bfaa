"""Word documents: headings by their styles, lists with their numbers, tables, notes behind the paragraph that names them, links, alternative texts.

Of tracked changes, what was inserted is in the text and what was deleted is not. Comments, hidden text and tables of contents are left out with a note; headers and
footers stand once, at the end. Pages are known where Word has noted them when it last showed the document.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document
from journeyman.knowledge.parse.marked import Draft, Marked, marked
from journeyman.knowledge.parse.office_math import M, write_math
from journeyman.knowledge.parse.ooxml import ID, Package, alternative, is_on, to_int
from journeyman.knowledge.parse.word_styles import VAL, Look, Numbering, Styles, W, read_list, read_outline, write_count
from journeyman.knowledge.parse.zipped import iterate

MEDIA = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
ALTERNATE = "{http://schemas.openxmlformats.org/markup-compatibility/2006}AlternateContent"
DESCRIBED = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}docPr"
PAGE_BREAK = "lastRenderedPageBreak"
AROUND = {W + name for name in ("ins", "moveTo", "smartTag", "customXml", "sdtContent", "bdo", "dir", "fldSimple")}
DELETED = {W + "del", W + "moveFrom"}
WRITTEN = {W + "tab": "\t", W + "ptab": "\t", W + "cr": "\n", W + "br": "\n", W + "noBreakHyphen": "-"}
FORMULA = {M + "oMath", M + "oMathPara"}
DRAWN = {W + "drawing", W + "pict", W + "object", ALTERNATE}
ADDRESS = re.compile(r'\s*HYPERLINK\s+(\\l\s+)?(?:"([^"]*)"|(\S+))')
LONGEST_HEADING = 300
LONGEST_REPEATED = 200
MOST_COLUMNS = 64
MOST_FIELDS = 50
LONGEST_INSTRUCTION = 4_000
LEFT_OUT = {
    "comment": "comments left out",
    "deleted": "deletions of tracked changes left out",
    "hidden": "pieces of hidden text left out",
    "contents": "lines of a table of contents left out",
    "embedded": "embedded documents not read",
}

Gathered = Literal["list", "code", "quote"]
NoteKind = Literal["footnote", "endnote"]


@dataclass(slots=True)
class Field:
    """A field that is open: its instruction is not shown, its result is. ``start`` of the result in ``out``."""

    instruction: str = ""
    is_result: bool = False
    start: int = 0
    out: Marked | None = None
    mark: str = ""


def read_docx(name: str, data: bytes) -> Document:
    """A .docx, .docm or .dotx.

    Raises:
        KnowledgeError: JM-935 a password, JM-936 damaged, JM-937 no Word document, JM-938 too large when unpacked, JM-939 its XML, JM-941 an older format.
    """
    package = Package(name, data, "a Word document", ("word",))
    return _Reader(package).read()


class _Reader:
    """Walks through the parts of one document in reading order."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.part = package.main
        self.styles = Styles(self._first_tree("styles"))
        self.numbering = Numbering(self._first_tree("numbering"), self.styles)
        self.draft = Draft()
        self.page = 0
        self.first_page: int | None = None
        self.title = ""
        self.left_out: Counter[str] = Counter()
        self.fields: list[Field] = []
        self.gathered: list[Marked] = []
        self.gathered_kind: Gathered = "list"
        self.gathered_page = 0
        self.boxes: list[Element] = []
        self.notes: list[Marked] = []
        self.noted: Counter[NoteKind] = Counter()
        self.note_texts: dict[NoteKind, dict[str, Marked]] = {"footnote": {}, "endnote": {}}
        self.note_texts = {kind: self._read_notes(kind) for kind in self.note_texts}

    def read(self) -> Document:
        text = self.package.archive.text(self.part)
        self.page = 1 if PAGE_BREAK in text else 0
        try:
            for _, child in iterate(self.package.name, self.part, text, {W + "body"}):
                self._block(child)
        except KnowledgeError as error:
            if not self.draft.writing.blocks:
                raise
            self.package.note(error)
        self._close()
        self._running_lines()
        title, facts = self.package.facts()
        blocks = tuple(self.draft.writing.blocks)
        whole = self.draft.writing.text
        heading = next((whole[block.start : block.end] for block in blocks if block.kind == "heading"), "")
        left = [f"{LEFT_OUT[what]}: {count}" for what, count in self.left_out.items() if count]
        return Document(
            self.package.name,
            MEDIA,
            whole,
            blocks,
            title=self.title or title or heading,
            facts=facts,
            links=tuple(self.draft.links),
            notes=(*self.package.notes, *left, *(() if blocks else ("no text in it",))),
        )

    # blocks

    def _block(self, element: Element) -> None:
        tag = element.tag
        if tag == W + "p":
            self._paragraph(element)
        elif tag == W + "tbl":
            self._table(element)
        elif tag in DELETED:
            self.left_out["deleted"] += 1
        elif tag == W + "altChunk":
            self.left_out["embedded"] += 1
        elif tag == W + "sdt" or tag in AROUND or tag == ALTERNATE:
            for child in _content(element):
                self._block(child)

    def _paragraph(self, element: Element) -> None:
        self.first_page = None
        before, self.notes = self.notes, []  # of the list that may end here
        look, label, text = self._line(element)
        own, self.notes = self.notes, before
        page = self.page if self.first_page is None else self.first_page
        if look.kind == "contents":
            self.left_out["contents"] += bool(text)
        elif text:
            self._place(look, label, text, page)
        self.notes += own
        self._behind()

    def _place(self, look: Look, label: str | None, text: Marked, page: int) -> None:
        if look.kind in ("heading", "title") and text.length <= LONGEST_HEADING:
            self._close()
            level = min(look.level, 6)
            start, end = self.draft.add("heading", _labelled(label, text.on_one_line()), level, page)
            if look.kind == "title" and not self.title and end > start:
                self.title = text.on_one_line().text
        elif label is not None:
            self._gather("list", _labelled(label, text.stripped(), "  " * look.list_level), page)
        elif look.kind == "code" or look.kind == "quote":
            self._gather(look.kind, text, page)
        else:
            self._close()
            self.draft.add("paragraph", text, page=page)

    def _gather(self, kind: Gathered, line: Marked, page: int) -> None:
        if self.gathered and self.gathered_kind != kind:
            self._close()
        if not self.gathered:
            self.gathered_kind, self.gathered_page = kind, page
        self.gathered.append(line)

    def _close(self) -> None:
        """Writes the list, code or quote that was gathered, and the notes that its lines name."""
        if self.gathered:
            self.draft.lines(self.gathered_kind, self.gathered, self.gathered_page)
            self.gathered = []
        notes, self.notes = self.notes, []
        for note in notes:
            self.draft.add("paragraph", note, page=self.page)

    def _behind(self) -> None:
        """What stands beside the text: text boxes, and notes unless a list goes on."""
        boxes, self.boxes = self.boxes, []
        if boxes:
            self._close()
        for box in boxes:
            for child in box:
                self._block(child)
        if not self.gathered:
            self._close()

    def _table(self, element: Element) -> None:
        self._close()
        self.first_page = None
        rows = list(_found(element, W + "tr"))
        cells = [list(_found(row, W + "tc")) for row in rows]
        if len(cells) == 1 and len(cells[0]) == 1:
            for child in cells[0][0]:
                self._block(child)
            return
        above: dict[int, Marked] = {}
        lines = [
            self._row(row, found, above) for row, found in zip(rows, cells, strict=True) if not self._is_deleted(row)
        ]
        self.draft.table(lines, self.page if self.first_page is None else self.first_page)
        self._behind()

    def _is_deleted(self, row: Element) -> bool:
        is_deleted = row.find(f"{W}trPr/{W}del") is not None
        self.left_out["deleted"] += is_deleted
        return is_deleted

    def _row(self, row: Element, cells: Iterable[Element], above: dict[int, Marked]) -> list[Marked]:
        """The cells of a row by column; one that goes on from the row above says again what stands there, if that is short."""
        before = row.find(f"{W}trPr/{W}gridBefore")
        line = [Marked() for _ in range(_span(before))] if before is not None else []
        for cell in cells:
            column = len(line)
            merged = cell.find(f"{W}tcPr/{W}vMerge")
            text = self._cell(cell)
            if merged is not None and merged.get(VAL, "continue") == "continue":
                text = text or above.get(column, Marked())
            else:
                above.pop(column, None)
                if merged is not None and text.length <= LONGEST_REPEATED:
                    above[column] = text
            line.append(text)
            line += [Marked() for _ in range(_span(cell.find(f"{W}tcPr/{W}gridSpan")) - 1)]
        return line

    def _cell(self, cell: Element) -> Marked:
        text = Marked()
        for child in cell:
            tag = child.tag
            if tag == W + "p":
                _, label, line = self._line(child)
                if line:
                    text.extend(_labelled(label, line), "\n")
            elif tag == W + "tbl":
                for number, row in enumerate(_found(child, W + "tr")):
                    inner = Marked()
                    for found in _found(row, W + "tc"):
                        inner.extend(self._cell(found), ", ")
                    text.extend(inner, "; " if number else "\n")
            elif tag == W + "sdt" or tag in AROUND:
                text.extend(self._cell(_shell(child)), "\n")
        return text

    # lines

    def _line(self, paragraph: Element) -> tuple[Look, str | None, Marked]:
        """What a paragraph is, the label that its list gives it, and its text."""
        properties = paragraph.find(W + "pPr")
        style = properties.find(W + "pStyle") if properties is not None else None
        look = self.styles.look("" if style is None else style.get(VAL, ""))
        outline = read_outline(properties)
        if outline is not None and look.kind in ("", "heading"):
            look = Look("heading" if 0 <= outline < 9 else "", outline + 1, look.list_id, look.list_level)
        list_id, level = read_list(properties)
        list_id = look.list_id if list_id is None else list_id
        level = look.list_level if level is None else level
        look = Look(look.kind, look.level, list_id, level)
        text = Marked()
        self._inline(paragraph, text)
        self.fields = [field for field in self.fields if field.is_result]  # an instruction ends with its paragraph
        return look, self.numbering.label(list_id, level) if text else None, text

    def _inline(self, element: Element, out: Marked) -> None:
        for child in element:
            tag = child.tag
            if tag == W + "r":
                self._run(child, out)
            elif tag in DELETED:
                self.left_out["deleted"] += 1
            elif tag == W + "hyperlink":
                start = out.length
                self._inline(child, out)
                out.link(start, self._target(child))
            elif tag in FORMULA:
                self._say(out, write_math(child))
            elif tag == W + "sdt":
                if not is_on(child.find(f"{W}sdtPr/{W}showingPlcHdr"), VAL):
                    self._inline(_shell(child), out)
            elif tag in AROUND:
                self._inline(child, out)
            elif tag == ALTERNATE:
                self._drawing(child, out)

    def _run(self, run: Element, out: Marked) -> None:
        is_hidden = is_on(run.find(f"{W}rPr/{W}vanish"), VAL)
        for child in run:
            tag = child.tag
            if tag == W + "fldChar":
                self._field(child, out)
            elif tag == W + "instrText":
                field = self.fields[-1] if self.fields else None
                if field and not field.is_result and len(field.instruction) < LONGEST_INSTRUCTION:
                    field.instruction += child.text or ""
            elif tag == W + PAGE_BREAK:
                self.page += 1
            elif is_hidden:
                self.left_out["hidden"] += tag == W + "t"
            elif all(field.is_result for field in self.fields):
                self._shown(child, out)

    def _shown(self, element: Element, out: Marked) -> None:
        tag = element.tag
        if tag == W + "t":
            self._say(out, element.text or "")
        elif tag in WRITTEN:
            out.add(WRITTEN[tag])
        elif tag == W + "sym":
            self._say(out, _symbol(element.get(W + "char", "")))
        elif tag == W + "footnoteReference":
            self._note("footnote", element, out)
        elif tag == W + "endnoteReference":
            self._note("endnote", element, out)
        elif tag == W + "commentReference":
            self.left_out["comment"] += 1
        elif tag == W + "ruby":
            if (base := element.find(W + "rubyBase")) is not None:
                self._inline(base, out)
        elif tag in DRAWN:
            self._drawing(element, out)

    def _say(self, out: Marked, text: str) -> None:
        if self.first_page is None and text.strip():
            self.first_page = self.page
        out.add(text)

    def _field(self, element: Element, out: Marked) -> None:
        kind = element.get(W + "fldCharType")
        if kind == "begin" and len(self.fields) < MOST_FIELDS:
            self.fields.append(Field(mark=_box(element)))
        elif kind == "separate" and self.fields:
            field = self.fields[-1]
            field.is_result, field.start, field.out = True, out.length, out
        elif kind == "end" and self.fields:
            field = self.fields.pop()
            out.add(field.mark)
            if field.is_result and (match := ADDRESS.match(field.instruction)):
                target = match[2] or match[3] or ""
                out.link(field.start if field.out is out else 0, f"#{target}" if match[1] else target)

    def _note(self, kind: NoteKind, element: Element, out: Marked) -> None:
        text = self.note_texts[kind].get(element.get(W + "id", ""))
        if not text:
            return
        self.noted[kind] += 1
        count = self.noted[kind]
        mark = f"[{write_count(count, 'lowerRoman') if kind == 'endnote' else count}]"
        self._say(out, mark)
        note = marked(f"{mark} ")
        note.extend(text)
        self.notes.append(note)

    def _drawing(self, element: Element, out: Marked) -> None:
        for child in _content(element) if element.tag == ALTERNATE else element:
            if child.tag == W + "txbxContent":
                self.boxes.append(child)
            elif child.tag == DESCRIBED:
                if text := alternative(child.get("descr"), child.get("title")):
                    self._say(out, f"[image: {text}]")
            elif child.tag == W + "r":
                self._run(child, out)
            else:
                self._drawing(child, out)

    def _target(self, link: Element) -> str:
        relation = self.package.relations(self.part).get(link.get(ID, ""))
        anchor = link.get(W + "anchor", "")
        target = relation.target if relation else ""
        return f"{target}#{anchor}" if anchor else target

    # other parts

    @contextmanager
    def _reading(self, part: str) -> Iterator[None]:
        """Another part, with its own links; the rest does without it where it is broken."""
        before, self.part = self.part, part
        try:
            yield
        except KnowledgeError as error:
            self.package.note(error)
        finally:
            self.part = before

    def _first_tree(self, kind: str) -> Element | None:
        parts = self.package.related(self.package.main, kind)
        return self.package.tree(parts[0]) if parts else None

    def _read_notes(self, kind: NoteKind) -> dict[str, Marked]:
        found: dict[str, Marked] = {}
        for part in self.package.related(self.package.main, f"{kind}s"):
            with self._reading(part):
                for _, note in self.package.archive.children(part, {f"{W}{kind}s"}):
                    if note.get(W + "type", "normal") == "normal":
                        found[note.get(W + "id", "")] = self._cell(note).on_one_line()
        return found

    def _running_lines(self) -> None:
        """Headers and footers, each text once."""
        seen: set[str] = set()
        for kind in ("header", "footer"):
            for part in self.package.related(self.package.main, kind):
                with self._reading(part):
                    text = self._cell(self.package.archive.tree(part)).stripped()
                    if text.text not in seen:
                        self.draft.add("paragraph", text)
                    seen.add(text.text)
                    self._behind()


def _labelled(label: str | None, text: Marked, indent: str = "") -> Marked:
    if not label and not indent:
        return text
    line = marked(f"{indent}{label} " if label else indent)
    line.extend(text)
    return line


def _content(element: Element) -> Element:
    """What stands inside a control or a change; of alternatives the first."""
    if element.tag == ALTERNATE:
        return element[0] if len(element) else element
    return _shell(element)


def _shell(element: Element) -> Element:
    if element.tag != W + "sdt":
        return element
    content = element.find(W + "sdtContent")
    return Element(W + "sdtContent") if content is None else content


def _found(element: Element, tag: str) -> Iterator[Element]:
    """The rows of a table or the cells of a row, also those in controls and changes."""
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag == W + "sdt" or child.tag in AROUND:
            yield from _found(_shell(child), tag)


def _span(element: Element | None) -> int:
    return 1 if element is None else min(max(to_int(element.get(VAL), 1), 0), MOST_COLUMNS)


def _symbol(code: str) -> str:
    """A character of a symbol font; those that mean something in that font only are bullets or nothing."""
    try:
        number = int(code, 16)
    except ValueError:
        return ""
    if 0xF000 <= number <= 0xF0FF:
        return "•" if number in (0xF0B7, 0xF0A7) else ""
    return chr(number) if 0x20 <= number < 0xD800 else ""


def _box(field: Element) -> str:
    """The mark of a box to tick in an old form."""
    box = field.find(f"{W}ffData/{W}checkBox")
    if box is None:
        return ""
    state = box.find(W + "checked")
    return "☒" if is_on(box.find(W + "default") if state is None else state, VAL) else "☐"
