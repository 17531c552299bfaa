from __future__ import annotations

import random

from journeyman.core.canonical import Json
from journeyman.core.example import Example, object_target
from journeyman.data.exchange import closed_values, copied_values, make_exchange

COPY: dict[str, Json] = {"type": "string", "x-copy": "text"}
SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {
        "intent": {"enum": ["add", "play"]},
        "slots": {"type": "object", "properties": {"song": COPY, "list": COPY, "mood": {"type": "string"}}},
        "names": {"type": "array", "items": COPY},
    },
}


def row(text: str, intent: str, *names: str, **slots: str) -> Example:
    value: dict[str, Json] = {"intent": intent, "slots": dict(slots)}
    return Example({"text": text}, object_target(value | ({"names": list(names)} if names else {})))


ROWS = [
    row("Add Blue Train to my jazz list", "add", song="Blue Train", list="jazz", mood="calm"),
    row("put Yesterday on road trip", "add", song="Yesterday", list="road trip"),
    row("play Thriller", "play", song="Thriller"),
]


def test_leaves_are_found_with_their_kind() -> None:
    value = ROWS[0].answer
    assert value is not None
    assert [(item.path, item.value) for item in copied_values(value.value, SCHEMA)] == [
        (("slots", "song"), "Blue Train"),
        (("slots", "list"), "jazz"),
    ]
    assert closed_values(value.value, SCHEMA) == '[[["intent"],"add"]]'


def test_text_and_answer_change_together_among_rows_of_one_kind() -> None:
    exchange = make_exchange(SCHEMA, ROWS)
    assert exchange is not None
    seen = set()
    for seed in range(60):
        varied = exchange.vary(ROWS[0], random.Random(seed))
        answer = varied.answer
        assert answer is not None
        for item in copied_values(answer.value, SCHEMA):
            assert str(varied.input["text"]).count(item.value) == 1
        seen.add(str(varied.input["text"]))
        assert exchange.vary(ROWS[0], random.Random(seed)) == varied
    assert seen == {
        "Add Blue Train to my jazz list",
        "Add Yesterday to my jazz list",
        "Add Blue Train to my road trip list",
        "Add Yesterday to my road trip list",
    }
    assert exchange.vary(ROWS[2], random.Random(1)) == ROWS[2]


def test_values_that_are_not_alone_stay() -> None:
    twice = row("add jazz to jazz", "add", song="jazz")
    inside = row("add Train from Blue Train", "add", song="Train", list="Blue Train")
    part = row("add Yesterdays tune", "add", song="Yesterday")
    exchange = make_exchange(SCHEMA, [*ROWS, twice, inside, part])
    assert exchange is not None
    for item in (twice, inside, part):
        assert all(exchange.vary(item, random.Random(seed), 1.0) == item for seed in range(20))


def test_lists_are_exchanged_place_by_place() -> None:
    rows = [row("with Ann and Bob", "play", "Ann", "Bob"), row("with Cleo", "play", "Cleo")]
    exchange = make_exchange(SCHEMA, rows)
    assert exchange is not None
    varied = exchange.vary(rows[0], random.Random(3), 1.0)
    answer = varied.answer
    assert answer is not None
    assert isinstance(answer.value, dict)
    names = answer.value["names"]
    assert isinstance(names, list)
    assert varied.input["text"] == f"with {names[0]} and {names[1]}"
    assert "Cleo" in names


def test_a_task_that_copies_nothing_has_no_exchange() -> None:
    assert make_exchange({"type": "object", "properties": {"a": {"type": "string"}}}, ROWS) is None
    assert make_exchange(None, ROWS) is None
    assert make_exchange(SCHEMA, ROWS[2:]) is None
