"""Answers to the very same call, from memory: for tasks that say so, where decoding is not random. And to one of nearly the same meaning, where a task allows that too.

The key is a hash of the redaction's input, salted anew at each start, with who asks in it. An answer is good for as long as its task says, its release stays live and free,
its recorded call is there and nobody has said that it was wrong; that is looked up at each hit, so that it holds whichever process erased or corrected it.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from journeyman.core.canonical import Json, dump
from journeyman.core.trace import Trace
from journeyman.gateway.answer import Answer, Answerer, Call, read_fields
from journeyman.gateway.embedding import Read
from journeyman.gateway.registry import Routed
from journeyman.models.embedder import Floats

IN_NAMES = re.compile(r"[\d@/_]")
AROUND = ".,;:!?()[]\"'"
LONGEST = 65_536
"""Characters of an answer that is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class _Meaning:
    """Of a call: its texts as vectors of length one, [texts, d] by their fields' names, and a hash of all the rest: of its texts the words with a digit, @, / or _, and what the encoder
    has no token for."""

    rest: bytes
    vectors: Floats
    least: float
    """How like it a call has to be."""


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    answer: Answer
    until: float
    meaning: _Meaning | None = None


@dataclass(slots=True)
class _Shelf:
    """Of one task; ``state`` is which release was live, whether it was held, and which guards the answers have passed when it was filled."""

    state: tuple[object, ...]
    kept: OrderedDict[bytes, _Kept]


class ResponseCache:
    """``find`` gives a recorded call by its id, ``read`` texts as vectors, None of one that is too long. ``clock`` never jumps. Used in one event loop."""

    def __init__(
        self,
        answerer: Answerer,
        find: Callable[[str], Trace | None] | None = None,
        read: Callable[[list[str]], Awaitable[Read | None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._answerer = answerer
        self._find = find
        self._read = read
        self._clock = clock
        self._salt = secrets.token_bytes(32)
        self._shelves: dict[str, _Shelf] = {}

    async def answer(self, routed: Routed, call: Call, ask: Callable[[Routed, Call], Awaitable[Answer]]) -> Answer:
        """What is kept, recorded as a call of its own, else what ``ask`` gives. Raises what asking raises."""
        shelf, key = self._open(routed), self._key(routed, call)
        known = shelf.kept.get(key)
        if known is not None and await self._is_good(known):
            shelf.kept.move_to_end(key)
            return await self._repeat(routed, call, known.answer)
        shelf.kept.pop(key, None)
        meaning = await self._read_meaning(routed, call)
        if meaning is not None and (found := _find_nearest(shelf, meaning)) is not None:
            nearest, likeness = found
            known = shelf.kept[nearest]
            if await self._is_good(known) and self._open(routed) is shelf:
                return await self._repeat(routed, call, known.answer, likeness)
            shelf.kept.pop(nearest, None)
        answer = await ask(routed, call)
        if self._open(routed) is shelf:  # the release may have changed meanwhile
            self._keep(routed, shelf, key, answer, meaning)
        return replace(answer, cache="miss")

    def forget(self, trace: Trace) -> None:
        """An answer that somebody said to be wrong, of the call that gave it or of one that was given it again."""
        shelf = self._shelves.get(trace.task)
        ids = trace.id, trace.meta.get("cached_of")
        for key in [key for key, known in shelf.kept.items() if known.answer.trace in ids] if shelf else []:
            del shelf.kept[key]  # type: ignore[union-attr]

    def _open(self, routed: Routed) -> _Shelf:
        """Empty where another release is live since, it was held or freed, or other guards look at answers."""
        state = routed.live, routed.held, *(guard.spec for guard in routed.guards)
        shelf = self._shelves.get(routed.task)
        if shelf is None or shelf.state != state:
            shelf = self._shelves[routed.task] = _Shelf(state, OrderedDict())
        return shelf

    def _key(self, routed: Routed, call: Call) -> bytes:
        return self._hash(routed, call, read_fields(call))

    def _hash(self, routed: Routed, call: Call, fields: Mapping[str, Json | list[str]]) -> bytes:
        assert routed.cache is not None
        who = "" if routed.cache.shared else str(call.meta.get("key") or "")
        models: list[Json] = [routed.student.release if routed.student else "", routed.policy]
        text = dump([who, models, repr(call.wishes), dict(fields)])
        return blake2b(text.encode("utf-8", "surrogatepass"), key=self._salt, digest_size=32).digest()

    async def _read_meaning(self, routed: Routed, call: Call) -> _Meaning | None:
        """None where the task does not ask for it, or its texts are longer than what reads them."""
        assert routed.cache is not None
        if routed.cache.semantic is None or self._read is None:
            return None
        fields = read_fields(call)
        texts = {name: text for name, text in sorted(fields.items()) if isinstance(text, str) and text.strip()}
        read = await self._read(list(texts.values())) if texts else None
        if read is None:
            return None
        exact: list[list[str]] = [
            find_names(text) + unread for text, unread in zip(texts.values(), read.unread, strict=True)
        ]
        rest = self._hash(routed, call, {**fields, **dict(zip(texts, exact, strict=True))})
        return _Meaning(rest, read.vectors, routed.cache.semantic)

    async def _is_good(self, known: _Kept) -> bool:
        if self._clock() >= known.until:
            return False
        if self._find is None:
            return True
        trace = await asyncio.to_thread(self._find, known.answer.trace)
        return trace is not None and not is_unwanted(trace)

    def _keep(self, routed: Routed, shelf: _Shelf, key: bytes, answer: Answer, meaning: _Meaning | None) -> None:
        assert routed.cache is not None
        is_whole = answer.finish_reason == "stop" and len(answer.text) <= LONGEST
        if not is_whole or answer.by.endswith(": fallback"):
            return
        shelf.kept[key] = _Kept(answer, self._clock() + routed.cache.seconds, meaning)
        shelf.kept.move_to_end(key)
        while len(shelf.kept) > routed.cache.entries:
            shelf.kept.popitem(last=False)

    async def _repeat(self, routed: Routed, call: Call, known: Answer, likeness: float | None = None) -> Answer:
        """``likeness`` where it was another call that was answered so."""
        side = known.by.partition(":")[0]
        served = routed.student if side == "student" else routed.teacher
        assert served is not None, "it answered a moment ago"
        why = "cached" if likeness is None else "similar"
        route: dict[str, Json] = {"policy": routed.policy, "by": side, "why": why}
        if likeness is not None:
            route["likeness"] = round(likeness, 4)
        answer = await self._answerer.repeat(
            replace(call, served=served, sample=routed.sample), known, {"route": route}
        )
        return replace(answer, by=f"{side}: {why}", cache="hit" if likeness is None else "similar", start=None)


def find_names(text: str) -> list[str]:
    """Numbers, order numbers, addresses: the words of a text that its vector hardly tells apart."""
    return [word.strip(AROUND) for word in text.split() if IN_NAMES.search(word)]


def _find_nearest(shelf: _Shelf, meaning: _Meaning) -> tuple[bytes, float] | None:
    """The kept answer to the call that is most like it, and the least cosine of their texts, field by field; None where none is like it enough."""
    alike = [
        (key, known.meaning.vectors)
        for key, known in shelf.kept.items()
        if known.meaning is not None and known.meaning.rest == meaning.rest
    ]
    if not alike:
        return None
    likenesses = (np.stack([vectors for _key, vectors in alike]) * meaning.vectors).sum(axis=-1).min(axis=-1)
    place = int(likenesses.argmax())
    likeness = float(likenesses[place])
    return (alike[place][0], likeness) if likeness >= meaning.least else None


def may_cache(routed: Routed, call: Call) -> bool:
    """Whether the task keeps answers, and the same call would be answered alike."""
    return routed.cache is not None and call.origin != "assess" and not call.wishes.temperature


def is_unwanted(trace: Trace) -> bool:
    return trace.correction is not None or trace.feedback.get("verdict") == "down"
