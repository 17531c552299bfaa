"""Which documents may answer: conditions on their facts, exact, decided before anything is ranked.

    {"lang": "en"}                        equal, or among the values of a list
    {"year": {"gte": 2020, "lt": 2024}}   lt, lte, gt, gte, ne, in, exists, under (a path below another)

All conditions must hold. Facts of every document: `name`, `root`, `title`, `media`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import ge, gt, le, lt
from typing import Any, TypeAlias

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Fact
from journeyman.knowledge.index.file import Shelved

Condition: TypeAlias = "Fact | list[Fact] | Mapping[str, object]"
Filter = Mapping[str, Condition]
Test = Callable[[Fact | None, object], bool]


def find_allowed(documents: Iterable[Shelved], where: Filter) -> list[int]:
    """Ids of the documents that meet every condition.

    Raises:
        KnowledgeError: JM-955 an operator that is not known.
    """
    tests = [(key, _read(key, condition)) for key, condition in where.items()]
    return [item.id for item in documents if all(test(_fact(item, key)) for key, test in tests)]


def _read(key: str, condition: Condition) -> Callable[[Fact | None], bool]:
    if not isinstance(condition, Mapping):
        wanted = {"in": condition} if isinstance(condition, list) else {"eq": condition}
        return _read(key, wanted)
    if unknown := [name for name in condition if name not in OPERATORS]:
        raise KnowledgeError(
            "JM-955",
            "unknown condition in a filter",
            where=key,
            expected=", ".join(sorted(OPERATORS)),
            got=unknown[0],
            hint="{field: value} asks for equal",
        )
    parts = [(OPERATORS[name], value) for name, value in condition.items()]
    return lambda fact: all(test(fact, value) for test, value in parts)


def _fact(item: Shelved, key: str) -> Fact | None:
    if key in item.facts:
        return item.facts[key]
    own: dict[str, Fact] = {
        "name": item.origin.name,
        "root": item.origin.root,
        "title": item.title,
        "media": item.media,
    }
    return own.get(key)


def _is_equal(fact: Fact | None, value: object) -> bool:
    if isinstance(fact, tuple):
        return value in fact or (isinstance(value, (list, tuple)) and tuple(value) == fact)
    return (fact is not None and type(fact) is type(value) and fact == value) or _is_same_number(fact, value)


def _is_same_number(fact: object, value: object) -> bool:
    return _is_number(fact) and _is_number(value) and fact == value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_among(fact: Fact | None, values: object) -> bool:
    return isinstance(values, (list, tuple, set)) and any(_is_equal(fact, value) for value in values)


def _is_under(fact: Fact | None, value: object) -> bool:
    folder = str(value).rstrip("/")
    return isinstance(fact, str) and (fact == folder or fact.startswith(folder + "/"))


def _ordered(compare: Callable[[Any, Any], bool]) -> Test:
    """Numbers with numbers, text with text (so ISO dates in their order); what cannot be compared does not hold."""

    def test(fact: Fact | None, value: object) -> bool:
        alike = (_is_number(fact) and _is_number(value)) or (isinstance(fact, str) and isinstance(value, str))
        return alike and bool(compare(fact, value))

    return test


OPERATORS: Mapping[str, Test] = {
    "eq": _is_equal,
    "ne": lambda fact, value: not _is_equal(fact, value),
    "in": _is_among,
    "exists": lambda fact, value: (fact is not None) == bool(value),
    "under": _is_under,
    "lt": _ordered(lt),
    "lte": _ordered(le),
    "gt": _ordered(gt),
    "gte": _ordered(ge),
}
