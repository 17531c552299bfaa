from __future__ import annotations

from collections.abc import Mapping

import pytest

from journeyman.knowledge.document import Block, Document
from journeyman.knowledge.links.names import Names, Note
from journeyman.knowledge.links.vault import Place, Vault
from journeyman.knowledge.parse.obsidian import read_note

NOTES = {
    "v/Home.md": """---
aliases: Start, The Beginning
tags: [area/home, '#top']
---
# Home
See [[recipes/Bread|our bread]], [[BREAD#Dough]], [[Tea]], [[Start]], [[#Later]], [md](recipes/Bread.md#dough).
In a table:

| a | b |
|---|---|
| [[Bread\\|x]] | #in-table |

`[[not code]]` and #tag/one but not #123, a#b or `#code`.

```
[[not code]] #not
```

> [!Warning]+ Title
> body ![[Bread#^oven]]

## Later
the end #tag/one
""",
    "v/recipes/Bread.md": """# Bread
intro

## Dough
Flour and water. ^flour

### Rest
An hour.

## Baking
- heat the oven
  to the top ^oven
- bake

| t | m |
|---|---|
| 1 | 2 |

^table

![[Home]] ![[Bread]] ![[scan.pdf]]
""",
    "v/a/Tea.md": "green",
    "v/b/Tea.md": "black [[Tea]] ![[../a/Tea]]",
    "v/scan.pdf": "scanned",
}


def make(notes: Mapping[str, str]) -> dict[str, Document]:
    return {name: read_note(name, text.encode()) for name, text in notes.items()}


@pytest.fixture
def documents() -> dict[str, Document]:
    return make(NOTES)


class Notes:
    """A vault of documents in memory, asked by their names."""

    def __init__(self, documents: Mapping[str, Document], roots: Mapping[str, str] | None = None) -> None:
        self.documents = documents
        self.names = list(documents)
        made = (
            Note(id, (roots or {}).get(name, "v"), name, aliases(documents[name])) for id, name in enumerate(self.names)
        )
        self.vault = Vault(Names(made), self.read, lambda id: self.read(id).links)

    def read(self, id: int) -> Document:
        return self.documents[self.names[id]]

    def text(self, place: Place | None) -> str:
        assert place is not None
        return self.read(place.document).text[place.start : place.end]

    def place(self, target: str, source: str = "v/Home.md") -> Place | None:
        return self.vault.resolve(target, self.names.index(source) if source else None).place

    def found(self, target: str, source: str = "v/Home.md") -> str:
        return self.text(self.place(target, source))

    def others(self, target: str, source: str) -> list[str]:
        return [self.names[id] for id in self.vault.resolve(target, self.names.index(source)).others]

    def embedded(self, name: str, most: int = 500) -> list[Place]:
        id = self.names.index(name)
        return self.vault.embedded(Place(id, 0, len(self.read(id).text)), most)


def aliases(document: Document) -> tuple[str, ...]:
    found = document.facts.get("aliases", ())
    return found if isinstance(found, tuple) else (str(found),)


@pytest.fixture
def notes(documents: dict[str, Document]) -> Notes:
    return Notes(documents)


def test_a_note_has_its_links_tags_and_facts(documents: dict[str, Document]) -> None:
    home = documents["v/Home.md"]
    assert [(link.target, link.kind) for link in home.links] == [
        ("recipes/Bread", "link"),
        ("BREAD#Dough", "link"),
        ("Tea", "link"),
        ("Start", "link"),
        ("#Later", "link"),
        ("recipes/Bread.md#dough", "link"),
        ("Bread", "link"),
        ("in-table", "tag"),
        ("tag/one", "tag"),
        ("Bread#^oven", "embed"),
        ("tag/one", "tag"),
    ]
    assert home.text[home.links[0].start : home.links[0].end] == "[[recipes/Bread|our bread]]"
    assert home.facts == {
        "tags": ("area/home", "top", "in-table", "tag/one"),
        "aliases": ("Start", "The Beginning"),
        "callouts": ("warning",),
    }


def test_targets_lead_to_notes_sections_and_blocks(notes: Notes) -> None:
    bread = notes.documents["v/recipes/Bread.md"].text
    for target in ("Bread", "bread.md", "recipes/Bread", "RECIPES/bread", "/recipes/Bread", "./recipes/Bread.md"):
        assert notes.found(target) == bread
    assert notes.found("Bread#dough") == "Dough\nFlour and water. ^flour\n\n### Rest\nAn hour."
    assert notes.found("Bread#Dough#Rest") == "Rest\nAn hour."
    assert notes.found("Bread#Nowhere") == bread
    assert notes.vault.resolve("Bread#Nowhere", 0).lacks == "Nowhere"
    assert notes.vault.resolve("Bread#Dough", 0).lacks == ""
    assert notes.found("Bread#^flour") == "Flour and water."
    assert notes.found("Bread#^OVEN") == "- heat the oven\n  to the top"
    assert notes.found("Bread#^table") == "| t | m |\n|---|---|\n| 1 | 2 |"
    assert notes.found("#Later") == "Later\nthe end #tag/one"
    assert notes.found("the beginning", "v/a/Tea.md").startswith("---\naliases")
    assert notes.found("scan.pdf") == "scanned"
    assert notes.found("../Home", "v/a/Tea.md").startswith("---\naliases")
    for target in ("Nothing", "http://x.y/Bread.md", "mailto:Bread", "recipes/Tea", "./Bread"):
        assert notes.place(target) is None
    assert notes.place("", "") is None


def test_of_several_notes_of_a_name_the_nearest_is_meant(notes: Notes) -> None:
    assert notes.found("Tea") == "green"
    assert notes.others("Tea", "v/Home.md") == ["v/b/Tea.md"]
    assert notes.found("Tea", "v/b/Tea.md").startswith("black")
    assert notes.others("Tea", "v/b/Tea.md") == ["v/a/Tea.md"]
    assert notes.found("b/Tea").startswith("black")
    assert notes.others("b/Tea", "v/Home.md") == []


def test_a_whole_path_leaves_no_doubt_and_an_ending_is_read_beside_the_note_first() -> None:
    names = ("v/Tea.md", "v/a/Tea.md", "v/x/a/Tea.md", "v/x/Tea.md", "v/x/At.md")
    notes = Notes(make({name: name for name in names}))
    for target, found in (
        ("Tea", "v/Tea.md"),
        ("a/Tea", "v/a/Tea.md"),
        ("Tea.md", "v/x/Tea.md"),
        ("a/Tea.md", "v/x/a/Tea.md"),
        ("./Tea", "v/x/Tea.md"),
        ("../a/Tea", "v/a/Tea.md"),
    ):
        assert (notes.found(target, "v/x/At.md"), notes.others(target, "v/x/At.md")) == (found, [])


def test_notes_that_were_added_together_come_first() -> None:
    notes = Notes(
        make({"a/One.md": "[[Two]]", "b/Two.md": "b", "a/x/Two.md": "a", "c/Three.md": "c"}),
        {"b/Two.md": "b", "c/Three.md": "c"},
    )
    assert notes.found("Two", "a/One.md") == "a"
    assert notes.others("Two", "a/One.md") == ["b/Two.md"]
    assert notes.found("Three", "a/One.md") == "c"


def test_pages_of_documents_that_have_some() -> None:
    blocks = (Block("paragraph", 0, 3, page=1), Block("paragraph", 4, 7, page=2), Block("paragraph", 8, 13, page=2))
    paper = Document("v/p.pdf", "application/pdf", "one two three", blocks, pages=((1, 1), (1, 1)))
    notes = Notes({"v/p.pdf": paper, "v/Home.md": read_note("v/Home.md", b"")})
    assert notes.found("p.pdf#page=2") == "two three"
    assert notes.found("p.pdf#page=9") == "one two three"
    assert [notes.vault.resolve(target, 1).lacks for target in ("p.pdf#page=9", "p.pdf#view")] == ["page=9", ""]


def test_embeds_follow_each_other_and_circles_end(notes: Notes) -> None:
    texts = [notes.text(place) for place in notes.embedded("v/recipes/Bread.md")]
    assert texts[0].startswith("---\naliases")
    assert texts[1:] == ["scanned"], "a block of the note itself is read already"
    assert [notes.text(place) for place in notes.embedded("v/Home.md")] == ["- heat the oven\n  to the top"]
    assert len(notes.embedded("v/recipes/Bread.md", most=1)) == 1


def test_what_a_note_does_not_have_is_not_embedded() -> None:
    notes = Notes(make({"v/a.md": "![[b#Gone]] ![[b#^no]] ![[b#Here]]", "v/b.md": "# Here\nx\n# There\ny"}))
    assert [notes.text(place) for place in notes.embedded("v/a.md")] == ["Here\nx"]


@pytest.mark.timeout(20)
def test_many_embeds_of_embeds_do_not_explode() -> None:
    many = {f"{number}.md": f"![[{number + 1}]] and ![[{number + 1}]] " * 5 for number in range(400)}
    assert len(Notes(make(many)).embedded("0.md", most=10_000)) == 399
    assert len(Notes(make({"a.md": "![[b]]", "b.md": "![[a]]"})).embedded("a.md")) == 1


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    ["[[" * 50_000, "#" * 100_000, " #1" * 30_000, "#a/" * 30_000, "[[a|" * 30_000, "^a " * 30_000, "- ^a\n" * 5_000],
)
def test_hostile_notes(text: str) -> None:
    document = read_note("a.md", text.encode())
    assert document.text == text
    Notes({"a.md": document}).place("a#^x", "a.md")
