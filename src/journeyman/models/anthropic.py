"""Anthropic's Messages as a Model.

An answer is held to a schema by ``output_config.format``; where a model does not take that, or the schema has open objects, by a tool whose input is the answer and that must
be called. What a model refuses (temperature, on some) is left out from then on and noted in ``adaptations``. There are no logprobs, and no seed. The key is never written
anywhere.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import orjson

from journeyman.core.canonical import Json
from journeyman.core.errors import ModelError, ServeError
from journeyman.core.grammar import strip_words
from journeyman.models.anthropic_reply import is_message, read_said
from journeyman.models.anthropic_request import MOST_TOKENS, write_tools, write_turns
from journeyman.models.anthropic_schema import fit_schema
from journeyman.models.events import read_events
from journeyman.models.http_client import HttpClient, HttpReply
from journeyman.models.protocol import Reply, Request
from journeyman.models.remote_errors import Failures

VERSION = "2023-06-01"
DROPPED = ("output_config", "temperature", "top_p")
UNSUPPORTED = ("support", "deprecated", "cannot both", "not permitted", "not available", "not allowed")
Node = dict[str, Json]


class AnthropicModel:
    """``model`` is the provider's name for it, ``name`` ours. ``url`` ends before ``/messages``."""

    def __init__(self, name: str, url: str, key: str = "", *, model: str = "", timeout_s: float = 120.0) -> None:
        self._name = name
        self._model = model or name
        self._url = url.rstrip("/") + "/messages"
        self._key = key
        self._failures = Failures(self._url, self._model, key, "an API that speaks Anthropic's Messages", "a message")
        self._client = HttpClient(total_s=timeout_s)
        self.adaptations: set[str] = set()

    @property
    def name(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"AnthropicModel({self._name!r}, {self._url!r})"

    async def complete(self, request: Request) -> Reply:
        """Raises: ModelError JM-430 to JM-434, JM-445, see `_post`; JM-434 the reply is not a message."""
        started = time.perf_counter()
        async with self._post(request, {}) as (response, is_forced):
            body = await response.read()
            try:
                raw: Json = orjson.loads(body)
            except orjson.JSONDecodeError:
                raw = None
            if not is_message(raw):
                raise self._failures.unreadable(body.decode(errors="replace"))
            return self._read_reply(raw, is_forced, (time.perf_counter() - started) * 1000)

    async def stream(self, request: Request) -> AsyncIterator[str]:
        async with self._post(request, {"stream": True}) as (response, is_forced):
            async for data in read_events(response.content.iter_any()):
                try:
                    event = orjson.loads(data)
                    kind, delta = event["type"], event.get("delta") or {}
                except (orjson.JSONDecodeError, KeyError, AttributeError, TypeError) as error:
                    raise self._failures.unreadable(data) from error
                if kind == "error":
                    raise self._failures.unreadable(data)
                if kind == "message_stop":
                    return
                if text := delta.get("partial_json" if is_forced else "text"):
                    yield text

    async def close(self) -> None:
        await self._client.close()

    @asynccontextmanager
    async def _post(self, request: Request, extra: Mapping[str, Json]) -> AsyncIterator[tuple[HttpReply, bool]]:
        """One call, repeated when the provider names a parameter that it does not take; and whether the answer is the input of a tool.

        Raises:
            ModelError: JM-430 not reachable or too slow (retryable), JM-431 busy or failing (retryable), JM-432 the request was refused or cannot be said,
                JM-433 the key was refused, JM-445 another address was named.
        """
        headers = {"content-type": "application/json", "anthropic-version": VERSION, **request.headers}
        if self._key:
            headers["x-api-key"] = self._key
        try:
            while True:
                body, is_forced = self._body(request)
                data = orjson.dumps({**body, **extra})
                async with await self._client.post(self._url, data, headers) as response:
                    if response.status == 200:
                        yield response, is_forced
                        return
                    said = await response.text()
                    if response.status != 400 or not self._adapt(said, body):
                        raise self._failures.refused(response.status, said)
        except (TimeoutError, ConnectionError) as error:
            raise self._failures.unreachable(error) from error

    def _body(self, request: Request) -> tuple[Node, bool]:
        decoding = request.decoding
        body: Node = {"model": self._model, "max_tokens": decoding.max_tokens or MOST_TOKENS}
        try:
            body |= write_turns(request.messages) | write_tools({"tools": [dict(tool) for tool in request.tools]})
        except ServeError as error:
            raise self._unsaid(error.what, error.got) from error
        optional: Node = {
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "stop_sequences": list(decoding.stop) or None,
        }
        form, is_forced = self._format(request)
        body |= {key: value for key, value in (optional | form).items() if value is not None}
        for parameter in self.adaptations & body.keys():
            del body[parameter]
        return body, is_forced

    def _format(self, request: Request) -> tuple[Node, bool]:
        """What holds the answer to the schema, and whether that is a tool."""
        if request.decoding.schema is None:
            return {}, False
        schema = strip_words(dict(request.decoding.schema))
        assert isinstance(schema, dict), "a copy of an object"
        fitted = None if "output_config" in self.adaptations else fit_schema(schema)
        if fitted is not None:
            return {"output_config": {"format": {"type": "json_schema", "schema": fitted}}}, False
        if request.tools or schema.get("type") != "object":
            raise self._unsaid(
                "the schema cannot be asked of this model", "tools beside it, or an answer that is no object"
            )
        name = request.decoding.schema_name
        tool: Node = {"name": name, "description": "Gives the answer.", "input_schema": schema}
        return {"tools": [tool], "tool_choice": {"type": "tool", "name": name}}, True

    def _adapt(self, said: str, body: Node) -> bool:
        """Note a parameter that the provider does not support; True when that is new and can be helped."""
        try:
            message = str(orjson.loads(said)["error"]["message"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return False
        named = [name for name in DROPPED if name in message and name in body]
        if not named or not any(word in message for word in UNSUPPORTED):
            return False
        self.adaptations.add(named[0])
        return True

    def _read_reply(self, raw: Json, is_forced: bool, latency_ms: float) -> Reply:
        said = read_said(raw)
        is_answer = is_forced and bool(said.calls)
        reason = said.finish_reason
        if is_answer and reason == "tool_calls":
            reason = "stop"
        return Reply(
            text=said.calls[0].arguments if is_answer else said.text,
            finish_reason=reason,
            tool_calls=() if is_forced else said.calls,
            input_tokens=said.usage.all_input_tokens,
            output_tokens=said.usage.output_tokens,
            latency_ms=latency_ms,
            model=said.model or self._model,
        )

    def _unsaid(self, what: str, got: str) -> ModelError:
        return ModelError("JM-432", what, where=self._url, got=got, hint=f"ask another model than {self._model}")
