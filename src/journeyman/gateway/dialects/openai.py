"""OpenAI's chat completions on the wire: read a request, write a completion, its chunks and its errors.

Parameters that would change the answer and that nothing here honours are refused; harmless ones are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError, ServeError
from journeyman.core.messages import Message, messages_from_openai
from journeyman.gateway.answer import Answer, Wishes
from journeyman.gateway.registry import Served
from journeyman.gateway.shape import has_same_shape
from journeyman.models.protocol import TokenLogprob
from journeyman.task.schema import admit

T = TypeVar("T")

# Parameter -> the values that ask for nothing.
UNSERVED: Mapping[str, tuple[Json, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "audio": (),
    "modalities": (["text"],),
    "prediction": (),
    "web_search_options": (),
}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat completion request as it came; ``response_format`` is read when the model is known."""

    model: str
    messages: tuple[Message, ...]
    wishes: Wishes
    is_streamed: bool
    with_usage: bool
    response_format: Mapping[str, Json] | None


def read_chat(raw: Json) -> ChatRequest:
    """Raises: ServeError JM-705 a parameter of the wrong type, JM-711 one that is not served; DataError JM-310."""
    if not isinstance(raw, dict):
        raise _wrong("body", "a JSON object", raw)
    for name, harmless in UNSERVED.items():
        if raw.get(name) is not None and raw[name] not in harmless:
            raise _unserved(name, raw[name])
    if raw.get("tools"):
        raise _unserved("tools", f"{len(raw['tools']) if isinstance(raw['tools'], list) else 1} tools")
    if not isinstance(raw.get("model"), str):
        raise _wrong("model", "text", raw.get("model"))
    if not isinstance(raw.get("messages"), list) or not raw["messages"]:
        raise _wrong("messages", "a list of one or more messages", raw.get("messages"))
    options = _typed(raw, "stream_options", dict, "an object") or {}
    return ChatRequest(
        model=str(raw["model"]),
        messages=messages_from_openai(raw["messages"]),
        wishes=read_wishes(raw),
        is_streamed=bool(_typed(raw, "stream", bool, "true or false")),
        with_usage=options.get("include_usage") is True,
        response_format=_typed(raw, "response_format", dict, "an object"),
    )


def resolve_schema(served: Served, form: Mapping[str, Json] | None) -> Mapping[str, Json] | None:
    """The schema that a request asks for beside the task's own: None where it asks for none or for the task's.

    Raises:
        ServeError: JM-705 unreadable, JM-712 it contradicts the task. TaskError: a base cannot be held to it.
    """
    kind = form.get("type") if form else "text"
    if form is None or kind == "text":
        return None
    if kind == "json_object":
        if served.task is None:
            return {"type": "object"}
        if served.task.schema is None:
            raise _contradiction(served, "json_object", "free text")
        return None
    holder = form.get("json_schema")
    schema = holder.get("schema") if isinstance(holder, dict) else None
    if kind != "json_schema" or not isinstance(schema, dict):
        raise _wrong("response_format", "type text, json_object, or json_schema with json_schema.schema", dict(form))
    if served.task is None:
        admit(schema, "response_format.json_schema.schema")
        return schema
    if served.task.schema is None or not has_same_shape(schema, served.task.schema):
        raise _contradiction(served, "another schema", "the task's own schema")
    return None


def write_completion(answer: Answer) -> dict[str, Json]:
    choice: dict[str, Json] = {
        "index": 0,
        "message": {"role": "assistant", "content": answer.text, "refusal": None},
        "logprobs": _write_logprobs(answer.logprobs),
        "finish_reason": answer.finish_reason,
    }
    return (
        _frame(answer.trace, answer.model, int(answer.created.timestamp()), "chat.completion")
        | {
            "choices": [choice],
            "usage": write_usage(answer),
        }
        | _write_confidence(answer)
    )


def _write_confidence(answer: Answer) -> dict[str, Json]:
    """``confidence`` is the chance that the answer is right where the release has a map to it (``is_calibrated``); ``raw`` and ``fields`` are the model's
    own."""
    if (sure := answer.confidence) is None:
        return {}
    return {
        "journeyman": {
            "confidence": sure.whole if answer.calibrated is None else answer.calibrated,
            "is_calibrated": answer.calibrated is not None,
            "raw": sure.whole,
            "fields": dict(sure.fields),
        }
    }


class ChunkWriter:
    """The chunks of one streamed completion; the first one carries the role."""

    def __init__(self, model: str, id: str, created: int, with_usage: bool) -> None:
        self._frame = _frame(id, model, created, "chat.completion.chunk")
        self._with_usage = with_usage

    def open(self) -> dict[str, Json]:
        return self._chunk({"role": "assistant", "content": ""}, None)

    def write(self, item: str | Answer) -> Iterator[dict[str, Json]]:
        """A piece of text, or the closing chunks."""
        if isinstance(item, str):
            yield self._chunk({"content": item}, None)
            return
        yield self._chunk({}, item.finish_reason) | _write_confidence(item)
        if self._with_usage:
            yield self._frame | {"choices": [], "usage": write_usage(item)}

    def _chunk(self, delta: dict[str, Json], finish_reason: str | None) -> dict[str, Json]:
        choice: dict[str, Json] = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._frame | {"choices": [choice]} | ({"usage": None} if self._with_usage else {})


TYPES: Mapping[str, str] = {
    "JM-740": "authentication_error",
    "JM-741": "permission_error",
    "JM-742": "insufficient_quota",
    "JM-743": "rate_limit_error",
    "JM-746": "rate_limit_error",
}


def write_error(error: JourneymanError, status: int) -> dict[str, Json]:
    """OpenAI's error object; ``code`` is ours, ``param`` the parameter where there is one."""
    return {
        "error": {
            "message": error.message(),
            "type": TYPES.get(error.code) or ("invalid_request_error" if status < 500 else "server_error"),
            "param": error.where
            if isinstance(error, ServeError) and error.code in ("JM-705", "JM-711", "JM-772", "JM-773")
            else None,
            "code": error.code,
            "hint": error.hint,
        }
    }


def write_models(names: list[str]) -> dict[str, Json]:
    return {"object": "list", "data": [write_model(name) for name in names]}


def write_model(name: str) -> dict[str, Json]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "journeyman"}


def read_wishes(raw: dict[str, Json]) -> Wishes:
    longest = raw.get("max_completion_tokens")
    key = "max_tokens" if longest is None else "max_completion_tokens"
    stop = raw.get("stop")
    stops = [stop] if isinstance(stop, str) else stop
    if stops is not None and not (isinstance(stops, list) and all(isinstance(item, str) and item for item in stops)):
        raise _wrong("stop", "text or a list of texts", stop)
    return Wishes(
        max_tokens=_whole(raw, key, 1),
        temperature=_number(raw, "temperature", 0, 2),
        top_p=_number(raw, "top_p", 0, 1),
        seed=_whole(raw, "seed", 0),
        stop=tuple(str(item) for item in stops or []),
        logprobs=bool(_typed(raw, "logprobs", bool, "true or false")),
        confidence=bool(_typed(raw, "confidence", bool, "true or false")),
    )


def _typed(raw: Mapping[str, Json], name: str, kind: type[T], expected: str) -> T | None:
    value = raw.get(name)
    if value is not None and not isinstance(value, kind):
        raise _wrong(name, expected, value)
    return value


def _whole(raw: Mapping[str, Json], name: str, least: int) -> int | None:
    value = raw.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least or value >= 2**32:
        raise _wrong(name, f"a whole number from {least} on", value)
    return value


def _number(raw: Mapping[str, Json], name: str, low: float, high: float) -> float | None:
    value = raw.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _wrong(name, f"a number from {low} to {high}", value)
    return float(value)


def _frame(id: str, model: str, created: int, kind: str) -> dict[str, Json]:
    return {"id": f"chatcmpl-{id}", "object": kind, "created": created, "model": model}


def write_usage(answer: Answer) -> dict[str, Json]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


def _write_logprobs(items: tuple[TokenLogprob, ...]) -> Json:
    if not items:
        return None
    return {
        "content": [
            _write_logprob(item.token, item.logprob)
            | {"top_logprobs": [_write_logprob(token, logprob) for token, logprob in item.top]}
            for item in items
        ],
        "refusal": None,
    }


def _write_logprob(token: str, logprob: float) -> dict[str, Json]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _wrong(name: str, expected: str, got: object) -> ServeError:
    shown = "nothing" if got is None else f"{got!r:.80}"
    return ServeError(
        "JM-705", f"{name} is missing or wrong", where=name, expected=expected, got=shown, hint=f"correct {name}"
    )


def _unserved(name: str, got: object) -> ServeError:
    return ServeError(
        "JM-711",
        f"{name} is not served here",
        where=name,
        expected=f"a request without {name}",
        got=f"{got!r:.80}",
        hint=f"leave {name} out, or send this call to the teacher",
    )


def _contradiction(served: Served, got: str, expected: str) -> ServeError:
    return ServeError(
        "JM-712",
        "response_format contradicts the task",
        where=served.name,
        expected=expected,
        got=got,
        hint="leave response_format out: the task's schema always holds; or make a task with this schema",
    )
