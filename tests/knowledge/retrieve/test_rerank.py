"""What is told of a passage beside a question, the order that weighs it, and where search uses it."""

from pathlib import Path

import numpy as np
import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.chunk.chunk import Chunk
from journeyman.knowledge.document import Block, Document
from journeyman.knowledge.index.file import Origin, Ready, open_index
from journeyman.knowledge.retrieve.grid import make_grid
from journeyman.knowledge.retrieve.lexical import Words
from journeyman.knowledge.retrieve.pairs import NAMES, TOGETHER, Pairs, stem
from journeyman.knowledge.retrieve.ranking import Hit
from journeyman.knowledge.retrieve.recipe import Recipe
from journeyman.knowledge.retrieve.rerank import Order, read_order, reorder, write_order
from journeyman.knowledge.retrieve.search import Search
from journeyman.knowledge.retrieve.tuned import Tuned, drop_tuned, read_tuned, write_tuned

TEXTS = {
    "near.md": "Pumps and valves are everywhere, and nobody repairs them.",
    "right.md": "The old pump is repaired by Anna in Bergen.",
    "far.md": "pump " + "and so on " * TOGETHER + "repaired",
    "none.md": "Bread is baked at night.",
}
ABOVE = {"none.md": "Repairs of the pump"}
QUESTION = "who repairs the old pump?"


def unit(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle)], np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "index.db"
    with open_index(path, is_writer=True) as index:
        for row, (name, text) in enumerate(TEXTS.items()):
            key = name.encode().ljust(16)
            document = Document(name, "text/markdown", text, (Block("paragraph", 0, len(text)),))
            ready = [Ready(Chunk(0, len(text)), ABOVE.get(name, ""), text, key)]
            index.put(Origin("/d", name, "s", "h", "md:1"), document, ready, {key: unit(0.2 * row)})
    return path


def order_by(**weights: float) -> Order:
    return Order(tuple(weights.get(name, 0.0) for name in NAMES))


def test_each_number_says_what_it_is_called(path: Path) -> None:
    with open_index(path) as index:
        words = Words(index)
        by_words = words.rank(QUESTION, 10)
        hits = [Hit(id, 1 - id / 10) for id in (1, 2, 3, 4)]
        near = np.array([0.9, 0.8, 0.5, 0.4], np.float32)
        found = Pairs(index, words).describe(QUESTION, hits, near, [Hit(1, 0.9)], by_words)
        told = {name: found[:, column] for column, name in enumerate(NAMES)}
    assert told["fused"].tolist() == [hit.score for hit in hits]
    assert told["near"] == pytest.approx([0, -0.1, -0.4, -0.5], abs=1e-6)
    assert told["words"].max() == 0
    assert told["matched"].tolist() == [1, 1, 1, 1]  # the headings above are searched, too
    assert told["covered"][1] == 1  # repairs, old, pump: by their stems
    assert told["covered"][0] == told["covered"][2] == told["covered"][3] < 1
    assert told["together"][2] < told["covered"][2]  # too far from each other
    assert told["together"][1] == 1
    assert told["in_a_row"][1] == pytest.approx(0.5)  # the old, old pump; of four
    assert told["length"][3] == pytest.approx(np.log(9))
    assert told["capitals"][1] == pytest.approx(3 / 9)


def test_a_question_without_words_and_a_chunk_that_left_are_described(path: Path) -> None:
    with open_index(path) as index:
        found = Pairs(index, Words(index)).describe("?!", [Hit(1, 1.0), Hit(99, 0.5)], np.zeros(2, np.float32), [], [])
    assert np.isfinite(found).all()
    assert found[1, 4:].tolist() == [0, 0, 0, 0, 0]


def test_stems_meet() -> None:
    assert stem("repairs") == stem("repaired") == stem("repairing") == "repair"
    assert stem("is") == "is"


def test_scores_fall_in_the_new_order_and_equal_ones_stay() -> None:
    hits = [Hit(7, 0.9), Hit(8, 0.5), Hit(9, 0.4)]
    assert reorder(hits, np.array([0.0, 2.0, 1.0])) == [Hit(8, 0.9), Hit(9, 0.5), Hit(7, 0.4)]
    assert reorder(hits, np.zeros(3)) == hits


def test_search_uses_what_was_learned_as_far_as_it_is_asked_to(path: Path) -> None:
    asked = Recipe(dense_weight=1.0)
    with open_index(path) as reading:
        search = Search(reading, lambda texts: np.stack([unit(0.0)] * len(texts)))

        def names(recipe: Recipe) -> list[str]:
            return [TEXTS_BY[item.piece.text] for item in search.find(QUESTION, recipe)]

        plain = names(asked)
        assert plain[:2] == ["near.md", "right.md"]
        with pytest.raises(KnowledgeError, match=r"JM-990(.|\n)*nothing learned(.|\n)*knowledge tune"):
            names(Recipe(rerank=30))
        with open_index(path, is_writer=True) as index:
            write_tuned(index, Tuned(None, 1.0, "h", 1, order_by(covered=1.0, together=1.0)))
        assert names(asked)[0] == "right.md"
        assert sorted(names(asked)) == sorted(plain)
        assert names(Recipe(dense_weight=1.0, rerank=0)) == names(Recipe(dense_weight=1.0, rerank=1)) == plain
        assert names(Recipe(dense_weight=1.0, rerank=2))[:2] == ["right.md", "near.md"]
        assert names(Recipe(dense_weight=1.0, is_tuned=False)) == plain
        assert names(Recipe(ranker="dense"))[0] == "near.md"
        with pytest.raises(KnowledgeError, match=r"JM-990(.|\n)*got: dense"):
            names(Recipe(ranker="dense", rerank=30))
        scores = [item.score for item in search.find(QUESTION, asked)]
        assert scores == sorted(scores, reverse=True)


TEXTS_BY = {text: name for name, text in TEXTS.items()}


def test_the_order_is_kept_with_the_rest_and_damage_is_named(path: Path) -> None:
    order = order_by(fused=0.5, covered=0.25)
    assert read_order(write_order(order)) == order
    with open_index(path, is_writer=True) as index:
        write_tuned(index, Tuned(None, 0.7, "h", 3, order))
        found = read_tuned(index)
        assert found is not None
        assert found.order == order
        with index.writing() as connection:
            connection.execute("UPDATE meta SET value = replace(value, 'covered', 'uncovered') WHERE key = 'tuned'")
        with pytest.raises(KnowledgeError, match=r"JM-972(.|\n)*of other numbers"):
            read_tuned(index)
        assert drop_tuned(index)


def test_the_grid_has_it_where_there_is_one() -> None:
    assert all(recipe.rerank == 0 for recipe in make_grid().values())
    more = make_grid(has_order=True)
    assert [recipe.rerank for recipe in more.values()].count(30) == 1
    assert len(set(more.values())) == len(more)
