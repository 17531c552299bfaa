from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.knowledge.document import CELL, Document
from journeyman.knowledge.parse.docx import read_docx
from tests.knowledge.parse.office_files import cell, item, numbering, p, pack, run, style, table, word, word_parts

XML = '<?xml version="1.0"?>'
STYLES = (
    style("berschrift1", "heading 1", properties='<w:outlineLvl w:val="0"/>')
    + style("Kapitel", "Kapitel", "berschrift1")
    + style("Abschnitt", "Abschnitt", "Kapitel", '<w:outlineLvl w:val="1"/>')
    + style("Titel", "Title")
    + style("Kode", "Source Code")
    + style("Zitat", "Quote")
    + style("Punkt", "List Bullet", properties='<w:numPr><w:numId w:val="1"/></w:numPr>')
    + style("Verz1", "toc 1")
)
NUMBERS = numbering([("decimal", "%1."), ("lowerLetter", "%2)"), ("lowerRoman", "%1.%3")])


def read(body: str, **parts: str) -> Document:
    return read_docx("a.docx", word(body, **parts))


def blocks(document: Document) -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, document.text[block.start : block.end]) for block in document.blocks]


def test_headings_by_style_outline_and_what_they_are_based_on() -> None:
    document = read(
        p("The plan", "Titel")
        + p("Costs", "berschrift1")
        + p("Chapter", "Kapitel")
        + p("Section", "Abschnitt")
        + p("Direct", properties='<w:outlineLvl w:val="2"/>')
        + p("No heading", "Kapitel", properties='<w:outlineLvl w:val="9"/>')
        + p("x" * 400, "berschrift1"),
        styles=STYLES,
    )
    assert blocks(document) == [
        ("heading", 1, "The plan"),
        ("heading", 1, "Costs"),
        ("heading", 1, "Chapter"),
        ("heading", 2, "Section"),
        ("heading", 3, "Direct"),
        ("paragraph", 0, "No heading"),
        ("paragraph", 0, "x" * 400),
    ]
    assert document.title == "The plan"
    assert document.facts == {
        "author": "Ann Lee",
        "keywords": ("plan", "cost"),
        "created": "2024-05-06T07:08:09Z",
    }


def test_a_style_based_on_itself_ends() -> None:
    loop = style("A", "one", "B") + style("B", "two", "A")
    assert blocks(read(p("text", "A"), styles=loop)) == [("paragraph", 0, "text")]


def test_lists_keep_their_numbers() -> None:
    body = item("one", 1) + item("a", 1, 1) + item("b", 1, 1) + item("i", 1, 2) + item("two", 1) + item("a", 1, 1)
    document = read(body + p("text") + item("three", 1), numbering=NUMBERS)
    assert blocks(document) == [
        ("list", 0, "1. one\n  a) a\n  b) b\n    1.i i\n2. two\n  a) a"),
        ("paragraph", 0, "text"),
        ("list", 0, "3. three"),
    ]


def test_a_list_that_begins_again() -> None:
    again = '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride>'
    lists = numbering([("decimal", "%1.")], (1, 2), again)
    document = read(item("one", 1) + item("two", 1) + item("again", 2) + item("on", 2), numbering=lists)
    assert document.text == "1. one\n2. two\n1. again\n2. on"


def test_lists_by_style_bullets_and_out_of_the_list() -> None:
    bullets = numbering([("bullet", "\uf0b7")])
    out = p("out", "Punkt", properties='<w:numPr><w:numId w:val="0"/></w:numPr>')
    document = read(p("in", "Punkt") + out, styles=STYLES, numbering=bullets)
    assert blocks(document) == [("list", 0, "• in"), ("paragraph", 0, "out")]


def test_numbered_headings_and_empty_items() -> None:
    numbered = '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>'
    body = p("", "berschrift1", properties=numbered) + p("Costs", "berschrift1", properties=numbered)
    assert blocks(read(body, styles=STYLES, numbering=NUMBERS)) == [("heading", 1, "1. Costs")]


def test_merged_cells_keep_their_column() -> None:
    down, on = '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    rows = [
        ["region", cell("amounts", '<w:gridSpan w:val="2"/>')],
        [cell("north", down), "1", "2"],
        [cell("", on), "3", ""],
        [cell("", on), "", cell(inside=p("four") + p("five"))],
    ]
    document = read(table(rows))
    assert document.text.split("\n") == ["region | amounts | ", "north | 1 | 2", "north | 3 | ", "north |  | four five"]
    assert [block.kind for block in document.blocks] == ["table"]


def test_nested_tables_and_frames() -> None:
    inner = table([["a", "b"], ["c", "d"]])
    document = read(
        table([["x", cell(inside=p("see") + inner + p())]]) + table([[cell(inside=p("alone", "Titel") + p("text"))]]),
        styles=STYLES,
    )
    assert blocks(document) == [("table", 0, "x | see a, b; c, d"), ("heading", 1, "alone"), ("paragraph", 0, "text")]


def test_links_stand_where_their_text_does() -> None:
    outside = '<w:hyperlink r:id="l1">' + run("our page") + "</w:hyperlink>"
    field = (
        '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> HYPERLINK "https://example.org/f" </w:instrText></w:r>'
        f'<w:r><w:fldChar w:fldCharType="separate"/></w:r>{run("field")}<w:r><w:fldChar w:fldCharType="end"/></w:r>'
    )
    body = p(inside=run("  see ") + outside + run(" and ") + field) + table(
        [
            [
                "a",
                cell(
                    inside=p(
                        inside=run("to   the ") + '<w:hyperlink w:anchor="here">' + run("place  x") + "</w:hyperlink>"
                    )
                ),
            ]
        ]
    )
    data = word(body, {"l1": ("hyperlink", "https://example.org/?a=1&b=2", "External")})
    document = read_docx("a.docx", data)
    assert [(document.text[link.start : link.end], link.target) for link in document.links] == [
        ("our page", "https://example.org/?a=1&b=2"),
        ("field", "https://example.org/f"),
        ("place x", "#here"),
    ]
    assert document.text == "see our page and field\n\na | to the place x"


def test_notes_follow_the_paragraph_that_names_them() -> None:
    first = p(inside=run("It costs 5") + '<w:r><w:footnoteReference w:id="7"/></w:r>' + run("."))
    last = p(inside=run("End") + '<w:r><w:endnoteReference w:id="1"/></w:r>')
    document = read(
        first + p("Next.") + last,
        footnotes=f'<w:footnote w:id="0" w:type="separator">{p("-")}</w:footnote><w:footnote w:id="7">{p(" In euros.")}</w:footnote>',
        endnotes=f'<w:endnote w:id="1">{p("Of the year.")}</w:endnote>',
    )
    assert document.text == "It costs 5[1].\n\n[1] In euros.\n\nNext.\n\nEnd[i]\n\n[i] Of the year."


def test_tracked_changes_comments_and_hidden_text() -> None:
    body = p(
        inside=run("kept ")
        + f"<w:ins>{run('new ')}</w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
        + run("secret", "<w:vanish/>")
        + run("shown", '<w:vanish w:val="0"/>')
        + '<w:r><w:commentReference w:id="0"/></w:r>'
    )
    document = read(body)
    assert document.text == "kept new shown"
    assert sorted(document.notes) == [
        "comments left out: 1",
        "deletions of tracked changes left out: 1",
        "pieces of hidden text left out: 1",
    ]


def test_boxes_pictures_symbols_and_formulas() -> None:
    box = (
        "<w:r><mc:AlternateContent><mc:Choice><w:drawing><wp:inline><w:txbxContent>"
        + p("in the box")
        + "</w:txbxContent></wp:inline></w:drawing></mc:Choice><mc:Fallback><w:pict><w:txbxContent>"
        + p("in the box")
        + "</w:txbxContent></w:pict></mc:Fallback></mc:AlternateContent></w:r>"
    )
    picture = (
        '<w:r><w:drawing><wp:inline><wp:docPr id="1" name="p" descr="A bar\nchart"/>'
        '<wp:docPr id="2" name="q" descr="chart_2.png"/></wp:inline></w:drawing></w:r>'
    )
    symbol = '<w:r><w:sym w:font="Wingdings" w:char="F0B7"/><w:tab/><w:sym w:char="03B1"/></w:r>'
    half = "<m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f>"
    document = read(
        p(inside=run("x") + box) + p(inside=picture) + p(inside=symbol) + p(inside=f"<m:oMath>{half}</m:oMath>")
    )
    assert document.text == "x\n\nin the box\n\n[image: A bar chart]\n\n•\tα\n\n(a+b)/2"


def test_code_and_quotes_are_gathered_and_contents_left_out() -> None:
    document = read(
        p("if x:", "Kode") + p("    y()", "Kode") + p("said", "Zitat") + p("Costs 3", "Verz1"), styles=STYLES
    )
    assert blocks(document) == [("code", 0, "if x:\n    y()"), ("quote", 0, "said")]
    assert document.notes == ("lines of a table of contents left out: 1",)


def test_pages_are_those_that_word_noted() -> None:
    turned = "<w:r><w:lastRenderedPageBreak/><w:t>turned</w:t></w:r>"
    document = read(p("one") + p(inside=run("begins ") + turned) + p("two") + p(inside=turned))
    assert [block.page for block in document.blocks] == [1, 1, 2, 3]
    assert [block.page for block in read(p("one")).blocks] == [0]


def test_headers_and_footers_stand_once() -> None:
    document = read(p("text"), header=p("Secret"), footer=p("Secret") + p("Page"))
    assert document.text == "text\n\nSecret\n\nSecret\nPage"
    assert read(p("text"), header=p("Secret"), footer=p("Secret")).text == "text\n\nSecret"


def test_controls_fields_and_an_instruction_without_an_end() -> None:
    control = f"<w:sdt><w:sdtContent>{p('chosen')}</w:sdtContent></w:sdt>"
    asked = f"<w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent>{run('Click here')}</w:sdtContent></w:sdt>"
    simple = f'<w:fldSimple w:instr=" DATE ">{run("today")}</w:fldSimple>'
    broken = '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>PAGE</w:instrText></w:r>'
    document = read(control + p(inside=run("name: ") + asked) + p(inside=simple) + p(inside=broken) + p("after"))
    assert document.text == "chosen\n\nname: \n\ntoday\n\nafter".replace("name: ", "name:")


def test_a_list_goes_on_behind_a_note() -> None:
    noted = p(
        inside=run("one") + '<w:r><w:footnoteReference w:id="1"/></w:r>',
        properties='<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>',
    )
    note = f'<w:footnote w:id="1">{p("first")}</w:footnote>'
    document = read(noted + item("two", 1) + p("text"), numbering=NUMBERS, footnotes=note)
    assert document.text == "1. one[1]\n2. two\n\n[1] first\n\ntext"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "iso-8859-1"])
def test_strict_files_and_other_encodings(encoding: str) -> None:
    parts = word_parts(p("Käse", "berschrift1"), styles=STYLES)
    for name in ("word/document.xml", "word/styles.xml"):
        text = str(parts[name]).replace(
            "schemas.openxmlformats.org/wordprocessingml/2006", "purl.oclc.org/ooxml/wordprocessingml"
        )
        declared = "utf-8" if encoding == "utf-8-sig" else encoding
        parts[name] = f'<?xml version="1.0" encoding="{declared}"?>{text.removeprefix(XML)}'.encode(encoding)
    assert "purl.oclc.org" in parts["word/styles.xml"].decode(encoding)  # type: ignore[union-attr]
    assert blocks(read_docx("a.docx", pack(parts))) == [("heading", 1, "Käse")]


TEXTS = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="|"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 5).flatmap(
        lambda width: st.lists(st.lists(TEXTS, min_size=width, max_size=width), min_size=2, max_size=6)
    )
)
def test_a_table_survives(rows: list[list[str]]) -> None:
    document = read(table(rows))
    flat = [[" ".join(text.split()) for text in row] for row in rows]
    kept = [row for row in flat if any(row)]
    assert [line.split(CELL) for line in document.text.split("\n")] == kept or not kept


@pytest.mark.parametrize("text", ["a  b", " a", "a\tb"])
def test_spaces_in_runs_are_kept(text: str) -> None:
    assert read(p(inside=run("x" + text))).text == "x" + text
