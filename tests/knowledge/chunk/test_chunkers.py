from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.chunk.blend import blend_neighbours
from journeyman.knowledge.chunk.chunk import Chunk
from journeyman.knowledge.chunk.chunkers import CHUNKERS, find_chunker
from journeyman.knowledge.chunk.context import WINDOW, write_context
from journeyman.knowledge.chunk.fixed import chunk_fixed
from journeyman.knowledge.chunk.headed import SIZE, chunk_headed
from journeyman.knowledge.chunk.recursive import chunk_recursive
from journeyman.knowledge.chunk.tokens import LONGEST, PIECE, USUAL, find_tokens
from journeyman.knowledge.document import Document
from journeyman.knowledge.writing import Writing


def make_wordpiece() -> Tokenizer:
    """As all-MiniLM-L6-v2 cuts texts, with a vocabulary of letters."""
    vocabulary = ["[UNK]", *"abcdefghijklmnopqrstuvwxyz.", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
    tokenizer = Tokenizer(
        models.WordPiece(
            {token: id for id, token in enumerate(vocabulary)}, unk_token="[UNK]", max_input_chars_per_word=100
        )
    )
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def document(text: str) -> Document:
    return Document("a.txt", "text/plain", text, ())


@given(st.text(max_size=200), st.booleans())
def test_tokens_ascend_and_begin_at_characters_that_are_not_blank(text: str, by_words: bool) -> None:
    starts = find_tokens(text, None if by_words else make_wordpiece()).starts
    assert starts.dtype == np.int32
    assert (np.diff(starts) >= 0).all()
    assert all(not text[start].isspace() for start in starts)
    assert not by_words or bool(len(starts)) == any(not char.isspace() for char in text)


def test_a_text_of_several_pieces_has_the_tokens_of_the_whole() -> None:
    tokenizer, text = make_wordpiece(), "some words and more. " * (3 * PIECE // 20)
    whole = tokenizer.encode(text, add_special_tokens=False).offsets
    assert find_tokens(text, tokenizer).starts.tolist() == [start for start, _end in whole]


def test_a_word_that_the_tokenizer_does_not_cut_counts_by_its_characters() -> None:
    text = "a " + "x" * 4000 + " b"
    assert len(find_tokens(text, make_wordpiece()).starts) == 2 + 4000 // USUAL
    assert len(find_tokens("é" * LONGEST, make_wordpiece()).starts) == LONGEST


@given(st.text(alphabet="ab .\n", max_size=300), st.integers(2, 20), st.integers(0, 1))
def test_fixed_windows_hold_everything(text: str, size: int, overlap: int) -> None:
    tokens = find_tokens(text)
    chunks = chunk_fixed(document(text), tokens, size, overlap)
    assert {char for chunk in chunks for char in range(chunk.start, chunk.end) if not text[char].isspace()} == {
        place for place, char in enumerate(text) if not char.isspace()
    }
    assert all(tokens.count(chunk.start, chunk.end) <= size for chunk in chunks)


@given(st.text(alphabet="ab .?\n", max_size=400), st.integers(2, 20))
def test_recursive_chunks_ascend_and_hold_everything(text: str, size: int) -> None:
    tokens, place = find_tokens(text), 0
    for chunk in chunk_recursive(document(text), tokens, size):
        assert not text[place : chunk.start].strip()
        assert tokens.count(chunk.start, chunk.end) <= size
        place = chunk.end
    assert not text[place:].strip()


def test_recursive_overlap_repeats_the_end_of_the_chunk_before() -> None:
    text = " ".join(f"w{number}." for number in range(40))
    chunks = chunk_recursive(document(text), find_tokens(text), 20, 10)
    assert all(right.start < left.end for left, right in pairwise(chunks))


def test_chunkers_have_names() -> None:
    assert find_chunker() is CHUNKERS["headed"]
    with pytest.raises(
        KnowledgeError, match=r"JM-985 pages: there is no such chunker\n  expected: headed or recursive or fixed"
    ):
        find_chunker("pages")


def test_what_is_embedded_begins_with_what_stands_above() -> None:
    writing = Writing()
    writing.add("heading", "Prices", 1)
    writing.add("paragraph", "Prices of last year follow, as they were known in spring.")
    writing.add("heading", "Fruit", 2)
    writing.table([("kind", "euros"), *((f"apple {number}", str(number)) for number in range(100))])
    given = Document("a.docx", "text/plain", writing.text, tuple(writing.blocks), title="Report")
    tokens = find_tokens(given.text)
    chunks = chunk_headed(given, tokens)
    first, second, third = (write_context(given, chunk, tokens) for chunk in chunks[:3])
    assert first == "Report\nPrices\n\nPrices of last year follow, as they were known in spring."
    assert second.startswith("Report > Prices\nFruit\n\nkind | euros")
    assert third.startswith("Report > Prices > Fruit > kind | euros\napple")


def test_headings_that_do_not_fit_are_left_out_from_the_outermost() -> None:
    text = "word " * SIZE
    chunk = Chunk(0, len(text), ("far " * 100, "near " * 100))
    written = write_context(document(text), chunk, find_tokens(text))
    assert written.startswith("near")
    assert len(find_tokens(written).starts) <= WINDOW


@given(st.integers(0, 9))
def test_neighbours_are_blended_into_vectors_of_length_one(count: int) -> None:
    vectors = np.eye(9, dtype=np.float32)[:count]
    blended = blend_neighbours(vectors, (0.5, 0.25))
    assert blended.shape == vectors.shape
    assert np.allclose(np.linalg.norm(blended, axis=1), 1)
    for row in range(count):
        assert blended[row].argmax() == row
        assert all((blended[row, other] > 0) == (abs(row - other) <= 2) for other in range(count))
