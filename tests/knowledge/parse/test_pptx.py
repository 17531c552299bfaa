from __future__ import annotations

import numpy as np
import pytest

from journeyman.knowledge.document import Box, Document
from journeyman.knowledge.parse.pptx import read_pptx
from tests.knowledge.parse.office_files import NAMES, A, P, relate, shape, slides, transform


def read(*trees: str, order: list[int] | None = None, **parts: str) -> Document:
    return read_pptx("a.pptx", slides(trees, order, **parts))


def blocks(document: Document) -> list[tuple[str, int, str]]:
    return [(block.kind, block.page, document.text[block.start : block.end]) for block in document.blocks]


def line(text: str, properties: str = "") -> str:
    return f"<a:p>{properties}<a:r><a:t>{text}</a:t></a:r></a:p>"


def test_slides_in_the_order_in_which_they_are_shown() -> None:
    document = read(shape("First", "title"), shape("Second", "ctrTitle"), shape("just text"), order=[2, 3, 1])
    assert blocks(document) == [
        ("heading", 1, "Second"),
        ("heading", 2, "Slide 2"),
        ("paragraph", 2, "just text"),
        ("heading", 3, "First"),
    ]
    assert document.pages == ((720.0, 540.0),) * 3
    assert document.title == "Second"


def test_titles_come_first_and_running_lines_not_at_all() -> None:
    tree = shape("text") + shape("12", "sldNum") + shape("May", "dt") + shape("Title\nin two", "title")
    assert blocks(read(tree)) == [("heading", 1, "Title in two"), ("paragraph", 1, "text")]


def test_levels_bullets_and_numbers() -> None:
    body = (
        line("one")
        + line("inner", '<a:pPr lvl="1"/>')
        + line("plain", "<a:pPr><a:buNone/></a:pPr>")
        + line("first", '<a:pPr><a:buAutoNum type="arabicPeriod"/></a:pPr>')
        + line("a", '<a:pPr lvl="1"><a:buAutoNum type="alphaLcParenR"/></a:pPr>')
        + line("second", '<a:pPr><a:buAutoNum type="arabicPeriod"/></a:pPr>')
        + line("third", '<a:pPr lvl="1"><a:buAutoNum type="romanUcParenBoth" startAt="4"/></a:pPr>')
    )
    free = line("no list") + line("dash", '<a:pPr><a:buChar char="-"/></a:pPr>') + line("no list again")
    document = read(shape("T", "title") + shape("", "", lines=body) + shape("", lines=free))
    assert blocks(document)[1:] == [
        ("list", 1, "• one\n  • inner\nplain\n1. first\n  a) a\n2. second\n  (IV) third"),
        ("paragraph", 1, "no list"),
        ("list", 1, "• dash"),
        ("paragraph", 1, "no list again"),
    ]


def test_words_have_the_box_of_their_shape_also_in_groups() -> None:
    group = (
        f"<p:grpSp><p:nvGrpSpPr/><p:grpSpPr>{transform((100, 100, 200, 100), (0, 0, 400, 400))}</p:grpSpPr>"
        f"{shape('in group', place=(40, 80, 40, 40))}</p:grpSp>"
    )
    document = read(shape("Two words", "title", (10, 20, 300, 40)) + group)
    start = document.text.index("in group")
    assert document.places.find(0, 9) == [Box(1, 10, 20, 310, 60)]
    assert document.places.find(start, start + 8) == [Box(1, 120, 120, 140, 130)]
    assert len(document.places) == 4
    assert np.all(np.diff(document.places.spans[:, 0]) > 0)


def test_places_come_from_the_layout_where_the_slide_gives_none() -> None:
    layout = (
        f"<p:sldLayout {NAMES}><p:cSld><p:spTree>{shape('', 'title', (5, 6, 70, 80))}</p:spTree></p:cSld></p:sldLayout>"
    )
    parts = {
        "ppt__layout": layout,
        "ppt__slides___rels__slide1.xml.rels": relate({"r1": ("slideLayout", "../layout.xml")}),
    }
    assert read(shape("Title", "title"), **parts).places.find(0, 5) == [Box(1, 5, 6, 75, 86)]


def test_tables_charts_notes_links_and_pictures() -> None:
    cells = [["year", "a", "b"], ["2024", "1", ""]]
    rows = "".join(
        "<a:tr>" + "".join(f"<a:tc><a:txBody>{line(text)}</a:txBody></a:tc>" for text in row) + "</a:tr>"
        for row in cells
    )
    frame = "<p:graphicFrame><p:nvGraphicFramePr/>{}</p:graphicFrame>"
    picture = '<p:pic><p:nvPicPr><p:cNvPr id="3" name="p" descr="A map"/><p:nvPr/></p:nvPicPr></p:pic>'
    linked = '<a:p><a:r><a:rPr><a:hlinkClick r:id="l1"/></a:rPr><a:t>site</a:t></a:r></a:p>'
    series = (
        "<c:ser><c:tx><c:v>sold</c:v></c:tx><c:cat><c:strRef><c:strCache>"
        '<c:pt idx="0"><c:v>east</c:v></c:pt><c:pt idx="1"><c:v>west</c:v></c:pt></c:strCache></c:strRef></c:cat>'
        '<c:val><c:numRef><c:numCache><c:pt idx="1"><c:v>0.30000000000000004</c:v></c:pt></c:numCache></c:numRef></c:val></c:ser>'
    )
    chart = f"<c:chartSpace {NAMES}><c:chart><c:title>{line('Sales')}</c:title>{series}</c:chart></c:chartSpace>"
    notes = f"<p:notes {NAMES}><p:cSld><p:spTree>{shape('1', 'sldNum')}{shape('say this', 'body')}</p:spTree></p:cSld></p:notes>"
    document = read(
        frame.format(f"<a:tbl>{rows}</a:tbl>")
        + frame.format('<c:chart r:id="c1"/>')
        + picture
        + shape("", lines=linked),
        **{
            "ppt__slides__chart": chart,
            "ppt__slides__notes": notes,
            "ppt__slides___rels__slide1.xml.rels": relate(
                {
                    "c1": ("chart", "chart.xml"),
                    "n1": ("notesSlide", "notes.xml"),
                    "l1": ("hyperlink", "https://example.org", "External"),
                }
            ),
        },
    )
    assert blocks(document)[1:] == [
        ("table", 1, "year | a | b\n2024 | 1 | "),
        ("paragraph", 1, "Sales"),
        ("table", 1, " | sold\neast | \nwest | 0.3"),
        ("paragraph", 1, "[image: A map]"),
        ("paragraph", 1, "site"),
        ("quote", 1, "say this"),
    ]
    assert [(document.text[link.start : link.end], link.target) for link in document.links] == [
        ("site", "https://example.org")
    ]


def test_hidden_and_broken_slides_are_notes() -> None:
    hidden = f'<p:sld xmlns:p="{P}" xmlns:a="{A}" show="0"><p:cSld><p:spTree>{shape("Quiet", "title")}</p:spTree></p:cSld></p:sld>'
    document = read(
        shape("First", "title"), shape("x"), shape("x"), ppt__slides__slide2=hidden, ppt__slides__slide3="<p:sld"
    )
    assert [text for _, _, text in blocks(document)] == ["First", "Quiet"]
    assert document.notes[-1] == "slide 2 is hidden"
    assert any("slide3.xml" in note for note in document.notes)


@pytest.mark.parametrize("order", [[1, 1, 1], [1, 9]])
def test_a_slide_listed_twice_or_missing(order: list[int]) -> None:
    document = read(shape("Only", "title"), order=order)
    assert [text for _, _, text in blocks(document)] == ["Only"]
