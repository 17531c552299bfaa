"""A teacher's token log-probabilities in the shapes that servers report them, as one: ``[[bytes, logprob, [[bytes, logprob], ...]], ...]``.

Bytes are kept as text with one character per byte (latin-1). Read from OpenAI's ``choices[].logprobs.content``, llama.cpp's
``completion_probabilities`` and vLLM's ``prompt_logprobs``, of which the answer's part is what ends the sequence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

from journeyman.core.canonical import Json


def read_logprobs(response: Mapping[str, Json], answer: str) -> list[Json]:
    """Empty where the response has none, or not for every token of ``answer``: half a signal would shift all that follows."""
    choices = response.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    logprobs = first.get("logprobs") if isinstance(first, dict) else None
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    for listed in (content, response.get("completion_probabilities")):
        if isinstance(listed, list) and listed:
            return _whole([_token(item) for item in listed], answer)
    prompt = response.get("prompt_logprobs")
    return _from_prompt(prompt, answer) if isinstance(prompt, list) else []


def _token(raw: Json) -> list[Json] | None:
    if not isinstance(raw, dict):
        return None
    own, logprob = _bytes(raw), _number(raw.get("logprob"))
    if own is None or logprob is None:
        return None
    listed = raw.get("top_logprobs")
    others = [_token(item) for item in listed] if isinstance(listed, list) else []
    return [own, logprob, [_pair(item) for item in others if item is not None]]


def _pair(item: Sequence[Json]) -> Json:
    return [item[0], item[1]]


def _from_prompt(listed: Sequence[Json], answer: str) -> list[Json]:
    """The last positions of the sequence, as many as write the answer; a position's own token comes first in vLLM's object."""
    wanted = answer.encode()
    tokens: list[list[Json] | None] = []
    for position in reversed(listed):
        if not isinstance(position, dict):
            break
        items = [_decoded(item) for item in position.values()]
        if not items or items[0] is None:
            break
        tokens.insert(0, [items[0][0], items[0][1], [_pair(item) for item in items if item is not None]])
        written = "".join(str(token[0]) for token in tokens if token).encode("latin-1")
        if len(written) >= len(wanted):
            break
    return _whole(tokens, answer)


def _decoded(raw: Json) -> list[Json] | None:
    if not isinstance(raw, dict) or not isinstance(raw.get("decoded_token"), str):
        return None
    logprob = _number(raw.get("logprob"))
    return None if logprob is None else [_latin(str(raw["decoded_token"]).encode()), logprob]


def _whole(tokens: Sequence[list[Json] | None], answer: str) -> list[Json]:
    if any(token is None for token in tokens):
        return []
    kept = cast(list[list[Json]], list(tokens))
    while kept and not kept[-1][0]:  # an end-of-turn token without text
        kept.pop()
    written = "".join(str(token[0]) for token in kept).encode("latin-1")
    return list[Json](kept) if written == answer.encode() else []


def _bytes(raw: Mapping[str, Json]) -> str | None:
    listed = raw.get("bytes")
    if isinstance(listed, list) and all(isinstance(item, int) and 0 <= item < 256 for item in listed):
        return _latin(bytes(cast(list[int], listed)))
    text = raw.get("token")
    return _latin(text.encode()) if isinstance(text, str) else None


def _latin(data: bytes) -> str:
    return data.decode("latin-1")


def _number(value: Json) -> float | None:
    """A log-probability; servers write -9999 or null for what was not among the best."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value > 1e-3:
        return None
    return round(min(0.0, float(value)), 5)
