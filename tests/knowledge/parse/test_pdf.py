"""PDFs made for this, whose text is known: what is read is what was written, in its order, where it stands."""

from __future__ import annotations

import pickle
from itertools import pairwise

import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document
from journeyman.knowledge.parse.pdf import read_pdf
from tests.knowledge.parse.pdf_writer import Page, truncated, write_pdf

TALE = """
the harbour keeps its own hours and nobody asks the gulls for leave when boats come home late with nets
full of silver while lamps along the quay burn low and a clerk counts crates into a ledger that smells of salt
"""
WORDS = TALE.split()


def wrap(words: list[str], characters: int) -> list[str]:
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) + 1 > characters:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def read(*pages: Page, **further: object) -> Document:
    return read_pdf("made.pdf", write_pdf(pages, **further))  # type: ignore[arg-type]


def told(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def test_paragraphs_are_joined_and_parted() -> None:
    page = Page()
    below = page.lines(60, 60, wrap(WORDS, 60))
    page.lines(60, below + 12, ["A second paragraph stands apart."])
    assert told(read(page)) == [("paragraph", " ".join(WORDS)), ("paragraph", "A second paragraph stands apart.")]


def test_a_word_parted_at_a_lines_end_is_whole_and_keeps_both_places() -> None:
    page = Page()
    page.lines(60, 60, ["All of the neighbours came and dis-", "cussed it until the bells rang nine."])
    document = read(page)
    assert document.text == "All of the neighbours came and discussed it until the bells rang nine."
    start = document.text.index("discussed")
    first, second = document.places.find(start, start + len("discussed"))
    assert first.top < second.top
    assert first.left > second.left == pytest.approx(60, abs=1)


def test_a_hyphen_that_belongs_to_the_word_stays() -> None:
    page = Page()
    page.lines(
        60, 60, ["A well-known writer lives here, and another well-", "known one lives in the house behind the inn."]
    )
    assert "another well-known one" in read(page).text


def test_boxes_stand_where_the_words_were_written() -> None:
    document = read(Page().text(100, 200, "here", size=20))
    (box,) = document.places.find(0, 4)
    assert (box.page, box.left) == (1, pytest.approx(100, abs=1))
    assert box.top < 200 + 2
    assert 214 < box.bottom < 225
    assert box.right == pytest.approx(100 + 20 * (0.556 * 3 + 0.333), abs=1)
    assert document.pages == ((595.0, 842.0),)


def test_two_columns_below_a_title_are_read_one_after_the_other() -> None:
    title = "Of boats and ledgers and other things"
    page = Page().text(150, 50, title, size=18)
    left = page.lines(60, 80, wrap(WORDS, 38))
    page.lines(60, left + 14, wrap(WORDS[::-1], 38))
    page.lines(320, 80, wrap(WORDS[5:] + WORDS[:5], 38))
    assert read(page).text.split() == [
        *title.split(),
        *WORDS,
        *WORDS[::-1],
        *WORDS[5:],
        *WORDS[:5],
    ]


def test_three_columns() -> None:
    page = Page()
    for number in range(3):
        page.lines(40 + 185 * number, 60 + 3 * number, wrap(WORDS[number:], 30))
    assert read(page).text.split() == WORDS + WORDS[1:] + WORDS[2:]


def test_a_paragraph_goes_on_in_the_next_column_and_on_the_next_page() -> None:
    first, second = Page(), Page()
    first.lines(60, 60, wrap(WORDS, 38))
    first.lines(320, 60, wrap(WORDS, 38))
    second.lines(60, 60, wrap(WORDS, 38))
    document = read(first, second)
    assert told(document) == [("paragraph", " ".join(WORDS * 3))]
    assert document.page_of(len(document.text) - 1) == 2


def test_headings_have_levels_by_size_and_weight() -> None:
    page = Page().text(60, 40, "Report", size=24).text(60, 80, "Findings", size=16)
    page.lines(60, 110, wrap(WORDS, 80))
    page.text(60, 190, "In short", size=10, font="bold")
    page.lines(60, 206, wrap(WORDS, 80))
    document = read(page)
    assert [(block.kind, block.level) for block in document.blocks] == [
        ("heading", 1),
        ("heading", 2),
        ("paragraph", 0),
        ("heading", 3),
        ("paragraph", 0),
    ]
    assert document.title == "Report"


def test_the_outline_says_levels() -> None:
    page = Page().text(60, 60, "1.2 Findings", size=14)
    page.lines(60, 90, wrap(WORDS, 80))
    document = read(page, outline=[("Findings", 0)], title="Yearly", author="A. Clerk")
    assert document.blocks[0].level == 1
    assert (document.title, document.facts["author"], document.facts["outline"]) == (
        "Yearly",
        "A. Clerk",
        ("Findings",),
    )


def test_lists_are_one_block_with_a_line_for_each_item() -> None:
    page = Page()
    page.lines(60, 60, ["What to bring to the harbour on a day when it rains all morning:"])
    page.lines(60, 78, ["1. a coat", "2. boots that", "    are dry", "3. bread"])
    assert told(read(page))[1] == ("list", "1. a coat\n2. boots that are dry\n3. bread")


def test_a_ruled_table() -> None:
    page = Page().grid([60, 160, 260, 360], [100, 120, 150, 170])
    cells = [["Item", "Price", "Where"], ["Rope", "4.50", "the shop"], ["Tar", "", "the yard"]]
    for row, top in zip(cells, (104, 124, 154), strict=True):
        for text, left in zip(row, (64, 164, 264), strict=True):
            page.text(left, top, text)
    page.text(264, 136, "behind it")
    document = read(page)
    assert told(document) == [
        ("table", "Item | Price | Where\nRope | 4.50 | the shop behind it\nTar |  | the yard"),
    ]
    start = document.text.index("4.50")
    (box,) = document.places.find(start, start + 4)
    assert (box.left, box.page) == (pytest.approx(164, abs=1), 1)


def test_an_aligned_table_between_paragraphs() -> None:
    page = Page()
    below = page.lines(60, 60, wrap(WORDS, 80)) + 10
    rows = [["Country", "People", "Capital"], ["Austria", "8.9", "Vienna"], ["Belgium", "11.5", "Brussels"]]
    for number, row in enumerate(rows):
        for text, left in zip(row, (60, 200, 320), strict=True):
            page.text(left, below + 14 * number, text)
    page.lines(60, below + 60, wrap(WORDS, 80))
    document = read(page)
    assert [kind for kind, _ in told(document)] == ["paragraph", "table", "paragraph"]
    assert told(document)[1][1].splitlines() == [
        "Country | People | Capital",
        "Austria | 8.9 | Vienna",
        "Belgium | 11.5 | Brussels",
    ]


def test_frames_around_single_lines_are_no_table() -> None:
    page = Page()
    for number, line in enumerate(wrap(WORDS, 60)):
        top = 60 + 12 * number
        page.text(60, top, line).grid([58, 60 + 5 * len(line)], [top - 1, top + 11])
    assert [kind for kind, _ in told(read(page))] == ["paragraph"]


def test_running_titles_and_page_numbers_are_left_out_and_said() -> None:
    pages = []
    for number in range(1, 5):
        page = Page().text(60, 30, f"{number}   The harbour's book").text(290, 800, str(number + 7))
        page.lines(60, 80, wrap(WORDS, 60))
        pages.append(page)
    document = read(*pages)
    assert document.text.split() == WORDS * 4
    (note,) = document.notes
    assert "harbour's book" in note
    assert "page numbers (4)" in note


def test_fields_remarks_links_and_attachments() -> None:
    page = Page().text(60, 60, "Ask the harbour office about it.")
    page.link(110, 55, 180, 75, "https://example.org/office")
    page.form_field(60, 100, 200, 120, "Name", "Ada").remark(300, 60, 320, 80, "Check this twice")
    document = read(page, attachment="tides.csv")
    assert told(document)[1:] == [("field", "Name: Ada"), ("paragraph", "Check this twice")]
    (link,) = document.links
    assert link.target == "https://example.org/office"
    assert "office" in document.text[link.start : link.end]
    assert document.notes == ("attachment not read: tides.csv (5 bytes)",)
    (box,) = document.places.find(document.blocks[1].start, document.blocks[1].end)
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx((60, 100, 200, 120), abs=0.1)


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_boxes_fit_the_page_as_it_is_shown(rotate: int) -> None:
    page = Page(rotate=rotate)
    page.lines(60, 60, wrap(WORDS, 60))
    document = read(page)
    assert document.text.split() == WORDS
    width, height = document.pages[0]
    assert (width, height) == ((842.0, 595.0) if rotate != 180 else (595.0, 842.0))
    (box,) = document.places.find(0, 3)
    corner = {90: (842 - 60, 60), 180: (595 - 60, 842 - 60), 270: (60, 595 - 60)}[rotate]
    assert min(abs(box.left - corner[0]), abs(box.right - corner[0])) < 4
    assert min(abs(box.top - corner[1]), abs(box.bottom - corner[1])) < 4


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_turned_text_is_read_in_its_own_direction(turn: int) -> None:
    page = Page()
    for number, line in enumerate(wrap(WORDS, 50)):
        left, top = {1: (500 - 12 * number, 100), 2: (500, 700 - 12 * number), 3: (100 + 12 * number, 700)}[turn]
        page.text(left, top, line, turn=turn)
    assert read(page).text.split() == WORDS


def test_code_keeps_its_lines() -> None:
    page = Page()
    page.lines(60, 60, wrap(WORDS, 80))
    page.lines(60, 120, ["def tide(hour):", "    return hour % 12"], font="mono")
    assert told(read(page))[1] == ("code", "def tide(hour):\n    return hour % 12")


def test_spans_ascend_and_spell_the_words() -> None:
    page = Page()
    page.lines(60, 60, wrap(WORDS, 40))
    document = read(page)
    assert all(one <= two for (_, one), (two, _) in pairwise(document.places.spans.tolist()))
    assert [document.text[start:end] for start, end in document.places.spans.tolist()] == WORDS


def test_a_document_goes_through_pickle() -> None:
    document = read(Page().text(60, 60, "Once"))
    again = pickle.loads(pickle.dumps(document))
    assert (again.text, again.places.boxes.tolist()) == (document.text, document.places.boxes.tolist())


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"", "JM-922", "an empty file"),
        (b"PK\x03\x04 a zip", "JM-922", "PK"),
        (b"%PDF-1.7\nnothing else\n%%EOF", "JM-921", "damaged"),
        (truncated(), "JM-921", "its end is missing"),
        (write_pdf([Page(), Page()]), "JM-924", "pages 1, 2 have no text"),
        (write_pdf([Page().image()]), "JM-924", "page 1 has no text: an image"),
    ],
)
def test_what_cannot_be_read_has_its_reason(data: bytes, code: str, said: str) -> None:
    with pytest.raises(KnowledgeError) as caught:
        read_pdf("made.pdf", data)
    assert caught.value.code == code
    assert caught.value.where == "made.pdf"
    assert said in str(caught.value)


def test_an_image_among_pages_with_text_is_a_note() -> None:
    document = read(Page().text(60, 60, "Words"), Page().image())
    assert document.notes == ("page 2 has no text: an image",)


def test_words_beside_the_page_are_left_out() -> None:
    document = read(Page().text(60, 60, "Shown").text(60, -40, "hidden"))
    assert (document.text, document.notes) == ("Shown", ("page 1 has 1 words beyond the edge, left out",))


def test_a_page_that_is_an_image_is_read_by_what_reads_images() -> None:
    def look(image: object) -> list[tuple[str, tuple[float, float, float, float]]]:
        assert image.shape == (2339, 1653, 3)  # type: ignore[attr-defined]
        return [("two words", (200.0, 400.0, 380.0, 440.0))]

    document = read_pdf("scan.pdf", write_pdf([Page().image()]), ocr=look)
    assert document.text == "two words"
    (box,) = document.places.find(0, 9)
    assert (box.left, box.top, box.right) == pytest.approx((72, 144, 136.8), abs=0.1)
    assert document.notes == ("page 1 has no text: an image, read by OCR",)
