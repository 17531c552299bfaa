from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.knowledge.document import Document
from journeyman.knowledge.parse.html import read_html
from journeyman.knowledge.parse.html_taming import tame

PIECES = st.sampled_from(
    [
        "<div>",
        "</div>",
        "<p>",
        "</p>",
        "<b>",
        "</b>",
        "<h1>",
        "</h1>",
        "<ul>",
        "<li>",
        "</ul>",
        "<table>",
        "<tr>",
        "<td>",
        "<th>",
        "</table>",
        "<pre>",
        "</pre>",
        "<a_href=x>",
        "</a>",
        "<br>",
        "<blockquote>",
        "</blockquote>",
        "<script>evil()",
        "</script>",
        "<style>evil{}",
        "</style>",
        "<nav>",
        "</nav>",
        "<!--",
        "-->",
        "word",
        "&lt;",
        "<td_colspan=3>",
        "<svg>",
        "</svg>",
        "<caption>",
        "\n",
        " ",
        "text here ",
    ]
).map(lambda piece: piece.replace("_", " "))


def read(text: str) -> Document:
    return read_html("a.html", text.encode())


def shown(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


@given(st.lists(PIECES, max_size=40).map("".join))
def test_blocks_and_links_lie_in_the_text_and_no_markup_does(text: str) -> None:
    document = read(text)
    position = 0
    for block in document.blocks:
        assert position <= block.start < block.end
        assert not document.text[position : block.start].strip()
        assert document.text[block.start : block.end].strip()
        position = block.end
    assert position == len(document.text)
    assert not {"evil", "<b", "</", "href", "colspan"} & set(document.text.replace("(", " ").replace("{", " ").split())
    for link in document.links:
        assert any(block.start <= link.start < link.end <= block.end for block in document.blocks)
        assert link.target == "x"


def test_kinds_links_and_facts() -> None:
    document = read(
        """<!doctype html><html lang="en"><head><title>T &amp; x</title><meta name="Author" content="Ann  B">
        <meta property="article:published_time" content="2024-05-06"><meta name=description content="About">
        <script>var a = "<p>no</p>"</script><style>no</style></head><body onload="no()">
        <nav><ul><li>no</ul></nav><h1>Head  <b>one</b></h1><p>A <a href="x.html">link</a>, <a href=y>two</a><br>next &lt;b&gt;
        loose<div>in div <p>par</div> tail <a href="javascript:no()">js</a>
        <ul><li>one <a href=q>q</a><ul><li>in<li><p>in2</p></ul><li>two</ul>
        <table><caption>Cap</caption><tr><th>a<th>b</tr><tr><td>1<td><a href=c>2</a></tr><tr><td><td></tr><tr><td colspan=2>w<td>z</table>
        <table><tr><td><h2>Layout</h2><td>x</table>
        <pre>\ndef f():\n    return 1\n</pre><blockquote><p>q1</p></blockquote><div hidden>no</div>
        <p style="display: none">no</p><span aria-hidden="true">no</span><footer>no</footer><textarea><p>no</textarea>
        <dl><dt>term<dd>meaning</dl></body>"""
    )
    assert shown(document) == [
        ("heading", "Head one"),
        ("paragraph", "A link, two\nnext <b> loose"),
        ("paragraph", "in div"),
        ("paragraph", "par"),
        ("paragraph", "tail js"),
        ("list", "- one q\n  - in\n  - in2\n- two"),
        ("paragraph", "Cap"),
        ("table", "a | b\n1 | 2\nw |  | z"),
        ("heading", "Layout"),
        ("paragraph", "x"),
        ("code", "def f():\n    return 1"),
        ("quote", "q1"),
        ("list", "term\n  meaning"),
    ]
    assert [block.level for block in document.blocks if block.kind == "heading"] == [1, 2]
    assert [(document.text[link.start : link.end], link.target) for link in document.links] == [
        ("link", "x.html"),
        ("two", "y"),
        ("q", "q"),
        ("2", "c"),
    ]
    assert document.title == "T & x"
    assert document.facts == {"author": "Ann B", "date": "2024-05-06", "description": "About", "lang": "en"}
    assert document.notes == ()


def test_a_page_of_navigation_alone_is_read() -> None:
    assert shown(read("<nav><a href=x>only this</a></nav><script>no</script>")) == [("paragraph", "only this")]
    assert read("<script>no</script>").text == ""
    assert read("").blocks == ()


@pytest.mark.parametrize(
    "data",
    [
        "<meta charset=iso-8859-1><p>grün".encode("latin-1"),
        '<meta http-equiv="Content-Type" content="text/html; charset=windows-1252"><p>grün'.encode("cp1252"),
        "<p>grün".encode("utf-8-sig"),
        "<meta charset=utf-16><p>grün".encode(),
        "<meta charset=nonsense><p>grün".encode(),
        "<p>grün".encode("utf-16"),
        "<meta charset=rot13><p>grün".encode(),
    ],
)
def test_encodings(data: bytes) -> None:
    assert read_html("a.html", data).text == "grün"


N = 100_000
HOSTILE = {
    "deep": "<div>" * N + "deepest",
    "deep lists": "<ul><li>" * 30_000 + "deepest",
    "tables": "<table><tr><td>" * 20_000 + "deepest",
    "attributes": "<p " + " ".join(f"a{number}=1" for number in range(N)) + ">deepest",
    "fonts": "".join(f"<font a{number}=1>" for number in range(5_000)) + "<p>x" * 5_000 + "deepest",
    "options": "<select>" + "<option>" * N + "</select>deepest",
    "quotes": '<p a="' * N + '"><p>deepest',
    "wide": "<table>" + "<tr><td colspan=99999>x<td>y" * 500 + "</table><p>deepest",
    "foreign": "<svg>" * 30_000 + "</svg>" * 30_000 + "deepest",
    "scripts": "<div>" * 400 + "<script>if (a < b) { no('</div>') }</script><!-- <p>no --><b title='<i>no'>deepest",
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_cost_linear_time(name: str) -> None:
    document = read(HOSTILE[name])
    assert document.text.endswith("deepest")
    assert "<" not in document.text
    assert "no" not in document.text


def test_usual_pages_are_not_touched() -> None:
    page = "<ul>" + "<li>one <b>two</b>" * 1_000 + "</ul>" + "<p>" * 1_000
    assert tame(page) == (page, False)
