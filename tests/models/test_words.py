"""Words: terms, weights, and vectors that do not depend on what stands beside a text."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from journeyman.core.errors import ModelError
from journeyman.models.words import Words, find_terms, find_words, load_words, save_words, weigh_words
from journeyman.tuning.words import mine_patterns

TEXTS = ["Red cars, two of them", "two RED hats", "one blue car", "ﬁne blue", "one hat", ""]


def test_terms_are_words_pairs_and_letters() -> None:
    assert find_words("Two, ﬁne HATS_2!") == ["two", "fine", "hats_2"]
    assert find_words("Ümläute 東京 ١٢") == ["ümläute", "東京", "١٢"]
    assert list(find_terms(["an", "ox"])) == ["an", "ox", "an ox", "#<an", "#an>", "#<an>", "#<ox", "#ox>", "#<ox>"]


def test_weights_and_vectors() -> None:
    words = weigh_words(TEXTS)
    assert "red" in words.terms
    assert "cars" not in words.terms, "one text alone has it"
    assert words.weights[words.terms.index("red")] == pytest.approx(math.log(7 / 3) + 1, abs=1e-6)
    embedded = words.embed(TEXTS)
    vectors = embedded.vectors.toarray()  # type: ignore[union-attr]
    assert vectors.shape == (6, len(words.terms))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1, 1, 1, 0])
    assert embedded.tokens.tolist() == [5, 3, 3, 2, 2, 0]
    assert embedded.cut == []
    for row, text in enumerate(TEXTS):
        alone = words.embed([text]).vectors.toarray()  # type: ignore[union-attr]
        assert np.array_equal(alone[0], vectors[row])
    twice = words.embed(["red red"]).vectors.toarray()[0]  # type: ignore[union-attr]
    assert twice[words.terms.index("red")] > 0


def test_patterns_are_the_words_that_tell_a_class() -> None:
    texts = ["refund me please", "a refund please", "refund now please", "card lost please", "lost card please"] * 3
    labels = np.array([0, 0, 0, 1, 1] * 3)
    words = mine_patterns(texts, [labels])
    assert words.is_pattern
    assert {"refund", "card", "lost"} <= set(words.terms)
    assert "please" not in words.terms
    assert set(words.embed(["refund refund card"]).vectors.data.tolist()) == {1.0}  # type: ignore[union-attr]


def test_they_come_back_from_their_file(tmp_path: Path) -> None:
    words = weigh_words(TEXTS)
    save_words(tmp_path, words)
    assert load_words(tmp_path) == words
    assert load_words(tmp_path).id == words.id != Words(words.terms, words.weights, is_pattern=True).id
    (tmp_path / "words.json").write_text('{"edition": 1, "terms": ["a"], "weights": [], "is_pattern": false}')
    with pytest.raises(ModelError, match="JM-436"):
        load_words(tmp_path)
    with pytest.raises(ModelError, match="JM-436"):
        load_words(tmp_path / "nowhere")


def test_of_equally_common_terms_the_first_by_name_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journeyman.models.words.MOST_TERMS", 3)
    assert weigh_words(["zeta yew", "yew zeta", "ash oak", "oak ash"]).terms == ("#<as", "#<ash", "#<oa")
