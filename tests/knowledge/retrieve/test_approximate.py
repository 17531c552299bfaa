"""Candidates from a graph or a database: as many rows as there are, with the scores of the exact search, whatever has come, left or broken since."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.knowledge.index.file import open_index
from journeyman.knowledge.index.matrix import Floats, Ids, Vectors, read_blended, read_documents
from journeyman.knowledge.retrieve import approximate
from journeyman.knowledge.retrieve.approximate import Approximate
from journeyman.knowledge.retrieve.dense import Exact, pick, rank_dense
from journeyman.knowledge.retrieve.recipe import Recipe
from journeyman.knowledge.retrieve.search import Search
from tests.knowledge.retrieve.made import draw, put_chunks, rank_exactly


class Some:
    """Candidates that are a random part of what was there at one time."""

    def __init__(self, ids: Ids, known: int, seed: int) -> None:
        self._ids, self._known, self._draw = ids, known, np.random.default_rng(seed)

    def renew(self) -> int:
        return self._known

    def find(self, vector: Floats, most: int, allowed: Sequence[int] | None = None) -> Ids:
        return self._draw.permutation(self._ids)[:most]


def test_a_part_of_the_vectors_is_blended_as_the_whole_is(tmp_path: Path) -> None:
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        for number, count in enumerate((1, 7, 30, 2, 12)):
            put_chunks(index, f"d{number}", draw(count, number))
        index.remove("/made", ["d1"])
        whole = Vectors(index).current(is_blended=True)
        for seed in range(20):
            wanted = np.random.default_rng(seed).choice(60, 9, replace=False).astype(np.int64)
            part = read_blended(index, wanted)
            assert part.ids.tolist() == sorted(set(wanted.tolist()) & set(whole.ids.tolist()))
            assert np.array_equal(part.vectors, pick(whole, part.ids.tolist()))
        some = read_documents(index, [3, 5])
        assert np.array_equal(some.vectors, whole.vectors[np.isin(whole.documents, [3, 5])])
        assert len(some) == 42


@given(
    seed=st.integers(0, 1000),
    depth=st.integers(1, 40),
    known=st.integers(1, 200),
    stale=st.integers(0, 40),
    share=st.sampled_from([None, 0.0, 0.1, 0.5, 1.0]),
    few=st.sampled_from([0, 30]),
)
def test_never_fewer_rows_than_there_are_and_the_scores_are_exact(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    depth: int,
    known: int,
    stale: int,
    share: float | None,
    few: int,
) -> None:
    path = tmp_path_factory.mktemp("index") / "index.db"
    with pytest.MonkeyPatch.context() as patch, open_index(path, is_writer=True) as index:
        patch.setattr(approximate, "FEW", few)
        documents = [put_chunks(index, f"d{number}", draw(5, seed + number, 4)) for number in range(20)]
        index.remove("/made", ["d3", "d11"])
        ids = np.arange(1, min(known, 100 + stale) + 1, dtype=np.int64)
        candidates = Some(ids, known, seed)
        near = Approximate(index, candidates, Exact(Vectors(index), is_blended=True))
        allowed = None if share is None else documents[: int(share * len(documents))]
        question = draw(1, seed, 4)[0]
        found = near.rank(question, depth, allowed)
        every = {hit.id: hit.score for hit in rank_exactly(index, question, 1000, allowed)}
    assert len(found) == min(depth, len(every)), "as many as there are"
    assert len({hit.id for hit in found}) == len(found)
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    for hit in found:
        assert hit.id in every, "not what has left, and not what a filter leaves out"
        assert hit.score == pytest.approx(every[hit.id], abs=1e-5)


def test_a_small_index_asks_no_candidates(tmp_path: Path) -> None:
    class Never(Some):
        def renew(self) -> int:
            raise AssertionError

    with open_index(tmp_path / "index.db", is_writer=True) as index:
        put_chunks(index, "d", draw(20, 1))
        search = Search(index, lambda texts: draw(len(texts), 2), Never(np.empty(0, np.int64), 0, 0), least=21)
        assert len(search.rank("x", Recipe(ranker="dense", top=5))) == 5
        assert len(search.rank("x", Recipe(ranker="dense", top=5, is_blended=False))) == 5


def test_passages_that_differ_are_chosen_by_the_vectors_of_either_kind(tmp_path: Path) -> None:
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        put_chunks(index, "d", draw(40, 1))
        all_of_them = Some(np.arange(1, 41, dtype=np.int64), 40, 0)
        recipe = Recipe(ranker="dense", top=8, diversity=0.4)
        exact = Search(index, lambda texts: draw(len(texts), 2)).rank("x", recipe)
        assert Search(index, lambda texts: draw(len(texts), 2), all_of_them).rank("x", recipe) == exact


def test_a_chunk_that_has_left_has_no_vector(tmp_path: Path) -> None:
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        put_chunks(index, "d", draw(3, 1))
        vectors = Vectors(index)
        taken = Exact(vectors, is_blended=False).take([99, 2])
        assert not taken[0].any()
        assert np.array_equal(taken[1], vectors.current().vectors[1])
        assert rank_dense(vectors.current().take(np.zeros(3, bool)), taken[1], 5) == []
