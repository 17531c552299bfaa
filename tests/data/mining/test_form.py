"""Forms found by aligning texts, the names of their places, and the prompts made of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.data.mining.draft import make_draft, share_read, write_prompt
from journeyman.data.mining.form import Form, Matcher, align, read_values, squeeze
from journeyman.data.mining.names import name_fields, name_task
from journeyman.task.prompt import parse_template, read_user_text

TREES = "alder birch cedar dogwood elm fir gorse hazel ivy juniper kauri larch maple nutmeg oak pine rowan spruce teak willow"

WORDS = TREES.split()


def value(number: int, size: int = 3) -> str:
    return " ".join(WORDS[(number * 7 + step * (number % 5 + 1)) % len(WORDS)] for step in range(size + number % 4))


def texts(pattern: str, count: int = 40) -> list[str]:
    return [pattern.format(one=value(number), two=value(number + 11), n=number) for number in range(count)]


@pytest.mark.parametrize(
    "pattern",
    [
        "Review: {one}\nSentiment:",
        "{one}\n\nSummarize the text above.",
        "Translate this letter:\n\n{one}",
        "Name: {one}\nTown: {two}\nWrite a greeting.",
        "<doc>{one}</doc>\n<ask>{two}</ask>",
        "[{one}] says: {two}",
        "Review: fine oak\nSentiment: good\n\nReview: {one}\nSentiment:",
    ],
)
def test_constant_pieces_are_found_word_for_word(pattern: str) -> None:
    assert "".join(align(texts(pattern)).literals) == pattern.format(one="", two="", n="")


def test_a_word_between_two_short_values_parts_them() -> None:
    said = [f"Translate from {value(n, 1)[:9]} to {WORDS[n % 19]}:\nplease" for n in range(40)]
    assert align(said).literals == ("Translate from ", " to ", ":\nplease")


def test_what_some_texts_lack_is_no_constant() -> None:
    some = [f"Sort this note.{' Be brief.' if number % 2 else ''}\nNote: {value(number)}" for number in range(40)]
    assert align(some).literals == ("Sort this note.", "\nNote: ", "")


def test_full_stops_of_sentences_belong_to_the_values() -> None:
    assert align(texts("Text: {one}.\nTitle:")).literals[-1] == "\nTitle:"


def test_the_same_text_everywhere_has_no_place() -> None:
    assert align(["Say hello."] * 5) == Form(("Say hello.",))


def test_white_space_in_constants_may_differ() -> None:
    form = Form(("Fix this:\n\n", "\nDone:"))
    assert [found.strip() for found in read_values(form, "Fix  this:\nfir oak\n\nDone:") or ()] == ["fir oak"]
    assert Matcher.of(form).matches(squeeze("Fix this: fir oak \nDone:"))
    assert not Matcher.of(form).matches(squeeze("Fix that: fir oak \nDone:"))
    assert read_values(form, "Mend this:\nfir\nDone:") is None


@pytest.mark.parametrize(
    ("literal", "name"),
    [
        ("Sort it.\nCustomer message: ", "customer_message"),
        ("<letter>\n", "letter"),
        ("## The Tone\n", "tone"),
        ('{"claim": "', "claim"),
        ("] user=", "user"),
        ("Translate from ", "from"),
        ("Keep all of the names as they are:\n\n", "text"),
        ("", "text"),
    ],
)
def test_places_are_named_by_what_stands_before_them(literal: str, name: str) -> None:
    assert name_fields((literal, "")) == (name,)


def test_no_name_comes_twice() -> None:
    assert name_fields(("Q: ", "\nQ: ", "")) == ("q", "q_2")
    assert name_task("Sort a message of the shop.", ["sort-message-shop"]) == "sort-message-shop-2"
    assert name_task("You are a helpful assistant.", []) == "task"


@given(
    st.lists(
        st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=12),
        min_size=2,
        max_size=5,
    )
)
def test_a_written_prompt_reads_back(pieces: list[str]) -> None:
    literals = tuple(f"[{piece}]" for piece in pieces)
    fields = name_fields(literals)
    template = parse_template(write_prompt(literals, fields), fields, "prompt")
    assert (template.literals, template.fields) == (literals, fields)


def test_a_prompt_that_could_be_read_in_two_ways_gives_up_pieces() -> None:
    shots = [f"Rephrase.\n\nIn: {value(n)}\nOut: {value(n + 3)}\n\nIn: {value(n + 9)}\nOut:" for n in range(40)]
    draft = make_draft([""], Form(("",)), shots)
    assert share_read(draft, shots) == 1.0
    assert draft.literals[0].startswith("Rephrase.")


def test_line_ends_around_a_message_are_told() -> None:
    said = [f"Sort this.\nNote: {value(number)}\nAnswer:\n" for number in range(40)]
    draft = make_draft([""], Form(("",)), said)
    assert share_read(draft, said) == 1.0
    assert "end with a line end" in draft.obstacles[0]


def test_secrets_leave_the_instruction() -> None:
    system = "Sort notes. The key is sk-proj-abcdefghijklmnopqrstuvwx1234567890ABCD."
    draft = make_draft([system], Form((system,)), texts("Note: {one}"))
    assert "abcdefgh" not in draft.instruction


def test_of_two_versions_the_latest_is_the_instruction() -> None:
    versions = ["Sort the note by tree."] * 20 + ["Sort the note by kind of tree."] * 20
    draft = make_draft(versions, align(versions), texts("{one}"))
    assert (draft.instruction, draft.gaps, draft.prompt) == (versions[-1], 1, "{text}")
    assert read_user_text(draft.task(), "oak") == {"text": "oak"}
