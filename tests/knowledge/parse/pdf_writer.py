"""Writes small PDFs whose text is known to the letter, and some that nobody should have to read.

Positions are points from the upper left corner of a page; ``top`` is where a line's letters begin.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import pypdfium2 as pdfium

A4 = (595.0, 842.0)
FONTS = {"plain": "Helvetica", "bold": "Helvetica-Bold", "mono": "Courier"}
ASCENT = 0.72  # of Helvetica's size
TURNS = {0: "1 0 0 1", 1: "0 -1 1 0", 2: "-1 0 0 -1", 3: "0 1 -1 0"}  # clockwise


@dataclass
class Page:
    size: tuple[float, float] = A4
    rotate: int = 0
    content: list[str] = field(default_factory=list)
    annotations: list[str] = field(default_factory=list)

    def text(self, left: float, top: float, text: str, size: float = 10, font: str = "plain", turn: int = 0) -> Page:
        x, y = left, self.size[1] - top - ASCENT * size
        shown = (
            text.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)").decode("cp1252")
        )
        self.content.append(f"BT /{font} {size} Tf {TURNS[turn]} {x:.2f} {y:.2f} Tm ({shown}) Tj ET")
        return self

    def lines(self, left: float, top: float, texts: Sequence[str], size: float = 10, font: str = "plain") -> float:
        """One below the other; the top of the next."""
        for number, text in enumerate(texts):
            self.text(left, top + number * 1.2 * size, text, size, font)
        return top + len(texts) * 1.2 * size

    def line(self, left: float, top: float, right: float, bottom: float) -> Page:
        height = self.size[1]
        self.content.append(f"0.5 w {left} {height - top} m {right} {height - bottom} l S")
        return self

    def grid(self, xs: Sequence[float], ys: Sequence[float]) -> Page:
        for x in xs:
            self.line(x, ys[0], x, ys[-1])
        for y in ys:
            self.line(xs[0], y, xs[-1], y)
        return self

    def image(self) -> Page:
        self.content.append("q 200 0 0 100 50 50 cm BI /W 1 /H 1 /CS /G /BPC 8 ID A EI Q")
        return self

    def link(self, left: float, top: float, right: float, bottom: float, target: str) -> Page:
        self._annotate(left, top, right, bottom, f"/Subtype /Link /A << /S /URI /URI ({target}) >>")
        return self

    def remark(self, left: float, top: float, right: float, bottom: float, text: str) -> Page:
        self._annotate(left, top, right, bottom, f"/Subtype /Text /Contents ({text})")
        return self

    def form_field(self, left: float, top: float, right: float, bottom: float, name: str, value: str) -> Page:
        self._annotate(left, top, right, bottom, f"/Subtype /Widget /FT /Tx /T ({name}) /V ({value})")
        return self

    def _annotate(self, left: float, top: float, right: float, bottom: float, rest: str) -> None:
        height = self.size[1]
        self.annotations.append(f"<< /Type /Annot /Rect [{left} {height - bottom} {right} {height - top}] {rest} >>")


def write_pdf(
    pages: Sequence[Page],
    title: str = "",
    author: str = "",
    outline: Sequence[tuple[str, int]] = (),
    attachment: str = "",
) -> bytes:
    """``outline``: titles and their pages from 0."""
    objects: list[bytes] = [b"", b""]  # the catalogue and the tree come first

    def add(content: str | bytes) -> int:
        objects.append(content.encode("cp1252") if isinstance(content, str) else content)
        return len(objects)

    fonts = " ".join(
        f"/{name} {add(f'<< /Type /Font /Subtype /Type1 /BaseFont /{base} /Encoding /WinAnsiEncoding >>')} 0 R"
        for name, base in FONTS.items()
    )
    kids, fields = [], []
    for page in pages:
        drawn = "\n".join(page.content).encode("cp1252")
        content = add(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn))
        marks = [add(mark) for mark in page.annotations]
        fields += [number for number, mark in zip(marks, page.annotations, strict=True) if "/Widget" in mark]
        annotations = " ".join(f"{number} 0 R" for number in marks)
        kids.append(
            add(
                f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {page.size[0]} {page.size[1]}] /Rotate {page.rotate} "
                f"/Resources << /Font << {fonts} >> >> /Contents {content} 0 R /Annots [{annotations}] >>"
            )
        )
    further = f"/AcroForm << /Fields [{' '.join(f'{number} 0 R' for number in fields)}] >> " if fields else ""
    if outline:
        first = len(objects) + 2
        root = add(
            f"<< /Type /Outlines /First {first} 0 R /Last {first + len(outline) - 1} 0 R /Count {len(outline)} >>"
        )
        for number, (text, page_number) in enumerate(outline):
            following = f"/Next {first + number + 1} 0 R" if number + 1 < len(outline) else ""
            add(f"<< /Title ({text}) /Parent {root} 0 R {following} /Dest [{kids[page_number]} 0 R /Fit] >>")
        further += f"/Outlines {root} 0 R "
    if attachment:
        stream = add("<< /Type /EmbeddedFile /Length 5 >>\nstream\nhello\nendstream")
        spec = add(f"<< /Type /Filespec /F ({attachment}) /UF ({attachment}) /EF << /F {stream} 0 R >> >>")
        further += f"/Names << /EmbeddedFiles << /Names [({attachment}) {spec} 0 R] >> >> "
    objects[0] = f"<< /Type /Catalog /Pages 2 0 R {further}>>".encode("cp1252")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(f'{kid} 0 R' for kid in kids)}] /Count {len(kids)} >>".encode()
    info = add(f"<< /Title ({title}) /Author ({author}) >>")
    return assemble(objects, info)


def assemble(objects: Sequence[bytes], info: int = 0) -> bytes:
    """Objects numbered from 1, of which the first is the catalogue."""
    parts, places, length = [b"%PDF-1.7\n"], [], 9
    for number, content in enumerate(objects, start=1):
        places.append(length)
        parts.append(b"%d 0 obj\n%s\nendobj\n" % (number, content))
        length += len(parts[-1])
    entries = b"".join(b"%010d 00000 n \n" % place for place in places)
    about = b" /Info %d 0 R" % info if info else b""
    parts.append(
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R%s >>\nstartxref\n%d\n%%%%EOF\n"
        % (len(objects) + 1, entries, len(objects) + 1, about, length)
    )
    return b"".join(parts)


def _one_page(content: bytes, filters: bytes = b"", further: Sequence[bytes] = (), resources: bytes = b"") -> bytes:
    return assemble(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
            b"/Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> %s >> >>" % resources,
            b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), filters, content),
            *further,
        ]
    )


def _compress(piece: bytes, times: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(piece) for _ in range(times)), packer.flush()])


def page_tree_loop() -> bytes:
    return assemble(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R 2 0 R] /Count 1000 /Parent 3 0 R >>",
            b"<< /Type /Pages /Kids [2 0 R 3 0 R] /Count 1000 /Parent 2 0 R >>",
        ]
    )


def million_objects() -> bytes:
    """Places of a million objects that are all the same, and not there."""
    entries = b"0000000009 00000 n \n" * 1_000_000
    return (
        b"%%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\nxref\n0 1000001\n%strailer\n<< /Size 1000001 /Root 1 0 R >>\nstartxref\n60\n%%%%EOF\n"
        % entries
    )


def million_pages() -> bytes:
    return assemble([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 1000000 >>"])


def truncated() -> bytes:
    whole = write_pdf([Page().text(50, 50, "This file was longer once.")])
    return whole[: whole.index(b"stream") + 10]


def bomb() -> bytes:
    """Half a gigabyte of blanks in half a megabyte."""
    return _one_page(_compress(b" " * (1 << 20), 500), b"/Filter /FlateDecode")


def nested_bombs() -> bytes:
    """The same, packed twice."""
    return _one_page(zlib.compress(_compress(b" " * (1 << 20), 500), 9), b"/Filter [/FlateDecode /FlateDecode]")


def endless_text() -> bytes:
    """Three million letters on one page, a line of twenty at each of 150,000 places."""
    places = ((number * 7 % 590, number * 13 % 840, number) for number in range(150_000))
    drawn = b"".join(
        b"BT /F 1 Tf 1 0 0 1 %d.%d %d Tm (endless content here) Tj ET\n" % (x, n % 97, y) for x, y, n in places
    )
    return _one_page(zlib.compress(drawn), b"/Filter /FlateDecode")


def doubling_forms(depth: int = 40) -> bytes:
    """Each form draws the next one twice."""
    forms = []
    for number in range(depth):
        drawn = b"/X Do /X Do" if number + 1 < depth else b"BT /F 9 Tf (x) Tj ET"
        inner = b"/Resources << /XObject << /X %d 0 R >> >>" % (6 + number) if number + 1 < depth else b""
        forms.append(
            b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] %s /Length %d >>\nstream\n%s\nendstream"
            % (inner, len(drawn), drawn)
        )
    return _one_page(b"/X Do", further=forms, resources=b"/XObject << /X 5 0 R >>")


def form_in_itself() -> bytes:
    drawn = b"/X Do BT /F 9 Tf 9 9 Td (inside) Tj ET"
    form = (
        b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 5 0 R >> >> /Length %d >>\nstream\n%s\nendstream"
        % (len(drawn), drawn)
    )
    return _one_page(b"/X Do", further=[form], resources=b"/XObject << /X 5 0 R >>")


def deep_nesting() -> bytes:
    return _one_page(b"[" * 1_000_000)


def deep_objects() -> bytes:
    return assemble(
        [b"<< /Type /Catalog /Pages 2 0 R /A " + b"[" * 500_000 + b" >>", b"<< /Type /Pages /Kids [] /Count 0 >>"]
    )


def outline_loop() -> bytes:
    return assemble(
        [
            b"<< /Type /Catalog /Pages 2 0 R /Outlines 5 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>",
            b"<< /Length 0 >>\nstream\n\nendstream",
            b"<< /First 6 0 R /Last 6 0 R /Count 9 >>",
            b"<< /Title (around) /Parent 5 0 R /Next 6 0 R /First 6 0 R >>",
        ]
    )


HOSTILE = {
    made.__name__: made
    for made in (
        page_tree_loop,
        million_objects,
        million_pages,
        truncated,
        bomb,
        nested_bombs,
        endless_text,
        doubling_forms,
        form_in_itself,
        deep_nesting,
        deep_objects,
        outline_loop,
    )
}


def scan(data: bytes) -> bytes:
    """The first page of a PDF as a picture, 150 dots per inch, and nothing else."""
    with pdfium.PdfDocument(data) as document:
        page = document[0]
        bitmap = page.render(scale=150 / 72, grayscale=True)
        width, height, grey = bitmap.width, bitmap.height, bitmap.to_numpy().tobytes()
        bitmap.close()
        page.close()
    image = b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8 " % (
        width,
        height,
    )
    packed = zlib.compress(grey)
    stream = image + b"/Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(packed), packed)
    return _one_page(b"q 595 0 0 842 0 0 cm /X Do Q", further=[stream], resources=b"/XObject << /X 5 0 R >>")
