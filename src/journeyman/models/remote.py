"""Any OpenAI-shaped chat API as a Model: teachers, vLLM, and our own gateway.

Providers differ in what they refuse: when one answers that a parameter is not supported, it is left out (or renamed)
from then on, noted once in ``adaptations``. The key is never written anywhere.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import cast

import orjson

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError, JourneymanError, StoreError
from journeyman.core.grammar import strip_words
from journeyman.core.messages import message_from_openai, message_to_openai
from journeyman.models.counts import read_count
from journeyman.models.events import read_events
from journeyman.models.http_client import HttpClient, HttpReply
from journeyman.models.protocol import Confidence, FinishReason, Reply, Request, TokenLogprob
from journeyman.models.remote_errors import Failures

RENAMED = {"max_tokens": "max_completion_tokens"}
DROPPED = ("temperature", "top_p", "seed", "stop", "logprobs", "top_logprobs", "confidence")
FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
DISK_ERRORS = ("JM-801", "JM-802")


class OpenAIModel:
    """``model`` is the provider's name for it, ``name`` ours. ``url`` ends before ``/chat/completions``."""

    def __init__(
        self,
        name: str,
        url: str,
        key: str = "",
        headers: Mapping[str, str] | None = None,
        *,
        model: str = "",
        timeout_s: float = 120.0,
    ) -> None:
        self._name = name
        self._model = model or name
        self._url = url.rstrip("/") + "/chat/completions"
        self._key = key
        self._failures = Failures(self._url, self._model, key)
        self._headers = dict(headers or {})
        self._client = HttpClient(total_s=timeout_s)
        self.adaptations: set[str] = set()

    @property
    def name(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"OpenAIModel({self._name!r}, {self._url!r})"

    async def complete(self, request: Request) -> Reply:
        """Raises: ModelError JM-430 to JM-434, see `_post` and `_read_reply`."""
        started = time.perf_counter()
        async with self._post(request, {}) as response:
            try:
                raw = orjson.loads(await response.read())
                return self._read_reply(raw, (time.perf_counter() - started) * 1000)
            except (
                orjson.JSONDecodeError,
                KeyError,
                IndexError,
                TypeError,
                AttributeError,
                ValueError,
                DataError,
            ) as error:
                raise self._failures.unreadable(f"{type(error).__name__}: {error}") from error

    async def stream(self, request: Request) -> AsyncIterator[str]:
        async with self._post(request, {"stream": True}) as response:
            async for data in read_events(response.content.iter_any()):
                if data == "[DONE]":
                    return
                try:
                    raw = orjson.loads(data)
                    choices = raw.get("choices") or []
                    text = choices[0]["delta"].get("content") if choices else None
                except (orjson.JSONDecodeError, KeyError, AttributeError, TypeError) as error:
                    raise self._failures.unreadable(data) from error
                if raw.get("error"):
                    raise self._failures.unreadable(data)
                if text:
                    yield text

    async def close(self) -> None:
        await self._client.close()

    @asynccontextmanager
    async def _post(self, request: Request, extra: Mapping[str, Json]) -> AsyncIterator[HttpReply]:
        """One call, repeated when the provider names a parameter that it does not take.

        Raises:
            ModelError: JM-430 not reachable or too slow (retryable), JM-431 busy or failing (retryable),
                JM-432 the request was refused, JM-433 the key was refused, JM-445 another address was named.
            StoreError: JM-801, JM-802: the provider is a Journeyman gateway whose disk takes no more traces.
        """
        headers = {"Content-Type": "application/json", **self._headers, **request.headers}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            while True:
                body = orjson.dumps(self._body(request) | dict(extra))
                async with await self._client.post(self._url, body, headers) as response:
                    if response.status == 200:
                        yield response
                        return
                    said = await response.text()
                    if response.status != 400 or not self._adapt(said):
                        raise self._refused(response.status, said)
        except (TimeoutError, ConnectionError) as error:
            raise self._failures.unreachable(error) from error

    def _body(self, request: Request) -> dict[str, Json]:
        decoding = request.decoding
        body: dict[str, Json] = {
            "model": self._model,
            "messages": [message_to_openai(message) for message in request.messages],
            "temperature": decoding.temperature,
        }
        optional: dict[str, Json] = {
            "max_tokens": decoding.max_tokens,
            "top_p": decoding.top_p,
            "seed": decoding.seed,
            "stop": list(decoding.stop) or None,
            "logprobs": decoding.logprobs or None,
            "top_logprobs": 5 if decoding.logprobs else None,
            "confidence": decoding.confidence or None,
            "tools": [dict(tool) for tool in request.tools] or None,
        }
        if decoding.schema is not None:
            # Strict providers refuse keywords that they do not know.
            schema = _strip_words(json.dumps(decoding.schema))
            form = {"name": decoding.schema_name, "strict": True, "schema": schema}
            optional["response_format"] = {"type": "json_schema", "json_schema": cast(Json, form)}
        body |= {key: value for key, value in optional.items() if value is not None}
        for parameter in self.adaptations & body.keys():
            value = body.pop(parameter)
            if parameter in RENAMED:
                body[RENAMED[parameter]] = value
        return body

    def _adapt(self, said: str) -> bool:
        """Note a parameter that the provider names as the problem; True when that is new and can be helped."""
        try:
            error = orjson.loads(said)["error"]
            parameter = error.get("param") or next((key for key in RENAMED if f"'{key}'" in error["message"]), "")
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return False
        if parameter in self.adaptations or parameter not in (*RENAMED, *DROPPED):
            return False
        self.adaptations.add(parameter)
        return True

    def _read_reply(self, raw: Mapping[str, Json], latency_ms: float) -> Reply:
        choice = cast(list[dict[str, Json]], raw["choices"])[0]
        message = message_from_openai({"role": "assistant"} | cast(dict[str, Json], choice["message"]))
        input_tokens, output_tokens = read_usage(raw)
        finish = FINISH_REASONS.get(str(choice.get("finish_reason")), "stop")
        return Reply(
            text=message.text,
            finish_reason="tool_calls" if message.tool_calls else finish,
            tool_calls=message.tool_calls,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            latency_ms=latency_ms,
            model=str(raw.get("model") or self._model),
            logprobs=_read_logprobs(choice),
            confidence=_read_confidence(raw.get("journeyman")),
        )

    def _refused(self, status: int, said: str) -> JourneymanError:
        return self._disk_error(said) or self._failures.refused(status, said)

    def _disk_error(self, said: str) -> StoreError | None:
        """A gateway's own disk failed: nothing that was asked can succeed, whatever the model."""
        try:
            error = orjson.loads(said)["error"]
            code, hint, what = error["code"], error["hint"], str(error["message"]).partition("\n")[0]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return None
        if code not in DISK_ERRORS:
            return None
        return StoreError(code, what.removeprefix(f"{code} "), where=self._url, hint=str(hint))


@lru_cache(256)
def _strip_words(schema: str) -> Json:
    return strip_words(json.loads(schema))


def read_usage(raw: Mapping[str, Json]) -> tuple[int | None, int | None]:
    """Input and output tokens; None where they are not told as counts."""
    usage = raw.get("usage")
    if not isinstance(usage, dict):
        return None, None
    return read_count(usage.get("prompt_tokens")), read_count(usage.get("completion_tokens"))


def _read_confidence(raw: Json) -> Confidence | None:
    """What a Journeyman gateway adds where it was asked to."""
    if not isinstance(raw, dict) or "raw" not in raw:
        return None
    return Confidence(cast(float, raw["raw"]), cast(dict[str, float], raw.get("fields") or {}))


def _read_logprobs(choice: Mapping[str, Json]) -> tuple[TokenLogprob, ...]:
    holder = choice.get("logprobs")
    items = holder.get("content") if isinstance(holder, Mapping) else None
    return tuple(
        TokenLogprob(
            token=cast(str, item["token"]),
            logprob=cast(float, item["logprob"]),
            top=tuple((str(other["token"]), float(cast(float, other["logprob"]))) for other in _top(item)),
        )
        for item in cast(list[dict[str, Json]], items or [])
    )


def _top(item: Mapping[str, Json]) -> Sequence[Mapping[str, Json]]:
    return cast(list[dict[str, Json]], item.get("top_logprobs") or [])
