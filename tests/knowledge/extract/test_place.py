"""Where a document says each value of an answer."""

from __future__ import annotations

import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.core.canonical import Json
from journeyman.knowledge.document import Document
from journeyman.knowledge.extract.leaves import write_path
from journeyman.knowledge.extract.place import Placed, keep_grounded, place
from tests.knowledge.extract.documents import SCHEMA, document

INVOICE = """Rechnung

Rechnungsnummer: RE-2024-17
Fällig: 12. April 2024
Rechnungsdatum: 12. März 2024

Menge | Artikel | Preis | Betrag
2 | Stuhl | 2,00 € | 4,00 €
2 | Stuhl | 2,00 € | 4,00 €
1 | Tisch | 3,00 € | 3,00 €

Netto 11,00 €
Summe 11,00 €
"""
ANY = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-99, 99),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=6),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=8,
)


def placed(answer: Json, text: str) -> dict[str, tuple[str, str]]:
    """Status and words of each value, by its path."""
    return {
        write_path(one.path): (one.status, text[one.start : one.end]) for one in place(answer, SCHEMA, document(text))
    }


def line(text: str, one: Placed) -> int:
    return text.count("\n", 0, one.start)


def test_each_value_has_its_writing_and_its_place() -> None:
    found = placed(
        {
            "number": "RE-2024-17",
            "issued": "2024-03-12",
            "due": "2024-04-12",
            "currency": "EUR",
            "paid": True,
            "phone": "0800 555",
            "tags": ["rechnung", "STUHL", "Tisch"],
        },
        INVOICE,
    )
    assert found == {
        "number": ("exact", "RE-2024-17"),
        "issued": ("typed", "12. März 2024"),
        "due": ("typed", "12. April 2024"),
        "currency": ("typed", "€"),
        "paid": ("chosen", ""),
        "phone": ("ungrounded", ""),
        "tags[0]": ("normalized", "Rechnung"),
        "tags[1]": ("normalized", "Stuhl"),
        "tags[2]": ("exact", "Tisch"),
    }


def test_equal_values_go_where_their_names_stand() -> None:
    for answer in ({"net": 11, "total": 11.0}, {"total": 11.0, "net": 11}):
        found = {
            one.path[0]: INVOICE[: one.start].rsplit("\n", 1)[1] for one in place(answer, SCHEMA, document(INVOICE))
        }
        assert found == {"net": "Netto ", "total": "Summe "}


def test_rows_that_say_the_same_stand_in_lines_of_their_own_and_values_in_their_columns() -> None:
    row = {"price": 2, "quantity": 2, "amount": 4, "text": "Stuhl"}
    table = {"price": 3, "quantity": 1, "amount": 3, "text": "Tisch"}
    found = place({"items": [row, row, table]}, SCHEMA, document(INVOICE))
    assert [line(INVOICE, one) for one in found] == [7] * 4 + [8] * 4 + [9] * 4
    for one in found[:4], found[4:8], found[8:]:
        starts = {str(value.path[-1]): value.start for value in one}
        assert sorted(starts, key=lambda name: starts[name]) == ["quantity", "text", "price", "amount"]
    assert len({one.start for one in found}) == 12


def test_a_number_of_a_row_that_stands_elsewhere_by_chance_is_not_grounded() -> None:
    text = "Contract of 2024, page 31\n\nChair | 7\n\n" + "Nothing is said here.\n" * 30 + "\nTable | 9\n"
    found = placed({"items": [{"text": "Chair", "quantity": 7}, {"text": "Table", "quantity": 31}]}, text)
    assert found["items[0].quantity"] == ("exact", "7")
    assert found["items[1].text"] == ("exact", "Table")
    assert found["items[1].quantity"] == ("ungrounded", "")


def test_rows_broken_over_lines_keep_their_values() -> None:
    text = "Chair, oak\n4\n12.50\n50.00\nChair, pine\n4\n10.00\n40.00\n"
    rows: list[Json] = [
        {"text": "Chair, oak", "quantity": 4, "price": 12.5, "amount": 50},
        {"text": "Chair, pine", "quantity": 4, "price": 10, "amount": 40},
    ]
    found = place({"items": rows}, SCHEMA, document(text))
    assert [line(text, one) for one in found] == list(range(8))


def test_what_is_invented_becomes_null_and_a_row_of_it_goes() -> None:
    answer: Json = {
        "number": "X-99",
        "paid": False,
        "total": 11,
        "items": [{"text": "Stuhl", "amount": 5}, {"text": "Lampe", "amount": 77}],
        "tags": ["Tisch", "Sofa"],
    }
    found = place(answer, SCHEMA, document(INVOICE))
    kept = {"number": None, "paid": False, "total": 11, "items": [{"text": "Stuhl", "amount": None}], "tags": ["Tisch"]}
    assert keep_grounded(answer, found) == kept
    assert keep_grounded(answer, found, "keep") == answer


def test_numbers_in_front_of_which_zeros_stand_are_names() -> None:
    assert placed({"number": "0012"}, "Order 12 of 0012")["number"] == ("exact", "0012")
    assert placed({"number": "0012"}, "Order 12")["number"] == ("ungrounded", "")
    assert placed({"number": "1234.5"}, "Sum: 1.234,50")["number"] == ("typed", "1.234,50")


def test_a_part_of_the_document_has_places_of_the_whole() -> None:
    whole = document(f"Stuhl anderswo\n\n{INVOICE}")
    start = whole.text.index("Rechnung")
    (found,) = place({"number": "Stuhl"}, SCHEMA, whole, start=start, confidence={"number": 0.7})
    assert found.start == whole.text.index("Stuhl", start)
    assert found.confidence == 0.7


def test_confidence_of_a_list_is_that_of_its_values() -> None:
    found = place({"items": [{"text": "Stuhl"}], "number": "x"}, SCHEMA, document(INVOICE), confidence={"items": 0.4})
    assert [one.confidence for one in found] == [0.4, None]


@settings(max_examples=60)
@given(ANY, st.text(alphabet="ab12. ,\n|€", max_size=60))
def test_any_answer_to_any_text(answer: Json, text: str) -> None:
    whole = Document("a", "text/plain", text, ())
    found = place(answer, SCHEMA, whole)
    for one in found:
        assert 0 <= one.start <= one.end <= len(text)
        assert one.is_grounded or one.status in ("chosen", "ungrounded")
    json.dumps(keep_grounded(answer, found))


@settings(max_examples=30)
@given(st.integers(1, 30), st.integers(0, 2**20))
def test_rows_of_a_table_are_found_in_their_lines(count: int, seed: int) -> None:
    """Few different values, so that most of them stand in many lines."""
    draw = random.Random(seed)
    rows = [
        {
            "text": draw.choice(["oak", "pine", "elm"]),
            "quantity": draw.randint(1, 4),
            "price": draw.randint(1, 4),
            "amount": draw.randint(5, 9),
        }
        for _ in range(count)
    ]
    text = "Rows\n\n" + "\n".join(" | ".join(str(value) for value in row.values()) for row in rows)
    found = place({"items": list(rows)}, SCHEMA, document(text))
    assert [line(text, one) for one in found] == [2 + number // 4 for number in range(4 * count)]
    starts = [one.start for one in found]
    assert starts == sorted(set(starts))
