"""Codes: single tokens that stand for whole answers, so that one forward pass gives the probability of every answer.

A student of a closed task may write a code where it would write JSON. Which answer a code means travels in the release's manifest.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from journeyman.core.canonical import Json, dump
from journeyman.core.errors import ModelError
from journeyman.core.lines import Lines
from journeyman.core.nodes import dotted
from journeyman.models.protocol import Confidence
from journeyman.models.tokenizer import Tokenizer

WORD, PLAIN = re.compile(r"[A-Za-z]+|\d+"), re.compile("[A-Za-z]+")
SMALLEST = 1e-30  # a probability that the engine rounds to zero


@dataclass(frozen=True)
class Codes:
    """``answers[i]`` (compact JSON, as a student without codes would write it) is written as ``texts[i]``, the one token ``ids[i]``."""

    answers: tuple[str, ...]
    texts: tuple[str, ...]
    ids: tuple[int, ...]

    def write(self, answer: str) -> str:
        """Raises: KeyError for an answer that is none of these."""
        return self._by_answer[answer]

    def read(self, text: str) -> str:
        """The answer; a text that is no code comes back as it is, and will fit no schema."""
        return self._by_text.get(text, text)

    def confidence(self, probabilities: Sequence[float], place: int) -> Confidence:
        """Of the answer at ``place``; a field's is summed over all answers that give it the same value."""
        shares = {
            path: sum(part for part, other in zip(probabilities, self._values, strict=True) if other.get(path) == value)
            for path, value in self._values[place].items()
        }
        return Confidence(probabilities[place], {path: min(1.0, share) for path, share in shares.items() if path})

    def to_json(self) -> list[Json]:
        return [list(item) for item in zip(self.texts, self.ids, self.answers, strict=True)]

    def table(self) -> dict[str, Json]:
        """What ``core.reader`` reads these codes by."""
        return {"codes": {text: json.loads(answer) for text, answer in zip(self.texts, self.answers, strict=True)}}

    @classmethod
    def from_json(cls, raw: Sequence[tuple[str, int, str]]) -> Codes:
        texts, ids, answers = zip(*raw, strict=True)
        return cls(answers, texts, ids)

    @cached_property
    def _values(self) -> list[dict[str, str]]:
        return [dict(list_values(json.loads(answer))) for answer in self.answers]

    @cached_property
    def _by_answer(self) -> dict[str, str]:
        return dict(zip(self.answers, self.texts, strict=True))

    @cached_property
    def _by_text(self) -> dict[str, str]:
        return dict(zip(self.texts, self.answers, strict=True))


Writing = Codes | Lines
"""What a student writes instead of JSON."""


def choose_codes(answers: Sequence[str], tokenizer: Tokenizer) -> Codes:
    """A code for each answer: a word of its own values that no other answer has, where it is one token; else any word that is one.

    Raises:
        ModelError: JM-439 the vocabulary has fewer words of one token than there are answers.
    """
    words = [list(dict.fromkeys(_words(answer))) for answer in answers]
    often = Counter(word for own in words for word in own)
    chosen: dict[str, str] = {}
    for answer, own in zip(answers, words, strict=True):
        fitting = (word for word in own if often[word] == 1 and _is_token(word, tokenizer))
        if word := next(fitting, None):
            chosen[answer] = word
    spare = _spare(tokenizer, set(often))
    for answer in answers:
        if answer not in chosen:
            code = next(spare, None)
            if code is None:
                raise _too_few(len(answers), len(chosen))
            chosen[answer] = code
    texts = tuple(chosen[answer] for answer in answers)
    return Codes(tuple(answers), texts, tuple(tokenizer.encode(text)[0] for text in texts))


def choose_labels(names: Sequence[str], tokenizer: Tokenizer, before: str = "") -> list[str]:
    """A word for each of several names, all different, one token each after ``before``: a part of the name where there is one.

    Names whose parts are in none of the others come first; then whatever part is free, then the beginning of the name, then any word.

    Raises:
        ModelError: JM-439 as `choose_codes`.
    """
    parts = [[part for part in _parts(name, tokenizer) if _is_token(before + part, tokenizer)] for name in names]
    often = Counter(part for own in parts for part in own)
    chosen: dict[int, str] = {}
    for index in sorted(range(len(names)), key=lambda place: min((often[part] for part in parts[place]), default=0)):
        free = [part for part in parts[index] if part not in chosen.values()]
        if free:
            chosen[index] = min(free, key=often.__getitem__)
    spare = (word for word in _spare(tokenizer, set(often)) if _is_token(before + word, tokenizer))
    labels = [chosen.get(index) or next(spare, "") for index in range(len(names))]
    if "" in labels:
        raise _too_few(len(names), labels.index(""))
    return labels


def pick(probabilities: Sequence[float], temperature: float, seed: int | None) -> int:
    """The place of the most probable one, or at a temperature above zero of a drawn one."""
    places = range(len(probabilities))
    if temperature == 0:
        return max(places, key=probabilities.__getitem__)
    logs = [math.log(max(value, SMALLEST)) / temperature for value in probabilities]
    highest = max(logs)
    return random.Random(seed).choices(places, [math.exp(value - highest) for value in logs])[0]


def _too_few(wanted: int, found: int) -> ModelError:
    return ModelError(
        "JM-439",
        "this vocabulary has too few words of one token for this task's answers",
        expected=f"{wanted} words",
        got=str(found),
        hint="tune with --answers json",
    )


def _parts(name: str, tokenizer: Tokenizer) -> list[str]:
    """The words of a name, then its own first token, in letters and digits alone."""
    words = WORD.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))
    first = tokenizer.decode(tokenizer.encode(name)[:1])
    own = [*words, *(word.lower() for word in words), first]
    return [word for word in dict.fromkeys(own) if WORD.fullmatch(word)]


def _words(answer: str) -> Iterator[str]:
    """Words of the values, also as they stand inside a sentence: most words are one token only after a space."""
    texts = [re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text) for text in _leaves(json.loads(answer))]
    words = [word for text in texts for word in WORD.findall(text)]
    yield from words
    yield from (f" {word.lower()}" for word in words)


def _leaves(value: Json) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    else:
        yield value if isinstance(value, str) else json.dumps(value)


def list_values(value: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Dotted paths of an answer's leaves, a list being one, and their values as JSON."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from list_values(item, (*path, name))
    else:
        yield dotted(path), dump(value)


def _is_token(word: str, tokenizer: Tokenizer) -> bool:
    return len(tokenizer.encode(word)) == 1 and tokenizer.decode(tokenizer.encode(word)) == word


def _spare(tokenizer: Tokenizer, taken: set[str]) -> Iterator[str]:
    """Words of one token in the order of the vocabulary, letters first."""
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        if letter not in taken and _is_token(letter, tokenizer):
            yield letter
    for token in range(tokenizer.vocabulary):
        word = tokenizer.token_bytes(token).decode(errors="replace")
        if len(word) > 1 and PLAIN.fullmatch(word) and word not in taken and _is_token(word, tokenizer):
            yield word
