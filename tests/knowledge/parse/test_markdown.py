from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.knowledge.document import Document
from journeyman.knowledge.parse import markdown
from journeyman.knowledge.parse.frontmatter import read_frontmatter
from journeyman.knowledge.parse.links import find_code_spans
from journeyman.knowledge.parse.markdown import read_markdown

PIECES = st.sampled_from(
    [
        "word",
        "# Head",
        "## Two ##",
        "- item",
        "  - inner",
        "1. one",
        "> quote",
        "```",
        "    code",
        "| a | b |",
        "|---|---|",
        "===",
        "---",
        "",
        "",
        "[x](y)",
        "`code`",
        "* * *",
        "<div>",
        "#",
        "\t",
        "é\u2028x",
        "+ ",
        "~~~py",
        "\\# no",
    ]
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
MARKUP = re.compile(r"[#=\-*_\s]*")


def read(text: str) -> Document:
    return read_markdown("a.md", text.encode())


def shown(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


@given(st.lists(st.tuples(PIECES, ENDS), max_size=30))
def test_blocks_hold_all_words_in_order(pieces: list[tuple[str, str]]) -> None:
    text = "x" + "".join(piece + end for piece, end in pieces)
    document = read(text)
    assert document.text == text
    position = 0
    for block in document.blocks:
        assert position <= block.start < block.end <= len(text)
        assert MARKUP.fullmatch(text[position : block.start])
        assert text[block.start : block.end].strip()
        assert bool(block.level) == (block.kind == "heading")
        position = block.end
    assert MARKUP.fullmatch(text[position:])
    for link in document.links:
        assert any(block.start <= link.start < link.end <= block.end for block in document.blocks)


@given(st.text(alphabet="ab#>-*`[]()|!<\\\"' \n\r\t:_~\0", max_size=200))
def test_any_text_is_read(text: str) -> None:
    document = read(text.replace("\0", "0"))
    assert all(left.end <= right.start for left, right in zip(document.blocks, document.blocks[1:], strict=False))


def test_kinds_levels_and_what_is_in_no_block() -> None:
    text = """# One *two* ##
Under
lined
---
A [par](#) of
two lines.

- a
  - b

1. x

| a | b |
|---|---|
| 1 | 2 |

> said

```py
x = 1
```

    indented

***
<script>
alert(1)
</script>

<!-- a note -->

[ref]: /there "T"

###
#no heading
"""
    document = read(text)
    assert shown(document) == [
        ("heading", "One *two*"),
        ("heading", "Under\nlined"),
        ("paragraph", "A [par](#) of\ntwo lines."),
        ("list", "- a\n  - b"),
        ("list", "1. x"),
        ("table", "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("quote", "> said"),
        ("code", "```py\nx = 1\n```"),
        ("code", "    indented"),
        ("paragraph", "#no heading"),
    ]
    assert [block.level for block in document.blocks[:3]] == [1, 2, 0]
    assert document.title == "One *two*"


def test_spans_are_of_the_file_whatever_its_line_ends() -> None:
    text = "# A\r\n\r\npar\rline\r\n\r\n```\r\nx\r\n```\r\nend"
    assert shown(read(text)) == [
        ("heading", "A"),
        ("paragraph", "par\rline"),
        ("code", "```\r\nx\r\n```"),
        ("paragraph", "end"),
    ]


def test_links_with_their_places() -> None:
    text = (
        'See [a](http://a.b/(c) "t"), `[no](x)`, ![im](p.png), [ref], [Two][REF] and <https://x.y>; https://z.org/q.\n'
        "[![alt](img.png)](target) [sp](<a b.md>) \\[no](x)\n\n    [no](code)\n\n- [in](list)\n  ```\n  [no](fence)\n  ```\n\n"
        "[ref]: /there\n"
    )
    document = read(text)
    found = {text[link.start : link.end]: (link.target, link.kind) for link in document.links}
    assert found == {
        '[a](http://a.b/(c) "t")': ("http://a.b/(c)", "link"),
        "![im](p.png)": ("p.png", "embed"),
        "[ref]": ("/there", "link"),
        "[Two][REF]": ("/there", "link"),
        "https://x.y": ("https://x.y", "link"),
        "https://z.org/q": ("https://z.org/q", "link"),
        "[![alt](img.png)](target)": ("target", "link"),
        "[sp](<a b.md>)": ("a b.md", "link"),
        "[in](list)": ("list", "link"),
    }
    assert [link.start for link in document.links] == sorted(link.start for link in document.links)


@given(st.text(alphabet="`a", max_size=60))
def test_inline_code_is_between_runs_of_one_length(text: str) -> None:
    spans = find_code_spans(text, 0, len(text))
    for start, end in spans:
        ticks = len(text[start:end]) - len(text[start:end].lstrip("`"))
        assert text[start:end].endswith("`" * ticks)
    rest = [len(run[0]) for run in re.finditer("`+", text)]
    assert len(rest) - 2 * len(spans) >= 0


def test_frontmatter_is_facts() -> None:
    text = (
        "---\ntitle: 'A: b'\ndate: 2024-01-02\ntags: [x, 2]\ndraft: true\nsize: 1.5\nwho: {a: 1}\nnone:\n---\n# Head\n"
    )
    document = read(text)
    assert document.title == "A: b"
    assert dict(document.facts) == {
        "title": "A: b",
        "date": "2024-01-02",
        "tags": ("x", "2"),
        "draft": True,
        "size": 1.5,
    }
    assert shown(document) == [("heading", "Head")]
    assert document.notes == ("nested in the frontmatter and left out: who",)
    assert read(text.replace("\n", "\r\n")).facts == document.facts


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("---\ntitle: a: b\nx: [\n---\nend", {"title": "a: b", "x": "["}),
        ("---\nd: 2024-99-99\n---\nend", {"d": "2024-99-99"}),
        ("---\n{{title}}: 1\n---\nend", {"{{title}}": "1"}),
        ("---\nx: " + "[" * 4_000 + "\n---\nend", {"x": "[" * 4_000}),
        ("---\nx: !!python/object/apply:os.system ['true']\n---\nend", None),
        ("---\nx: " + "9" * 5_000 + "\n---\nend", {"x": "9" * 5_000}),
    ],
)
def test_broken_frontmatter_is_read_line_by_line(text: str, facts: dict[str, str] | None) -> None:
    document = read(text)
    assert document.notes == ("the frontmatter is not plain YAML and was read line by line",)
    assert facts is None or dict(document.facts) == facts
    assert shown(document) == [("paragraph", "end")]


def test_references_in_frontmatter_are_not_followed() -> None:
    lists = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    merges = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40)]
    for lines in (lists, merges, ["a: &a [*a]"]):
        front = read_frontmatter("---\ntitle: T\n" + "\n".join(lines) + "\n---\n")
        assert front.facts["title"] == "T"
        assert front.notes == ("the frontmatter is not plain YAML and was read line by line",)


def test_no_frontmatter() -> None:
    assert read("---\nno end").title == ""
    assert read("text\n---\na: b\n---\n").facts == {}
    assert read("---\n---\n# T").title == "T"
    for text in (
        "---\nA text\n\nbetween rules.\n---\n",
        "---\n- a\n---\n",
        "---\n@no\n---\n",
        "---\n" + "a: b\n" * 9_000 + "---\n",
    ):
        document = read(text)
        assert not document.facts
        assert document.blocks


HOSTILE = {
    "quotes": ">" * 100_000,
    "lists": "- " * 50_000,
    "nested": "".join(" " * (2 * depth) + "- a\n" for depth in range(500)),
    "brackets": "[" * 100_000,
    "links": "[a](" * 30_000,
    "images": "[![a](b)" * 10_000,
    "parentheses": "[a](b (" * 20_000,
    "ticks": "".join("`" * (number % 200 + 1) + "a" for number in range(5_000)),
    "escapes": "[\\" * 5_000,
    "definitions": "[a]: u\n(t\n" * 5_000,
    "wide": "|" + "a|" * 1_000 + "\n|" + "-|" * 1_000 + "\n" + "|x\n" * 200,
    "comments": "<!-- \n" * 20_000,
    "lazy": "> a\nb\n" * 5_000,
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_read(name: str) -> None:
    document = read(HOSTILE[name])
    assert document.text == HOSTILE[name]


def test_what_is_too_long_is_plain_paragraphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "MOST_CHARS", 20)
    document = read("---\ntitle: T\n---\n# Head\n\n- a text that is too long")
    assert shown(document) == [("paragraph", "# Head"), ("paragraph", "- a text that is too long")]
    assert "more than 20 characters" in document.notes[0]
