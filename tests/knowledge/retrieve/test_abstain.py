"""The bound below which a question is refused, and the evidence that is held against it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.knowledge.chunk.chunk import Chunk
from journeyman.knowledge.document import Document
from journeyman.knowledge.index.file import Index, Origin, Ready, open_index
from journeyman.knowledge.retrieve.abstain import LEAST_HALF, choose_least, judge_evidence, try_abstention
from journeyman.knowledge.retrieve.filters import Filter
from journeyman.knowledge.retrieve.lexical import Words
from journeyman.knowledge.retrieve.recipe import Recipe
from journeyman.knowledge.retrieve.search import Search
from journeyman.knowledge.retrieve.trial import Gold, Question

scores = st.lists(st.integers(0, 12).map(float), min_size=1, max_size=12)


@given(scores, scores)
def test_no_other_bound_is_better(inside: list[float], outside: list[float]) -> None:
    def worth(bound: float) -> float:
        return float(np.mean(np.array(inside) >= bound) + np.mean(np.array(outside) < bound))

    least = choose_least(np.array(inside), np.array(outside))
    every = [value + step for value in (*inside, *outside) for step in (-0.5, 0.0, 0.5)]
    assert worth(least) == pytest.approx(max(worth(bound) for bound in every))


@pytest.mark.parametrize("count", [2 * LEAST_HALF, 2 * LEAST_HALF - 1])
def test_what_is_shown_chose_nothing(count: int) -> None:
    draw = np.random.default_rng(1)
    inside, outside = draw.normal(0.7, 0.1, count), draw.normal(0.5, 0.1, count)
    told = judge_evidence(inside, outside, is_left_out=False)
    assert told is not None
    assert told.is_held_out is (count == 2 * LEAST_HALF)
    assert told.answered.n == told.refused.n == (count // 2 if told.is_held_out else count)
    assert 0.7 < told.accuracy <= 1
    assert told.answered.interval.low < told.answered.value <= told.answered.interval.high
    assert judge_evidence(inside, np.zeros(count), is_left_out=True) is None
    alone = judge_evidence(inside, np.zeros(count), is_left_out=False)
    assert alone is not None
    assert alone.accuracy == 1


def test_known_unanswerable_questions_are_used_else_documents_are_left_out() -> None:
    asked: list[tuple[str, Collection[int]]] = []

    def weigh(question: str, recipe: Recipe, where: Filter | None, without: Collection[int]) -> float:
        asked.append((question, without))
        return 0.2 if without or question == "no" else 0.9

    yes, no = Question("yes", (Gold(3, 0, 1), Gold(5, 0, 1))), Question("no", ())
    told = try_abstention(weigh, Recipe(), [yes, no])
    assert told is not None
    assert (told.is_left_out, told.accuracy) == (False, 1.0)
    assert asked == [("yes", ()), ("no", ())]
    asked.clear()
    told = try_abstention(weigh, Recipe(), [yes])
    assert told is not None
    assert told.is_left_out
    assert asked == [("yes", ()), ("yes", {3, 5})]
    assert try_abstention(weigh, Recipe(), [no]) is None


TEXTS = {
    "tea.md": "green tea is steeped for two minutes",
    "roof.md": "the roof was mended with slate",
    "moon.md": "the moon pulls the tides",
}
AXES = np.eye(4, dtype=np.float32)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    made = open_index(tmp_path / "index.db", is_writer=True)
    for number, (name, text) in enumerate(TEXTS.items()):
        key = name.encode().ljust(16)
        ready = [Ready(Chunk(0, len(text)), "", text, key)]
        made.put(Origin("/r", name, "", "", "t:1"), Document(name, "text/plain", text, ()), ready, {key: AXES[number]})
    return made


def test_evidence_is_of_what_is_found_and_of_nothing_that_is_left_out(index: Index) -> None:
    search = Search(index, lambda texts: np.stack([AXES[0] if "tea" in text else AXES[3] for text in texts]))
    hybrid, words = Recipe(), Recipe(ranker="lexical")
    known, unknown = "how long is green tea steeped?", "who wrote the anthem?"
    assert search.weigh(known, Recipe(ranker="dense"), None) == pytest.approx(1, abs=1e-3)
    assert 0 < search.weigh(known, words) <= 1
    assert search.weigh(known, hybrid) > 0.7 > search.weigh(unknown, hybrid) == 0
    assert search.weigh(known, hybrid, None, {1}) < search.weigh(known, hybrid)
    assert search.weigh(known, hybrid, {"name": "tea.md"}, {1}) == 0
    assert [found.piece.document for found in search.find(known, Recipe(least=0.5))][:1] == [1]
    assert search.find(unknown, Recipe(least=0.5)) == []
    assert search.find(unknown, hybrid) != []


def test_no_chunk_scores_more_than_the_share_says(index: Index) -> None:
    words = Words(index)
    for question in ("green tea", "tea steeped minutes", "roof", "roof tea moon"):
        best = words.rank(question, 1)[0].score
        assert 0 < words.share(question, best) <= 1
    assert words.share("", 1.0) == 0
    assert words.share("zebra", 0.0) == 0
