"""Calls that are passed on with a schema which their answer has to fit: the reply is held until it is verified, also where it streams.

    request ─► promise ─► provider ─► reply, whole or all events of a stream ─► every text of every choice fits ─► client

A call of tools and a refusal are no answer and need not fit. Where nothing is promised (no schema, or not ``strict``), nothing is held.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from journeyman.core.canonical import Json
from journeyman.core.errors import ModelError, ServeError, TaskError
from journeyman.gateway.held import Event
from journeyman.gateway.wire import Wire
from journeyman.task.schema import admit_verified
from journeyman.task.verify import Verifier, verifier

PLACES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "/chat/completions": (("response_format", "json_schema"),),
    "/responses": (("text", "format"),),
    "/messages": (("output_config", "format"), ("output_format",)),
}
"""Where a request says what its answer has to fit, by the path of its wire."""
CUT = ("length", "max_tokens", "incomplete", "model_context_window_exceeded")
Place = tuple[Json, ...]
"""Where a text stands: the number of its choice, and what tells it from the choice's other texts."""


@dataclass(slots=True)
class Said:
    """What a reply says, piece by piece. A choice that calls tools, or refuses, is no answer."""

    texts: dict[Place, str] = field(default_factory=dict)
    choices: set[Json] = field(default_factory=set)
    called: set[Json] = field(default_factory=set)
    refused: set[Json] = field(default_factory=set)
    cut: str = ""

    def add(self, place: Place, text: Json) -> None:
        """None is no text; what is neither text nor parts of it does not fit."""
        if isinstance(text, list):
            text = "".join(str(part.get("text") or "") for part in _nodes(text))
        if text is not None:
            piece = text if isinstance(text, str) else f"<{type(text).__name__}>"
            self.texts[place] = self.texts.get(place, "") + piece

    def end(self, reason: Json) -> None:
        if reason in CUT:
            self.cut = str(reason)

    def answers(self) -> list[str]:
        """The texts that have to fit. An empty one beside a refusal is none."""
        return [
            text
            for place, text in self.texts.items()
            if place[0] not in self.called and (text or place[0] not in self.refused)
        ]

    @property
    def is_complete(self) -> bool:
        """Whether each choice says something."""
        spoken = {place[0] for place in self.texts} | self.called | self.refused
        return bool(spoken) and self.choices <= spoken


@dataclass(frozen=True, slots=True)
class Promise:
    """What the answer to one call has to fit; ``asked`` is the part of the request that says so. Tools are called only where there ``has_tools``."""

    verifier: Verifier
    asked: str
    model: str
    trace: str
    has_tools: bool
    read: Callable[[Said, Json], None]

    def check_whole(self, reply: Json) -> dict[str, str]:
        """What the client is told of a reply that may leave. Raises: ServeError JM-720."""
        return self._check([reply])

    async def hold(
        self,
        events: AsyncIterator[Event],
        is_last: Callable[[bytes, Json], bool],
        told: dict[str, str],
        hear: Callable[[Json], None],
    ) -> AsyncIterator[Event]:
        """All events, once the last one is there and what they say is verified; what the client is told is added to ``told``. Events that do not leave are heard for the
        record.

        Raises:
            ServeError: JM-720. ModelError: JM-426 the stream broke off.
        """
        held: list[Event] = []
        try:
            async for event in events:
                held.append(event)
                if is_last(event[1], event[2]):
                    break
            else:
                raise ModelError("JM-426", "the stream broke off", hint="call again", retryable=True)
            told |= self._check([chunk for _event, _data, chunk in held])
        except BaseException:
            for _event, _data, chunk in held:
                hear(chunk)
            raise
        return _each(held)

    def _check(self, chunks: Sequence[Json]) -> dict[str, str]:
        said = Said()
        for chunk in chunks:
            self.read(said, chunk)
        if not self.has_tools:
            said.called.clear()
        problem = self._problem(said)
        if problem:
            raise ServeError(
                "JM-720",
                "the provider gave no valid answer",
                where=self.model,
                expected=f"an answer that fits the schema of {self.asked}",
                got=problem,
                hint=f"call again, with more tokens if it was cut; the call is kept as {self.trace}",
            )
        return {"x-journeyman-verified": self.asked} if said.answers() else {}

    def _problem(self, said: Said) -> str:
        """The first thing that is wrong; "" where the reply may leave."""
        if not said.is_complete:
            return "no answer in the reply"
        answers = said.answers()
        if answers and said.cut:
            return f"the answer was cut: {said.cut}"
        checked = map(self.verifier.check, answers)
        return next((item.problem for item in checked if not item.is_valid), "")


def make_promise(wire: Wire, raw: Mapping[str, Json], model: str, trace: str) -> Promise | None:
    """What the request asks its answer to fit; None where that is nothing.

    Raises:
        ServeError: JM-721 answers cannot be held to the schema; keyword and path are named.
    """
    path, own = wire.own or (wire.path, raw)
    for place in PLACES.get(path, ()):
        form = _at(own, place)
        # Messages know no other schemas than those that hold.
        if isinstance(form, dict) and "schema" in form and (form.get("strict") is True or path == "/messages"):
            asked, has_tools = ".".join(place), bool(raw.get("tools") or raw.get("functions"))
            compiled = _compile(form["schema"], f"{asked}.schema")
            return Promise(compiled, asked, model, trace, has_tools, READERS[wire.path])
    return None


def _compile(schema: Json, where: str) -> Verifier:
    if not isinstance(schema, dict):
        raise ServeError(
            "JM-721",
            "the schema is no object, so no answer can be held to it",
            where=where,
            expected="a JSON Schema",
            got=f"{schema!r:.80}",
            hint="write {} for anything",
        )
    try:
        admit_verified(schema, where)
    except TaskError as error:
        raise ServeError(
            "JM-721",
            f"{error.what}, so no answer can be held to this schema",
            where=error.where,
            expected=error.expected,
            got=error.got,
            hint=error.hint,
        ) from error
    return verifier(schema)


async def _each(events: Sequence[Event]) -> AsyncIterator[Event]:
    for event in events:
        yield event


def _read_chat(said: Said, chunk: Json) -> None:
    """A completion, or one of its chunks."""
    for place, choice in enumerate(_nodes(chunk.get("choices")) if isinstance(chunk, dict) else ()):
        index = choice.get("index")
        number = index if isinstance(index, int) else place
        said.choices.add(number)
        said.end(choice.get("finish_reason"))
        for name in ("message", "delta"):
            message = choice.get(name)
            if isinstance(message, dict):
                said.add((number,), message.get("content"))
                if message.get("tool_calls") or message.get("function_call"):
                    said.called.add(number)
                if message.get("refusal"):
                    said.refused.add(number)


def _read_response(said: Said, chunk: Json) -> None:
    """A response, or one of its events, which say the same text again and again: each time it has to fit."""
    if not isinstance(chunk, dict):
        return
    kind = chunk.get("type")
    response = chunk if kind is None else chunk.get("response")
    if isinstance(response, dict):
        said.end(response.get("status"))
        for index, item in enumerate(_nodes(response.get("output"))):
            _read_item(said, (0, kind, index), item)
        if response.get("status") == "failed":
            said.refused.add(0)
    elif isinstance(kind, str):
        place: Place = (0, kind, chunk.get("output_index"), chunk.get("content_index"))
        if kind in ("response.output_text.delta", "response.output_text.done"):
            said.add(place, chunk.get("delta" if kind.endswith("delta") else "text"))
        if kind == "response.content_part.done":
            _read_part(said, place, chunk.get("part"))
        if kind == "response.output_item.done":
            _read_item(said, place, chunk.get("item"))


def _read_item(said: Said, place: Place, item: Json) -> None:
    kind = item.get("type") if isinstance(item, dict) else None
    if isinstance(item, dict) and kind == "message":
        for index, part in enumerate(_nodes(item.get("content"))):
            _read_part(said, (*place, index), part)
    elif kind in ("function_call", "custom_tool_call"):
        said.called.add(0)


def _read_part(said: Said, place: Place, part: Json) -> None:
    if isinstance(part, dict) and part.get("type") == "output_text":
        said.add(place, part.get("text"))
    elif isinstance(part, dict) and part.get("type") == "refusal":
        said.refused.add(0)


def _read_message(said: Said, chunk: Json) -> None:
    """A message of Anthropic's, or one of its events."""
    if not isinstance(chunk, dict):
        return
    for index, block in enumerate(_nodes(chunk.get("content"))):
        _read_block(said, index, block)
    _read_block(said, chunk.get("index"), chunk.get("content_block"))
    delta = chunk.get("delta")
    if isinstance(delta, dict) and delta.get("type") == "text_delta":
        said.add((0, chunk.get("index")), delta.get("text"))
    for node in (chunk, delta):
        reason = node.get("stop_reason") if isinstance(node, dict) else None
        said.end(reason)
        if reason == "refusal":
            said.refused.add(0)


def _read_block(said: Said, index: Json, block: Json) -> None:
    if isinstance(block, dict) and block.get("type") == "text":
        said.add((0, index), block.get("text"))
    elif isinstance(block, dict) and block.get("type") == "tool_use":
        said.called.add(0)


READERS: Mapping[str, Callable[[Said, Json], None]] = {
    "/chat/completions": _read_chat,
    "/responses": _read_response,
    "/messages": _read_message,
}


def _at(raw: Any, place: tuple[str, ...]) -> Json:
    for name in place:
        raw = raw.get(name) if isinstance(raw, Mapping) else None
    return raw  # type: ignore[no-any-return]


def _nodes(raw: Json) -> Iterator[dict[str, Json]]:
    return (item for item in raw if isinstance(item, dict)) if isinstance(raw, list) else iter(())
