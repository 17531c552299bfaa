"""Small true files of Office and OpenDocument, written part by part."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

TYPES = "application/vnd.openxmlformats-officedocument"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
P = "http://schemas.openxmlformats.org/presentationml/2006/main"
A = "http://schemas.openxmlformats.org/drawingml/2006/main"
S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
NAMES = (
    f'xmlns:w="{W}" xmlns:r="{RELATIONS}" xmlns:p="{P}" xmlns:a="{A}" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
    'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"'
)
MAIN = {
    "docx": ("word/document.xml", f"{TYPES}.wordprocessingml.document.main+xml"),
    "pptx": ("ppt/presentation.xml", f"{TYPES}.presentationml.presentation.main+xml"),
    "xlsx": ("xl/workbook.xml", f"{TYPES}.spreadsheetml.sheet.main+xml"),
}
CORE = (
    '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/">'
    "<dc:title>{title}</dc:title><dc:creator>Ann Lee</dc:creator><cp:keywords>plan, cost; plan</cp:keywords>"
    "<dcterms:created>2024-05-06T07:08:09Z</dcterms:created></cp:coreProperties>"
)

Relations = Mapping[str, tuple[str, str] | tuple[str, str, str]]
"""By id: the last word of the type, the target, and ``External`` where it is outside."""


def pack(parts: Mapping[str, str | bytes], compress: bool = True) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def relate(relations: Relations) -> str:
    lines = "".join(
        f'<Relationship Id="{name}" Type="{RELATIONS}/{found[0]}" Target={quoteattr(found[1])}'
        + (f' TargetMode="{found[2]}"/>' if len(found) > 2 else "/>")
        for name, found in relations.items()
    )
    return (
        f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{lines}</Relationships>'
    )


def package(kind: str, main: str, relations: Relations, parts: Mapping[str, str | bytes]) -> dict[str, str | bytes]:
    """The parts of an OOXML file around its main part; ``parts`` replace what stands here."""
    place, content_type = MAIN[kind]
    folder, name = place.split("/")
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        f'<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/{place}" ContentType="{content_type}"/></Types>'
    )
    root = {"rId1": ("officeDocument", place), "rId2": ("metadata/core-properties", "docProps/core.xml")}
    return {
        "[Content_Types].xml": types,
        "_rels/.rels": relate(root),
        place: main,
        f"{folder}/_rels/{name}.rels": relate(relations),
        "docProps/core.xml": CORE.format(title=""),
        **parts,
    }


# Word


def word(body: str, relations: Relations | None = None, **parts: str | bytes) -> bytes:
    """A .docx; parts by name without ending: ``styles``, ``numbering``, ``footnotes``."""
    return pack(word_parts(body, relations, **parts))


def word_parts(body: str, relations: Relations | None = None, **parts: str | bytes) -> dict[str, str | bytes]:
    own: dict[str, tuple[str, str] | tuple[str, str, str]] = {name: (name, f"{name}.xml") for name in parts}
    main = f'<?xml version="1.0"?><w:document {NAMES}><w:body>{body}</w:body></w:document>'
    written = {
        f"word/{name}.xml": f"<w:{ROOTS.get(name, name)} {NAMES}>{part}</w:{ROOTS.get(name, name)}>"
        for name, part in parts.items()
    }
    return package("docx", main, own | dict(relations or {}), written)


ROOTS = {"header": "hdr", "footer": "ftr"}


def p(text: str = "", style: str = "", inside: str = "", properties: str = "") -> str:
    look = f'<w:pStyle w:val="{style}"/>' if style else ""
    runs = inside or (run(text) if text else "")
    return f"<w:p><w:pPr>{look}{properties}</w:pPr>{runs}</w:p>"


def run(text: str, properties: str = "") -> str:
    look = f"<w:rPr>{properties}</w:rPr>" if properties else ""
    return f'<w:r>{look}<w:t xml:space="preserve">{escape(text)}</w:t></w:r>'


def item(text: str, list_id: int, level: int = 0) -> str:
    return p(text, properties=f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{list_id}"/></w:numPr>')


def cell(text: str = "", properties: str = "", inside: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{inside or p(text)}</w:tc>"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Cells are texts, or cells already."""
    lines = ("".join(text if text.startswith("<w:tc>") else cell(text) for text in row) for row in rows)
    return "<w:tbl>" + "".join(f"<w:tr>{line}</w:tr>" for line in lines) + "</w:tbl>"


def style(name: str, shown: str, based_on: str = "", properties: str = "") -> str:
    base = f'<w:basedOn w:val="{based_on}"/>' if based_on else ""
    return (
        f'<w:style w:type="paragraph" w:styleId="{name}"><w:name w:val="{shown}"/>{base}'
        f"<w:pPr>{properties}</w:pPr></w:style>"
    )


def numbering(levels: Sequence[tuple[str, str]], list_ids: Sequence[int] = (1,), overrides: str = "") -> str:
    """One list of levels with format and text; the last of its ids has the overrides."""
    written = "".join(
        f'<w:lvl w:ilvl="{number}"><w:start w:val="1"/><w:numFmt w:val="{form}"/><w:lvlText w:val="{text}"/></w:lvl>'
        for number, (form, text) in enumerate(levels)
    )
    lists = "".join(
        f'<w:num w:numId="{list_id}"><w:abstractNumId w:val="0"/>{overrides if list_id == list_ids[-1] else ""}</w:num>'
        for list_id in list_ids
    )
    return f'<w:abstractNum w:abstractNumId="0">{written}</w:abstractNum>{lists}'


# PowerPoint


def slides(trees: Sequence[str], order: Sequence[int] | None = None, **parts: str | bytes) -> bytes:
    """A .pptx of slides whose shapes are given; ``order`` in which they are shown, from 1."""
    shown = order or range(1, len(trees) + 1)
    listed = "".join(f'<p:sldId id="{255 + number}" r:id="s{number}"/>' for number in shown)
    main = f'<p:presentation {NAMES}><p:sldIdLst>{listed}</p:sldIdLst><p:sldSz cx="9144000" cy="6858000"/></p:presentation>'
    written = {
        f"ppt/slides/slide{number}.xml": f"<p:sld {NAMES}><p:cSld><p:spTree>{tree}</p:spTree></p:cSld></p:sld>"
        for number, tree in enumerate(trees, 1)
    }
    relations = {f"s{number}": ("slide", f"slides/slide{number}.xml") for number in range(1, len(trees) + 1)}
    named = {name.replace("__", "/") + ending(name): part for name, part in parts.items()}
    return pack(package("pptx", main, relations, {**written, **named}))


def ending(name: str) -> str:
    return "" if name.endswith((".xml", ".rels")) else ".xml"


def shape(text: str, role: str | None = None, place: tuple[int, int, int, int] | None = None, lines: str = "") -> str:
    """A shape with lines of text, at left, top, width, height in points."""
    kind = "" if role is None else f'<p:ph type="{role}"/>' if role else '<p:ph idx="1"/>'
    paragraphs = lines or "".join(f"<a:p><a:r><a:t>{escape(line)}</a:t></a:r></a:p>" for line in text.split("\n"))
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="2" name="x"/><p:cNvSpPr/><p:nvPr>{kind}</p:nvPr></p:nvSpPr>'
        f"<p:spPr>{transform(place) if place else ''}</p:spPr><p:txBody><a:bodyPr/>{paragraphs}</p:txBody></p:sp>"
    )


def transform(place: tuple[int, int, int, int], inner: tuple[int, int, int, int] | None = None) -> str:
    left, top, width, height = (value * 12_700 for value in place)
    child = ""
    if inner:
        x, y, wide, high = (value * 12_700 for value in inner)
        child = f'<a:chOff x="{x}" y="{y}"/><a:chExt cx="{wide}" cy="{high}"/>'
    return f'<a:xfrm><a:off x="{left}" y="{top}"/><a:ext cx="{width}" cy="{height}"/>{child}</a:xfrm>'


# Excel


def workbook(sheets: Mapping[str, str], styles: str = "", states: Mapping[str, str] | None = None) -> bytes:
    """A .xlsx of sheets by name, each the XML of its rows."""
    listed = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{number}" r:id="s{number}" state="{(states or {}).get(name, "visible")}"/>'
        for number, name in enumerate(sheets, 1)
    )
    main = f'<workbook xmlns="{S}" xmlns:r="{RELATIONS}"><sheets>{listed}</sheets></workbook>'
    relations = {f"s{number}": ("worksheet", f"worksheets/sheet{number}.xml") for number in range(1, len(sheets) + 1)}
    relations["st"] = ("styles", "styles.xml")
    parts: dict[str, str | bytes] = {
        f"xl/worksheets/sheet{number}.xml": f'<worksheet xmlns="{S}"><sheetData>{rows}</sheetData></worksheet>'
        for number, rows in enumerate(sheets.values(), 1)
    }
    looks = styles or '<cellXfs><xf numFmtId="0"/></cellXfs>'
    parts["xl/styles.xml"] = f'<styleSheet xmlns="{S}">{looks}</styleSheet>'
    return pack(package("xlsx", main, relations, parts))


def sheet(rows: Sequence[Sequence[str | float | None]]) -> str:
    """The rows of a sheet from A1: texts, numbers, and nothing for None."""
    lines = []
    for number, row in enumerate(rows, 1):
        cells = "".join(written(f"{letters(column)}{number}", value) for column, value in enumerate(row))
        lines.append(f'<row r="{number}">{cells}</row>')
    return "".join(lines)


def written(place: str, value: str | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
    return f'<c r="{place}"><v>{value!r}</v></c>'


def letters(column: int) -> str:
    text = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(65 + rest) + text
    return text


# OpenDocument


ODF = " ".join(
    f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for short, name in {
        "office": "office",
        "text": "text",
        "table": "table",
        "style": "style",
        "draw": "drawing",
        "meta": "meta",
        "svg": "svg-compatible",
    }.items()
)
ODF += ' xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:dc="http://purl.org/dc/elements/1.1/"'


def open_document(kind: str, body: str, styles: str = "", parts: Mapping[str, str | bytes] | None = None) -> bytes:
    """A .odt (``text``) or .ods (``spreadsheet``)."""
    content = (
        f"<office:document-content {ODF}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    )
    meta = (
        f"<office:document-meta {ODF}><office:meta><dc:creator>Ann Lee</dc:creator>"
        "<meta:keyword>plan</meta:keyword></office:meta></office:document-meta>"
    )
    return pack(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": content,
            "meta.xml": meta,
            **{name.replace("__", "/") + ".xml": part for name, part in (parts or {}).items()},
        }
    )


def container(stream: str) -> bytes:
    """The beginning of an OLE container that names a stream."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512) + stream.encode("utf-16-le") + bytes(64)
