"""Which questions are kept, and in which order chunks are asked about."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from journeyman.knowledge.chunk.chunk import Chunk
from journeyman.knowledge.document import Document
from journeyman.knowledge.index.file import Index, Origin, Ready, open_index
from journeyman.knowledge.questions.asking import Asked, Checked, read_check, read_questions
from journeyman.knowledge.questions.sample import LEAST_LETTERS, sample_chunks
from journeyman.knowledge.questions.sift import Kept, is_right, sift

TEXT = "Goods may be sent back within thirty days. The buyer pays for the parcel.\nRefunds take five working days."


@pytest.mark.parametrize(
    ("question", "quote", "reason"),
    [
        ("Until when may goods be sent back?", "within THIRTY  days", ""),
        ("How long do refunds take?", "five working days", ""),
        ("What is the passage of time before a refund?", "five working days", ""),
        ("Which document of identity does one need?", "The buyer", ""),
        ("Until when may goods be sent back?", "within ninety days", "the quote does not stand in the passage"),
        ("Until when may goods be sent back?", "within thirty working days", "the quote does not stand in the passage"),
        ("Who pays according to the passage?", "The buyer", "it names the passage"),
        ("What does this text say about parcels?", "The buyer", "it names the passage"),
        ("Which deadline is mentioned above for goods?", "thirty days", "it names the passage"),
        ("What does he pay for?", "the parcel", "it can only be understood beside the passage"),
        ("Who pays for it?", "The buyer", "it can only be understood beside the passage"),
        ("Do refunds take five working days?", "five working days", "it says its own answer"),
    ],
)
def test_only_questions_that_stand_by_themselves_are_kept(question: str, quote: str, reason: str) -> None:
    kept = sift(Asked(question, quote), TEXT)
    if reason:
        assert kept == reason
    else:
        assert isinstance(kept, Kept)
        assert TEXT[kept.start : kept.end].casefold() == " ".join(quote.split()).casefold()


def test_a_second_reading_must_find_the_same_place() -> None:
    kept = Kept("How long do refunds take?", TEXT.index("five"), TEXT.index("five") + 17)
    assert is_right(kept, Checked("Refunds take five working days", True), TEXT)
    assert not is_right(kept, Checked("Refunds take five working days", False), TEXT)
    assert not is_right(kept, Checked("The buyer", True), TEXT)
    assert not is_right(kept, Checked("", True), TEXT)


def test_replies_that_cannot_be_read_are_counted() -> None:
    assert read_questions("no JSON") == ([], 1)
    assert read_questions(
        '{"questions": [{"question": " a\\nb ", "quote": "c "}, {"question": "", "quote": "c"}]}'
    ) == (
        [Asked("a b", "c")],
        1,
    )
    assert read_questions('{"questions": []}') == ([], 0)
    assert read_check("[]") == Checked("", False)
    assert read_check('{"quote": "x", "is_clear": "yes"}') == Checked("x", False)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    made = open_index(tmp_path / "index.db", is_writer=True)
    for name, sections in (("a.md", 3), ("b.md", 1)):
        put(made, name, [(f"part {section}",) for section in range(sections) for _ in range(4)])
    return made


def put(index: Index, name: str, headings: list[tuple[str, ...]]) -> None:
    text = "word " * (LEAST_LETTERS // 4)
    chunks = [Chunk(number * len(text), (number + 1) * len(text), each) for number, each in enumerate(headings)]
    chunks.append(Chunk(len(headings) * len(text), len(headings) * len(text) + 5, ()))
    whole = text * len(headings) + "short"
    ready = [Ready(chunk, "", whole[chunk.start : chunk.end], b"k" * 16) for chunk in chunks]
    index.put(
        Origin("/r", name, "", "", "t:1"),
        Document(name, "text/plain", whole, ()),
        ready,
        {b"k" * 16: np.ones(2, np.float32)},
    )


def test_documents_and_their_sections_take_turns(index: Index) -> None:
    order = index.pieces(sample_chunks(index, 3))
    assert len(order) == 16
    assert {piece.document for piece in order[:2]} == {1, 2}
    of_first = [piece for piece in order if piece.document == 1]
    assert set(Counter(piece.headings for piece in of_first[:6]).values()) == {2}
    assert sample_chunks(index, 3) == [piece.id for piece in order]
    assert sample_chunks(index, 4) != [piece.id for piece in order]
    put(index, "c.md", [("x",)] * 3)
    assert [piece for piece in index.pieces(sample_chunks(index, 3)) if piece.document != 3] == order
