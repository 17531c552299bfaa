from __future__ import annotations

from collections.abc import Mapping

import pytest

from journeyman.knowledge.document import Document
from journeyman.knowledge.parse.obsidian import read_note
from journeyman.knowledge.parse.vault import Place, Vault

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


@pytest.fixture
def vault(documents: dict[str, Document]) -> Vault:
    return Vault(documents.values())


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


def read(documents: Mapping[str, Document], place: Place | None) -> str:
    assert place is not None
    return documents[place.document].text[place.start : place.end]


def test_targets_lead_to_notes_sections_and_blocks(vault: Vault, documents: dict[str, Document]) -> None:
    def found(target: str, source: str = "v/Home.md") -> str:
        return read(documents, vault.resolve(target, source))

    bread = documents["v/recipes/Bread.md"].text
    for target in ("Bread", "bread.md", "recipes/Bread", "RECIPES/bread", "/recipes/Bread", "./recipes/Bread.md"):
        assert found(target) == bread
    assert found("Bread#dough") == "Dough\nFlour and water. ^flour\n\n### Rest\nAn hour."
    assert found("Bread#Dough#Rest") == "Rest\nAn hour."
    assert found("Bread#Nowhere") == bread
    assert found("Bread#^flour") == "Flour and water."
    assert found("Bread#^OVEN") == "- heat the oven\n  to the top"
    assert found("Bread#^table") == "| t | m |\n|---|---|\n| 1 | 2 |"
    assert found("#Later") == "Later\nthe end #tag/one"
    assert found("the beginning", "v/a/Tea.md").startswith("---\naliases")
    assert found("scan.pdf") == "scanned"
    assert found("../Home", "v/a/Tea.md").startswith("---\naliases")
    for target in ("Nothing", "http://x.y/Bread", "mailto:Bread", "recipes/Tea", ""):
        assert vault.resolve(target, "") is None


def test_a_name_of_several_notes_is_said(vault: Vault, documents: dict[str, Document]) -> None:
    assert read(documents, vault.resolve("Tea", "v/Home.md")) == "green"
    assert read(documents, vault.resolve("Tea", "v/b/Tea.md")).startswith("black")
    assert read(documents, vault.resolve("b/Tea", "v/Home.md")).startswith("black")
    assert vault.notes == (
        "[[Tea]] is the name of 2 documents; v/a/Tea.md was taken in v/Home.md",
        "[[Tea]] is the name of 2 documents; v/b/Tea.md was taken in v/b/Tea.md",
    )


def test_backlinks(vault: Vault) -> None:
    assert [(name, link.target) for name, link in vault.backlinks("v/recipes/Bread.md")] == [
        ("v/Home.md", target)
        for target in ("recipes/Bread", "BREAD#Dough", "recipes/Bread.md#dough", "Bread", "Bread#^oven")
    ]
    assert [name for name, _ in vault.backlinks("v/Home.md")] == ["v/recipes/Bread.md"]
    assert [name for name, _ in vault.backlinks("v/a/Tea.md")] == ["v/Home.md", "v/b/Tea.md"]
    assert vault.backlinks("v/nothing.md") == []


def test_embeds_come_in_place_and_circles_end(vault: Vault, documents: dict[str, Document]) -> None:
    places = vault.expand("v/recipes/Bread.md")
    names = [place.document for place in places]
    assert names[:2] == ["v/recipes/Bread.md", "v/Home.md"]
    assert read(documents, places[0]).startswith("# Bread")
    texts = [read(documents, place) for place in places]
    assert texts.index("- heat the oven\n  to the top") < texts.index("scanned")
    assert len(places) == len(set(places))
    assert vault.expand("v/recipes/Bread.md", most=2) == places[:2]


@pytest.mark.timeout(20)
def test_many_embeds_of_embeds_do_not_explode() -> None:
    notes = {f"{number}.md": f"![[{number + 1}]] and ![[{number + 1}]] " * 5 for number in range(400)}
    vault = Vault(make(notes).values())
    assert len(vault.expand("0.md", most=10_000)) <= 10_000
    circle = Vault(make({"a.md": "![[b]]", "b.md": "![[a]]"}).values())
    assert circle.expand("a.md") == []


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    ["[[" * 50_000, "#" * 100_000, " #1" * 30_000, "#a/" * 30_000, "[[a|" * 30_000, "^a " * 30_000, "- ^a\n" * 5_000],
)
def test_hostile_notes(text: str) -> None:
    document = read_note("a.md", text.encode())
    assert document.text == text
    Vault([document]).resolve("a#^x", "a.md")
