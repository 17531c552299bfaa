from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from journeyman.core.canonical import Json, bytes_hash, content_hash, dump, file_hash
from tests.core.strategies import JSON

SAFE = 2**53


def _shuffled(value: Json) -> Json:
    """The same value with every object's keys in the opposite order."""
    if isinstance(value, dict):
        return {key: _shuffled(item) for key, item in reversed(value.items())}
    return [_shuffled(item) for item in value] if isinstance(value, list) else value


def _as_floats(value: Json) -> Json:
    """The same value with every integer that a double holds exactly written as a float."""
    if isinstance(value, dict):
        return {key: _as_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_floats(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < SAFE:
        return float(value)
    return value


@given(JSON)
@example({"b": [1.0, -0.0, 1e300], "a": {"": None}})
def test_what_is_written_reads_back_equal(value: Json) -> None:
    assert json.loads(dump(value)) == value


@given(JSON)
def test_writing_is_idempotent(value: Json) -> None:
    assert dump(json.loads(dump(value))) == dump(value)


@given(JSON)
def test_the_order_of_keys_does_not_matter(value: Json) -> None:
    assert content_hash(_shuffled(value)) == content_hash(value)


@given(JSON)
def test_an_integer_and_its_float_are_one_number(value: Json) -> None:
    assert dump(_as_floats(value)) == dump(value)


@given(JSON, JSON)
@example(1, True)
@example(0, False)
@example("1", 1)
@example(None, "null")
@example([], {})
def test_different_values_differ_and_equal_ones_do_not(left: Json, right: Json) -> None:
    assert (dump(left) == dump(right)) == (_tagged(left) == _tagged(right))


def _tagged(value: Json) -> object:
    """Equality of JSON: Python's own says that ``True == 1``, and that ``1e16 == 10**16``."""
    if isinstance(value, dict):
        return {key: _tagged(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_tagged(item) for item in value]
    return (isinstance(value, bool), isinstance(value, float) and abs(value) >= SAFE, value)


def test_beyond_the_exact_integers_of_a_double_a_float_stays_a_float() -> None:
    assert dump(float(SAFE - 1)) == str(SAFE - 1)
    assert dump(float(SAFE)) == "9007199254740992.0"
    assert dump(SAFE) == "9007199254740992"
    assert dump(1e22) == "1e+22"


def test_the_form_is_sorted_without_spaces_and_in_utf8() -> None:
    assert dump({"é": 1.0, "a": [True, None, "ü"], "A": 0.1}) == '{"A":0.1,"a":[true,null,"ü"],"é":1}'
    assert content_hash("ü") == hashlib.sha256('"ü"'.encode()).hexdigest()


def test_a_tuple_and_a_read_only_mapping_are_written_like_list_and_object() -> None:
    assert dump(MappingProxyType({"a": (1, MappingProxyType({}))})) == '{"a":[1,{}]}'


@given(st.text(st.characters(categories=["Cs", "Lu"]), max_size=5))
def test_lone_surrogates_can_be_hashed(text: str) -> None:
    assert content_hash({text: text}) == content_hash({text: text})
    assert (content_hash(text) == content_hash("A")) == (text == "A")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_lacks_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{value} is not a JSON number$"):
        content_hash({"deep": [value]})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"bytes", "bytes is not a JSON value"),
        ({"a": {1, 2}}, "set is not a JSON value"),
        ({1: "a"}, "a JSON object key must be text, got 1"),
        ({None: "a"}, "a JSON object key must be text, got None"),
    ],
)
def test_a_type_that_json_lacks_is_refused(value: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        dump(value)
    assert str(caught.value) == message


@given(st.binary(max_size=100), st.sampled_from([0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1]))
def test_a_file_hashes_like_its_bytes(tmp_path_factory: pytest.TempPathFactory, tail: bytes, padding: int) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "hashed"
    path.write_bytes(b"\0" * padding + tail)
    assert file_hash(path) == bytes_hash(b"\0" * padding + tail)
