"""The answer of the most similar example, by words: the cheapest student that can write any output, and the examples that a prompt shows.

A memory, not a model: it is right where the same question comes again in nearly the same words (Cover and Hart 1967).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from journeyman.core.files import write_atomic
from journeyman.models.damaged import refuse_damaged
from journeyman.models.protocol import Confidence, Reply, Request, refuse_tools
from journeyman.models.words import Words, find_words, load_words, save_words

if TYPE_CHECKING:
    from journeyman.models.embedder import Vectors

EXAMPLES = "examples.json"


@dataclass(frozen=True)
class Examples:
    """``texts`` and ``answers`` of train rows, and the words that tell which are near."""

    words: Words
    texts: tuple[str, ...]
    answers: tuple[str, ...]

    def nearest(self, text: str, count: int) -> list[tuple[int, float]]:
        """The examples most like ``text``, the likest first, each with its cosine in [0, 1]; of equals the first."""
        scores = (self._vectors @ self.words.embed([text]).vectors.T).toarray().ravel()  # type: ignore[union-attr]
        order = np.argsort(-scores, kind="stable")[:count]
        return [(int(place), min(1.0, float(scores[place]))) for place in order]

    @cached_property
    def _vectors(self) -> Vectors:
        return self.words.embed(self.texts).vectors


@dataclass(frozen=True)
class Nearest:
    """`Examples` as a Model. Its confidence is the cosine: no chance of being right, but it rises with it, which a calibrated map needs."""

    examples: Examples
    name: str

    async def complete(self, request: Request) -> Reply:
        """Raises: ModelError JM-425 for tools."""
        started = time.perf_counter()
        refuse_tools(self.name, request)
        text = "\n".join(message.text for message in request.messages if message.role == "user")
        ((place, score),) = await asyncio.to_thread(self.examples.nearest, text, 1)
        return Reply(
            text=self.examples.answers[place],
            input_tokens=len(find_words(text)),
            output_tokens=1,
            latency_ms=(time.perf_counter() - started) * 1000,
            model=self.name,
            confidence=Confidence(score, {}) if request.decoding.confidence else None,
        )

    async def stream(self, request: Request) -> AsyncIterator[str]:
        yield (await self.complete(request)).text

    async def close(self) -> None:
        """Nothing runs."""


def save_examples(folder: Path, examples: Examples) -> None:
    """Write ``examples.json`` and ``words.json``. Raises: StoreError: JM-801, JM-802."""
    pairs = zip(examples.texts, examples.answers, strict=True)
    listed = [{"text": text, "answer": answer} for text, answer in pairs]
    write_atomic(folder / EXAMPLES, json.dumps(listed, ensure_ascii=False) + "\n")
    save_words(folder, examples.words)


def load_examples(folder: Path) -> Examples:
    """Raises: ModelError: JM-436 its examples or words are damaged."""
    path = folder / EXAMPLES
    with refuse_damaged("examples", path, f"{EXAMPLES} as it was written"):
        listed = json.loads(path.read_text(encoding="utf-8"))
        texts, answers = tuple(str(item["text"]) for item in listed), tuple(str(item["answer"]) for item in listed)
        if not texts:
            raise ValueError("no examples")
    return Examples(load_words(folder), texts, answers)
