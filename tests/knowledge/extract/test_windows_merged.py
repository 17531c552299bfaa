"""Long documents in windows, and their answers as one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.core.canonical import Json
from journeyman.knowledge.chunk.tokens import find_tokens
from journeyman.knowledge.document import Document
from journeyman.knowledge.extract.leaves import write_path
from journeyman.knowledge.extract.merge import Merged, Read, merge
from journeyman.knowledge.extract.place import place
from journeyman.knowledge.extract.windows import Window, cut_windows
from tests.knowledge.extract.documents import SCHEMA, document

HEADER = "Quantity | Text | Price"
TABLE = "\n".join([HEADER, *(f"{number} | thing {number} | {number}.50" for number in range(1, 61))])
LONG = document(f"Invoice A-1\n\n{TABLE}\n\nThe end.", TABLE)


def windows(whole: Document, most: int = 60, overlap: int = 20) -> list[Window]:
    return cut_windows(whole, find_tokens(whole.text), most, overlap)


def read(whole: Document, window: Window, answer: Json, confidence: Mapping[str, float] | None = None) -> Read:
    return Read(answer, place(answer, SCHEMA, whole, start=window.start, end=window.end, confidence=confidence))


def test_a_short_document_is_one_window_and_an_empty_one_is_none() -> None:
    assert windows(document("A few words."), 10) == [Window(0, 12)]
    assert windows(document(" \n "), 10) == []


def test_rows_stay_whole_and_have_their_header() -> None:
    found = windows(LONG)
    assert len(found) > 3
    for window in found:
        text = window.read(LONG)
        assert find_tokens(text).count(0, len(text)) <= 60
        lines = [line for line in text.splitlines() if "|" in line]
        assert not lines or lines[0] == HEADER
        assert all(line.count("|") == 2 for line in lines)
    for before, after in pairwise(found):
        assert before.start < after.start < before.end < after.end


@settings(max_examples=60)
@given(st.text(alphabet="ab \n|", max_size=300), st.integers(1, 40), st.integers(0, 60))
def test_windows_hold_every_word_and_end(text: str, most: int, overlap: int) -> None:
    whole = document(text) if text.strip() else Document("a", "text/plain", text, ())
    covered: set[int] = set()
    found = windows(whole, most, overlap)
    for window in found:
        covered |= set(range(window.start, window.end))
    assert {place for place, letter in enumerate(text) if not letter.isspace()} <= covered
    assert [window.start for window in found] == sorted({window.start for window in found})


def rows(first: int, last: int) -> list[Json]:
    return [{"quantity": n, "text": f"thing {n}", "price": n + 0.5} for n in range(first, last + 1)]


def shown(window: Window) -> list[Json]:
    """The rows of a window, as a model that makes no mistake says them."""
    numbers = [n for n in range(1, 61) if f"\n{n} | thing {n} |" in f"\n{LONG.text[window.start : window.end]}"]
    return rows(numbers[0], numbers[-1]) if numbers else []


def test_rows_of_overlapping_windows_are_kept_once_in_their_order() -> None:
    reads = [read(LONG, window, {"number": None, "items": list(shown(window))}) for window in windows(LONG)]
    assert sum(len(one.answer["items"]) for one in reads) > 60  # type: ignore[index, arg-type, call-overload]
    merged = merge(reads)
    assert merged.answer == {"number": None, "items": rows(1, 60)}
    assert merged.conflicts == ()
    assert [one.path for one in merged.placed] == [
        ("items", n, key) for n in range(60) for key in ("quantity", "text", "price")
    ]
    assert all(one.is_grounded for one in merged.placed)


def two(left: Json, right: Json, sure: tuple[float | None, float | None] = (None, None)) -> Merged:
    """Two windows of one text that say the same field otherwise."""
    whole = document("Number A-1\nNumber B-2\nStuhl\nTisch")
    known = [dict.fromkeys(("number", "tags"), chance) if chance is not None else None for chance in sure]
    return merge([read(whole, Window(0, 33), answer, said) for answer, said in zip((left, right), known, strict=True)])


def test_what_the_document_says_wins_over_what_it_does_not() -> None:
    merged = two({"number": "C-3"}, {"number": "B-2"}, (0.9, 0.5))
    assert merged.answer == {"number": "B-2"}
    (conflict,) = merged.conflicts
    assert (write_path(conflict.path), conflict.value) == ("number", "B-2")
    assert [(one.value, one.status, one.path) for one in conflict.others] == [("C-3", "ungrounded", ("number",))]


@pytest.mark.parametrize(("sure", "expected"), [((0.4, 0.9), "B-2"), ((0.9, 0.4), "A-1"), ((None, None), "A-1")])
def test_the_surer_window_wins_else_the_first(sure: tuple[float | None, float | None], expected: str) -> None:
    assert two({"number": "A-1"}, {"number": "B-2"}, sure).answer == {"number": expected}


def test_two_windows_outvote_one_and_null_is_no_vote() -> None:
    whole = document("Number A-1\nNumber B-2")
    answers: list[Json] = [{"number": "A-1"}, {"number": None}, {"number": "B-2"}, {"number": "b-2"}]
    merged = merge([read(whole, Window(0, len(whole.text)), answer) for answer in answers])
    assert merged.answer == {"number": "B-2"}


def test_plain_items_are_kept_once_and_a_row_that_stands_nowhere_too() -> None:
    assert two({"tags": ["Stuhl", "Sofa"]}, {"tags": ["Stuhl", "Sofa", "Tisch"]}).answer == {
        "tags": ["Stuhl", "Sofa", "Tisch"]
    }


def test_a_row_that_two_windows_read_otherwise_is_one_row_with_a_conflict() -> None:
    whole = document("7 | chair | 4.50\n8 | table | 9.50\n9 | lamp | 1.00")
    window = Window(0, len(whole.text))
    first = read(
        whole,
        window,
        {"items": [{"quantity": 7, "text": "chair", "price": 4.5}, {"quantity": 8, "text": "table", "price": None}]},
    )
    second = read(
        whole,
        window,
        {"items": [{"quantity": 8, "text": "table", "price": 9.5}, {"quantity": 9, "text": "lamp", "price": 2}]},
    )
    merged = merge([first, second])
    assert merged.answer == {
        "items": [
            {"quantity": 7, "text": "chair", "price": 4.5},
            {"quantity": 8, "text": "table", "price": 9.5},
            {"quantity": 9, "text": "lamp", "price": 2},
        ]
    }
    assert merged.conflicts == ()
