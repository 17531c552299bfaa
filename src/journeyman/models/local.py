"""A base or a student on the local engine, as a Model: messages -> the template's token ids -> the engine."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from journeyman.core.canonical import Json
from journeyman.core.grammar import write_grammar
from journeyman.core.lines import Lines
from journeyman.core.nodes import Node
from journeyman.models.codes import SMALLEST, Codes, Writing, pick
from journeyman.models.confidence import align, bound_shares, free_shares, json_spans, read_confidence
from journeyman.models.llamacpp import Generation, LlamaCpp, make_grammar
from journeyman.models.protocol import Confidence, Decoding, Reply, Request, TokenLogprob, find_start, refuse_tools
from journeyman.models.standby import Standby
from journeyman.models.template import PLAIN, Template


@dataclass(frozen=True)
class LocalModel:
    """``schema`` and ``max_tokens`` hold where a request states none of its own. Many models share one engine.

    With codes it answers in one forward pass; the log-probabilities are then those of whole answers. With lines they are those of the
    tokens that it wrote, which are not those of the JSON that is returned.
    """

    engine: LlamaCpp | Standby
    template: Template
    name: str
    adapter: str | None = None
    schema: Mapping[str, Json] | None = None
    max_tokens: int | None = None
    writing: Writing | None = None

    @property
    def is_warm(self) -> bool:
        """Whether a call now would not wait for weights."""
        return self.engine.is_warm

    async def complete(self, request: Request) -> Reply:
        """Raises: ModelError JM-421 to JM-424 of the engine, JM-425 for tools."""
        started, start = time.perf_counter(), find_start(self)
        if isinstance(self.writing, Codes):
            return await self._choose(self.writing, request)
        prompt, decoding = self._prompt(request), self._decoding(request.decoding)
        end = self.template.tokenizer.end
        write = partial(self.writing.grammar, end=end) if self.writing else write_grammar
        generation = await self.engine.generate(
            prompt, decoding, adapter=self.adapter, write=write, patience_s=request.patience_s
        )
        is_whole = generation.finish_reason == "stop"  # a part of the lines would read as an answer
        return Reply(
            text=self.writing.read(generation.text) if self.writing and is_whole else generation.text,
            finish_reason=generation.finish_reason,
            input_tokens=generation.input_tokens,
            output_tokens=generation.output_tokens,
            latency_ms=(time.perf_counter() - started) * 1000,
            model=self.name,
            logprobs=generation.logprobs if decoding.logprobs else (),
            confidence=await asyncio.to_thread(self._confidence, generation, decoding.schema, write)
            if decoding.confidence and is_whole
            else None,
            start=start,
        )

    async def stream(self, request: Request) -> AsyncGenerator[str, None]:
        async with aclosing(self.stream_reply(request)) as items:
            async for item in items:
                if isinstance(item, str):
                    yield item

    async def stream_reply(self, request: Request) -> AsyncGenerator[str | Reply, None]:
        """Pieces of text, then the whole Reply. Leaving early stops the generation."""
        if self.writing:
            reply = await self.complete(request)
            yield reply.text
            yield reply
            return
        started, start, texts = time.perf_counter(), find_start(self), list[str]()
        prompt, decoding = self._prompt(request), self._decoding(request.decoding)
        pieces = self.engine.stream(prompt, decoding, adapter=self.adapter, patience_s=request.patience_s)
        async with aclosing(pieces):
            async for piece in pieces:
                if piece.text:
                    texts.append(piece.text)
                    yield piece.text
                if piece.finish_reason:
                    yield Reply(
                        text="".join(texts),
                        finish_reason=piece.finish_reason,
                        input_tokens=piece.input_tokens,
                        output_tokens=piece.output_tokens,
                        latency_ms=(time.perf_counter() - started) * 1000,
                        model=self.name,
                        start=start,
                    )

    async def _choose(self, codes: Codes, request: Request) -> Reply:
        started, start, prompt = time.perf_counter(), find_start(self), self._prompt(request)
        probabilities = await self.engine.choose(prompt, codes.ids, adapter=self.adapter, patience_s=request.patience_s)
        place = pick(probabilities, request.decoding.temperature, request.decoding.seed)
        logs = [math.log(max(value, SMALLEST)) for value in probabilities]
        ranked = sorted(zip(codes.answers, logs, strict=True), key=lambda pair: -pair[1])
        return Reply(
            text=codes.answers[place],
            input_tokens=len(prompt),
            output_tokens=1,
            latency_ms=(time.perf_counter() - started) * 1000,
            model=self.name,
            logprobs=(TokenLogprob(codes.answers[place], logs[place], tuple(ranked)),)
            if request.decoding.logprobs
            else (),
            confidence=codes.confidence(probabilities, place) if request.decoding.confidence else None,
            start=start,
        )

    def _confidence(
        self, generation: Generation, schema: Mapping[str, Json] | None, write: Callable[[Node], str]
    ) -> Confidence | None:
        if not generation.steps:
            return None
        tokenizer, steps = self.template.tokenizer, align(generation.token_ids, generation.steps)
        beyond = [step.token for step in steps[len(generation.token_ids) :] if step is not None]
        tokens = [*generation.token_ids, *beyond]
        pieces = [tokenizer.token_bytes(token) for token in tokens]
        if schema is None:
            return read_confidence(free_shares(steps), pieces, ())
        spans = self.writing.spans if isinstance(self.writing, Lines) else json_spans
        shares = bound_shares(tokens, steps, make_grammar(schema, write), tokenizer.guide)
        return read_confidence(shares, pieces, spans(b"".join(pieces).decode(errors="replace")))

    def plain(self) -> LocalModel:
        """The same weights without a chat template: what they are asked is continued as it is. Control tokens in it are plain text."""
        return replace(self, template=Template(PLAIN, self.template.tokenizer))

    async def close(self) -> None:
        """The engine stays: whoever started it closes it."""

    def _decoding(self, wanted: Decoding) -> Decoding:
        return replace(
            wanted,
            schema=self.schema if wanted.schema is None else wanted.schema,
            max_tokens=self.max_tokens if wanted.max_tokens is None else wanted.max_tokens,
        )

    def _prompt(self, request: Request) -> list[int]:
        refuse_tools(self.name, request)
        return self.template.prompt_ids(request.messages)
