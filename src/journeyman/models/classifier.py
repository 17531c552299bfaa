"""Heads as a Model: the text of a call, its vector, the probability of each value, the likeliest answer as compact JSON."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from journeyman.core.canonical import Json
from journeyman.core.errors import ModelError
from journeyman.core.nodes import dotted, write_json
from journeyman.models.codes import SMALLEST, pick
from journeyman.models.embedder import Features, Vectors
from journeyman.models.head import Heads
from journeyman.models.protocol import Confidence, Reply, Request, TokenLogprob, refuse_tools

LISTED = 1024  # answers whose probabilities a reply lists


@dataclass(frozen=True)
class Classifier:
    """Fields are chosen one by one, so an answer's probability is the product of its fields'. ``fixed`` are fields that have one value.

    ``order`` names all fields as an answer writes them; empty where the one head's value is the answer itself.
    """

    embedder: Features
    heads: Heads
    name: str
    order: tuple[str, ...] = ()
    fixed: Mapping[str, Json] = field(default_factory=dict)

    async def complete(self, request: Request) -> Reply:
        """Raises: ModelError JM-425 for tools, JM-441 a text that is longer than the embedder reads."""
        started = time.perf_counter()
        refuse_tools(self.name, request)
        text = "\n".join(message.text for message in request.messages if message.role == "user")
        embedded = await asyncio.to_thread(self.embedder.embed, [text])
        if embedded.cut:
            raise ModelError(
                "JM-441",
                "this text is longer than the embedding model reads",
                expected=f"at most {embedded.most_tokens} tokens",
                got=f"{int(embedded.tokens[0])}",
                hint="shorten it, or send it to the teacher",
            )
        shares = self.shares(embedded.vectors)
        wish = request.decoding
        seeds = (None if wish.seed is None else wish.seed + place for place in range(len(shares)))
        chosen = [pick(row[0], wish.temperature, seed) for row, seed in zip(shares, seeds, strict=True)]
        logs = [math.log(max(float(row[0][place]), SMALLEST)) for row, place in zip(shares, chosen, strict=True)]
        answer = self.answer(chosen)
        return Reply(
            text=answer,
            input_tokens=int(embedded.tokens[0]),
            output_tokens=len(shares),
            latency_ms=(time.perf_counter() - started) * 1000,
            model=self.name,
            logprobs=(TokenLogprob(answer, sum(logs), self._ranked(shares)),) if wish.logprobs else (),
            confidence=self._confidence(shares, chosen) if wish.confidence else None,
        )

    async def stream(self, request: Request) -> AsyncIterator[str]:
        yield (await self.complete(request)).text

    async def close(self) -> None:
        """Nothing runs."""

    def shares(self, vectors: Vectors) -> list[list[list[float]]]:
        """Per head, per row, the probability of each value."""
        return [head.probabilities(vectors).tolist() for head in self.heads.heads]

    def answer(self, places: Sequence[int]) -> str:
        """The JSON of one value per head."""
        values = {
            head.field.name: head.field.values[place] for head, place in zip(self.heads.heads, places, strict=True)
        } | dict(self.fixed)
        return write_json({name: values[name] for name in self.order} if self.order else values[""])

    def _confidence(self, shares: Sequence[Sequence[Sequence[float]]], chosen: Sequence[int]) -> Confidence:
        parts = [float(row[0][place]) for row, place in zip(shares, chosen, strict=True)]
        named = {
            dotted([head.field.name]): part
            for head, part in zip(self.heads.heads, parts, strict=True)
            if head.field.name
        }
        return Confidence(math.prod(parts), named)

    def _ranked(self, shares: Sequence[Sequence[Sequence[float]]]) -> tuple[tuple[str, float], ...]:
        """Every answer with its log-probability, the likeliest first; none where there are too many."""
        if math.prod(len(row[0]) for row in shares) > LISTED:
            return ()
        combinations = product(*(range(len(row[0])) for row in shares))
        listed = (
            (
                self.answer(places),
                sum(math.log(max(row[0][place], SMALLEST)) for row, place in zip(shares, places, strict=True)),
            )
            for places in combinations
        )
        return tuple(sorted(listed, key=lambda pair: -pair[1]))
