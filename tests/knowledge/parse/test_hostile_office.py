"""Files that are damaged or meant to harm cost themselves: one error with its reason, or a note, and no hang."""

from __future__ import annotations

import contextlib
import io
import resource
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document
from journeyman.knowledge.parse import zipped
from journeyman.knowledge.parse.docx import read_docx
from journeyman.knowledge.parse.odt import read_odt
from journeyman.knowledge.parse.pptx import read_pptx
from journeyman.knowledge.parse.sheets import read_sheets
from journeyman.knowledge.parse.zipped import iterate
from tests.knowledge.parse.office_files import (
    cell,
    container,
    open_document,
    p,
    pack,
    relate,
    run,
    shape,
    sheet,
    slides,
    table,
    word,
    word_parts,
    workbook,
)

LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
GOOD = {
    "a.docx": (read_docx, word(p("text"))),
    "a.pptx": (read_pptx, slides([shape("text", "title")])),
    "a.xlsx": (read_sheets, workbook({"Data": sheet([["a", "b"], ["c", 1]])})),
    "a.odt": (read_odt, open_document("text", "<text:p>text</text:p>")),
    "a.ods": (
        read_sheets,
        open_document("spreadsheet", '<table:table table:name="D"><table:table-row/></table:table>'),
    ),
}

Reader = Callable[[str, bytes], Document]


def refuse(reader: Reader, data: bytes, code: str) -> KnowledgeError:
    with pytest.raises(KnowledgeError) as found:
        reader("bad", data)
    assert (found.value.code, found.value.where) == (code, "bad")
    assert found.value.hint
    return found.value


def changed(**parts: str | bytes) -> bytes:
    return pack(word_parts(p("text")) | parts)


@pytest.mark.parametrize("name", GOOD)
def test_a_file_that_is_cut_or_is_none(name: str) -> None:
    reader, data = GOOD[name]
    assert reader(name, data)
    for cut in (data[: len(data) // 2], data[:-30], b"", b"PK\x03\x04", b"no archive"):
        refuse(reader, cut, "JM-936")


@pytest.mark.parametrize("name", GOOD)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_changed_bytes_give_a_document_or_a_reason(name: str, data: st.DataObject) -> None:
    reader, good = GOOD[name]
    places = data.draw(st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), min_size=1, max_size=5))
    bad = bytearray(good)
    for place, value in places:
        bad[place] = value
    with contextlib.suppress(KnowledgeError):
        assert reader(name, bytes(bad)).name == name


@pytest.mark.parametrize("reader", [read_docx, read_pptx, read_sheets])
def test_a_password_and_older_formats(reader: Reader) -> None:
    refuse(reader, container("EncryptedPackage"), "JM-935")
    assert "Word 97-2003" in refuse(reader, container("WordDocument"), "JM-941").what
    refuse(reader, container("Nothing"), "JM-937")


def test_an_archive_with_a_password() -> None:
    data = bytearray(GOOD["a.docx"][1])
    place = data.rfind(b"word/document.xml") - 46
    data[place + 8] |= 1
    refuse(read_docx, bytes(data), "JM-935")


def test_bombs_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refuse(read_docx, changed(**{"word/document.xml": b"<a>" + b" " * 60_000_000}), "JM-938")
    assert "word/document.xml has more than" in error.got
    monkeypatch.setattr(zipped, "ALL_BYTES", 3_000)
    refuse(read_docx, changed(**{"word/document.xml": b"<a>" + bytes(range(32, 60)) * 200}), "JM-938")
    monkeypatch.setattr(zipped, "PARTS", 3)
    assert "more than 3 parts" in refuse(read_docx, GOOD["a.docx"][1], "JM-938").got


def test_a_bomb_that_lies_about_its_size() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in (word_parts(p("text")) | {"word/document.xml": b" " * 60_000_000}).items():
            archive.writestr(name, part)
    data = file.getvalue().replace((60_000_000).to_bytes(4, "little"), (600).to_bytes(4, "little"))
    refuse(read_docx, data, "JM-936")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    book = pack({"mimetype": "x", "[Content_Types].xml": "<a/>", "xl/workbook.xml": b" " * 60_000_000})
    refuse(read_sheets, book, "JM-937")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.parametrize("before", [LAUGHS, f"<!-- <a> -->{LAUGHS}", f"<?x <a?> \n<!--\n-->{LAUGHS}"])
def test_document_types_are_refused_wherever_they_stand(before: str) -> None:
    error = refuse(read_docx, changed(**{"word/document.xml": f"{before}<a>&b;</a>"}), "JM-939")
    assert "<!DOCTYPE>" in error.got
    refuse(read_docx, changed(**{"word/document.xml": f"{before}<a>&b;</a>".encode("utf-16")}), "JM-939")


def test_other_encodings_are_refused() -> None:
    hidden = b'<?xml version="1.0" encoding="utf-7"?><a>' + LAUGHS.encode("utf-7") + b"</a>"
    assert "written in utf-7" in refuse(read_docx, changed(**{"word/document.xml": hidden}), "JM-939").got
    assert "not utf-8" in refuse(read_docx, changed(**{"word/document.xml": b"<a>\xff</a>"}), "JM-939").got


def test_deep_nesting_is_refused_and_moderate_nesting_read() -> None:
    deep = "<w:sdt><w:sdtContent>" * 5_000 + p("deep") + "</w:sdtContent></w:sdt>" * 5_000
    assert "nested more than" in refuse(read_docx, word(deep), "JM-939").got
    nested = p("core")
    for _ in range(40):
        nested = table([["x", cell(inside=nested)]])
    assert "core" in read_docx("a", word(nested)).text
    for wrap in ("w:ins", "w:smartTag"):
        inside = f"<{wrap}>" * 150 + run("core") + f"</{wrap}>" * 150
        assert read_docx("a", word(p(inside=inside))).text == "core"
    group = "<p:grpSp>" * 150 + shape("core") + "</p:grpSp>" * 150
    assert "core" in read_pptx("a", slides([group])).text
    span = "<text:span>" * 150 + "core" + "</text:span>" * 150
    assert read_odt("a", open_document("text", f"<text:p>{span}</text:p>")).text == "core"


def test_what_was_read_before_the_xml_breaks_is_kept() -> None:
    document = read_docx("a", word(p("first") + "<w:p><w:r></w:p>"))
    assert document.text == "first"
    assert document.notes[0].startswith("not read: word/document.xml: mismatched tag")
    refuse(read_docx, word("<w:p><w:r></w:p>"), "JM-939")


@pytest.mark.parametrize("part", ["styles", "numbering", "footnotes", "header"])
def test_a_broken_part_is_a_note(part: str) -> None:
    document = read_docx("a", word(p("text"), **{part: "<w:broken"}))
    assert document.text == "text"
    assert any(f"word/{part}.xml" in note for note in document.notes)


def test_parts_that_are_missing_or_outside() -> None:
    parts = word_parts(
        p("text"),
        {
            "x": ("styles", "gone.xml"),
            "y": ("header", "https://example.org/x", "External"),
            "z": ("footer", "../../../etc/passwd"),
        },
    )
    assert read_docx("a", pack(parts)).text == "text"
    refuse(read_docx, pack({name: part for name, part in parts.items() if name != "word/document.xml"}), "JM-937")
    refuse(read_docx, pack({name: part for name, part in parts.items() if name != "[Content_Types].xml"}), "JM-936")
    outside = {"r": ("officeDocument", "https://example.org/document.xml", "External")}
    refuse(read_docx, pack(parts | {"_rels/.rels": relate(outside)}), "JM-937")


def test_one_kind_of_file_with_the_name_of_another() -> None:
    for reader, name in ((read_docx, "a.pptx"), (read_pptx, "a.docx"), (read_sheets, "a.docx"), (read_docx, "a.odt")):
        refuse(reader, GOOD[name][1], "JM-937")
    assert "binary" in refuse(read_sheets, _binary(), "JM-937").got


def _binary() -> bytes:
    parts = word_parts("")
    types = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="bin" ContentType="application/vnd.ms-excel.sheet.binary.macroEnabled.main"/></Types>'
    return pack(
        parts
        | {
            "_rels/.rels": relate({"r": ("officeDocument", "xl/workbook.bin")}),
            "xl/workbook.bin": b"x",
            "[Content_Types].xml": types,
        }
    )


def test_notes_that_name_themselves_and_numbers_that_are_none() -> None:
    again = '<w:r><w:footnoteReference w:id="1"/></w:r>'
    note = f'<w:footnote w:id="1">{p(inside=run("round") + again)}</w:footnote>'
    assert read_docx("a", word(p(inside=run("x") + again), footnotes=note)).text == "x[1]\n\n[1] round"
    odd = '<w:numPr><w:ilvl w:val="99999999999"/><w:numId w:val="&#x661;"/></w:numPr><w:outlineLvl w:val="-5"/>'
    span = '<w:gridSpan w:val="999999999"/>'
    document = read_docx("a", word(p("text", properties=odd) + table([["a", cell("b", span)]])))
    assert len(document.text) < 500


@pytest.mark.parametrize(
    "inside",
    ["x" * 3_000_000, f'<a b="{"x>" * 1_500_000}"/>', f"<![CDATA[{'x' * 3_000_000}]]>", f"<!--{'x' * 3_000_000}-->"],
)
def test_long_tokens_are_not_begun_again_with_every_window(inside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[int] = []

    class Counting(zipped.XMLPullParser):  # type: ignore[type-arg]
        def feed(self, data: str | bytes) -> None:
            fed.append(len(data))
            super().feed(data)

    monkeypatch.setattr(zipped, "XMLPullParser", Counting)
    assert len(list(iterate("a", "b", f"<r><c>{inside}</c></r>", {"r"}))) == 1
    assert len(fed) < 12


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "<w:p>",
                "</w:p>",
                "<w:r>",
                "</w:r>",
                "<w:t>x</w:t>",
                "<w:tbl>",
                "</w:tbl>",
                "<w:tc>",
                "<w:fldChar w:fldCharType='begin'/>",
                "<w:fldChar w:fldCharType='separate'/>",
                "<w:fldChar w:fldCharType='end'/>",
                "<w:sdt/>",
                "<mc:AlternateContent/>",
                "<w:hyperlink/>",
                "<m:oMath/>",
                "<w:drawing/>",
                "<w:tr/>",
            ]
        ),
        max_size=20,
    )
)
@example(["<w:p>", "<w:r>", "<w:fldChar w:fldCharType='end'/>", "</w:r>", "</w:p>"])
def test_any_order_of_elements(pieces: list[str]) -> None:
    with contextlib.suppress(KnowledgeError):
        document = read_docx("a", word("".join(pieces)))
        assert all(document.text[block.start : block.end].strip() for block in document.blocks)
