"""Workbooks: each sheet is a heading, and a table for each region of it.

calamine reads a copy that we pack anew without compression, so that it unpacks nothing that we have not counted. In that copy errors are text and shares are per
cent, as they are shown, for calamine tells neither from other cells. Long tables are blocks of 50 rows with one line's end between them, the header in the first.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document, Fact
from journeyman.knowledge.parse.marked import Draft, marked
from journeyman.knowledge.parse.numbers import write_value
from journeyman.knowledge.parse.odt import is_spreadsheet, read_ods
from journeyman.knowledge.parse.ooxml import ID, Package, to_int
from journeyman.knowledge.parse.regions import write_regions
from journeyman.knowledge.parse.zipped import OLE, Archive, explain_ole, locked, wrong_kind

MEDIA = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
OLD_MEDIA = "application/vnd.ms-excel"
S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
MOST_AREA = 5_000_000  # calamine holds every cell between the first and the last of a sheet, empty or not
MOST_CELLS = 2_000_000
MOST_SHEETS = 1_000
LONGEST_CELL = 40_000  # Excel keeps 32,767
BIFF = ("Workbook", "Book")
COLUMN = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]{1,9})\d""")
LINE = re.compile(rb"""\sr\s*=\s*["'][A-Za-z]{0,9}(\d{1,19})["']""")
OPENED = re.compile(rb"<(?:\w+:)?(?:row|c)[\s/>]")
ROW = re.compile(rb"<(?:\w+:)?row[\s/>]")
CELL = re.compile(rb"<(?:\w+:)?c[\s/>]")
ERROR = re.compile(rb"""(<(?:\w+:)?c\s[^<>]{0,200}?\bt=)(["'])e\2""")
SHARE = re.compile(
    rb"""<((?:\w+:)?c\s[^<>]{0,200}?\bs="(\d{1,6})"[^<>]{0,200})>(<f\b[^<>]*(?:/>|>[^<]*</f>))?<v>([^<]*)</v>"""
)
TYPED = re.compile(rb"""\st=(?!["']n["'])""")
NO_VALUE = (b"</f></c>", b"</f><v></v></c>", b"</f><v/></c>")
EMPTY = f'<worksheet xmlns="{S[1:-1]}"><sheetData/></worksheet>'.encode()
PER_CENT = frozenset([9, 10])


def read_sheets(name: str, data: bytes) -> Document:
    """A .xlsx, .xlsm, .xls or .ods.

    Raises:
        KnowledgeError: JM-935 a password, JM-936 damaged, JM-937 no workbook, JM-938 too large when unpacked, JM-939 its XML, JM-940 anything that calamine refuses.
    """
    if data.startswith(OLE):
        return _read_old(name, data)
    if is_spreadsheet(Archive(name, data)):
        return read_ods(name, data)
    package = Package(name, data, "a workbook", ("spreadsheetml", "ms-excel"))
    if package.main.endswith(".bin"):
        raise wrong_kind(name, ".xlsx, .xlsm, .xls or .ods", "a binary workbook (.xlsb)")
    copy = _pack(package)
    title, facts = package.facts()
    return _Reader(name, MEDIA, copy, package.notes).read(title, facts)


def _read_old(name: str, data: bytes) -> Document:
    if not any(stream.encode("utf-16-le") + b"\0\0" in data for stream in BIFF):
        raise explain_ole(name, data)
    return _Reader(name, OLD_MEDIA, data, []).read("", {})


class _Reader:
    """Walks through the sheets of one workbook."""

    def __init__(self, name: str, media: str, data: bytes, notes: list[str]) -> None:
        self.name = name
        self.media = media
        self.data = data
        self.notes = notes
        self.draft = Draft()
        self.cells = 0

    def read(self, title: str, facts: dict[str, Fact]) -> Document:
        try:
            with CalamineWorkbook.from_filelike(io.BytesIO(self.data)) as book:
                self._read(book)
        except PasswordError as error:
            raise locked(self.name) from error
        except CalamineError as error:
            raise _unread(self.name, error) from error
        blocks = tuple(self.draft.writing.blocks)
        if not blocks:
            self.notes.append("no text in it")
        return Document(
            self.name, self.media, self.draft.writing.text, blocks, title=title, facts=facts, notes=tuple(self.notes)
        )

    def _read(self, book: CalamineWorkbook) -> None:
        sheets = [sheet for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
        if len(sheets) > MOST_SHEETS:
            self.notes.append(f"only the first {MOST_SHEETS:,} of {len(sheets):,} sheets read")
        for sheet in sheets[:MOST_SHEETS]:
            try:
                cells = book.get_sheet_by_name(sheet.name)
            except CalamineError as error:
                self.notes.append(f"sheet {sheet.name} not read: {error}")
                continue
            if sheet.visible != SheetVisibleEnum.Visible:
                self.notes.append(f"sheet {sheet.name} is hidden")
            self._sheet(sheet.name, cells)

    def _sheet(self, name: str, sheet: CalamineSheet) -> None:
        if not sheet.height:
            return
        if sheet.height * sheet.width > MOST_AREA:
            self.notes.append(f"sheet {name} not read: {_too_wide(sheet.height, sheet.width)}")
            return
        self.draft.add("heading", marked(name), 1)
        write_regions(self.draft, self._rows(name, sheet))

    def _rows(self, name: str, sheet: CalamineSheet) -> Iterator[list[str]]:
        for number, row in enumerate(sheet.iter_rows()):
            if self.cells >= MOST_CELLS:
                self.notes.append(f"sheet {name}: only the first {number:,} rows read, {MOST_CELLS:,} cells in all")
                return
            cells = [write_value(value)[:LONGEST_CELL] for value in row]
            self.cells += len(cells) - cells.count("")
            yield cells


def _pack(package: Package) -> bytes:
    """The workbook's XML without compression; a sheet that is not to be opened is empty there, with a note."""
    names = dict(_sheet_names(package))
    shares = _share_styles(package)
    without_value = 0
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as copy:
        for part in package.archive:
            if not part.lower().endswith((".xml", ".rels")):
                continue
            data, reason = _read_part(package, part, part.lower() in names)
            if reason or b"sheetData" in data:
                if reason := reason or _why_not(data):
                    package.notes.append(f"sheet {names.get(part.lower(), part)} not read: {reason}")
                    data = EMPTY
                without_value += sum(data.count(ending) for ending in NO_VALUE)
                data = SHARE.sub(lambda cell: _as_shown(cell, shares), data) if shares else data
                data = ERROR.sub(rb"\1\2str\2", data) if b"#" in data else data
            copy.writestr(zipfile.ZipInfo(part), data)
    if without_value:
        package.notes.append(f"formulas without a stored value: {without_value}")
    return packed.getvalue()


def _read_part(package: Package, part: str, is_sheet: bool) -> tuple[bytes, str]:
    """The bytes in UTF-8, and why a sheet that is damaged cannot be read."""
    try:
        data = package.archive.read(part)
    except KnowledgeError as error:
        if not is_sheet or error.code != "JM-936":
            raise
        return b"", error.got
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", "replace").encode()
    return data, ""


def _sheet_names(package: Package) -> Iterator[tuple[str, str]]:
    relations = package.relations(package.main)
    for sheet in package.archive.tree(package.main).iterfind(f"{S}sheets/{S}sheet"):
        if relation := relations.get(sheet.get(ID, "")):
            yield relation.target.lower(), sheet.get("name", "")


def _share_styles(package: Package) -> frozenset[int]:
    """The numbers of the styles that show a value as per cent."""
    parts = package.related(package.main, "styles")
    root = package.tree(parts[0]) if parts else None
    if root is None:
        return frozenset()
    own = {
        to_int(form.get("numFmtId"))
        for form in root.iterfind(f"{S}numFmts/{S}numFmt")
        if "%" in form.get("formatCode", "")
    }
    styles = enumerate(root.iterfind(f"{S}cellXfs/{S}xf"))
    return frozenset(number for number, style in styles if to_int(style.get("numFmtId")) in PER_CENT | own)


def _as_shown(cell: re.Match[bytes], shares: frozenset[int]) -> bytes:
    if int(cell[2]) not in shares or TYPED.search(cell[1]):
        return cell[0]
    try:
        text = write_value(float(cell[4]) * 100)
    except ValueError:
        return cell[0]
    opened = re.sub(rb"""\st=["']n["']""", b"", cell[1])
    return b'<%b t="str"><v>%b%%</v>' % (opened, text.encode())


def _why_not(sheet: bytes) -> str:
    """Why a sheet would take too much memory; nothing where it would not."""
    lines = LINE.findall(sheet)
    height = max(map(int, set(lines)), default=0)
    width = max(map(_column, set(COLUMN.findall(sheet))), default=0)
    if len(lines) < len(OPENED.findall(sheet)):  # cells without a place stand behind the one before
        rows = ROW.split(sheet)
        height += len(rows)
        width += max(len(CELL.findall(row)) for row in rows)
    return _too_wide(height, width) if height * width > MOST_AREA else ""


def _too_wide(height: int, width: int) -> str:
    return f"its cells reach over {height:,} rows and {width:,} columns"


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _unread(name: str, error: CalamineError) -> KnowledgeError:
    return KnowledgeError(
        "JM-940",
        "this workbook cannot be read",
        where=name,
        got=str(error),
        hint="open it in the program that made it and save it as .xlsx",
    )
