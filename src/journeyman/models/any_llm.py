"""Any provider that the package any-llm-sdk knows, as a Model, and as what answers a chat completion that is passed on.

The package is an extra, loaded when a model is opened. It is given only parameters of a chat completion, so that no caller reaches options of its client.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

import orjson

from journeyman.core.canonical import Json
from journeyman.core.errors import ModelError, ServeError
from journeyman.core.grammar import strip_words
from journeyman.core.messages import message_from_openai, message_to_openai
from journeyman.core.settings import environment
from journeyman.models.protocol import Reply, Request
from journeyman.models.remote import DROPPED, FINISH_REASONS, read_usage
from journeyman.models.remote_errors import Failures

if TYPE_CHECKING:
    from any_llm import AnyLLM
    from pydantic import BaseModel

TAKEN = frozenset(
    [
        "messages",
        "tools",
        "tool_choice",
        "temperature",
        "top_p",
        "max_tokens",
        "response_format",
        "stream",
        "n",
        "stop",
        "presence_penalty",
        "frequency_penalty",
        "seed",
        "user",
        "parallel_tool_calls",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "stream_options",
        "max_completion_tokens",
        "reasoning_effort",
    ]
)
Node = dict[str, Json]


class AnyLlmModel:
    """``service`` is the provider's name in any-llm; ``url``, where it is given, the address that is asked instead of the provider's own. The package, which takes
    seconds to load, is loaded at the first call."""

    def __init__(self, name: str, service: str, url: str = "", key: str = "", *, model: str = "") -> None:
        """Raises: ModelError JM-443 the extra is not installed."""
        if find_spec("any_llm") is None:
            raise ModelError(
                "JM-443",
                "this provider is asked through any-llm, which is not installed",
                where=service,
                hint='pip install "journeyman[providers]"',
            )
        self._name = name
        self._model = model or name
        self._service = service
        self._url = url
        self._failures = Failures(url or service, self._model, key, "what any-llm expects of this provider")
        self.adaptations: set[str] = set()
        self._client: AnyLLM | None = None
        self._opening = threading.Lock()

    @property
    def name(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"AnyLlmModel({self._name!r}, {self._service!r})"

    async def complete(self, request: Request) -> Reply:
        """Raises: ModelError JM-430 to JM-434, JM-444, JM-445."""
        started = time.perf_counter()
        reply = await self._answered(_body(request))
        try:
            return _read_reply(orjson.loads(await reply.read()), (time.perf_counter() - started) * 1000)
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise self._failures.unreadable(f"{type(error).__name__}: {error}") from error

    async def stream(self, request: Request) -> AsyncIterator[str]:
        reply = await self._answered(_body(request) | {"stream": True})
        async for chunk in reply.chunks():
            choices = cast(list[dict[str, dict[str, str | None]]], chunk.get("choices") or [])
            if choices and (text := choices[0]["delta"].get("content")):
                yield text

    async def close(self) -> None:
        """Its connections, where the package's client lets them be closed."""
        close = getattr(getattr(self._client, "client", None), "close", None)
        if close is not None:
            await close()

    async def ask(self, body: Mapping[str, Json]) -> Answered:
        """A chat completion, the beginning of its stream, or the provider's refusal.

        Raises:
            ServeError: JM-768 a parameter that is not one of a chat completion. ModelError: JM-430 not reached, JM-434 no completion,
                JM-444 any-llm cannot open this provider.
        """
        given = {name: value for name, value in body.items() if name != "model" and value is not None}
        if odd := sorted(given.keys() - TAKEN):
            raise ServeError(
                "JM-768",
                f"{odd[0]} cannot be asked of this provider, which is asked through any-llm",
                where=odd[0],
                expected=", ".join(sorted(TAKEN)),
                got=f"{given[odd[0]]!r:.80}",
                hint=f"leave {odd[0]} out, or ask another provider's model",
            )
        if (
            "max_completion_tokens" in given
        ):  # any-llm writes max_tokens as each provider calls it, and this word only for some
            given["max_tokens"] = given.pop("max_completion_tokens")
        client = await asyncio.to_thread(self._open) if self._client is None else self._client
        try:
            # any-llm types each parameter by itself; these are checked by name above, and by the provider.
            said = await client.acompletion(model=str(body.get("model") or self._model), **cast(dict[str, Any], given))
            if given.get("stream") is True and hasattr(said, "__aiter__"):
                said = await _begin(said)
        except Exception as error:  # noqa: BLE001
            # Each provider's package has errors of its own, and these hold the request with its key.
            status = _read_status(error)
            if status is None:
                raise self._failures.unreachable(error) from None
            refusal: Node = {"error": {"message": self._failures.without_key(str(error)), "type": "provider_error"}}
            return Answered(refusal, self._failures, status)
        if not hasattr(said, "__aiter__" if given.get("stream") is True else "model_dump"):
            raise self._failures.unreadable(type(said).__name__)
        return Answered(said, self._failures)

    async def _answered(self, body: Node) -> Answered:
        """What a provider refuses by name is left out from then on."""
        while True:
            reply = await self.ask({name: value for name, value in body.items() if name not in self.adaptations})
            if reply.status == 200:
                return reply
            said = (await reply.read()).decode()
            named = [name for name in DROPPED if name in said and body.get(name) is not None]
            if reply.status not in (400, 422) or not (new := set(named[:1]) - self.adaptations):
                raise self._failures.refused(reply.status, said)
            self.adaptations |= new

    def _open(self) -> AnyLLM:
        """Raises: ModelError JM-444."""
        with self._opening:
            if self._client is not None:
                return self._client
            client, key = _open(self._service, self._url, self._failures.key)
            self._client, self._failures = client, replace(self._failures, key=key)
            return client


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one call, with the parts of an HTTP reply that passing it on needs. ``said`` is a completion, an iterator of chunks, or an error object."""

    said: object
    failures: Failures
    status: int = 200

    @property
    def headers(self) -> Mapping[str, str]:
        return {}

    @property
    def content(self) -> Answered:
        return self

    async def read(self) -> bytes:
        return orjson.dumps(_plain(self.said))

    async def chunks(self) -> AsyncIterator[Node]:
        """Raises: ModelError JM-430 to JM-433, JM-445 it broke off."""
        try:
            async for chunk in cast(AsyncIterator[object], self.said):
                yield _plain(chunk)
        except Exception as error:  # noqa: BLE001
            status = _read_status(error)
            refused = self.failures.unreachable(error) if status is None else self.failures.refused(status, str(error))
            raise refused from None

    async def iter_any(self) -> AsyncIterator[bytes]:
        """The stream as a provider of OpenAI's shape writes it."""
        async for chunk in self.chunks():
            yield b"data: " + orjson.dumps(chunk) + b"\n\n"
        yield b"data: [DONE]\n\n"

    def close(self) -> None:
        """Nothing of ours is open: the package's stream ends with its iterator."""


async def _begin(stream: AsyncIterator[object]) -> AsyncIterator[object]:
    """The stream, once its first chunk has come: some packages ask the provider only then, and a refusal has a status until then."""
    first = await anext(stream, None)

    async def whole() -> AsyncIterator[object]:
        if first is not None:
            yield first
        async for chunk in stream:
            yield chunk

    return whole()


def _read_status(error: Exception) -> int | None:
    """The provider's status; None where it was not reached. What the package itself refuses is a wrong request."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return status
    is_ours = isinstance(error, ValueError | TypeError) or type(error).__name__ == "UnsupportedParameterError"
    return 400 if is_ours else None


def _open(service: str, url: str, key: str) -> tuple[AnyLLM, str]:
    """The package's client, and the key that it uses. Redirects are not followed, where its client can be told so."""
    from any_llm import AnyLLM

    try:
        kind = AnyLLM.get_provider_class(service)
        key = key or environment(kind.ENV_API_KEY_NAME)
        return AnyLLM.create(service, api_key=key or None, api_base=url or kind.API_BASE, **_still(kind)), key
    except Exception as error:  # noqa: BLE001
        raise ModelError(
            "JM-444",
            "any-llm cannot open this provider",
            where=service,
            expected="a provider that any-llm knows, with its package and its key",
            got=(str(error).replace(key, "[key]") if key else str(error))[:400],
            hint=f'write its name into `provider`, set its key, or pip install "any-llm-sdk[{service}]"',
        ) from None


def _still(kind: type[AnyLLM]) -> dict[str, object]:
    """A client that stays at its address, for the providers whose package takes one."""
    from anthropic import DefaultAsyncHttpxClient as AnthropicClient
    from any_llm.providers.anthropic.base import BaseAnthropicProvider
    from any_llm.providers.openai.base import BaseOpenAIProvider
    from openai import DefaultAsyncHttpxClient as OpenAIClient

    if issubclass(kind, BaseOpenAIProvider):
        return {"http_client": OpenAIClient(follow_redirects=False), "max_retries": 0}
    if issubclass(kind, BaseAnthropicProvider):
        return {"http_client": AnthropicClient(follow_redirects=False), "max_retries": 0}
    return {}


def _body(request: Request) -> Node:
    decoding = request.decoding
    body: Node = {
        "messages": [message_to_openai(message) for message in request.messages],
        "temperature": decoding.temperature,
        "max_tokens": decoding.max_tokens,
        "top_p": decoding.top_p,
        "stop": list(decoding.stop) or None,
        "tools": [dict(tool) for tool in request.tools] or None,
    }
    if decoding.schema is not None:
        form: Node = {"name": decoding.schema_name, "strict": True, "schema": strip_words(dict(decoding.schema))}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    return body


def _read_reply(raw: Node, latency_ms: float) -> Reply:
    choice = cast(list[Node], raw["choices"])[0]
    message = message_from_openai({"role": "assistant"} | cast(Node, choice["message"]))
    input_tokens, output_tokens = read_usage(raw)
    return Reply(
        text=message.text,
        finish_reason="tool_calls"
        if message.tool_calls
        else FINISH_REASONS.get(str(choice.get("finish_reason")), "stop"),
        tool_calls=message.tool_calls,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        latency_ms=latency_ms,
        model=str(raw.get("model") or ""),
    )


def _plain(said: object) -> Node:
    """A completion or a chunk of the package's types, as JSON."""
    return said if isinstance(said, dict) else cast("BaseModel", said).model_dump(mode="json")
