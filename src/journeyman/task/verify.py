"""Verifying answers: strict JSON, then JSON Schema with formats. One compiled verifier per schema."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn, cast

import jsonschema_rs

from journeyman.core.canonical import Json
from journeyman.core.nodes import Node

MOST_LEVELS = 100
"""Of lists and objects in each other. All that reads an answer goes down into it."""


@dataclass(frozen=True, slots=True)
class Checked:
    """An answer's ``value`` and, if it breaks the schema, the first ``problem`` in words."""

    value: Json
    problem: str

    @property
    def is_valid(self) -> bool:
        return not self.problem


class Verifier:
    """Checks texts and values against one schema, formats included. Compiled once; safe to share between threads."""

    def __init__(self, schema: Node) -> None:
        self._validator = compile_validator(schema)

    def check(self, text: str) -> Checked:
        """Parse strictly and validate; a text that is not JSON has value None and a problem."""
        try:
            value = read_json(text)
        except ValueError as error:
            return Checked(None, f"not JSON: {error}")
        return self.check_value(value)

    def check_value(self, value: Json) -> Checked:
        if _is_deep(value):
            return Checked(None, f"nested deeper than {MOST_LEVELS} levels")
        if has_lone_surrogate(value):
            return Checked(value, "the answer holds half a surrogate pair, which is not Unicode text")
        for error in self._validator.iter_errors(value):
            path = ".".join(str(step) for step in error.instance_path)
            return Checked(value, f"{path + ': ' if path else ''}{error.message:.200}")
        return Checked(value, "")


def verifier(schema: Node) -> Verifier:
    """The compiled verifier of a schema, from a cache."""
    return _verifier(json.dumps(schema))


def read_json(text: str) -> Json:
    """Parse one JSON document: no repeated keys, no NaN or infinity, nothing after it.

    Raises:
        ValueError: with the reason.
    """
    try:
        return cast(
            Json,
            json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite_float),
        )
    except RecursionError:
        raise ValueError("nested too deep") from None


def compile_validator(schema: Node) -> jsonschema_rs.Validator:
    """Raises jsonschema_rs.ValidationError when the schema is not JSON Schema."""
    return jsonschema_rs.validator_for(dict(schema), validate_formats=True, ignore_unknown_formats=False, offline=True)


def has_lone_surrogate(value: Json) -> bool:
    if isinstance(value, str):
        return not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, list):
        return any(has_lone_surrogate(item) for item in value)
    return isinstance(value, dict) and any(has_lone_surrogate([key, item]) for key, item in value.items())


def _is_deep(value: Json) -> bool:
    layer = [value]
    for _level in range(MOST_LEVELS + 1):
        layer = [item for node in layer if isinstance(node, list | dict) for item in _items(node)]
        if not layer:
            return False
    return True


def _items(node: list[Json] | dict[str, Json]) -> Iterable[Json]:
    return node.values() if isinstance(node, dict) else node


@lru_cache(maxsize=256)
def _verifier(schema: str) -> Verifier:
    return Verifier(json.loads(schema))


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} comes twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text:.40} is too large")
    return value
