"""Scores of passages against sets of characters, and the choice of a recipe."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.knowledge.index.file import Piece
from journeyman.knowledge.retrieve.filters import Filter
from journeyman.knowledge.retrieve.grid import LEAST_HALF, choose, compare_recipes, make_grid
from journeyman.knowledge.retrieve.recipe import Recipe
from journeyman.knowledge.retrieve.search import Found
from journeyman.knowledge.retrieve.trial import Gold, Question, Scores, score

spans = st.lists(st.tuples(st.integers(1, 2), st.integers(0, 30), st.integers(1, 12)), max_size=5)


def make_found(document: int, start: int, end: int) -> Found:
    return Found(Piece(1, document, 0, start, end, 0, (), ""), 1.0, start, end, "")


@given(found=spans, gold=spans.filter(bool))
def test_scores_are_those_of_sets_of_characters(
    found: list[tuple[int, int, int]], gold: list[tuple[int, int, int]]
) -> None:
    passages = [make_found(document, start, start + length) for document, start, length in found]
    right = [Gold(document, start, start + length) for document, start, length in gold]
    wanted = {(item.document, at) for item in right for at in range(item.start, item.end)}
    taken = [{(item.piece.document, at) for at in range(item.start, item.end)} for item in passages]
    read = set().union(*taken)
    scores = score(passages, right)
    assert scores.recall == pytest.approx(len(wanted & read) / len(wanted))
    assert scores.precision == pytest.approx(len(wanted & read) / len(read) if read else 0)
    assert scores.iou == pytest.approx(len(wanted & read) / len(wanted | read))
    assert scores.read == len(read)
    first = next((rank for rank, some in enumerate(taken, 1) if some & wanted), None)
    assert scores.reciprocal == (1 / first if first else 0)


def make_scores(recall: Sequence[float], read: int, ms: float = 1.0) -> list[Scores]:
    return [Scores(value, value, value, value, read, ms) for value in recall]


def test_the_cheapest_that_is_not_worse_is_recommended() -> None:
    draw = np.random.default_rng(1)
    good = (draw.random(400) < 0.9).astype(float)
    nearly = good.copy()
    nearly[:2] = 0
    bad = (draw.random(400) < 0.6).astype(float)
    rows = np.arange(400)
    tried = {"long": make_scores(good, 5000), "short": make_scores(nearly, 1000), "bad": make_scores(bad, 100)}
    assert choose(tried, rows) == ("long", "short")
    fast = {"slow": make_scores(good, 1000, 9.0), "fast": make_scores(good, 1010, 2.0)}
    assert choose(fast, rows)[1] == "fast"


@pytest.mark.parametrize("count", [2 * LEAST_HALF, 2 * LEAST_HALF - 1])
def test_figures_are_of_questions_that_chose_nothing(count: int) -> None:
    asked: list[str] = []

    def find(question: str, recipe: Recipe, where: Filter | None) -> list[Found]:
        asked.append(question)
        return [make_found(1, 0, 10)] if recipe.ranker == "lexical" or int(question) % 2 else []

    questions = [Question(str(number), (Gold(1, 0, 10),)) for number in range(count)]
    grid = {"vectors": Recipe(ranker="dense"), "words": Recipe(ranker="lexical")}
    compared = compare_recipes(find, grid, questions)
    assert len(asked) == 2 * count
    assert compared.best == compared.recommended == "words"
    assert compared.is_held_out is (count == 2 * LEAST_HALF)
    assert compared.rows[0].n == (count // 2 if compared.is_held_out else count)
    assert compared.rows[1].recall.value == 1
    assert compared.rows[0].difference.interval.high < 0
    assert compared.rows[0].difference.value == pytest.approx(compared.rows[0].recall.value - 1)


def test_the_grid_has_every_ranker_and_keeps_its_size() -> None:
    grid = make_grid(7)
    assert {recipe.ranker for recipe in grid.values()} == {"lexical", "dense", "hybrid"}
    assert {recipe.top for recipe in grid.values()} == {7}
    assert len(set(grid.values())) == len(grid)
