"""Redaction: consistent surrogates, an exact inverse, and secrets that are gone for good."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.core.canonical import Json
from journeyman.guards.redact import Redactor, redact


def has_secret(parts: Sequence[Json]) -> bool:
    """What is removed for good cannot come back: also a token behind the mark ``<SECRET>``, which reads as a label of it."""
    redactor = Redactor()
    for part in parts:
        redactor.value(part)
    return "SECRET" in redactor.counts


PIECES = st.sampled_from(
    [
        "anna@example.com",
        "Anna@example.com",
        "bob@example.org",
        "415-555-2671",
        "+44 20 7946 0958",
        "4111 1111 1111 1111",
        "203.0.113.9",
        "<EMAIL_1>",
        "<EMAIL_2>",
        "<PHONE_7>",
        "<IP_01>",
        "<SECRET>",
        "<EMAIL_",
        ">",
        " ",
        ", ",
        "call me on 555 2671",
        "555 2671",
        "555 2671-Fax",
        "415\u00a0555\u00a02671",
        "(37) 788-063",
        "https://shop.example.org/a",
        "shop.example.org",
        "GB82-WEST-1234-5698-7654-32",
        "2001:db8::ff00:42:8329",
        "<DOMAIN_1>",
        "<PHONE_1>",
    ]
)
TEXTS = st.lists(st.one_of(PIECES, st.just(" "), st.text(max_size=4)), max_size=10).map("".join)
values = st.recursive(
    st.one_of(TEXTS, st.integers(), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
fields = st.dictionaries(st.one_of(st.sampled_from(["message", "note", "mail"]), TEXTS), values, max_size=4)
rows: st.SearchStrategy[tuple[Json, Json]] = st.tuples(fields, st.one_of(fields, TEXTS)).filter(
    lambda row: not has_secret(row)
)


def test_the_same_value_gets_the_same_surrogate_over_input_and_output() -> None:
    redactor = Redactor()
    shown = redactor.value({"message": "I am anna@example.com, not bob@example.com; anna@example.com!"})
    answer = redactor.value({"email": "anna@example.com", "n": 3, "others": ["bob@example.com"], "none": None})
    assert shown == {"message": "I am <EMAIL_1>, not <EMAIL_2>; <EMAIL_1>!"}
    assert answer == {"email": "<EMAIL_1>", "n": 3, "others": ["<EMAIL_2>"], "none": None}
    assert redactor.restore_value(answer) == {
        "email": "anna@example.com",
        "n": 3,
        "others": ["bob@example.com"],
        "none": None,
    }


def test_a_value_known_from_its_words_is_replaced_without_them() -> None:
    redactor = Redactor()
    assert redactor.text("call me on 555 2671") == "call me on <PHONE_1>"
    assert redactor.text("555 2671") == "<PHONE_1>"
    assert redactor.value({"a": "555 9999", "b": "phone 555 9999"}) == {"a": "<PHONE_2>", "b": "phone <PHONE_2>"}


@given(st.lists(TEXTS, min_size=1, max_size=4).filter(lambda texts: not has_secret(texts)))
def test_restore_is_the_exact_inverse(texts: list[str]) -> None:
    redactor = Redactor()
    redacted = [redactor.text(text) for text in texts]
    assert [redactor.restore(text) for text in redacted] == texts
    together = redact(texts)
    assert [together.redactor.restore(text) for text in together.texts] == texts


@given(
    st.lists(
        st.sampled_from(["anna@example.com", "bob@example.org", "203.0.113.9", "<EMAIL_4>", "so", "sk-" + "aB3" * 9])
    )
)
def test_redacting_again_changes_nothing(words: list[str]) -> None:
    once = Redactor().text(" ".join(words))
    assert Redactor().text(once) == once


@settings(max_examples=200)
@given(rows, st.sampled_from([(), ("note",)]), st.booleans())
def test_a_row_comes_back_exactly_and_no_two_values_share_a_surrogate(
    row: tuple[Json, Json], verbatim: tuple[str, ...], has_domains: bool
) -> None:
    """Input first, then the answer, as import and gateway do it."""
    redactor = Redactor(more=("DOMAIN",) if has_domains else ())
    redacted = [redactor.value(part, verbatim) for part in row]
    assert [redactor.restore_value(part) for part in redacted] == [*row]
    assert len(set(redactor._values.values())) == len(redactor._values) == len(redactor._surrogates)
    assert {redactor._values[surrogate] for surrogate in redactor._surrogates.values()} == set(redactor._surrogates)


def test_a_verbatim_text_that_looks_like_a_surrogate_is_no_other_value() -> None:
    redactor = Redactor()
    row: dict[str, Json] = {"text": "I am anna@example.com", "note": "it says <EMAIL_1>, to bob@example.org"}
    redacted = redactor.value(row, verbatim=("note",))
    assert redacted == {"text": "I am <EMAIL_1>", "note": "it says <EMAIL_2>, to bob@example.org"}
    assert redactor.restore_value(redacted) == row
    assert Redactor(is_personal=False).text("it says <EMAIL_7>") == "it says <EMAIL_7>"


def test_text_that_looks_like_a_surrogate_does_not_collide() -> None:
    redactor = Redactor()
    text = "write <EMAIL_1> to anna@example.com"
    assert redactor.text(text) == "write <EMAIL_1> to <EMAIL_2>"
    assert redactor.restore(redactor.text(text)) == text
    other = Redactor()
    assert other.text("anna@example.com wrote <EMAIL_1>") == "<EMAIL_1> wrote <EMAIL_2>"


def test_secrets_are_removed_everywhere_and_never_kept() -> None:
    redactor = Redactor()
    shown = redactor.value({"message": "the password: hunter2x! failed", "note": "hunter2x! again"})
    assert shown == {"message": "the password: <SECRET> failed", "note": "<SECRET> again"}
    assert redactor.text('I typed "hunter2x!".') == 'I typed "<SECRET>".'
    assert redactor.restore("<SECRET>") == "<SECRET>"
    assert b"hunter2x" not in pickle.dumps(vars(redactor))
    assert redactor.counts["SECRET"] == 1


def test_a_secret_by_its_key() -> None:
    assert Redactor().value({"new_password": "letmein", "user": "joe"}) == {"new_password": "<SECRET>", "user": "joe"}


def test_a_plain_word_after_password_does_not_take_the_word_away_elsewhere() -> None:
    assert Redactor().value(["password: required", "a name is required"]) == [
        "password: <SECRET>",
        "a name is required",
    ]


def test_verbatim_keeps_personal_data_but_not_secrets() -> None:
    row: dict[str, Json] = {"sender": "anna@example.com token ghp_" + "a1B2" * 9, "text": "from anna@example.com"}
    redacted = Redactor().value(row, verbatim=("sender",))
    assert redacted == {"sender": "anna@example.com token <SECRET>", "text": "from <EMAIL_1>"}
    kept = redact([str(text) for text in row.values()], keep={0})
    assert kept.texts == ("anna@example.com token <SECRET>", "from <EMAIL_1>")
    assert kept.counts == {"SECRET": 1, "EMAIL": 1}


def test_without_redaction_secrets_still_go() -> None:
    redactor = Redactor(is_personal=False)
    assert redactor.text("anna@example.com sk-proj-" + "Ab3_" * 8) == "anna@example.com <SECRET>"


def test_domain_names_get_surrogates_where_a_task_asks_for_them() -> None:
    text = "from anna@shop.example.org, see https://shop.example.org/a or www.example.net"
    assert Redactor().text(text) == text.replace("anna@shop.example.org", "<EMAIL_1>")
    redactor = Redactor(more=("DOMAIN",))
    assert redactor.text(text) == "from <EMAIL_1>, see https://<DOMAIN_1>/a or <DOMAIN_2>"
    assert redactor.restore("ask <DOMAIN_2>, <DOMAIN_3>") == "ask www.example.net, <DOMAIN_3>"


def test_a_secret_around_a_surrogate() -> None:
    assert Redactor().text('password: "x <EMAIL_1> y" ok') == 'password: "<SECRET>" ok'
    assert Redactor().text('password: "<SECRET>" is SECRET') == 'password: "<SECRET>" is SECRET'


def test_known_values_go_longest_first_whole_and_once() -> None:
    redactor = Redactor()
    assert redactor.text("call 555 2671, call 555 2671 99, call 2671 5551") == (
        "call <PHONE_1>, call <PHONE_2>, call <PHONE_3>"
    )
    assert redactor.text("555 2671 99") == "<PHONE_2>"
    assert redactor.text("555 2671 5551") == "<PHONE_1> 5551"
    assert redactor.text("555 2671_ x555 2671") == "555 2671_ x555 2671"


def test_a_secret_of_four_characters_is_known_again() -> None:
    redactor = Redactor()
    assert redactor.text("password: ab12") == "password: <SECRET>"
    assert redactor.text("was it ab12?") == "was it <SECRET>?"
