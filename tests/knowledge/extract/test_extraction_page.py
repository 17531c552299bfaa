"""The page of extracted values: everything is marked, and nothing that a document says is more than text."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from journeyman.knowledge.extract.page import cut_pieces, open_page
from journeyman.knowledge.extract.place import place
from tests.knowledge.extract.documents import SCHEMA, document

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)"> Number "><b>A-1 & 9.50'


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _value in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_no_script_of_a_document_reaches_the_page(tmp_path: Path) -> None:
    whole = document(HOSTILE)
    with open_page(tmp_path / "page.html") as page:
        page.add(whole, place({"number": '"><b>A-1', "total": 9.5, "phone": "<script>"}, SCHEMA, whole))
        page.refuse("<script>x.pdf", "JM-920 <b>locked</b>")
    written = (tmp_path / "page.html").read_text()
    seen = Tags()
    seen.feed(written)
    assert "default-src 'none'" in written
    assert not {"script", "img", "b", "link", "iframe"} & set(seen.tags)
    assert seen.attributes <= {"lang", "charset", "http-equiv", "content", "name", "class", "href", "title", "id"}
    assert HOSTILE in seen.text
    assert seen.tags.count("mark") == 3 + 3


def test_pieces_are_the_whole_text_and_values_may_lie_in_each_other() -> None:
    whole = document("Sum 12.50 EUR of A-1")
    placed = place({"total": 12.5, "currency": "EUR", "number": "12.50 EUR"}, SCHEMA, whole)
    pieces = cut_pieces(whole.text, placed)
    assert "".join(piece.text for piece in pieces) == whole.text
    assert [(piece.text, piece.paths) for piece in pieces if piece.status] == [
        ("12.50", "total, number"),
        (" ", "number"),
        ("EUR", "number, currency"),
    ]
    assert sum(len(piece.begins) for piece in pieces) == 3


def test_a_page_that_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), open_page(path):
        raise ZeroDivisionError
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]
