"""Answers that cite their passages: objects of a schema, or text with ``[1]`` behind what passage 1 says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from journeyman.core.errors import KnowledgeError
from journeyman.guards.grounded import find_quotes

_MARKS = re.compile(r"(?:[ \t]*\[[0-9]{1,4}(?:[ \t]*,[ \t]*[0-9]{1,4})*\])+")
_NUMBER = re.compile("[0-9]+")
_STOP = re.compile(r"[.!?…][\"'”’)]*(?=\s+\S)|\n[ \t]*(?:\n|(?=[-*#\d]))")
_CITATION = {
    "type": "object",
    "properties": {"passage": {"type": "integer", "minimum": 1}, "quote": {"type": "string", "minLength": 1}},
    "required": ["passage", "quote"],
    "additionalProperties": False,
}
_STATEMENT = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "citations": {"type": "array", "items": _CITATION}},
    "required": ["text", "citations"],
    "additionalProperties": False,
}
SCHEMA: Mapping[str, object] = {
    "type": "object",
    "properties": {"statements": {"type": "array", "items": _STATEMENT}},
    "required": ["statements"],
    "additionalProperties": False,
}
"""What a model is asked for; no statements means that the passages do not say it."""


@dataclass(frozen=True, slots=True)
class Cited:
    """``quote`` is said to stand in the passage with this number; without one, the passage is said to support the whole statement."""

    passage: int
    quote: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    text: str
    citations: tuple[Cited, ...] = ()


def read_object(raw: object) -> list[Statement]:
    """An object of ``SCHEMA``.

    Raises:
        KnowledgeError: JM-970 it has another form.
    """
    try:
        statements = raw["statements"]  # type: ignore[index]
        return [Statement(_text(one["text"]), tuple(_cited(cited) for cited in one["citations"])) for one in statements]
    except (KeyError, TypeError, IndexError) as error:
        raise KnowledgeError(
            "JM-970",
            "this answer with citations has another form",
            expected='{"statements": [{"text": "...", "citations": [{"passage": 1, "quote": "..."}]}]}',
            got=repr(raw)[:200],
            hint="constrain the model with journeyman.knowledge.ground.answers.SCHEMA",
        ) from error


def read_marked(answer: str) -> list[Statement]:
    """Sentences with the passages that are marked behind them; what stands in quotation marks there are their quotes."""
    found = list[Statement]()
    for sentence in _split(answer):
        text = " ".join(_MARKS.sub("", sentence).split())
        numbers = [int(number) for marks in _MARKS.findall(sentence) for number in _NUMBER.findall(marks)]
        if not re.search(r"\w", text):
            if found and numbers:  # marks behind the full stop belong to what is before it
                before = found.pop()
                found.append(_state(before.text, [*(cited.passage for cited in before.citations), *numbers]))
            continue
        found.append(_state(text, numbers))
    return found


def _state(text: str, numbers: list[int]) -> Statement:
    quotes = [text[start:end] for start, end in find_quotes(text)]
    return Statement(text, tuple(Cited(number, quote) for number in dict.fromkeys(numbers) for quote in quotes or [""]))


def _split(answer: str) -> Iterator[str]:
    """Sentences, each with the marks right behind it."""
    place = 0
    for stop in _STOP.finditer(answer):
        if stop.start() < place:
            continue
        marks = _MARKS.match(answer, stop.end())
        end = marks.end() if marks else stop.end()
        yield answer[place:end]
        place = end
    yield answer[place:]


def _cited(raw: Mapping[str, object]) -> Cited:
    passage = raw["passage"]
    if not isinstance(passage, int) or isinstance(passage, bool):
        raise TypeError(passage)
    return Cited(passage, _text(raw["quote"]))


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError(raw)
    return raw
