"""A task's answer held against the passages that it was given: which of its citations stand where it says, and the answer without the others.

In an object whatever has an integer ``passage`` cites it (0: none): for its text ``quote`` where there is one, which must stand there, else for what its other texts say. In text ``[1]`` cites for the sentence before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from journeyman.core.canonical import Json
from journeyman.knowledge.ground.answers import Cited, Statement, read_marked
from journeyman.knowledge.ground.citing import CheckedAnswer, Citation, check_answer
from journeyman.knowledge.ground.passages import Passage

PASSAGE, QUOTE = "passage", "quote"
Ungrounded = Literal["drop", "mark", "refuse"]
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Grounded:
    """``value`` is what may leave: the text, or the object without citations that were dropped. ``problem`` says why it may not leave; empty: it may."""

    value: Json
    checked: CheckedAnswer
    is_absent: bool
    problem: str = ""

    @property
    def citations(self) -> tuple[Citation, ...]:
        return tuple(citation for statement in self.checked.statements for citation in statement.citations)


def ground(value: Json, passages: Sequence[Passage], ungrounded: Ungrounded, absent: str) -> Grounded:
    """``value``: the text of an answer, or its object."""
    if isinstance(value, str):
        return _ground_text(value, passages, ungrounded, absent)
    if is_blank(value):
        return Grounded(value, CheckedAnswer(()), is_absent=True)
    places = list(_find(value))
    checked = check_answer([_state(node) for _place, node in places], passages, ungrounded="mark")
    wrong = [place for (place, _node), one in zip(places, checked.statements, strict=True) if not one.is_supported]
    problem = ""
    if wrong and ungrounded == "refuse":
        problem = f"what {_write(wrong[0])} cites stands in none of the passages"
    kept = _without(value, frozenset(wrong)) if wrong and ungrounded == "drop" else value
    return Grounded(kept, checked, is_absent=is_blank(kept), problem=problem)


def is_absent(value: Json, absent: str) -> bool:
    """Whether an answer says that the documents do not say it."""
    return _level(value) == _level(absent) if isinstance(value, str) else is_blank(value)


def is_blank(value: Json) -> bool:
    """Nothing is said in it: null, empty texts, lists and objects of such; the number of no passage, 0, says nothing either."""
    if isinstance(value, dict):
        return all(
            is_blank(item) or (name == PASSAGE and item == 0 and item is not False) for name, item in value.items()
        )
    if isinstance(value, list):
        return all(is_blank(item) for item in value)
    return value is None or (isinstance(value, str) and not value.strip())


def _ground_text(text: str, passages: Sequence[Passage], ungrounded: Ungrounded, absent: str) -> Grounded:
    if is_absent(text, absent):
        return Grounded(text, CheckedAnswer(()), is_absent=True)
    checked = check_answer(read_marked(text), passages, ungrounded="drop" if ungrounded == "drop" else "mark")
    bare = next((one.text for one in checked.statements if not one.is_supported), "")
    problem = f"no passage that it cites says: {bare:.200}" if bare and ungrounded == "refuse" else ""
    return Grounded(text, checked, is_absent=False, problem=problem)


def _find(value: Json, place: Place = ()) -> Iterator[tuple[Place, Mapping[str, Json]]]:
    if isinstance(value, dict):
        number = value.get(PASSAGE)
        if isinstance(number, int) and not isinstance(number, bool) and not is_blank(value):
            yield place, value
            return
        for name, item in value.items():
            yield from _find(item, (*place, name))
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _find(item, (*place, number))


def _state(node: Mapping[str, Json]) -> Statement:
    said = " ".join(item for name, item in node.items() if name != QUOTE and isinstance(item, str))
    quote = node.get(QUOTE)
    cited = Cited(cast(int, node[PASSAGE]), quote if isinstance(quote, str) else "")
    return Statement(said or cited.quote, (cited,))


def _without(value: Json, wrong: frozenset[Place], place: Place = ()) -> Json:
    """In a list an ungrounded citation is left out, elsewhere null stands in its place; of an answer that is one itself, in those of its keys."""
    if isinstance(value, dict) and () in wrong:
        return {name: None if name in (PASSAGE, QUOTE) else item for name, item in value.items()}
    if isinstance(value, dict):
        return {
            name: None if (*place, name) in wrong else _without(item, wrong, (*place, name))
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [
            _without(item, wrong, (*place, number))
            for number, item in enumerate(value)
            if (*place, number) not in wrong
        ]
    return value


def _write(place: Place) -> str:
    return ".".join(map(str, place)) or "the answer"


def _level(value: str) -> str:
    return " ".join(value.casefold().split()).strip(" .!\"'")
