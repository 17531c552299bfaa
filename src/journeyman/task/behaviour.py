"""Behavioural tests of a task: what a student must do besides being right on the whole.

The three kinds are those of Ribeiro et al., "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList" (2020, arXiv:2005.04118), section 2.
This module knows nothing about how a text is changed or an answer judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from journeyman.core.canonical import Json

BehaviourKind = Literal["invariance", "direction", "minimum"]
Change = Literal["typos", "upper", "lower", "title", "spaces", "punctuation", "inject"]
Move = Literal["rises", "falls", "not_rises", "not_falls"]
LEAST = 0.9
ROWS, REQUIRED_ROWS = 100, 300  # a required test has to be shown to hold, not only to be described


@dataclass(frozen=True, slots=True)
class BehaviourSpec:
    """One test, held by at least a share ``least`` of its units.

    ``invariance``: the answer (its part ``field``; empty: all of it) stays the same when the input changes. ``direction``: that part moves ``by``, or
    becomes ``becomes``. ``minimum``: the answers to simple cases are right by the gate's metric. What changes: ``rows`` sealed rows get one of our
    ``change``s or the text ``append`` in their text ``fields`` (empty: all of them), or the file ``cases`` has inputs with their changed ones.
    A ``required`` test counts in the gate.
    """

    kind: BehaviourKind
    change: Change | None = None
    append: str = ""
    cases: str = ""
    fields: tuple[str, ...] = ()
    field: str = ""
    by: Move | None = None
    becomes: bool | int | float | str | None = None
    least: float = LEAST
    rows: int = ROWS
    required: bool = False

    @property
    def how(self) -> str:
        """What is changed, or asked, in a word."""
        return self.cases or self.change or f"{self.append!r} appended"

    def to_json(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"fields": list(self.fields)}

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> BehaviourSpec:
        given = cast(dict[str, Any], dict(raw))
        return BehaviourSpec(**given | {"fields": tuple(given["fields"])})


def required_tests(behaviour: Mapping[str, BehaviourSpec]) -> dict[str, BehaviourSpec]:
    return {name: spec for name, spec in behaviour.items() if spec.required}
