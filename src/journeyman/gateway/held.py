"""A stream that is passed on under guards: events wait until all that they say is settled, and go out as they came, or with what was found replaced.

What comes again as a whole, arguments of tools and JSON documents wait until the stream ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import orjson

from journeyman.core.canonical import Json
from journeyman.gateway.guarding import Watch
from journeyman.gateway.spoken import Channel, Slot, drop_logprobs, said_in_chunk, said_in_reply
from journeyman.guards.window import Window
from journeyman.task.schema import verifier

Schema = Mapping[str, Json] | None
Event = tuple[bytes, bytes, Json]
"""An event, its data, and what that says."""


@dataclass(slots=True)
class _Spoken:
    """The text of one channel, and what of it went out."""

    window: Window
    is_held: bool
    sent: str = ""

    def add(self, piece: str) -> None:
        begins = (self.window.text + piece).lstrip()[:1]
        if self.is_held or begins in ("{", "[", ""):
            self.is_held = self.is_held or bool(begins)
            self.window.text += piece
        else:
            self.window.add(piece)


@dataclass(frozen=True, slots=True)
class _Part:
    """What an event says at one place: ``spoken.window.text[start:end]``; without ``spoken`` it came before."""

    slot: Slot
    spoken: _Spoken | None = None
    start: int = 0
    end: int = 0

    @property
    def is_settled(self) -> bool:
        return self.spoken is not None and self.end <= self.spoken.window.settled

    def settled_text(self) -> str:
        """What becomes of it; noted as sent."""
        assert self.spoken is not None, "what comes again is never settled"
        text = self.spoken.window.settled_text(self.start, self.end)
        self.spoken.sent += text
        return text


class Held:
    """``schema`` is what a whole answer has to fit."""

    def __init__(self, watch: Watch, schema: Schema) -> None:
        self._watch = watch
        self._schema = schema
        self._holds = watch.holds("output")
        self._needs_whole = not self._holds or watch.needs_whole()
        self._spoken: dict[Channel, _Spoken] = {}
        self._again: dict[str, None] = {}
        self._waiting: deque[tuple[Event, list[_Part]]] = deque()

    async def filter(
        self, events: AsyncIterator[Event], is_last: Callable[[bytes, Json], bool]
    ) -> AsyncIterator[Event]:
        """Raises: ServeError JM-781, JM-782: nothing more may go out."""
        async for event in events:
            self._add(event)
            is_blocked = any(spoken.window.is_blocked for spoken in self._spoken.values())
            if is_blocked or is_last(event[1], event[2]):
                break
            for settled in self._settled():
                yield settled
        for rest in await self._end():
            yield rest

    def _add(self, event: Event) -> None:
        if self._holds and not isinstance(event[2], dict) and event[1].strip() not in (b"", b"[DONE]"):
            return  # nobody can tell what it says
        parts = []
        for slot in said_in_chunk(event[2]):
            if not slot.channel:
                self._again[slot.text] = None
                parts.append(_Part(slot))
                continue
            spoken = self._spoken.get(slot.channel)
            if spoken is None:
                spoken = self._spoken[slot.channel] = _Spoken(self._watch.window(), slot.is_held or self._needs_whole)
            start = len(spoken.window.text)
            spoken.add(slot.text)
            parts.append(_Part(slot, spoken, start, len(spoken.window.text)))
        self._waiting.append((event, parts))

    def _settled(self) -> Iterator[Event]:
        while self._waiting:
            event, parts = self._waiting[0]
            if self._holds and not all(part.is_settled for part in parts):
                return
            self._waiting.popleft()
            said = [part for part in parts if part.spoken is not None] if self._holds else []
            yield _write(event, [(part, part.settled_text()) for part in said])

    async def _end(self) -> list[Event]:
        """What is left, checked as a whole."""
        texts = list(dict.fromkeys([*(spoken.window.text for spoken in self._spoken.values()), *self._again]))
        new = dict(zip(texts, await self._watch.check("output", texts), strict=True))
        for spoken in self._spoken.values():
            if self._holds and (spoken.window.is_blocked or not new[spoken.window.text].startswith(spoken.sent)):
                raise self._watch.refuse("redact", "output", "what was found begins in what was sent")
        check_fit(self._watch, self._schema, new)
        return [_write(event, self._replaced(parts, new) if self._holds else []) for event, parts in self._waiting]

    def _replaced(self, parts: Sequence[_Part], new: Mapping[str, str]) -> Iterator[tuple[_Part, str]]:
        """The first part that waits gets all that is left of a text that changed."""
        for part in parts:
            if part.spoken is None:
                yield part, new[part.slot.text]
            elif new[part.spoken.window.text] != part.spoken.window.text:
                left = new[part.spoken.window.text][len(part.spoken.sent) :]
                part.spoken.sent += left
                yield part, left


async def check_reply(watch: Watch, body: bytes, schema: Schema) -> bytes:
    """A whole reply as it may leave.

    Raises:
        ServeError: JM-781, JM-782.
    """
    raw: Json = None
    with suppress(orjson.JSONDecodeError):
        raw = orjson.loads(body)
    slots = list(said_in_reply(raw))
    if not isinstance(raw, dict):
        text = body.decode(errors="replace")
        return body if await watch.check("output", [text]) == [text] else b""
    texts = [slot.text for slot in slots]
    checked = await watch.check("output", texts)
    if checked == texts or not watch.holds("output"):
        return body
    check_fit(watch, schema, dict(zip(texts, checked, strict=True)))
    for slot, text in zip(slots, checked, strict=True):
        slot.put(text)
    drop_logprobs(raw)
    return orjson.dumps(raw)


def check_fit(watch: Watch, schema: Schema, new: Mapping[str, str]) -> None:
    """Raises: ServeError JM-781: an answer fitted the schema, and redacted it does not."""
    if schema is None:
        return
    check = verifier(schema).check
    if any(before != after and check(before).is_valid and not check(after).is_valid for before, after in new.items()):
        raise watch.refuse("redact", "output", "redacted, the answer does not fit the schema")


def _write(event: Event, said: Iterable[tuple[_Part, str]]) -> Event:
    """The event with these texts; as it came where they are the same."""
    is_changed = False
    for part, text in said:
        if text != part.slot.text:
            part.slot.put(text)
            is_changed = True
    if not is_changed:
        return event
    drop_logprobs(event[2])
    data = orjson.dumps(event[2])
    lines = [line for line in event[0].split(b"\n") if not line.startswith(b"data:")]
    return b"\n".join([*lines, b"data: " + data]), data, event[2]
