"""Vectors of texts of any length, by the real encoder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.models.embedder import Embedder, open_embedder
from journeyman.models.long_texts import embed_whole, split_text

LONG = " ".join(f"Item {number} of the list is a {('red', 'blue')[number % 2]} car." for number in range(320))


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return open_embedder(threads=1)


@given(st.text(max_size=80), st.integers(2, 9))
def test_pieces_are_the_text_and_shorter(text: str, count: int) -> None:
    pieces = split_text(text, count)
    assert "".join(pieces) == text
    assert all(pieces)
    assert all(len(piece) < len(text) or len(text) == 1 for piece in pieces)


def test_pieces_end_between_words() -> None:
    assert split_text("red cars are fast", 2) == ["red cars", " are", " fast"]
    assert split_text("aaaabbbb", 2) == ["aaaa", "bbbb"]


@pytest.mark.model
def test_short_texts_have_the_encoders_own_vectors(embedder: Embedder) -> None:
    texts = ["Where is my card?", "red", "Ü €12.50"]
    np.testing.assert_allclose(embed_whole(embedder, texts), embedder.embed(texts).vectors, atol=1e-6)
    assert embed_whole(embedder, []).shape == (0, embedder.dimension)


@pytest.mark.model
def test_the_end_of_a_long_text_counts(embedder: Embedder) -> None:
    assert len(LONG) > 10_000
    half = LONG[: len(LONG) // 2]
    other = half + " We regret to say that the refund was refused by the bank." * 80
    letters = "Dear customer " + "ab" * 5000
    whole, changed, alone, odd = embed_whole(embedder, [LONG, other, LONG[:400], letters])
    first, second = embedder.embed([LONG, other]).vectors
    assert float(first @ second) == pytest.approx(1), "the encoder itself reads the beginning alone"
    assert float(whole @ changed) < 0.97
    assert float(whole @ alone) > 0.8
    np.testing.assert_allclose([np.linalg.norm(vector) for vector in (whole, changed, alone, odd)], 1, atol=1e-5)


@pytest.mark.model
def test_a_text_that_the_encoder_sees_nothing_of_is_like_nothing(embedder: Embedder) -> None:
    nothing, red = embed_whole(embedder, ["\u200b\u200b", "red"])
    assert not nothing.any()
    assert float(nothing @ red) == 0.0
