"""What a document may say to harm the index or those who wait for it: halves of characters, enormous titles and numbers, texts that make a search for ends long."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.chunk.chunk import Chunk
from journeyman.knowledge.chunk.context import find_header
from journeyman.knowledge.chunk.headed import chunk_headed
from journeyman.knowledge.chunk.sentences import split_sentences
from journeyman.knowledge.chunk.tokens import find_tokens
from journeyman.knowledge.document import Block, Document, Link
from journeyman.knowledge.index.file import Index, open_index
from journeyman.knowledge.index.matrix import Vectors
from journeyman.knowledge.ingest import TOGETHER, Floats, Ingest, Parsed
from journeyman.knowledge.parse.frontmatter import read_frontmatter
from journeyman.knowledge.retrieve.lexical import Words
from journeyman.knowledge.source import Source


def embed(texts: Sequence[str]) -> Floats:
    """A vector that is the text's own, without an encoder."""
    drawn = [np.frombuffer(sha256(text.encode()).digest(), np.uint8) for text in texts]
    return np.array(drawn, np.float32).reshape(len(texts), 32) / 255


def ingest(index: Index) -> Ingest:
    return Ingest(
        index,
        "docs",
        chunk=chunk_headed,
        tokenize=find_tokens,
        above=lambda document, chunk, tokens: find_header(document, chunk),
        embed=embed,
    )


def parsed(name: str, result: Document | KnowledgeError) -> Parsed:
    return Parsed(Source(name, 1, "stamp", lambda: b""), "plain text:1", name, result)


def plain(name: str, text: str, **more: Any) -> Document:
    return Document(name, "text/plain", text, (Block("paragraph", 0, len(text)),), **more)


def test_halves_of_characters_cost_themselves(tmp_path: Path) -> None:
    half = "\ud83d"
    odd = plain(
        f"a{half}.txt",
        f"Zebras {half} graze.",
        title=f"{half}title",
        facts={f"k{half}": f"v{half}", "tags": (half, "b")},
        links=(Link(0, 6, half),),
        notes=(half,),
    )
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        run = ingest(index)
        refused = KnowledgeError("JM-934", "failed", got=f"no {half}")
        run.write([parsed("a.txt", odd), parsed("bad.txt", refused), parsed("b.txt", plain("b.txt", "Lions hunt."))])
        assert (run.done.added, run.done.chunks) == (2, 2)
        (first, _) = index.documents()
        assert (first.title, dict(first.facts)) == ("\ufffdtitle", {"k\ufffd": "v\ufffd", "tags": ("\ufffd", "b")})
        assert index.document(first.id).text == "Zebras \ufffd graze."
        assert [item.reason for item in index.refusals()] == ["failed: no \ufffd"]
        assert len(Words(index).rank("zebras", 5)) == 1


def test_titles_facts_and_numbers_have_an_end(tmp_path: Path) -> None:
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        long = plain("a.txt", "text", title="t" * 5_000_000, facts={"x": "y" * 5_000_000, "z": ("w" * 50_000,) * 5_000})
        ingest(index).write([parsed("a.txt", long)])
        (kept,) = index.documents()
        assert len(kept.title) + len(json.dumps(kept.facts)) < 12_000_000
        assert len(kept.title) == 500
    digits = "f" * 10_000
    found = read_frontmatter(f'---\nbig: {2**70}\nfar: 0x{digits}\n? 0x{digits}\n: key\nhalf: "\\ud83d"\n---\n').facts
    assert found["big"] == str(2**70)
    assert "far" not in found
    json.dumps(dict(found))


class Watched(tuple[Block, ...]):
    """Counts how often a block is looked at."""

    looked: ClassVar[int] = 0

    def __getitem__(self, key: Any) -> Any:
        Watched.looked += 1
        return tuple.__getitem__(self, key)

    def __iter__(self) -> Any:
        for item in tuple.__iter__(self):
            Watched.looked += 1
            yield item


def test_the_page_of_a_chunk_is_not_counted_from_the_first_block() -> None:
    blocks = Watched(Block("paragraph", 2 * number, 2 * number + 1, page=1 + number // 10) for number in range(4_000))
    document = Document("a", "text/plain", "x " * 4_000, blocks)
    Watched.looked = 0
    assert [document.page_of(2 * number) for number in range(4_000)] == [1 + number // 10 for number in range(4_000)]
    assert document.page_of(-1) == 0
    assert Watched.looked < 4_000 * 30


def test_a_table_of_very_many_blocks_is_walked_once() -> None:
    rows = "a,b\n" * 4_000
    blocks = Watched(Block("table", 4 * number, 4 * number + 3) for number in range(4_000))
    document = Document("a", "text/csv", rows.strip(), blocks)
    Watched.looked = 0
    assert {find_header(document, Chunk(4 * number, 4 * number + 3)) for number in range(4_000)} == {"", "a,b"}
    assert Watched.looked < 4_000 * 40


class Sliced(str):
    """Counts the characters that are copied out of it."""

    taken: ClassVar[int] = 0

    def __getitem__(self, key: Any) -> str:
        part = str.__getitem__(self, key)
        Sliced.taken += len(part)
        return part


@pytest.mark.parametrize(
    "unit",
    [
        "a 1. ",
        "Ab 1. cd ",
        "1. ",
        ". ",
        "e.g. ",
        "a.",
        "A. ",
        "?!",
        '." ',
        "。",
        "\n",
        " ",
        "...",
        "[1]",
        "(1. ",
        "a 1.\n",
        "\u0301",
        "\u202e. ",
    ],
)
def test_ends_of_sentences_are_found_in_one_pass(unit: str) -> None:
    for text in (unit * 8_000, "Begin " + unit * 8_000, " " * 20_000 + unit * 4_000):
        Sliced.taken = 0
        spans = split_sentences(Sliced(text))
        assert Sliced.taken < 40 * len(text)
        assert "".join("".join(text[start:end].split()) for start, end in spans) == "".join(text.split())


def test_list_numbers_begin_sentences_still() -> None:
    text = "  1. First point. 2. Second point.\n 3. Third (4. fourth) goes on.  "
    assert [text[start:end] for start, end in split_sentences(text)] == [
        "1. First point.",
        "2. Second point.",
        "3. Third (4. fourth) goes on.",
    ]


def test_a_stretch_without_tokens_is_cut_too() -> None:
    class NoTokens:
        """What an encoder's tokenizer makes of marks that combine: nothing."""

        def encode_batch(self, texts: list[str], add_special_tokens: bool) -> list[Any]:
            return [type("Encoding", (), {"offsets": []})() for _ in texts]

    text = "\u0301" * 50_000
    document = plain("a.txt", text)
    chunks = chunk_headed(document, find_tokens(text, NoTokens()))  # type: ignore[arg-type]
    assert max(chunk.end - chunk.start for chunk in chunks) < 1_000
    assert sum(chunk.end - chunk.start for chunk in chunks) == len(text)


def test_a_vector_that_another_process_dropped_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    with open_index(path, is_writer=True) as index, open_index(path, is_writer=True) as other:
        ingest(index).write([parsed("a.txt", plain("a.txt", "The same words."))])
        again = ingest(index)
        looked_up = index.missing

        def missing(hashes: Any) -> set[bytes]:
            found = looked_up(hashes)
            index.missing = looked_up  # type: ignore[method-assign]
            other.remove("docs", ["a.txt"])
            assert other.compact() == 1
            return found

        index.missing = missing  # type: ignore[method-assign]
        again.write([parsed("b.txt", plain("b.txt", "The same words."))])
        assert (again.done.added, again.done.embedded) == (1, 1)
        assert index.rows("SELECT count(*) FROM chunks WHERE vector NOT IN (SELECT hash FROM vectors)") == [(0,)]
        assert len(Vectors(index).current()) == 1


def test_files_without_text_are_written_as_they_come(tmp_path: Path) -> None:
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        run = ingest(index)
        seen: list[int] = []

        def come() -> Any:
            for number in range(TOGETHER + 2):
                seen.append(run.done.added)
                yield parsed(f"{number}.txt", Document(f"{number}.txt", "text/plain", "", ()))

        run.write(come())
        assert seen[-1] == TOGETHER
        assert run.done.added == TOGETHER + 2


def test_what_cannot_be_opened_this_time_stays(tmp_path: Path) -> None:
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        ingest(index).write([parsed(f"{name}.txt", plain(name, f"Words of {name}.")) for name in "ab"])
        again = ingest(index)
        shut = KnowledgeError("JM-901", "this cannot be read", got="Permission denied", retryable=True)
        again.write(
            [parsed("a.txt", shut), parsed("b.txt", KnowledgeError("JM-906", "no text")), parsed("c.txt", shut)]
        )
        again.sweep()
        assert [item.origin.name for item in index.documents()] == ["a.txt"]
        assert [item.name for item in again.done.refused] == ["a.txt", "b.txt", "c.txt"]
        assert [item.name for item in index.refusals()] == ["b.txt", "c.txt"]
