"""Random schemas with values that fit them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from journeyman.core.canonical import Json

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.text('abcxyzé"\\ /~\n', min_size=1, max_size=4)
FORMATS: dict[str, st.SearchStrategy[str]] = {
    "date": st.dates().map(str),
    "date-time": st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    "time": st.times().map(lambda time: time.isoformat() + "Z"),
    "uuid": st.uuids().map(str),
    "email": st.sampled_from(["a@b.co", "anna.k@mail.example.org"]),
    "uri": st.sampled_from(["https://example.com/a?b=c#d", "mailto:a@b.co"]),
}
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@dataclass(frozen=True)
class Typed:
    """A schema and a strategy for values that fit it."""

    schema: dict[str, Json]
    values: st.SearchStrategy[Any]


def scalars() -> st.SearchStrategy[Typed]:
    return st.one_of(
        st.just(Typed({"type": "string"}, TEXT)),
        st.integers(0, 12).map(lambda n: Typed({"type": "string", "maxLength": n}, TEXT.map(lambda text: text[:n]))),
        st.just(Typed({"type": "string", "pattern": "^[a-c]{1,3}$"}, st.text("abc", min_size=1, max_size=3))),
        st.sampled_from(sorted(FORMATS)).map(lambda name: Typed({"type": "string", "format": name}, FORMATS[name])),
        st.just(Typed({"type": ["string", "null"]}, st.none() | TEXT)),
        st.just(Typed({"type": "integer"}, st.integers(-(2**60), 2**60))),
        st.just(Typed({"type": "number"}, FINITE)),
        st.tuples(st.integers(-50, 50), st.integers(0, 9999)).map(_bounded),
        st.just(Typed({"type": "boolean"}, st.booleans())),
        st.lists(
            st.one_of(TEXT, st.integers(-99, 99), st.floats(-1e6, 1e6).map(lambda number: round(number, 6)), st.none()),
            min_size=1,
            max_size=4,
        ).map(_enum),
        st.just(Typed({"const": {"b": 1, "a": [True, "x"]}}, st.just({"a": [True, "x"], "b": 1}))),
    )


def typed() -> st.SearchStrategy[Typed]:
    return st.recursive(
        scalars(), lambda inner: st.one_of(_arrays(inner), _objects(inner), _either(inner)), max_leaves=8
    )


def _bounded(limits: tuple[int, int]) -> Typed:
    low, high = limits[0], limits[0] + limits[1]
    return Typed({"type": "number", "minimum": low, "maximum": high}, st.floats(low, high))


def _enum(values: list[Any]) -> Typed:
    unique = [value for index, value in enumerate(values) if value not in values[:index]]
    return Typed({"enum": unique}, st.sampled_from(unique))


def _arrays(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    def make(item: Typed, limit: int, is_unique: bool) -> Typed:
        schema: dict[str, Json] = {"type": "array", "items": item.schema, "maxItems": limit}
        if is_unique:
            return Typed({**schema, "uniqueItems": True}, st.lists(item.values, max_size=min(limit, 1)))
        return Typed(schema, st.lists(item.values, max_size=limit))

    return st.builds(make, inner, st.integers(0, 3), st.booleans())


def _objects(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    def make(fields: dict[str, Typed], optional: set[str], is_split: bool) -> Typed:
        required: list[Json] = [name for name in fields if name not in optional]
        properties: dict[str, Json] = {name: item.schema for name, item in fields.items()}
        values = st.fixed_dictionaries(
            {name: item.values for name, item in reversed(fields.items()) if name not in optional},
            optional={name: item.values for name, item in fields.items() if name in optional},
        )
        if is_split:
            first, rest = dict(list(properties.items())[:1]), dict(list(properties.items())[1:])
            parts: list[Json] = [{"properties": rest, "required": required}]
            return Typed({"type": "object", "properties": first, "allOf": parts}, values)
        return Typed(
            {"type": "object", "properties": properties, "required": required, "additionalProperties": False}, values
        )

    fields = st.dictionaries(NAMES, inner, min_size=1, max_size=4)
    return fields.flatmap(
        lambda found: st.builds(make, st.just(found), st.sets(st.sampled_from(sorted(found))), st.booleans())
    )


def _either(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    def make(left: Typed, right: Typed) -> Typed:
        return Typed({"anyOf": [left.schema, right.schema]}, left.values | right.values)

    return st.builds(make, inner, inner)
