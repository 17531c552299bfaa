"""Changes of a text: each is another text, the same one every time, and touches what it may touch alone."""

from __future__ import annotations

import random
import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.canonical import Json, dump
from journeyman.core.example import Target, object_target, text_target
from journeyman.evaluation.changes import PLAIN, TYPO_LETTERS, change_input, make_typos, other_answer, spared_words
from journeyman.measure.similarity import edit_similarity
from journeyman.task.answer import read_answer
from journeyman.task.behaviour import BehaviourSpec, Change
from journeyman.task.prompt import user_text
from journeyman.task.task import Task

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
WORDS = st.lists(st.text("abcdeéßжя", min_size=1, max_size=9) | st.from_regex(r"[0-9]{1,4}[.,]?", fullmatch=True))
SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}, "many": {"type": "boolean"}, "name": {"type": "string"}},
    "required": ["colour", "many", "name"],
    "additionalProperties": False,
}
TEXT: dict[str, Json] = {"type": "string"}
ONE = Task("t", "Say it.", {"line": TEXT}, SCHEMA)
TWO = Task("t", "Say it.", {"title": TEXT, "body": TEXT, "size": {"type": "integer"}}, SCHEMA)
ANSWER = object_target({"colour": "red", "many": True, "name": "Anna Lindqvist"})


def changed(
    task: Task, change: Change, input: dict[str, Json], answer: Target | None = ANSWER
) -> dict[str, Json] | None:
    return change_input(task, BehaviourSpec("invariance", change=change), input, (answer, None))


@given(ANY | WORDS.map(" ".join), st.sampled_from(get_args(Change)))
def test_a_change_is_another_text_or_none_and_always_the_same(text: str, change: Change) -> None:
    first, second = changed(ONE, change, {"line": text}), changed(ONE, change, {"line": text})
    assert first == second
    assert first != {"line": text}
    if first is None:
        assert change != "inject" or not text.strip()
    if text.strip() and change == "spaces":
        assert first is not None
        assert str(first["line"]).split(" ") != text.split(" ")
        assert str(first["line"]).split() == text.split()
    if first is not None and change in ("upper", "lower", "title"):
        assert str(first["line"]).casefold() == text.casefold()
    if first is not None and change == "inject":
        assert str(first["line"]).startswith(text)


@given(WORDS.map(" ".join) | ANY, st.integers(0, 5))
def test_typos_stay_inside_words_and_leave_numbers_alone(text: str, seed: int) -> None:
    made = make_typos(text, random.Random(seed))
    if made is None:
        assert not re.search(rf"(^|\s)[a-z]{{{TYPO_LETTERS},}}(\s|$)", text)
        return
    before, after = re.split(r"(\s+)", text), re.split(r"(\s+)", made)
    assert len(before) == len(after), "no word is lost, none is added"
    pairs = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert 1 <= len(pairs) <= max(1, len(text.split()) // 8)
    for old, new in pairs:
        assert not any(map(str.isnumeric, old))
        assert abs(len(old) - len(new)) <= 1
        assert sorted(old) == sorted(new) or len(old) != len(new)
        assert edit_similarity(old, new) >= 0.5
    assert re.findall(r"\d+", made) == re.findall(r"\d+", text)


@pytest.mark.parametrize(
    "text", ["", "  ", "42", "to be or no", "a4711 b@example.org", "12,5 x7yzzz", "北京 是", "¿¡…!"]
)
def test_a_text_without_words_has_no_typos(text: str) -> None:
    assert changed(ONE, "typos", {"line": text}) is None


def test_typos_spare_what_stands_in_an_answer() -> None:
    line = {"line": "ANNA LINDQVIST: Anna, Lindqvist wrote"}
    assert spared_words((ANSWER, None)) >= {"anna", "lindqvist"}
    for seed in range(20):
        made = make_typos(str(line["line"]), random.Random(seed), spared_words((ANSWER,)))
        assert made is not None
        assert made.startswith("ANNA LINDQVIST: Anna, Lindqvist w")
    assert changed(ONE, "typos", {"line": "Anna Lindqvist"}) is None
    expected = object_target({"colour": "red", "many": True, "name": "Anna Lindqvist"})
    spec = BehaviourSpec("invariance", change="typos")
    assert change_input(ONE, spec, {"line": "Lindqvist"}, (None, expected)) is None, "nor what was expected"


@pytest.mark.parametrize(
    ("change", "text", "wanted"),
    [
        ("upper", "Straße 5", "STRASSE 5"),
        ("upper", "ABC 5", None),
        ("upper", "ılık", None),
        ("lower", "Two Red", "two red"),
        ("title", "two red-hot cars", "Two Red-hot Cars"),
        ("spaces", "two red  cars", " two  red  cars "),
        ("punctuation", "Two red cars", "Two red cars."),
        ("punctuation", "Two red cars?!", "Two red cars"),
        ("punctuation", "...", None),
    ],
)
def test_ways_of_writing(change: Change, text: str, wanted: str | None) -> None:
    assert PLAIN[change](text) == wanted


def test_all_text_fields_are_changed_or_those_that_are_named() -> None:
    input: dict[str, Json] = {"title": "two", "body": "red cars", "size": 4}
    assert changed(TWO, "upper", input) == {"title": "TWO", "body": "RED CARS", "size": 4}
    spec = BehaviourSpec("invariance", append="!", fields=("body",))
    assert change_input(TWO, spec, input, (None, None)) == {"title": "two", "body": "red cars!", "size": 4}
    assert change_input(TWO, spec, input | {"body": " "}, (None, None)) is None


def test_what_the_server_could_not_read_back_is_not_asked() -> None:
    spec = BehaviourSpec("invariance", append="\nbody: no", fields=("title",))
    assert change_input(TWO, spec, {"title": "two", "body": "x", "size": 4}, (None, None)) is None
    short = Task("t", "Say it.", {"line": {"type": "string", "maxLength": 8}}, SCHEMA)
    assert changed(short, "spaces", {"line": "two cars"}) is None
    assert changed(short, "upper", {"line": "two cars"}) == {"line": "TWO CARS"}


@given(st.sampled_from(["red", "green"]), st.booleans(), ANY, st.integers(0, 9))
def test_an_injected_answer_is_one_that_could_be_given_and_another(
    colour: str, many: bool, name: str, seed: int
) -> None:
    value: dict[str, Json] = {"colour": colour, "many": many, "name": name}
    other, problem = read_answer(ONE, other_answer(ONE, object_target(value), random.Random(seed)))
    assert other is not None, problem
    assert other.value == value | {"colour": "green" if colour == "red" else "red", "many": not many}


def test_an_injected_answer_without_an_answer_or_without_choices() -> None:
    draw = random.Random(0)
    closed = Task("t", "Say it.", {"line": TEXT}, {"enum": ["a", "b", "c"]})
    assert {other_answer(closed, object_target("a"), random.Random(seed)) for seed in range(20)} == {'"b"', '"c"'}
    assert other_answer(closed, None, draw) in map(dump, "abc")
    assert other_answer(ONE, None, draw) == '"none"'
    assert other_answer(Task("t", "Say it.", {"line": TEXT}, None), text_target("yes"), draw) == "OK"
    made = changed(ONE, "inject", {"line": "red {cars}"})
    assert made is not None
    assert made["line"] in user_text(ONE, made)
