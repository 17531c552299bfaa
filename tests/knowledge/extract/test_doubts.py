"""What of an extraction is doubted, and answers changed at a place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.canonical import Json
from journeyman.knowledge.extract.doubts import Doubt, Said, find_doubts
from journeyman.knowledge.extract.edit import drop_at, find_paths, get_at, put_at, row_of, without_row
from journeyman.knowledge.extract.merge import Read, merge
from journeyman.knowledge.extract.place import place
from tests.knowledge.extract.documents import SCHEMA, document

TEXT = "Invoice A-1\n\nTotal 12.50\n\nInvoice B-2"
VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=12,
)


def read(answer: Json, start: int, end: int, **confidence: float) -> Read:
    return Read(answer, place(answer, SCHEMA, document(TEXT), start=start, end=end, confidence=confidence))


def test_values_are_doubted_for_the_first_reason_that_holds() -> None:
    answer: Json = {"number": "A-1", "total": 12.5, "net": 99.25, "currency": "EUR"}
    said = read(answer, 0, len(TEXT), number=0.4, net=0.99, total=0.9)
    (found,) = find_doubts([said], merge([said]))
    assert [(one.path, one.reason, one.confidence) for one in found] == [
        (("number",), "unsure", 0.4),
        (("net",), "ungrounded", 0.99),
    ]
    (strict,) = find_doubts([said], merge([said]), below=0.95)
    assert [one.path for one in strict] == [("number",), ("total",), ("net",)]


def test_each_side_of_a_conflict_knows_the_other() -> None:
    cut = TEXT.index("Total")
    reads = [
        read({"number": "A-1", "total": 12.5}, 0, cut + 12),
        read({"number": "B-2", "total": 12.5}, cut, len(TEXT)),
    ]
    first, second = find_doubts(reads, merge(reads))
    assert first == [Doubt(("number",), "conflict", others=(Said(1, ("number",)),))]
    assert second == [Doubt(("number",), "conflict", others=(Said(0, ("number",)),))]
    assert Doubt.from_json(first[0].to_json()) == first[0]


@given(VALUES)
def test_a_value_that_is_put_where_it_was_changes_nothing(answer: Json) -> None:
    for path in find_paths(answer):
        assert put_at(answer, path, get_at(answer, path)) == answer
        assert get_at(put_at(answer, path, "new"), path) == "new"


@given(VALUES)
def test_the_other_values_are_found_again_once_a_row_is_gone(answer: Json) -> None:
    for path in find_paths(answer):
        if row := row_of(path):
            left = drop_at(answer, row)
            for other in find_paths(answer):
                moved = without_row(other, row)
                assert (moved is None) == (other[: len(row)] == row)
                if moved is not None:
                    assert get_at(left, moved) == get_at(answer, other)
