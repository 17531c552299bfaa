"""Links of an index while documents come, change and go."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from journeyman.knowledge.chunk.chunk import Chunk
from journeyman.knowledge.document import Document, Places
from journeyman.knowledge.index.file import Index, Origin, Ready, open_index
from journeyman.knowledge.index.packing import pack_layout, unpack_layout, unpack_links
from journeyman.knowledge.links.shelf import Shelf
from journeyman.knowledge.parse.obsidian import read_note


def put(index: Index, name: str, text: str) -> int:
    """A note, its blocks the chunks."""
    document = read_note(name, text.encode())
    keys = [f"{name:>14}{number:02}".encode() for number in range(len(document.blocks))]
    ready = [
        Ready(Chunk(block.start, block.end), "", text[block.start : block.end], key)
        for key, block in zip(keys, document.blocks, strict=True)
    ]
    vectors = {key: np.array([1, 0], np.float32) for key in keys}
    return index.put(Origin("v", name, "", "", "note:1"), document, ready, vectors)


def test_links_stay_right_while_notes_come_change_and_go(tmp_path: Path) -> None:
    with open_index(tmp_path / "index.db", is_writer=True) as writer:
        home = put(writer, "v/Home.md", "see [[Tea]] and [[Tea#^leaf]]")
        with open_index(writer.path) as reader:
            shelf = Shelf(reader)
            assert shelf.vault.resolve("Tea", home).place is None
            assert shelf.backlinks == {}
            tea = put(writer, "v/x/Tea.md", "green\n\nleaves ^leaf")
            lead = shelf.vault.resolve("Tea#^leaf", home)
            assert lead.place is not None
            assert (lead.place.document, lead.lacks) == (tea, "")
            assert [link.target for _, link in shelf.backlinks[tea]] == ["Tea", "Tea#^leaf"]
            tea = put(writer, "v/x/Tea.md", "green ^colour")
            assert shelf.vault.resolve("Tea#^leaf", home).lacks == "^leaf"
            assert [source for source, _ in shelf.backlinks[tea]] == [home, home]
            nearer = put(writer, "v/Tea.md", "black")
            assert list(shelf.backlinks) == [nearer]
            writer.remove("v", ["v/Tea.md"])
            assert list(shelf.backlinks) == [tea]
            writer.remove("v", ["v/Home.md"])
            assert shelf.backlinks == {}


def test_links_are_read_without_what_stands_behind_them() -> None:
    notes = read_note("a.md", ("[[b]] ![[c#d]] #e\n\n" * 20_000).encode())
    words = 50_000
    places = Places(np.ones((words, 2), np.int32), np.ones(words, np.int32), np.ones((words, 4), np.float32))
    packed = pack_layout(Document("a", notes.media, notes.text, notes.blocks, links=notes.links, places=places))
    assert unpack_links(packed) == unpack_layout(packed)["links"] == notes.links
    assert unpack_links(pack_layout(Document("a", "text/plain", "", ()))) == ()
