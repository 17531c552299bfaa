"""Which documents a question names, and what that changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from journeyman.knowledge.chunk.chunk import Chunk
from journeyman.knowledge.document import Document, Fact
from journeyman.knowledge.index.file import Index, Origin, Ready, open_index
from journeyman.knowledge.retrieve.inferred import Named, prefer
from journeyman.knowledge.retrieve.ranking import Hit
from journeyman.knowledge.retrieve.recipe import Recipe
from journeyman.knowledge.retrieve.search import Search

FACTS: dict[str, dict[str, Fact]] = {
    "a": {"client": "Acme", "year": 2021, "chapter": 4, "tags": ("lease", "new york"), "lang": "en"},
    "b": {"client": "Acme North", "year": 2022, "chapter": 12, "tags": ("lease",), "lang": "en"},
    "c": {"client": "The", "agent": "", "year": 2022, "is_signed": True, "modified": "2022-05-05", "lang": "en"},
}


@pytest.fixture
def index(tmp_path: Path) -> Index:
    made = open_index(tmp_path / "index.db", is_writer=True)
    for name, facts in FACTS.items():
        put(made, name, facts)
    return made


def put(index: Index, name: str, facts: dict[str, Fact]) -> None:
    longest = "as was agreed upon long ago" if name == "b" else ""
    text, key = f"the rent is due on the first day {longest}", name.encode().ljust(16)
    ready = [Ready(Chunk(0, len(text)), "", text, key)]
    document = Document(name, "text/plain", text, (), facts=facts)
    index.put(Origin("/r", name, "", "", "t:1"), document, ready, {key: np.array([1, 0], np.float32)})


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("what does ACME pay?", "a"),
        ("what does Acme-North pay?", "b"),
        ("what was due in 2022?", "bc"),
        ("what did Acme North pay in 2022?", "b"),
        ("what did Acme pay in 2022?", ""),
        ("what does chapter 12 say?", "b"),
        ("what do 12 people and 4 houses cost?", ""),
        ("a lease in New York?", "a"),
        ("who signed the contract, true or not?", ""),
        ("what is en?", ""),
        ("which agent?", ""),
        ("Acmes rent", ""),
    ],
)
def test_values_of_facts_are_named_word_for_word(index: Index, question: str, names: str) -> None:
    ids = {item.origin.name: item.id for item in index.documents()}
    assert Named(index).find(question) == sorted(ids[name] for name in names)


def test_values_that_come_later_are_known(index: Index) -> None:
    with open_index(index.path) as reader:
        named = Named(reader)
        assert named.find("what does Zenith pay?") == []
        put(index, "z", {"client": "Zenith"})
        assert len(named.find("what does Zenith pay?")) == 1


def test_what_is_named_follows_the_first_hit() -> None:
    hits = [Hit(1, 0.9), Hit(2, 0.8), Hit(3, 0.7)]
    assert [hit.id for hit in prefer(hits, [Hit(3, 1.0), Hit(7, 0.1)])] == [1, 3, 7, 2]
    assert [hit.id for hit in prefer(hits, [Hit(1, 1.0)])] == [1, 2, 3]
    assert prefer([], [Hit(4, 1.0)]) == [Hit(4, 1.0)]


def test_named_documents_come_in_and_filters_still_hold(index: Index) -> None:
    search = Search(index, None)
    recipe, question = Recipe(top=2), "when is the rent due in Acme North?"
    ids = {item.origin.name: item.id for item in index.documents()}
    plain = [found.piece.document for found in search.find(question, recipe)]
    assert ids["b"] not in plain
    assert [found.piece.document for found in search.find(question, Recipe(top=2, is_named=True))] == [
        plain[0],
        ids["b"],
    ]
    only = search.find(question, Recipe(top=2, is_named=True), {"client": "Acme"})
    assert [found.piece.document for found in only] == [ids["a"]]
