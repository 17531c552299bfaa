"""Which calls are put together: by what their prompts share, what excludes each other, tools, answers and time."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

import pytest

from journeyman.core.example import text_target
from journeyman.core.messages import make_message
from journeyman.data.mining.alike import Answers, are_alike
from journeyman.data.mining.call import Call, Seen, look_at, make_call
from journeyman.data.mining.discover import mine
from journeyman.data.mining.groups import find_groups
from journeyman.data.mining.outputs import find_choices, infer_schema

TREES = "alder birch cedar dogwood elm fir gorse hazel ivy juniper kauri larch maple nutmeg oak pine rowan spruce teak willow"
LONG = "You keep the trees of a park. Write in plain words. Name no person and no street."


def words(draw: random.Random) -> str:
    return " ".join(draw.choice(TREES.split()) for _ in range(draw.randint(3, 12)))


def calls(
    count: int,
    user: Callable[[str], str],
    system: str = "",
    answer: Callable[[int], str] = lambda n: "fine",
    start: int = 0,
) -> list[Call]:
    draw = random.Random(count + start)
    made = []
    for number in range(count):
        messages = [make_message("user", user(words(draw)))]
        if system:
            messages.insert(0, make_message("system", system))
        time = f"2026-01-{1 + (start + number) // 24:02d}T{(start + number) % 24:02d}:00:00+00:00"
        made.append(make_call(messages, text_target(answer(number)), time=time))
    return made


def sizes(*parts: list[Call]) -> list[int]:
    return [len(group) for group in find_groups([call for part in parts for call in part], 10)]


def test_prompts_are_told_apart_and_chats_are_nobodys() -> None:
    chats = calls(60, lambda text: text, "You are a helpful assistant.")
    sort = calls(40, lambda text: f"Sort the note below by kind of tree.\n\nNote: {text}")
    short = calls(30, lambda text: f"Translate to Basque: {text}")
    groups = find_groups([*chats, *sort, *short], 10)
    assert [set(group) for group in groups] == [set(range(60, 100)), set(range(100, 130))]


def test_a_system_text_that_begins_with_what_changes_is_a_prompt() -> None:
    systems = [f"{n:04d}-{n * n} {LONG}" for n in range(30)]
    assert sizes([calls(1, lambda text: text, system, start=n)[0] for n, system in enumerate(systems)]) == [30]


def test_a_sentence_that_differs_at_the_same_time_makes_two_prompts() -> None:
    one = calls(40, lambda text: text, f"{LONG} Say in one word how old the tree is that is spoken of.")
    two = calls(30, lambda text: text, f"{LONG} Answer the visitor with a short letter in the park's name.")
    assert sizes(one, two) == [40, 30]


def test_a_word_that_differs_makes_two_prompts_where_the_answers_differ() -> None:
    one = calls(40, lambda text: text, f"{LONG} Give the age.", lambda n: ("young", "old")[n % 2])
    two = calls(30, lambda text: text, f"{LONG} Give the height.", lambda n: ("tall", "low")[n % 2])
    assert sizes(one, two) == [40, 30]
    same = calls(30, lambda text: text, f"{LONG} Give the height.", lambda n: ("young", "old")[n % 2])
    assert sizes(one, same) == [70]


def test_a_later_version_is_the_same_prompt() -> None:
    one = calls(40, lambda text: text, f"{LONG} Say in one word how old the tree is.")
    two = calls(
        30, lambda text: text, f"{LONG} Say in a single word, in lower case, how old the tree may be.", start=40
    )
    assert sizes(one, two) == [70]


def test_a_field_with_few_values_is_one_prompt() -> None:
    kinds = (
        "a letter to the mayor of the town",
        "a poster for the notice board outside",
        "a line in the yearly report",
    )
    parts = [
        calls(20, lambda text, kind=kind: f"Write about trees.\nKind: {kind}\nNotes: {text}", LONG) for kind in kinds
    ]  # type: ignore[misc]
    assert sizes(*parts) == [60]


def test_one_system_text_with_several_messages_is_several_prompts() -> None:
    one = calls(40, lambda text: f"List the trees that a gardener must see before winter:\n{text}", LONG)
    two = calls(30, lambda text: f"Write the sign that hangs beside this group of plants:\n{text}", LONG)
    free = calls(50, lambda text: text, LONG)
    assert sorted(sizes(one, two, free)) == [30, 40, 50]


def test_other_tools_are_never_together() -> None:
    messages = [make_message("system", LONG), make_message("user", "oak")]
    tools = [[{"type": "function", "function": {"name": name}}] for name in ("plant", "cut")]
    made = [make_call(messages, None, tools[number % 2]) for number in range(40)]
    assert sizes(made) == [20, 20]


def test_calls_that_share_nothing_and_no_calls() -> None:
    tool = {"type": "function", "function": {"name": "plant"}}
    made = [make_call([make_message("user", f"{n} x{n} y{n} z{n}")], None, [tool]) for n in range(12)]
    assert sizes(made) == [12]
    assert sizes(calls(12, lambda text: f"{random.random()} {text}")) == []
    assert sizes([]) == []
    assert sizes([make_call([], None)] * 12) == []
    assert mine(lambda: iter(())).groups == ()


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (["yes", "no"], ["no", "yes"], True),
        (["yes", "no"], ["red", "blue"], False),
        (['{"a": 1}'], ['{"a": 2}'], True),
        (['{"a": 1}'], ['{"b": 1}'], False),
        (['{"a": 1}'], ["some text that is long enough to be no choice among a few values, surely so"], False),
    ],
)
def test_answers_of_one_kind(one: list[str], other: list[str], alike: bool) -> None:
    first, second = (Answers.of([look_at(text_target(text)) for text in texts * 20]) for texts in (one, other))
    assert are_alike(first, second) == alike


def seen(answer: str) -> Seen:
    target = text_target(answer)
    return Seen(make_call([make_message("user", "oak")], target), (), target)


def test_schemas_of_answers() -> None:
    rows = [
        {"tree": ("oak", "fir")[n % 2], "age": n, "note": f"n{n}"} | ({"by": "ada"} if n % 3 else {}) for n in range(60)
    ]
    schema = infer_schema([seen(json.dumps(row)) for row in rows])
    assert schema is not None
    assert schema["properties"] == {
        "tree": {"type": "string", "enum": ["fir", "oak"]},
        "age": {"type": "integer"},
        "note": {"type": "string"},
        "by": {"type": "string"},
    }
    assert schema["required"] == ["tree", "age", "note"]
    assert infer_schema([seen(("old", "young", "dead")[n % 3]) for n in range(60)]) == {
        "type": "string",
        "enum": ["dead", "old", "young"],
    }
    assert infer_schema([seen(f"It is {n} years old.") for n in range(60)]) is None


def test_a_choice_must_be_shown() -> None:
    assert find_choices(["a", "b"] * 10) == ["a", "b"]
    assert not find_choices(["a", "b"] * 9)
    assert not find_choices(["a", "b"] * 20 + ["c"])
    assert not find_choices(["a"] * 40)


def test_every_call_is_counted_once_and_the_source_is_read_twice() -> None:
    made = calls(40, lambda text: f"Sort the note below by kind of tree.\n\nNote: {text}") + calls(
        25, lambda text: text
    )
    reads: list[int] = []

    def read() -> Iterator[Seen]:
        reads.append(1)
        return (
            Seen(
                call,
                (make_message("user", call.user),),
                text_target("fine"),
                cost_usd=0.5,
                input_tokens=3,
                output_tokens=1,
            )
            for call in made
        )

    mined = mine(read)
    assert len(reads) == 2
    (group,) = mined.groups
    assert (group.tally.calls, mined.rest.calls, group.tally.read, group.tally.cost_usd) == (40, 25, 40, 20.0)
    assert group.draft.fields == ("note",)
