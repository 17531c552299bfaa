"""What an index has learned: kept in its file, used by its search, switched off and taken out."""

from pathlib import Path

import numpy as np
import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.chunk.chunk import Chunk
from journeyman.knowledge.document import Block, Document
from journeyman.knowledge.index.file import Index, Origin, Ready, open_index
from journeyman.knowledge.retrieve.recipe import Recipe
from journeyman.knowledge.retrieve.search import Search
from journeyman.knowledge.retrieve.tuned import Tuned, count_look, drop_tuned, read_tuned, write_tuned

WORDS = ("apple", "brick", "cloud", "drum")
SWAP = np.eye(4, dtype=np.float32)[[1, 0, 2, 3]]  # questions about apples are answered by bricks
TUNED = Tuned(SWAP, 0.9, "sha256:ab", 120)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "index.db"
    with open_index(path, is_writer=True) as index:
        for row, word in enumerate(WORDS):
            key = word.encode().ljust(16)
            document = Document(f"{word}.md", "text/markdown", word, (Block("paragraph", 0, len(word)),))
            ready = [Ready(Chunk(0, len(word)), "", word, key)]
            index.put(
                Origin("/d", f"{word}.md", "s", "h", "md:1"), document, ready, {key: np.eye(4, dtype=np.float32)[row]}
            )
    return path


def first(index: Index, recipe: Recipe) -> str:
    search = Search(index, lambda texts: np.array([np.eye(4, dtype=np.float32)[WORDS.index(text)] for text in texts]))
    return search.find("apple", recipe)[0].text


def test_what_was_learned_is_used_switched_off_and_taken_out(path: Path) -> None:
    dense, off = Recipe(ranker="dense", is_blended=False), Recipe(ranker="dense", is_blended=False, is_tuned=False)
    with open_index(path) as reading:
        search = Search(reading, lambda texts: np.eye(4, dtype=np.float32)[: len(texts)])
        assert search.find("?", dense)[0].text == "apple"
        with open_index(path, is_writer=True) as index:
            assert read_tuned(index) is None
            write_tuned(index, TUNED)
            found = read_tuned(index)
            assert found is not None
            assert found.turn is not None
            assert np.array_equal(found.turn, SWAP)
            assert (found.dense_weight, found.questions, found.count) == (0.9, "sha256:ab", 120)
        assert search.find("?", dense)[0].text == "brick"  # a search that is open sees what another process wrote
        assert search.find("?", off)[0].text == "apple"
        with open_index(path, is_writer=True) as index:
            assert drop_tuned(index)
            assert not drop_tuned(index)
        assert search.find("?", dense)[0].text == "apple"


def test_a_share_that_is_given_is_kept(path: Path) -> None:
    with open_index(path, is_writer=True) as index:
        write_tuned(index, Tuned(SWAP, 0.9, "h", 1))
        assert first(index, Recipe(is_blended=False)) == "brick"  # 0.9 for the vectors
        assert first(index, Recipe(is_blended=False, dense_weight=0.2)) == "apple"
        assert first(index, Recipe(is_blended=False, is_tuned=False)) == "apple"
        write_tuned(index, Tuned(None, 0.1, "h", 1))
        found = read_tuned(index)
        assert found is not None
        assert found.turn is None
        assert first(index, Recipe(is_blended=False)) == "apple"


def test_turned_vectors_have_length_one_and_nothing_stays_nothing() -> None:
    draw = np.random.default_rng(0)
    tuned = Tuned(draw.standard_normal((4, 4)).astype(np.float32), 0.5, "h", 1)
    vector = draw.standard_normal(4).astype(np.float32)
    assert np.linalg.norm(tuned.turned(vector)) == pytest.approx(1, abs=1e-6)
    zero = Tuned(np.zeros((4, 4), np.float32), 0.5, "h", 1)
    assert np.array_equal(zero.turned(vector), vector)


@pytest.mark.parametrize("damaged", ["{", "{}", '{"turn": "AAAA", "sha256": "0", "dimension": 1}', "[]"])
def test_damage_is_named_and_can_be_taken_out(path: Path, damaged: str) -> None:
    with open_index(path, is_writer=True) as index:
        with index.writing() as connection:
            connection.execute("INSERT INTO meta VALUES ('tuned', ?)", (damaged,))
        with pytest.raises(KnowledgeError, match=r"JM-972(.|\n)*knowledge tune --undo"):
            first(index, Recipe())
        assert first(index, Recipe(is_tuned=False)) == "apple"
        assert drop_tuned(index)
        assert first(index, Recipe()) == "apple"


def test_looks_are_counted_once_each(path: Path) -> None:
    with open_index(path, is_writer=True) as index:
        assert [count_look(index, look) for look in ("a", "b", "a", "c", "b")] == [0, 1, 0, 2, 1]
        write_tuned(index, TUNED)
        drop_tuned(index)
        assert count_look(index, "d") == 3
