"""Questions rewritten by a model before they are searched: what each way finds on nq_open, and what it costs. A part of `benchmarks/techniques.py`, and measured there before it is a switch.

several: the question in other words, three times (multi-query). hypothetical: two sentences that would answer it (HyDE; Gao et al., arXiv:2212.10496). broader: a question about the background (step-back;
Zheng et al., arXiv:2310.06117). parts: the questions that must be answered first (decomposition). What a model writes is searched as the question is, and all rankings are fused by ranks, the question's
own with twice the weight of the others together.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from knowledge import Question

from journeyman.core.messages import make_message
from journeyman.flows.knowledge import Library
from journeyman.knowledge.retrieve.ranking import Hit, fuse_ranks
from journeyman.knowledge.retrieve.recipe import Recipe
from journeyman.measure.bootstrap import bootstrap_ratio
from journeyman.models.catalog import resolve
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.local import LocalModel
from journeyman.models.protocol import Decoding, Request
from journeyman.models.template import load_base_template

Result = dict[str, Any]
MOST_TOKENS, MOST_LINES, DEPTH = 70, 3, 50
CUTS = (1, 5)
LISTED = re.compile(r"^[\s\-*•\d.):]+")
WAYS = {
    "several": "Ask this question in three other ways, with other words. One a line, nothing else.\n\n{question}",
    "hypothetical": "Write two sentences of an encyclopedia that answer this question.\n\n{question}",
    "broader": "Ask one more general question, about the background of this one. Nothing but the question.\n\n{question}",
    "parts": "Which simpler questions must be answered first to answer this one? Three at most, one a line, nothing else.\n\n{question}",
}


@dataclass(frozen=True, slots=True)
class Rewritten:
    texts: tuple[str, ...]
    tokens_read: int
    tokens_written: int
    ms: float


def measure_rewriting(library: Library, questions: Sequence[Question], model: str, most_s: float) -> Result:
    """``most_s`` seconds for each way; what was asked until then is its n."""
    return asyncio.run(_measure(library, questions, model, most_s))


async def _measure(library: Library, questions: Sequence[Question], model: str, most_s: float) -> Result:
    path = resolve(model).path
    engine = await LlamaCpp.start(path, threads=1)
    local = LocalModel(engine, load_base_template(path), path.stem)
    search, ids = library.search, {item.origin.name: item.id for item in library.index.documents()}
    rows: Result = {}
    try:
        for way in WAYS:
            began, written, plain, found = time.monotonic(), list[Rewritten](), list[int](), list[int]()
            for question in questions:
                if time.monotonic() - began > most_s:
                    break
                written.append(await rewrite(local, way, question.text))
                own = search.rank(question.text, Recipe(top=DEPTH))
                others = [search.rank(text, Recipe(top=DEPTH)) for text in written[-1].texts]
                wanted = ids[f"documents/{question.passage}.md"]
                plain.append(place(library, own, wanted))
                found.append(place(library, fuse(own, others), wanted))
            rows[way] = describe_way(written, np.array(plain), np.array(found))
    finally:
        await engine.close()
    return {"model": path.stem, "rows": rows}


async def rewrite(model: LocalModel, way: str, question: str) -> Rewritten:
    request = Request((make_message("user", WAYS[way].format(question=question)),), Decoding(max_tokens=MOST_TOKENS))
    reply = await model.complete(request)
    lines = [reply.text] if way == "hypothetical" else reply.text.splitlines()
    texts = [LISTED.sub("", line).strip() for line in lines]
    kept = tuple(dict.fromkeys(text for text in texts if text and text != question))[:MOST_LINES]
    return Rewritten(kept, reply.input_tokens or 0, reply.output_tokens or 0, reply.latency_ms)


def fuse(own: Sequence[Hit], others: Sequence[Sequence[Hit]]) -> list[Hit]:
    return fuse_ranks([own, *others], [2.0, *[1 / len(others)] * len(others)]) if others else list(own)


def place(library: Library, hits: Sequence[Hit], wanted: int) -> int:
    """Of the right document among those of the hits."""
    order = list(dict.fromkeys(piece.document for piece in library.index.pieces([hit.id for hit in hits])))
    return order.index(wanted) if wanted in order else len(order) + DEPTH


def describe_way(written: Sequence[Rewritten], plain: Any, found: Any) -> Result:
    row: Result = {
        "n": len(written),
        "calls": 1,
        "tokens_read": float(np.mean([item.tokens_read for item in written])),
        "tokens_written": float(np.mean([item.tokens_written for item in written])),
        "ms": float(np.median([item.ms for item in written])),
    }
    for cut in CUTS:
        values = (found < cut).astype(float) - (plain < cut)
        interval = bootstrap_ratio(values)
        row[str(cut)] = {
            "plain": float((plain < cut).mean()),
            "value": float((found < cut).mean()),
            "difference": {"value": float(values.mean()), "low": interval.low, "high": interval.high, "n": len(values)},
        }
    return row
