"""Fusion, filters, diversity and exact search against plain definitions."""

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.chunk.chunk import Chunk
from journeyman.knowledge.document import Block, Document, Fact
from journeyman.knowledge.index.file import Index, Origin, Ready, Shelved, open_index
from journeyman.knowledge.index.matrix import Matrix
from journeyman.knowledge.retrieve import lexical
from journeyman.knowledge.retrieve.dense import rank_dense
from journeyman.knowledge.retrieve.diverse import choose_diverse
from journeyman.knowledge.retrieve.filters import find_allowed
from journeyman.knowledge.retrieve.lexical import Words, find_words
from journeyman.knowledge.retrieve.ranking import Hit, fuse_ranks, fuse_scores
from journeyman.knowledge.retrieve.recipe import Recipe
from journeyman.knowledge.retrieve.search import Search

TEXTS = {
    "returns.md": ("Goods may be returned within thirty days", {"lang": "en", "year": 2021, "tags": ("sale", "law")}),
    "shipping.md": ("Parcels are shipped with a tracking number", {"lang": "en", "year": 2019}),
    "rueckgabe.md": ("Waren können dreißig Tage lang zurückgegeben werden", {"lang": "de", "year": 2021}),
    "empty.md": ("thirty parcels, thirty goods", {}),
}
AXES = {name: np.eye(4, dtype=np.float32)[row] for row, name in enumerate(TEXTS)}


@pytest.fixture
def index(tmp_path: Path) -> Index:
    made = open_index(tmp_path / "index.db", is_writer=True)
    for name, (text, facts) in TEXTS.items():
        key = name.encode().ljust(16)[:16]
        document = Document(name, "text/markdown", text, (Block("paragraph", 0, len(text)),), facts=facts)
        ready = [Ready(Chunk(0, len(text)), "", text, key)]
        made.put(Origin("/d", name, "s", "h", "markdown:1"), document, ready, {key: AXES[name]})
    return made


def names(index: Index, ids: list[int]) -> list[str]:
    known = {item.id: item.origin.name for item in index.documents()}
    return [known[piece.document] for piece in index.pieces(ids)]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"lang": "en"}, {"returns.md", "shipping.md"}),
        ({"lang": ["en", "de"], "year": 2021}, {"returns.md", "rueckgabe.md"}),
        ({"year": {"gte": 2020}}, {"returns.md", "rueckgabe.md"}),
        ({"year": {"gt": 2019, "lt": 2021}}, set()),
        ({"year": "2021"}, set()),
        ({"year": 2021.0}, {"returns.md", "rueckgabe.md"}),
        ({"tags": "law"}, {"returns.md"}),
        ({"lang": {"ne": "en"}}, {"rueckgabe.md", "empty.md"}),
        ({"lang": {"exists": False}}, {"empty.md"}),
        ({"name": {"under": "shipping.md"}}, {"shipping.md"}),
        ({"name": {"under": "ship"}}, set()),
    ],
)
def test_filters_are_exact(index: Index, where: dict[str, Fact], expected: set[str]) -> None:
    documents = {item.id: item.origin.name for item in index.documents()}
    assert {documents[id] for id in find_allowed(index.documents(), where)} == expected
    search = Search(index, lambda texts: np.ones((len(texts), 4), np.float32) / 2)
    for ranker in ("hybrid", "dense"):
        hits = search.rank("goods returned thirty parcels Tage", Recipe(ranker=ranker, top=10), where)
        assert set(names(index, [hit.id for hit in hits])) == expected


def test_an_unknown_condition_is_named() -> None:
    with pytest.raises(
        KnowledgeError, match=r"JM-955 year: unknown condition(.|\n)*expected: eq, exists(.|\n)*got: near"
    ):
        find_allowed([], {"year": {"near": 2020}})


def test_words_are_stemmed_and_grammar_is_left_out(index: Index) -> None:
    assert find_words('What is the "return" of goods?') == ["return", "goods"]
    assert find_words("to be or not to be") == ["to", "be", "or", "not"]
    assert find_words("?!") == []
    found = Words(index).rank("returning parcel", 10)
    assert set(names(index, [hit.id for hit in found])) == {"returns.md", "shipping.md", "empty.md"}
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    for hostile in ('" OR 1', "NEAR(a b)", "text:goods", "a*", "^goods", "{text above}: x", "goods\x00", "\ud800goods"):
        Words(index).rank(hostile, 10)


def test_a_window_reads_the_neighbours(tmp_path: Path) -> None:
    text = "First part. Second part. Third part."
    spans = [(0, 11), (12, 24), (25, 36)]
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        keys = [f"{start:016}".encode() for start, _ in spans]
        ready = [
            Ready(Chunk(start, end), "", text[start:end], key) for (start, end), key in zip(spans, keys, strict=True)
        ]
        vectors = dict(zip(keys, np.eye(3, dtype=np.float32), strict=True))
        index.put(Origin("/d", "a.txt", "", "", ""), Document("a.txt", "text/plain", text, ()), ready, vectors)
        search = Search(index, lambda texts: np.array([[0, 1, 0]], np.float32))
        plain = search.find("second", Recipe(top=1))[0]
        assert (plain.text, plain.start, plain.end) == ("Second part.", 12, 24)
        wide = search.find("second", Recipe(top=1, window=1))[0]
        assert (wide.text, wide.piece.number) == (text, 1)
        assert [found.text for found in search.find("part", Recipe(top=3))] == [
            "Second part.",
            "First part.",
            "Third part.",
        ]
        assert [found.text for found in search.find("part", Recipe(top=3, window=1))] == [text]


ids = st.lists(st.integers(0, 12), unique=True, max_size=8)


@given(st.lists(ids, min_size=1, max_size=3))
def test_fused_ranks_are_the_sum_of_reciprocals(rankings: list[list[int]]) -> None:
    fused = fuse_ranks([[Hit(id, -rank) for rank, id in enumerate(ranking)] for ranking in rankings])
    exact = {
        id: sum(Fraction(1, 61 + ranking.index(id)) for ranking in rankings if id in ranking)
        for id in {id for ranking in rankings for id in ranking}
    }
    assert {hit.id for hit in fused} == set(exact)
    assert all(abs(hit.score - exact[hit.id]) < 1e-12 for hit in fused)
    assert [hit.score for hit in fused] == sorted((hit.score for hit in fused), reverse=True)


def test_scores_are_scaled_before_they_are_added() -> None:
    words, vectors = [Hit(1, 20.0), Hit(2, 10.0), Hit(3, 0.0)], [Hit(2, 0.9), Hit(4, 0.5)]
    assert fuse_scores([vectors, words], [0.6, 0.4]) == [Hit(2, 0.6 + 0.4 * 0.5), Hit(1, 0.4), Hit(3, 0.0), Hit(4, 0.0)]
    assert fuse_scores([[], [Hit(5, 3.0)]], [0.5, 0.5]) == [Hit(5, 0.5)]


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 20), st.integers(0, 2**32 - 1), st.sampled_from([None, 0.05, 0.9]))
def test_exact_search_is_a_sort(count: int, most: int, seed: int, share: float | None) -> None:
    draw = np.random.default_rng(seed)
    vectors = draw.integers(-2, 3, (count, 3)).astype(np.float32)  # many equal scores
    question = draw.integers(-2, 3, 3).astype(np.float32)
    matrix = Matrix(np.arange(10, 10 + count), *2 * [np.zeros(count, np.int64)], vectors)
    allowed = None if share is None else draw.random(count) < share
    scores = {10 + row: float(vectors[row] @ question) for row in range(count) if allowed is None or allowed[row]}
    expected = sorted(scores, key=lambda id: (-scores[id], id))[:most]
    found = rank_dense(matrix, question, most, allowed)
    assert [hit.id for hit in found] == expected
    assert [hit.score for hit in found] == [scores[id] for id in expected]


def test_diversity_takes_the_best_first_and_then_what_differs() -> None:
    scores = np.array([0.9, 0.89, 0.7, 0.1], np.float32)
    vectors = np.array([[0.9, 0.436, 0], [0.89, 0.456, 0], [0.7, 0, 0.714], [0, 1, 0]], np.float32)
    assert choose_diverse(scores, vectors, 3, relevance=1.0) == [0, 1, 2]
    assert choose_diverse(scores, vectors, 3, relevance=0.5) == [0, 2, 1]
    assert choose_diverse(10 * scores + 3, vectors, 3, relevance=0.5) == [0, 2, 1]
    assert choose_diverse(scores, vectors, 9, relevance=0.5)[0] == 0
    assert choose_diverse(np.ones(2, np.float32), vectors[[0, 3]], 2) == [0, 1]
    words_first = np.array([0.2, 0.3, 0.9, 0.4], np.float32)
    assert choose_diverse(words_first, vectors, 1) == [2]


def test_shelved_documents_have_facts_of_their_own(index: Index) -> None:
    shelved: list[Shelved] = index.documents()
    assert len(find_allowed(shelved, {"media": "text/markdown", "root": "/d"})) == len(TEXTS)


@given(order=st.permutations(range(9)), window=st.integers(0, 2), top=st.integers(1, 9))
@settings(deadline=None, max_examples=25)
def test_no_passage_has_text_of_another(
    order: list[int], window: int, top: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = " ".join(f"part{number}." for number in range(9))
    with open_index(tmp_path_factory.mktemp("index") / "index.db", is_writer=True) as index:
        keys = [f"{number:016}".encode() for number in range(9)]
        ready = [
            Ready(Chunk(7 * row, 7 * row + 6), "", text[7 * row : 7 * row + 6], key) for row, key in enumerate(keys)
        ]
        vectors = {key: np.array([order[row], 1], np.float32) for row, key in enumerate(keys)}
        index.put(Origin("/d", "a.txt", "", "", ""), Document("a.txt", "text/plain", text, ()), ready, vectors)
        search = Search(index, lambda texts: np.array([[1, 0]], np.float32))
        found = search.find("?", Recipe(ranker="dense", is_blended=False, top=top, window=window))
    spans = sorted((item.start, item.end) for item in found)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    assert all(item.text == text[item.start : item.end] for item in found)
    assert all(item.start <= item.piece.start and item.piece.end <= item.end for item in found)
    assert found[0].piece.number == order.index(8)
    assert len(found) == top or (window and len(found) < top)


def test_an_empty_index_has_no_answer(tmp_path: Path) -> None:
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        search = Search(index, lambda texts: np.ones((len(texts), 4), np.float32))
        for ranker in ("hybrid", "dense", "lexical"):
            assert search.find("anything", Recipe(ranker=ranker)) == []


def test_common_words_are_left_out_where_scoring_them_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lexical, "SCORED", 6)
    texts = ["lamp red", "lamp blue", "lamp green", "lamp green old", "lamp tall"]
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        for number, text in enumerate(texts):
            key = f"{number:016}".encode()
            ready = [Ready(Chunk(0, len(text)), "", text, key)]
            document = Document(str(number), "text/plain", text, ())
            index.put(Origin("/d", str(number), "", "", ""), document, ready, {key: np.ones(2, np.float32)})

        def found(question: str) -> set[str]:
            return {piece.text for piece in index.pieces([hit.id for hit in Words(index).rank(question, 9)])}

        assert found("green lamp") == set(texts), "the two rarest count in any case"
        assert found("red blue lamp") == {"lamp red", "lamp blue"}
        assert found("red old green lamp") == {"lamp red", "lamp green", "lamp green old"}
        assert found("lamp") == set(texts)
