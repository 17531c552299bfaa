"""Keys in any order and spans of the input: what the decoder can write, and what it cannot."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from journeyman.core.errors import TaskError
from journeyman.core.grammar import bind_copies, copied_fields, find_unreachable, strip_words, write_grammar
from journeyman.task.schema import admit, constraint_schema

BYTES = LLTokenizer("byte")
SPAN = {"type": "string", "x-copy": "text"}


def _slots(**more: Any) -> dict[str, Any]:
    properties = {"artist": SPAN, "album": SPAN, "year": {"type": "integer"}}
    return {"type": "object", "properties": properties, "additionalProperties": False, "x-order": "any", **more}


def _whole(slots: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"intent": {"enum": ["play", "stop"]}, "slots": slots},
        "required": ["intent", "slots"],
        "additionalProperties": False,
    }


def _writes(schema: dict[str, Any], text: str, fields: dict[str, Any] | None = None) -> bool:
    grammar = LLMatcher.grammar_from_lark(write_grammar(constraint_schema(schema, fields)))
    is_error, messages = LLMatcher.validate_grammar_with_warnings(grammar, tokenizer=BYTES)
    assert not is_error, messages
    matcher, data = LLMatcher(BYTES, grammar, log_level=0), list(text.encode())
    return bool(matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting())


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@given(st.permutations(["artist", "album", "year"]), st.integers(0, 3))
def test_every_subset_in_every_order_and_no_key_twice(order: list[str], size: int) -> None:
    values = {"artist": "Joni", "album": "Blue", "year": 1971}
    chosen = {name: values[name] for name in order[:size]}
    text = _compact({"intent": "play", "slots": chosen})
    assert _writes(_whole(_slots()), text)
    if chosen:
        name = order[0]
        twice = text[:-2] + f",{_compact(name)}:{_compact(values[name])}" + "}}"
        assert not _writes(_whole(_slots()), twice)


def test_required_keys_may_come_anywhere_and_must_come() -> None:
    schema = _slots(required=["year", "artist"])
    assert _writes(schema, '{"album":"x","year":1,"artist":"y"}')
    assert _writes(schema, '{"artist":"y","year":1}')
    assert not _writes(schema, '{"artist":"y","album":"x"}')
    assert not _writes(schema, "{}")


@given(st.text(max_size=40), st.data())
def test_a_copied_string_is_any_span_and_nothing_else(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    fields = {"text": text}
    written = json.dumps(text[start:end], ensure_ascii=False).replace("\x7f", "\\u007f")
    assert _writes(_slots(), '{"artist":' + written + "}", fields)
    other = data.draw(st.text(min_size=1, max_size=6))
    if other not in text:
        written = json.dumps(other, ensure_ascii=False).replace("\x7f", "\\u007f")
        assert not _writes(_slots(), '{"artist":' + written + "}", fields)


def test_a_copied_string_that_may_not_be_empty() -> None:
    schema = _slots(properties={"artist": {**SPAN, "minLength": 1}})
    assert _writes(schema, '{"artist":"o"}', {"text": "Joni"})
    assert not _writes(schema, '{"artist":""}', {"text": "Joni"})


def test_lists_of_spans() -> None:
    schema = _whole({"type": "array", "items": SPAN})
    fields = {"text": "red and blue"}
    assert _writes(schema, '{"intent":"play","slots":["red","blue"]}', fields)
    assert _writes(schema, '{"intent":"play","slots":[]}', fields)
    assert not _writes(schema, '{"intent":"play","slots":["green"]}', fields)


def test_sixty_four_keys_and_not_one_more() -> None:
    names = [f"key{index}" for index in range(64)]
    schema = _slots(properties={name: {"type": "boolean"} for name in names})
    random.Random(0).shuffle(names)
    assert _writes(schema, _compact(dict.fromkeys(names, True)))
    assert not _writes(schema, _compact(dict.fromkeys(names, True))[:-1] + ',"key3":true}')
    schema["properties"]["key64"] = {"type": "boolean"}
    assert find_unreachable(schema) == "#"


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (_slots(additionalProperties=True), "#"),
        (_slots(**{"x-order": "random"}), "#"),
        (_slots(minProperties=1), "#"),
        (_slots(required=["band"]), "#"),
        ({"anyOf": [_slots(), {"type": "null"}]}, "#/anyOf/0"),
        ({"type": "array", "items": _slots(), "minItems": 1}, "#/items"),
        ({"type": "object", "properties": {"a": SPAN}, "additionalProperties": False}, "#/properties/a"),
        ({**SPAN, "pattern": "a+"}, "#"),
        ({"type": "integer", "x-copy": "text"}, "#"),
    ],
)
def test_what_cannot_be_enforced_is_refused_with_its_place(schema: dict[str, Any], path: str) -> None:
    assert find_unreachable(schema) == path
    with pytest.raises(TaskError, match="JM-211") as caught:
        admit(schema, "here")
    assert path in str(caught.value)


def test_other_engines_get_plain_json_schema() -> None:
    bound = bind_copies(_whole(_slots()), {"text": "Joni"})
    assert copied_fields(_whole(_slots())) == {"text"}
    assert "x-" in json.dumps(bound)
    plain = strip_words(bound)
    assert "x-" not in json.dumps(plain)
    assert plain["properties"]["slots"]["properties"]["artist"] == {"type": "string"}  # type: ignore[index,call-overload]


def test_properties_may_have_the_words_names() -> None:
    schema = _slots(properties={"x-order": SPAN, "x-copy": {"enum": ["x-order"]}})
    assert find_unreachable(schema) is None
    assert strip_words(schema)["properties"] == {"x-order": {"type": "string"}, "x-copy": {"enum": ["x-order"]}}  # type: ignore[index,call-overload]
    assert _writes(schema, '{"x-copy":"x-order","x-order":"a"}', {"text": "a"})
