"""How sure a model is of what it wrote, under the constraint that it wrote under.

An engine reports a token's probability among all tokens, also those that the grammar forbids: a brace that had to come may have one in a
thousand. Here each token's probability is renormalized over the tokens that the grammar admits at its place, so that what was forced is
certain and what was chosen is a choice. An answer's confidence is the product over its tokens; a field's, over the tokens that touch its
value. Other spellings of the same answer in tokens are not added: a tuned student has seen one alone.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from journeyman.core.nodes import dotted
from journeyman.models.protocol import Confidence

if TYPE_CHECKING:
    from llguidance import LLTokenizer

Span = tuple[str, int, int]
"""A field's dotted path, and where its value begins and ends in the text's bytes."""


@dataclass(frozen=True, slots=True)
class Step:
    """One generated token: its id, its natural-log probability among all tokens, and the likeliest tokens with theirs."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


def align(tokens: Sequence[int], steps: Sequence[Step]) -> list[Step | None]:
    """A step for each generated token; None where the engine reported none, as for a token that ends inside a character."""
    found, place = list[Step | None](), 0
    for token in tokens:
        is_next = place < len(steps) and steps[place].token == token
        found.append(steps[place] if is_next else None)
        place += is_next
    # What was reported beyond the tokens (an end that is no text) counts as well.
    return [*found, *steps[place:]]


def read_confidence(shares: Sequence[float], pieces: Sequence[bytes], spans: Iterable[Span]) -> Confidence:
    """From the share of each token, [n], and what it writes, [n]."""
    ends, at = list[tuple[int, int]](), 0
    for piece in pieces:
        ends.append((at, at + len(piece)))
        at += len(piece)
    fields: dict[str, float] = {}
    begins, stops = [first for first, _ in ends], [last for _, last in ends]
    for path, start, end in spans:
        if not path:  # the value is the answer
            continue
        touching = shares[bisect_right(stops, start) : bisect_left(begins, end)]
        fields[path] = fields.get(path, 1.0) * math.prod(touching)
    return Confidence(math.prod(shares), fields)


def free_shares(steps: Sequence[Step | None]) -> list[float]:
    """Without a grammar every token is a choice among all."""
    return _fill([None if step is None else math.exp(step.logprob) for step in steps])


def bound_shares(
    tokens: Sequence[int], steps: Sequence[Step | None], grammar: str, tokenizer: LLTokenizer
) -> list[float]:
    """Each token's probability over those that the grammar admits at its place, [n] from ``tokens`` [n]. What lies beyond the reported tokens counts as
    admitted.

    A token that the grammar does not admit (an engine may stop by one of its own) is taken as it is, and so is what follows.
    """
    from llguidance import LLMatcher

    matcher = LLMatcher(tokenizer, grammar, log_level=0)
    shares: list[float | None] = []
    for token, step in zip(tokens, steps, strict=True):
        if matcher.is_stopped() and not matcher.is_error():
            shares.append(1.0)  # the answer is whole: nothing else could come
            continue
        mask = b"" if matcher.is_error() else matcher.compute_bitmask()
        shares.append(None if step is None else _share(step, mask))
        if mask:
            matcher.consume_token(token)
    return _fill(shares)


def _fill(shares: Sequence[float | None]) -> list[float]:
    """A token without a share of its own is no surer than the next that has one: the two write one character."""
    filled, after = list[float](), 1.0
    for share in reversed(shares):
        after = after if share is None else share
        filled.append(after)
    return filled[::-1]


def _share(step: Step, mask: bytes) -> float:
    own = math.exp(step.logprob)
    if not mask or not _admits(mask, step.token):
        return min(1.0, own)
    if int.from_bytes(mask).bit_count() == 1:
        return 1.0
    others = [(token, math.exp(logprob)) for token, logprob in step.top if token != step.token]
    admitted = sum(value for token, value in others if _admits(mask, token))
    beyond = max(0.0, 1.0 - own - sum(value for _token, value in others))
    total = own + admitted + beyond
    return own / total if total > 0 else 0.0


def _admits(mask: bytes, token: int) -> bool:
    return token >> 3 < len(mask) and bool(mask[token >> 3] >> (token & 7) & 1)


def json_spans(text: str) -> Iterator[Span]:
    """The leaves of a JSON text; a list is one, and so is each value in it, as ``items.0.price``. Nothing for a text that is no JSON."""
    try:
        yield from [(path, _bytes(text, start), _bytes(text, end)) for path, start, end in _leaves(text, 0, "")[0]]
    except (ValueError, IndexError):
        return


def _bytes(text: str, place: int) -> int:
    return len(text[:place].encode())


def _leaves(text: str, at: int, path: str) -> tuple[list[Span], int]:
    """Spans in characters, and where the value at ``at`` ends."""
    at = _skip(text, at)
    if text[at] == "{":
        return _leaves_of_object(text, at, path)
    if text[at] == "[" and path:
        return _leaves_of_list(text, at, path)
    _value, end = json.JSONDecoder().raw_decode(text, at)
    return [(path, at, end)], end


def _leaves_of_object(text: str, at: int, path: str) -> tuple[list[Span], int]:
    found, start, at = list[Span](), at, _skip(text, at + 1)
    if text[at] == "}":
        return [(path, start, at + 1)], at + 1
    while True:
        name, at = json.JSONDecoder().raw_decode(text, at)
        at = _skip(text, at)
        if text[at] != ":":
            raise ValueError("no colon")
        inner, at = _leaves(text, at + 1, f"{path}.{dotted([name])}" if path else dotted([name]))
        found += inner
        at = _skip(text, at)
        if text[at] == "}":
            return found, at + 1
        at = _skip(text, at + 1)


def _leaves_of_list(text: str, at: int, path: str) -> tuple[list[Span], int]:
    """The list first. Raises: ValueError it is none."""
    items, end = json.JSONDecoder().raw_decode(text, at)
    found, at = [(path, at, end)], at + 1
    for number in range(len(items)):
        inner, at = _leaves(text, at, f"{path}.{number}")
        found += inner
        at = _skip(text, at) + 1  # behind the comma
    return found, end


def _skip(text: str, at: int) -> int:
    while text[at] in " \n\r\t":
        at += 1
    return at
