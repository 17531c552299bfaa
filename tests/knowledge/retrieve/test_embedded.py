"""Passages with what they embed, each where it stands in its own document."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from journeyman.knowledge.index.file import Index, open_index
from journeyman.knowledge.retrieve.recipe import Recipe
from journeyman.knowledge.retrieve.search import Found, Search
from tests.knowledge.links.test_shelf import put

NOTES = {
    "v/Trip.md": "---\nlang: en\n---\nThe trip to the lighthouse: ![[Boat#Times]] ![[Gone]] ![[Rules#^dogs]]\n\nAnother paragraph about nothing.",
    "v/Boat.md": "---\nlang: en\n---\n# Fares\n\nFour guilders.\n\n# Times\n\nAt dawn. ![[Rules]]\n\nAnd at dusk. ![[Trip]]",
    "v/Rules.md": "---\nlang: de\n---\nNo smoking.\n\nDogs on a leash. ^dogs",
    "v/Long.md": "The archive: ![[Roll]]",
    "v/Alone.md": "What the keeper wrote about oil.\n\n![[Boat#Fares]]\n![[Rules#^dogs]]\n\nSee also ![[Trip]] for more.",
    "v/Roll.md": "\n\n".join(f"Entry {number} of the roll of names and of numbers." * 4 for number in range(40)),
}


@pytest.fixture
def index(tmp_path: Path) -> Index:
    made = open_index(tmp_path / "index.db", is_writer=True)
    for name, text in NOTES.items():
        put(made, name, text)
    return made


def read(index: Index, found: list[Found]) -> list[tuple[str, str]]:
    """Names and texts, each looked up in its document."""
    told = []
    for item in found:
        document = index.document(item.piece.document)
        assert item.text == document.text[item.start : item.end]
        assert item.piece.start < item.end
        assert item.start < item.piece.end
        told.append((document.name.removeprefix("v/").removesuffix(".md"), item.text))
    return told


def test_what_is_embedded_follows_as_passages_of_its_own(index: Index) -> None:
    search = Search(index, None)
    recipe = Recipe(ranker="lexical", top=1, has_embeds=True)
    found = search.find("trip to the lighthouse", recipe)
    assert read(index, found) == [
        ("Trip", "The trip to the lighthouse: ![[Boat#Times]] ![[Gone]] ![[Rules#^dogs]]"),
        ("Boat", "Times\n\nAt dawn. ![[Rules]]\n\nAnd at dusk. ![[Trip]]"),
        ("Rules", "No smoking.\n\nDogs on a leash. ^dogs"),
    ]
    assert [item.is_embedded for item in found] == [False, True, True]
    assert found[0] == search.find("trip to the lighthouse", Recipe(ranker="lexical", top=1))[0]


def test_a_note_that_embeds_its_host_is_not_read_again(index: Index) -> None:
    names = [
        name
        for name, _ in read(
            index, Search(index, None).find("dusk", Recipe(ranker="lexical", top=1, window=9, has_embeds=True))
        )
    ]
    assert names == ["Boat", "Rules", "Trip"]


def test_conditions_hold_for_what_is_embedded_too(index: Index) -> None:
    found = Search(index, None).find("lighthouse trip", Recipe(top=1, has_embeds=True), {"lang": "en"})
    assert [name for name, _ in read(index, found)] == ["Trip", "Boat"]


def test_no_text_comes_twice(index: Index) -> None:
    for question in ("dogs leash", "dawn dusk trip", "guilders dogs smoking trip"):
        found = Search(index, None).find(question, Recipe(top=4, has_embeds=True))
        spans = sorted((item.piece.document, item.start, item.end) for item in found)
        assert len(spans) > 1
        assert all(one[0] != other[0] or one[2] <= other[1] for one, other in pairwise(spans)), question


def test_lines_of_embeds_alone_belong_to_what_stands_above(index: Index) -> None:
    found = Search(index, None).find("keeper oil", Recipe(ranker="lexical", top=1, has_embeds=True))
    assert [text for _, text in read(index, found)][1:] == ["Fares\n\nFour guilders.", "Dogs on a leash."]


def test_of_a_long_note_the_beginning_is_read(index: Index) -> None:
    found = Search(index, None).find("the archive", Recipe(ranker="lexical", top=1, has_embeds=True))
    assert [name for name, _ in read(index, found)] == ["Long", "Roll"]
    assert found[1].text.startswith("Entry 0 ")
    assert 1500 < len(found[1].text) <= 2000
    assert found[1].text.endswith("numbers.")
