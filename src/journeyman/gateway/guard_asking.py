"""Guards that somebody answers: a task of this server, or a hook behind an address of the task's file.

Whatever goes wrong is one failure, ``GuardFailed``; what comes of it is the guard's ``fail`` to say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import orjson

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError
from journeyman.core.trace import Origin
from journeyman.gateway.answer import Answer, Call, Wishes
from journeyman.gateway.purse import Meter
from journeyman.gateway.registry import Routed
from journeyman.models.http_client import HttpClient, HttpReply
from journeyman.task.guard import GuardSpec, Side
from journeyman.task.prompt import is_text

MOST_BYTES = 1_000_000


class GuardFailed(Exception):
    """It cannot be told whether something is to be found; the text says why."""


@dataclass(frozen=True, slots=True)
class About:
    """The call that is guarded: the task's name, the trace's id and what stands in it besides, and what the call is paid from."""

    task: str = ""
    trace: str = ""
    meta: Mapping[str, Json] = field(default_factory=dict)
    meter: Meter | None = None
    origin: Origin = "serve"


@dataclass(frozen=True, slots=True)
class Told:
    """``is_flag``: it was found, and is to be said and not acted on. ``text`` is what the text should become."""

    is_found: bool
    is_flag: bool = False
    text: str | None = None


class Asking:
    """``answer`` asks what serves a task, ``find`` finds it; `close` at the end."""

    def __init__(
        self, answer: Callable[[Routed, Call], Awaitable[Answer]], find: Callable[[str], Routed] | None = None
    ) -> None:
        self._answer = answer
        self._find = find
        self._client = HttpClient()

    async def ask(self, spec: GuardSpec, side: Side, text: str, about: About) -> Told:
        """Raises: GuardFailed."""
        if spec.kind == "http":
            return await self._ask_hook(spec, side, text, about)
        try:
            return await self._ask_task(spec, text, about)
        except JourneymanError as error:
            raise GuardFailed(f"{error.code} {error.what}") from error

    async def close(self) -> None:
        await self._client.close()

    async def _ask_task(self, spec: GuardSpec, text: str, about: About) -> Told:
        if self._find is None:
            raise GuardFailed("no task is served here")
        routed = replace(self._find(spec.task), guards=())
        task = routed.model.task
        if task is None or not has_text_alone(task.input):
            raise GuardFailed(f"{spec.task} does not have one field of text")
        call = Call(
            routed.model,
            input=dict.fromkeys(task.input, text),
            wishes=Wishes(confidence=True),
            origin="assess" if about.origin == "assess" else "guard",
            meta={**about.meta, "of": about.trace},
            meter=about.meter and Meter(about.meter.purse, about.meter.limits),
        )
        answer = await self._answer(routed, call)
        sure = answer.confidence.whole if answer.confidence else 1.0
        chance = answer.calibrated if answer.calibrated is not None else sure
        given = _read_field(orjson.loads(answer.text) if task.is_structured else answer.text, spec.field)
        return Told(given == spec.answer and type(given) is type(spec.answer) and chance >= spec.threshold)

    async def _ask_hook(self, spec: GuardSpec, side: Side, text: str, about: About) -> Told:
        said = {"stage": side, "text": text, "task": about.task, "trace": about.trace}
        try:
            post = self._client.post(
                spec.url, orjson.dumps(said), {"content-type": "application/json"}, total_s=spec.timeout_ms / 1000
            )
            async with await post as reply:
                body = await _read_bounded(reply)
        except (TimeoutError, ConnectionError, orjson.JSONEncodeError) as error:
            raise GuardFailed(type(error).__name__) from error
        if reply.status != 200:
            raise GuardFailed(f"status {reply.status}")
        return _read_told(body)


def has_text_alone(input: Mapping[str, Mapping[str, Json]]) -> bool:
    return len(input) == 1 and all(is_text(schema) for schema in input.values())


async def _read_bounded(reply: HttpReply) -> bytes:
    body = b""
    async for piece in reply.iter_any():
        body += piece
        if len(body) > MOST_BYTES:
            raise GuardFailed(f"more than {MOST_BYTES} bytes")
    return body


def _read_told(body: bytes) -> Told:
    try:
        said: Json = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    verdict = said.get("verdict") if isinstance(said, dict) else None
    text = said.get("text") if isinstance(said, dict) else None
    if verdict not in ("pass", "block", "flag") or not isinstance(text, str | None):
        raise GuardFailed("no verdict of pass, block or flag")
    return Told(verdict != "pass", verdict == "flag", text)


def _read_field(value: Json, field: str) -> Json:
    if isinstance(value, dict):
        return value.get(field) if field else next(iter(value.values()), None) if len(value) == 1 else None
    return value
