"""The deterministic guards: what each finds, whatever hides it, and what a window lets through before the rest of a text is there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from journeyman.guards.finders import Finder, Said, make_finder, replace_hits
from journeyman.guards.leaves import open_leaves
from journeyman.guards.look import Look
from journeyman.guards.patterns import compile_patterns, longest
from journeyman.guards.window import Window
from journeyman.task.guard import GuardSpec

SECRET = "sk-abcDEF0123456789abcdef01"
JWT = "eyJ" + "a1" * 200 + ".eyJ" + "b2" * 200 + "." + "c3" * 30
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEow line of it\n" * 60 + "-----END RSA PRIVATE KEY-----"
INSTRUCTION = "You are the bank's assistant. Never mention the discount of twenty percent that VIP customers get."


def finder(kind: Any, **given: Any) -> Finder:
    made = make_finder(GuardSpec(kind, "redact", **given))
    assert made is not None
    return made


def redact(made: Finder, text: str, said: Said = Said()) -> str:
    return replace_hits(text, made.find([Look(text)], said)[0])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("pa\u200bss\u200d\u2060word", "password"),
        ("abc\u202edrowssap\u202c", "abcdrowssap"),
        ("hi" + "".join(chr(0xE0000 + ord(letter)) for letter in "ignore all"), "hi"),
        ("a\x00b\x1b[2J", "ab[2J"),
        ("a\ufe01\ufe02b", "ab"),
        ("e\U000e0141", "e"),
        ("\ufeffhello\ufeff", "\ufeffhello"),
    ],
)
def test_what_people_do_not_see_goes(text: str, left: str) -> None:
    assert redact(finder("invisible"), text) == left


@pytest.mark.parametrize(
    "text",
    [
        "plain\ttext\r\n",
        "👩‍👩‍👧 ❤️",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "می‌خواهم",
        "क्‍ष",
        "שלום\u200f",
    ],
)
def test_what_scripts_and_pictures_need_stays(text: str) -> None:
    assert redact(finder("invisible"), text) == text


def test_a_word_is_found_whatever_stands_unseen_in_it() -> None:
    deny = finder("deny", words=("blue falcon",), patterns=("PRJ-[0-9]{3,6}",))
    assert redact(deny, "the Blue\u00a0FAL\u200b\u200dCON and P\u00adRJ-1\u206023!") == "the <REMOVED> and <REMOVED>!"
    assert redact(deny, "blue falcons, PRJ-12") == "blue falcons, PRJ-12"
    assert redact(finder("deny", words=("机密",)), "这是机密文件") == "这是<REMOVED>文件"
    assert redact(finder("secrets"), f"key: {SECRET[:9]}\u200b{SECRET[9:]} ok") == "key: <SECRET> ok"
    assert redact(finder("personal", kinds=("CARD",)), "4111 1111 1111 1111, a@b.org") == "<CARD>, a@b.org"
    assert redact(finder("personal", kinds=("DOMAIN",)), "www.b.org, a@b.org") == "<DOMAIN>, a@b.org"
    assert redact(finder("personal"), "www.b.org, a@b.org") == "www.b.org, <EMAIL>"


@given(st.text(st.sampled_from("abAB é機\u200b\u200d\ufdd0\ufdd1😀3"), max_size=40))
def test_patterns_find_what_pythons_own_engine_finds(text: str) -> None:
    source = "[ab]{1,3}é?|機."
    plain = text.replace("\ufdd0", "\ufdd2").replace("\ufdd1", "\ufdd2")
    assert list(compile_patterns([source]).spans(text)) == [match.span() for match in re.finditer(source, plain)]


def test_a_hostile_pattern_takes_linear_time_and_others_are_refused() -> None:
    # An engine that goes back would not be done before the sun is gone.
    assert list(compile_patterns(["(?:(?:a+)+b)+c"]).spans("a" * 200_000)) == []
    for wrong in ("(?=a)b", "a(", r"(a)\1", "a*", ""):
        with pytest.raises(ValueError):
            compile_patterns([wrong])


@pytest.mark.parametrize(
    ("source", "reach"),
    [("abc", 3), ("[0-9]{4}-x", 4 * 6), ("a+", None), ("a{2,}", None), ("^a", None), (r"a\+\*", 3), (r"a\z", None), (r"[*+]b", 2)],
)  # fmt: skip
def test_how_long_a_match_can_be(source: str, reach: int | None) -> None:
    found = longest(source)
    assert (found is None) == (reach is None)
    assert found is None or (reach is not None and found >= reach)


def test_an_echo_is_a_run_of_the_instructions_words() -> None:
    echo, said = finder("echo", share=0.5), Said(instruction=INSTRUCTION)
    text = "Sure! never mention THE discount of, twenty percent - that VIP... They told me."
    assert redact(echo, text, said) == "Sure! <INSTRUCTION>... They told me."
    assert redact(echo, "I never mention the weather.", said) == "I never mention the weather."
    assert redact(echo, "Anything at all, without an instruction.") == "Anything at all, without an instruction."


def test_quotes_stand_in_the_source() -> None:
    grounded = finder("grounded")
    said = Said(source="She said: “We   meet at Noon – sharp”.", quotes=frozenset({"meet at noon", "meet at one"}))
    text = 'He wrote "we meet at noon - sharp," and "we meet at midnight", not "now".'
    assert redact(grounded, text, said) == 'He wrote "we meet at noon - sharp," and "<UNGROUNDED>", not "now".'
    assert redact(grounded, "meet at noon", said) == "meet at noon"
    assert redact(grounded, "meet at one", said) == "<UNGROUNDED>"


def test_sizes_and_allow_lists_judge_whole_texts() -> None:
    assert [len(hits) for hits in finder("size", most=5).find([Look("abc"), Look("def")], Said())] == [1, 0]
    assert [len(hits) for hits in finder("size", most=6).find([Look("abc"), Look("def")], Said())] == [0, 0]
    allow = finder("allow", words=("Yes", "no"), patterns=("[0-9]+(?:\\.[0-9]+)?",))
    assert [text for text in ("yes ", "12.5", "no!", "12.5 yes") if allow.find([Look(text)], Said())[0]] == ["no!", "12.5 yes"]  # fmt: skip


WINDOWS = ("secrets", "personal", "invisible", "deny", "echo")
FILLER = st.text(st.sampled_from("abc de.\n é機{\u200b4-"), max_size=300)
FOUND = st.sampled_from([SECRET, JWT, KEY, "password: hunter2x", "ada@example.org", "DE89 3704 0044 0532 0130 00", "+49 30 1234567", "4111 1111 1111 1111", "PRJ-123", "blue falcon", INSTRUCTION[30:97], ""])  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(parts=st.lists(st.tuples(FILLER, FOUND), min_size=1, max_size=6), last=FILLER, step=st.integers(1, 90))
@example(parts=[("x" * 900 + " ", SECRET)], last=" " + "y " * 600, step=1)
@example(parts=[("x " * 900, KEY)], last=" " + "y " * 600, step=7)
@example(parts=[("x " * 900, JWT)], last=" " + "y " * 600, step=3)
def test_pieces_become_what_the_whole_becomes(parts: list[tuple[str, str]], last: str, step: int) -> None:
    text, said = "".join(filler + found for filler, found in parts) + last, Said(instruction=INSTRUCTION)
    made = [
        finder("deny", words=("blue falcon",), patterns=("PRJ-[0-9]{3}",)) if kind == "deny" else finder(kind)
        for kind in WINDOWS
    ]
    window = Window([], made, said)
    out = "".join(window.push(text[place : place + step]) for place in range(0, len(text), step))
    whole = replace_hits(text, [hit for one in made for hit in one.find([Look(text)], said)[0]])
    assert whole.startswith(out)
    blocking = Window(made[:1], [], said)
    sent = "".join(blocking.push(text[place : place + step]) for place in range(0, len(text), step))
    hits = made[0].find([Look(text)], said)[0]
    assert len(sent) <= min((hit.start for hit in hits), default=len(text))


@pytest.mark.parametrize(
    ("kind", "found", "left"),
    [
        ("secrets", SECRET, "<SECRET>"),
        ("secrets", 'password: "two plain words"', 'password: "<SECRET>"'),
        ("secrets", KEY, "<SECRET>"),
        ("personal", "DE89 3704 0044 0532 0130 00", "<IBAN>"),
        ("personal", "4111 1111 1111 1111", "<CARD>"),
        ("personal", "+49 30 1234567", "<PHONE>"),
        ("deny", "blue falcon", "<REMOVED>"),
        ("invisible", "a\u200b\u200bb", "ab"),
    ],
)
def test_what_is_split_at_any_place_is_never_half_sent(kind: Any, found: str, left: str) -> None:
    before, behind = "so the plain answer is, " * 60, ", and then some more words follow" * 40
    made = finder(kind, words=("blue falcon",)) if kind == "deny" else finder(kind)
    for place in range(len(before), len(before) + len(found) + 1):
        window = Window([], [made], Said())
        text = before + found + behind
        out = window.push(text[:place]) + window.push(text[place:])
        assert (before + left + behind).startswith(out)
        assert len(out) > len(before) + len(left)


def test_a_long_text_is_sent_while_it_comes() -> None:
    window = Window([finder("secrets")], [], Said())
    text = "some plain words of an answer. " * 100
    sent = [len(window.push(text[place : place + 20])) for place in range(0, len(text), 20)]
    assert sum(sent) > len(text) - 800
    assert len([size for size in sent if size]) > 20


def test_a_json_documents_values_are_replaced_and_it_stays_one() -> None:
    opened = open_leaves('{"a": "x\\u200by", "n": 4111111111111111, "list": [true, null, 1.5]}')
    assert opened is not None
    assert opened.texts == ["a", "x\u200by", "n", "4111111111111111", "list", "1.5"]
    left = [text.replace("4111111111111111", "<CARD>") for text in opened.texts]
    assert json.loads(opened.write(left)) == {"a": "x\u200by", "n": "<CARD>", "list": [True, None, 1.5]}
    assert opened.write(opened.texts) == '{"a":"x\u200by","n":4111111111111111,"list":[true,null,1.5]}'
    assert open_leaves("[" * 5000 + "]" * 5000) is None
    assert open_leaves('"text"') is None
