"""Embedding models of this machine: opened when first asked, one call at a time, beside the event loop; each call is a trace.

A text that is longer than its model reads is refused and not cut.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, cast

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError, ServeError
from journeyman.core.messages import Message
from journeyman.core.trace import Origin, Trace
from journeyman.gateway.dialects.vectors import EmbeddingRequest, read_input, write_embedding, wrong_embedding
from journeyman.gateway.recorder import Recorder
from journeyman.guards.messages import redact_message
from journeyman.guards.redact import Redactor
from journeyman.models.embedder import Embedded, Floats

LOG = logging.getLogger("journeyman.gateway")
PREFIX = "embed:"


class Embeds(Protocol):
    """A sentence encoder; ``dimension`` numbers a vector."""

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: list[str]) -> Embedded: ...

    def unread(self, texts: list[str]) -> list[list[str]]: ...


Openers = Mapping[str, Callable[[], Embeds]]
"""What opens each model, by the name that clients ask for."""


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """``vectors`` [n, d] of length one; ``unread`` what of each text is not in its vector."""

    vectors: Floats
    unread: list[list[str]]


@dataclass(frozen=True, slots=True)
class _Work:
    body: dict[str, Json]
    tokens: int
    messages: tuple[Message, ...]


class Embeddings:
    """Answers and records. ``now`` is the clock."""

    def __init__(self, recorder: Recorder, openers: Openers, now: Callable[[], datetime] = lambda: datetime.now(UTC)):
        self._recorder = recorder
        self._openers = openers
        self._now = now
        self._open: dict[str, Embeds] = {}
        self._turn = asyncio.Lock()

    @property
    def names(self) -> list[str]:
        return list(self._openers)

    async def answer(
        self, asked: EmbeddingRequest, trace: str, origin: Origin, meta: Mapping[str, Json]
    ) -> dict[str, Json]:
        """The reply, once its trace is stored.

        Raises:
            ServeError: JM-760 not what the model takes, JM-761 no such model. ModelError: it cannot be loaded. StoreError: the trace cannot be stored.
        """
        if asked.model not in self._openers:
            raise _unknown(asked.model, self.names)
        time_, started = self._now(), time.perf_counter()
        async with self._turn:
            work = await asyncio.to_thread(self._work, asked)
        latency_ms = (time.perf_counter() - started) * 1000
        await self._recorder.record(
            Trace(
                id=trace,
                task=asked.model,
                time=time_.isoformat(),
                origin=origin,
                input={},
                messages=work.messages,
                output=None,
                model=asked.model,
                input_tokens=work.tokens,
                output_tokens=0,
                latency_ms=latency_ms,
                provenance="gateway",
                meta=dict(meta),
            )
        )
        return work.body

    async def read(self, texts: list[str]) -> Read | None:
        """By the first model here, for the server's own use and not recorded; None where there is none that can be loaded, or a text is longer than it reads."""
        if not self._openers:
            return None
        async with self._turn:
            try:
                return await asyncio.to_thread(self._read, texts)
            except JourneymanError as error:
                LOG.warning("an embedding model cannot be used: %s", error)
                return None

    def _read(self, texts: list[str]) -> Read | None:
        model = self._load(next(iter(self._openers)))
        found = model.embed(texts)
        return None if found.cut else Read(cast(Floats, found.vectors), model.unread(texts))

    def _load(self, name: str) -> Embeds:
        if name not in self._open:
            self._open[name] = self._openers[name]()
        return self._open[name]

    def _work(self, asked: EmbeddingRequest) -> _Work:
        model = self._load(asked.model)
        if asked.dimensions not in (None, model.dimension):
            raise wrong_embedding("dimensions", f"{model.dimension}, which this model has", asked.dimensions)
        found = model.embed(list(asked.texts))
        if found.cut:
            first = found.cut[0]
            hint = "cut the text into parts that are shorter"
            got = f"{found.tokens[first]} tokens, and {len(found.cut)} such texts"
            raise wrong_embedding(f"input[{first}]", f"at most {found.most_tokens} tokens", got, hint)
        redactor, tokens = Redactor(), int(found.tokens.sum())
        messages = tuple(redact_message(message, redactor) for message in read_input(list(asked.texts)))
        return _Work(write_embedding(asked, cast(Floats, found.vectors), tokens), tokens, messages)


def _unknown(name: str, names: list[str]) -> ServeError:
    is_ours = name.startswith(("task:", "base:"))
    return ServeError(
        "JM-761",
        f"{name} makes no embeddings" if is_ours else f"there is no embedding model {name} here",
        expected="one of " + ", ".join(names) if names else "no embedding model is on this machine",
        got=name,
        hint="take one of these" if names else "journeyman pull all-minilm-l6-v2, then start the server again",
    )
