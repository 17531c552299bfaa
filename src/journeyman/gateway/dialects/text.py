"""OpenAI's legacy text completions: passed on to a provider, or continued by a base of this machine, from the text as it is.

A task reads messages and is refused here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import StringIO
from typing import Protocol, cast, runtime_checkable

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError, ServeError
from journeyman.core.messages import make_message
from journeyman.gateway.answer import Answer
from journeyman.gateway.dialects.chat_record import (
    CHOICES,
    AsItCame,
    is_done,
    read_choices,
    read_count,
    read_usage,
)
from journeyman.gateway.dialects.dialect import Dialect, data_event
from journeyman.gateway.dialects.openai import ChatRequest, read_wishes, write_error, write_usage
from journeyman.gateway.dialects.vectors import read_input
from journeyman.gateway.points import Asked, Heard
from journeyman.gateway.registry import Routed
from journeyman.gateway.wire import Bound, Streaming, Wire
from journeyman.models.protocol import Model, TokenLogprob

DEFAULT_TOKENS = 16
"""Of an answer where nobody says, as OpenAI has it."""
# Parameter -> the values that ask for nothing.
UNSERVED: Mapping[str, tuple[Json, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
}


@runtime_checkable
class Continues(Protocol):
    """A model that has a form which reads one text as it is, without a chat template."""

    def plain(self) -> Model: ...


def read_text(raw: Json) -> ChatRequest:
    """Raises: ServeError JM-705 a parameter of the wrong type, JM-762 one that is not served."""
    if not isinstance(raw, dict) or not isinstance(raw.get("model"), str):
        raise _unserved("model", "a JSON object with model, a text", raw.get("model") if isinstance(raw, dict) else raw)
    for name, harmless in UNSERVED.items():
        if raw.get(name) is not None and raw[name] not in harmless:
            raise _unserved(name, f"a request without {name}", raw[name])
    prompt, top = raw.get("prompt"), raw.get("logprobs")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str) or not prompt:
        raise _unserved("prompt", "one text that is not empty", prompt)
    if top is not None and (type(top) is not int or not 0 <= top <= 5):
        raise _unserved("logprobs", "a whole number from 0 to 5", top)
    options = raw.get("stream_options")
    wishes = read_wishes(raw | {"logprobs": top is not None})
    return ChatRequest(
        model=str(raw["model"]),
        messages=(make_message("user", prompt),),
        wishes=replace(wishes, max_tokens=wishes.max_tokens or DEFAULT_TOKENS),
        is_streamed=raw.get("stream") is True,
        with_usage=isinstance(options, dict) and options.get("include_usage") is True,
        response_format=None,
    )


def adapt(routed: Routed) -> Routed:
    """Raises: ServeError JM-762 what would answer reads messages alone."""
    served = routed.student
    if routed.task or served is None or not isinstance(served.model, Continues):
        raise _unserved("model", "a base of this machine, or another model of the provider", routed.model.name)
    return replace(routed, student=replace(served, model=served.model.plain()))


def write_text(answer: Answer) -> dict[str, Json]:
    frame = _frame(answer.trace, answer.model, int(answer.created.timestamp()))
    choice = _choice(answer.text, answer.finish_reason) | {"logprobs": _write_logprobs(answer.logprobs)}
    return frame | {"choices": [choice], "usage": write_usage(answer)}


class TextEvents:
    def __init__(self, model: str, trace: str, asked: ChatRequest) -> None:
        self._frame = _frame(trace, model, int(time.time()))
        self._with_usage = asked.with_usage

    def open(self) -> bytes:
        return b""

    def write(self, item: str | Answer) -> bytes:
        if isinstance(item, str):
            return data_event(self._frame | {"choices": [_choice(item, None)]})
        last = data_event(self._frame | {"choices": [_choice("", item.finish_reason)]})
        return last + (
            data_event(self._frame | {"choices": [], "usage": write_usage(item)}) if self._with_usage else b""
        )

    def end(self) -> bytes:
        return b"data: [DONE]\n\n"

    def fail(self, error: JourneymanError, status: int) -> bytes:
        return data_event(write_error(error, status))


def bound_text(raw: Mapping[str, Json]) -> Bound:
    """Each prompt gets ``n`` answers, and ``best_of`` are made for them."""
    stated, prompt = raw.get("max_tokens"), raw.get("prompt")
    most = stated if type(stated) is int and stated >= 0 else DEFAULT_TOKENS
    prompts = len(prompt) if isinstance(prompt, list) and not all(type(item) is int for item in prompt) else 1
    return most * prompts * max(1, *(read_count(raw.get(name)) for name in CHOICES)), {"max_tokens": most}


class Hearing:
    """A streamed completion, chunk by chunk."""

    def __init__(self) -> None:
        self._heard = Heard()
        self._text = StringIO()

    def add(self, chunk: Json) -> None:
        for choice in _first(chunk):
            self._text.write(str(choice.get("text") or ""))
            self._heard.finish_reason = str(choice.get("finish_reason") or "") or self._heard.finish_reason
        read_usage(chunk, self._heard)

    def end(self) -> Heard:
        self._heard.text = self._text.getvalue()
        return self._heard


def read_whole(raw: Json) -> Heard:
    hearing = Hearing()
    hearing.add(raw)
    return hearing.end()


def _first(raw: Json) -> Iterator[dict[str, Json]]:
    return (choice for choice in read_choices(raw) if choice.get("index") in (0, None))


def _read_asked(raw: Mapping[str, Json]) -> Asked:
    return Asked(read_input(raw.get("prompt")))


def _frame(trace: str, model: str, created: int) -> dict[str, Json]:
    return {"id": f"cmpl-{trace}", "object": "text_completion", "created": created, "model": model}


def _choice(text: str, finish_reason: str | None) -> dict[str, Json]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}


def _write_logprobs(items: tuple[TokenLogprob, ...]) -> Json:
    """Lists beside each other, as this API has them; offsets count characters of the answer."""
    if not items:
        return None
    offsets, place = list[int](), 0
    for item in items:
        offsets.append(place)
        place += len(item.token)
    return {
        "tokens": [item.token for item in items],
        "token_logprobs": [item.logprob for item in items],
        "top_logprobs": [cast(Json, dict(item.top)) for item in items],
        "text_offset": cast(Json, offsets),
    }


def _unserved(name: str, expected: str, got: object) -> ServeError:
    return ServeError(
        "JM-762",
        f"{name} is not served by text completions here",
        where=name,
        expected=expected,
        got="nothing" if got is None else f"{got!r:.80}",
        hint="use chat completions: POST /v1/chat/completions",
    )


TEXT_WIRE = Wire("/completions", _read_asked, read_whole, bound_text, Streaming(Hearing, AsItCame, is_done))
TEXT = Dialect(read_text, write_text, TextEvents, lambda raw: (raw, TEXT_WIRE), adapt)
