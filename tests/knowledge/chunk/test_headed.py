from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.knowledge.chunk.chunk import Chunk
from journeyman.knowledge.chunk.headed import SIZE, WHOLE, chunk_headed, clean_heading
from journeyman.knowledge.chunk.tokens import find_tokens
from journeyman.knowledge.document import Block, BlockKind, Document
from journeyman.knowledge.writing import Writing

KINDS: list[BlockKind] = ["paragraph", "list", "table", "code", "quote", "field"]
TEXTS = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="ab .!?\n", max_size=400),
    st.integers(1, 80).map(lambda count: "One sentence with some words. " * count),
    st.integers(1, 60).map(lambda count: "- an item of a list\n" * count),
    st.integers(1, 60).map(lambda count: "日本語の文です。" * count),
    st.integers(100, 1500).map(lambda count: "x" * count),
)
PARTS = st.lists(st.tuples(st.sampled_from([*KINDS, "heading"]), TEXTS, st.integers(1, 6)), max_size=12)


def write(parts: list[tuple[BlockKind, str, int]]) -> Document:
    writing = Writing()
    for kind, text, level in parts:
        writing.add(kind, text, level if kind == "heading" else 0)
    return Document("a.docx", "text/plain", writing.text, tuple(writing.blocks))


def texts(document: Document, chunks: list[Chunk]) -> list[str]:
    return [document.text[chunk.start : chunk.end] for chunk in chunks]


def check(document: Document, chunks: list[Chunk], size: int = SIZE) -> None:
    """Ascending, apart, without blanks around them, all of the blocks that is not blank, at most ``size`` tokens unless there is a table or code."""
    tokens, place = find_tokens(document.text), 0
    spans = [(block.start, block.end) for block in document.blocks] or [(0, len(document.text))]
    said = {at for start, end in spans for at in range(start, min(end, len(document.text)))}

    def is_left_out(start: int, end: int) -> bool:
        return all(document.text[at].isspace() or at not in said for at in range(start, end))

    whole = any(block.kind in ("table", "code") for block in document.blocks)
    for chunk in chunks:
        assert is_left_out(place, chunk.start)
        text = document.text[chunk.start : chunk.end]
        assert text
        assert text == text.strip()
        assert tokens.count(chunk.start, chunk.end) <= (max(size, WHOLE) if whole else size)
        place = chunk.end
    assert is_left_out(place, len(document.text))


@given(parts=PARTS, size=st.sampled_from([8, 32, SIZE]))
def test_every_character_is_in_exactly_one_chunk_within_the_size(
    parts: list[tuple[BlockKind, str, int]], size: int
) -> None:
    document = write(parts)
    check(document, chunk_headed(document, find_tokens(document.text), size=size), size)


@given(
    text=TEXTS,
    spans=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300), st.sampled_from([*KINDS, "heading"]))),
)
def test_blocks_that_overlap_or_leave_gaps_lose_nothing(text: str, spans: list[tuple[int, int, BlockKind]]) -> None:
    blocks = tuple(Block(kind, min(a, b), max(a, b), 2 if kind == "heading" else 0) for a, b, kind in spans)
    document = Document("a.md", "text/markdown", text, blocks)
    check(document, chunk_headed(document, find_tokens(text)))


@given(parts=PARTS)
def test_headings_are_those_above(parts: list[tuple[BlockKind, str, int]]) -> None:
    document = write(parts)
    for chunk in chunk_headed(document, find_tokens(document.text)):
        inside = [b for b in document.blocks if b.kind != "heading" and b.start < chunk.end and chunk.start < b.end]
        if not inside:
            continue
        above: list[tuple[int, str]] = []
        for block in document.blocks:
            if block.kind == "heading" and block.start < inside[0].start:
                above = [item for item in above if item[0] < block.level]
                above.append((block.level, clean_heading(document.text[block.start : block.end])))
        assert chunk.headings == tuple(text for _level, text in above)
        headings = [b for b in document.blocks if b.kind == "heading" and inside[0].start < b.start < chunk.end]
        assert not headings, "a chunk with text of a section ends where the section does"


def test_a_heading_goes_with_the_text_below_it_and_never_with_the_section_before() -> None:
    document = write(
        [
            ("heading", "Fruit", 1),
            ("heading", "Apples", 2),
            ("paragraph", "Apples keep for months.", 0),
            ("heading", "Pears", 2),
            ("paragraph", "Pears keep for weeks.", 0),
            ("heading", "Tools", 1),
            ("paragraph", "A ladder.", 0),
        ]
    )
    chunks = chunk_headed(document, find_tokens(document.text))
    assert texts(document, chunks) == [
        "Fruit\n\nApples\n\nApples keep for months.",
        "Pears\n\nPears keep for weeks.",
        "Tools\n\nA ladder.",
    ]
    assert [chunk.headings for chunk in chunks] == [("Fruit", "Apples"), ("Fruit", "Pears"), ("Tools",)]


def test_sections_of_one_name_stay_apart() -> None:
    document = write([("heading", "Notes", 2), ("paragraph", "One.", 0)] * 3)
    assert texts(document, chunk_headed(document, find_tokens(document.text))) == ["Notes\n\nOne."] * 3


def test_empty_sections_under_one_heading_are_one_chunk() -> None:
    document = write(
        [("heading", "Book", 1), *(("heading", f"Chapter {n}", 2) for n in range(3)), ("heading", "Index", 1)]
    )
    chunks = chunk_headed(document, find_tokens(document.text))
    assert [chunk.headings for chunk in chunks] == [("Book",), ("Index",)]


def test_a_long_paragraph_is_cut_evenly_where_sentences_end() -> None:
    document = write([("paragraph", " ".join(f"Sentence number {n} has these words." for n in range(30)), 0)])
    tokens = find_tokens(document.text)
    chunks = chunk_headed(document, tokens)
    assert all(text.endswith("words.") for text in texts(document, chunks))
    lengths = [tokens.count(chunk.start, chunk.end) for chunk in chunks]
    assert max(lengths) - min(lengths) <= 2 * 8


def test_lines_of_a_text_are_paragraphs_unless_a_narrow_page_broke_them() -> None:
    sentence = "the quick brown fox jumps over the lazy dog and runs away from it"
    lines = "\n".join(f"{sentence.capitalize()} {number}" + " again" * number for number in range(20))
    document = Document("a.txt", "text/plain", lines, ())
    assert all(text.startswith("The quick") for text in texts(document, chunk_headed(document, find_tokens(lines))))
    wrapped = "\n".join([sentence] * 20)
    document = Document("a.txt", "text/plain", wrapped, ())
    assert len(chunk_headed(document, find_tokens(wrapped))) == -(-20 * 14 // SIZE)


def test_lists_tables_and_code_are_cut_between_items_rows_and_lines() -> None:
    items = "\n".join(f"- item {n} is about one thing\n  and goes on" for n in range(40))
    document = write([("list", items, 0)])
    found = texts(document, chunk_headed(document, find_tokens(document.text)))
    assert len(found) > 1
    assert all(text.startswith("- item") for text in found)
    rows = "\n".join(f"{n} | name {n} | {n * n}" for n in range(100))
    for kind in ("table", "code"):
        document = write([(kind, rows, 0)])
        found = texts(document, chunk_headed(document, find_tokens(document.text)))
        assert len(found) > 1
        assert "\n".join(found) == rows


def test_a_table_that_the_encoder_can_read_is_whole() -> None:
    rows = "\n".join(f"{n} | name {n} | {n * n}" for n in range(22))
    document = write([("heading", "Squares", 1), ("table", rows, 0)])
    chunks = chunk_headed(document, find_tokens(document.text))
    assert len(chunks) == 1
    assert SIZE < find_tokens(document.text).count(chunks[0].start, chunks[0].end) <= WHOLE


@pytest.mark.parametrize("text", ["a" * 500_000, ". " * 100_000, "." * 500_000, "a.\n" * 50_000, "\n" * 500_000])
def test_hostile_lines_end(text: str) -> None:
    document = Document("a.txt", "text/plain", text, ())
    tokens = find_tokens(text)
    chunks = chunk_headed(document, tokens)
    assert all(tokens.count(chunk.start, chunk.end) <= SIZE for chunk in chunks)
    assert bool(chunks) == bool(text.strip())


def test_a_hundred_thousand_headings() -> None:
    lines = [f"Heading {number}" for number in range(100_000)]
    blocks, place = [], 0
    for number, line in enumerate(lines):
        blocks.append(Block("heading", place, place + len(line), number % 6 + 1))
        place += len(line) + 1
    document = Document("a.md", "text/markdown", "\n".join(lines), tuple(blocks))
    chunks = chunk_headed(document, find_tokens(document.text))
    assert all(len(chunk.headings) <= 6 for chunk in chunks)
    check(document, chunks)


@pytest.mark.parametrize(
    ("text", "heading"),
    [
        ("## Two words ##", "Two words"),
        ("C#", "C#"),
        ("Title\n=====", "Title"),
        ("#1 of all", "#1 of all"),
        ("a\n b", "a b"),
    ],
)
def test_headings_are_words(text: str, heading: str) -> None:
    assert clean_heading(text) == heading


def test_what_stands_in_no_block_is_in_no_chunk() -> None:
    text = "---\nlang: en\n---\n# Returns\n\nGoods may be sent back within thirty days of their arrival, at our cost.\n"
    start = text.index("Returns")
    document = Document(
        "a.md",
        "text/markdown",
        text,
        (Block("heading", start, start + 7, 1), Block("paragraph", text.index("Goods"), len(text) - 1)),
    )
    assert texts(document, chunk_headed(document, find_tokens(text))) == [text[start:].strip()]
