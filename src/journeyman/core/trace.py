"""The Trace: one recorded call of a model, by whoever made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from journeyman.core.canonical import Json
from journeyman.core.example import Alternative, Passage, Target, Terms
from journeyman.core.judgements import settle_judgements
from journeyman.core.messages import Message, message_from_openai, message_to_openai

Origin = Literal["import", "serve", "ask", "task", "assess", "synthesize", "audit", "shadow", "guard"]


@dataclass(frozen=True, slots=True)
class Trace:
    """One call.

    ``origin=assess`` marks calls made by an evaluation, ``guard`` those that a guard made: they can never become examples, nor can what a student said unseen (``shadow``). ``row_key`` identifies an
    imported row (provider id, else content hash and occurrence number), so that the same file twice adds nothing.
    ``feedback`` is what people said: ``{"verdict": "up" | "down", "answer": a target, "outcome", "note", "time", "judgements": of those who label}``; ``meta["logprobs"]`` holds the output's tokens
    (``data.logprobs``), ``verdicts["extracted"]`` which window of which document was read, and what is doubted of it (``flows.extracting``).
    ``split`` is an assignment made at import. Times are ISO 8601 in UTC, money in US dollars.
    """

    id: str
    task: str
    time: str
    origin: Origin
    input: Mapping[str, Json]
    messages: tuple[Message, ...]
    output: Target | None
    gold: Target | None = None
    alternatives: tuple[Alternative, ...] = ()
    schema: Mapping[str, Json] | None = None
    tools: tuple[Mapping[str, Json], ...] = ()
    passages: tuple[Passage, ...] = ()
    model: str = ""
    release: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None
    status: str = "ok"
    instruction_hash: str = ""
    row_key: str = ""
    split: str = ""
    provenance: str = ""
    terms: Terms = "unknown"
    verdicts: Mapping[str, Json] = field(default_factory=dict)
    feedback: Mapping[str, Json] = field(default_factory=dict)
    meta: Mapping[str, Json] = field(default_factory=dict)

    @property
    def correction(self) -> Target | None:
        """The answer that somebody said to be the right one: who labels, else who called."""
        return settle_judgements(self.feedback) or self.complaint

    @property
    def complaint(self) -> Target | None:
        """The right answer as whoever called said it."""
        raw = self.feedback.get("answer")
        return Target.from_json(raw) if isinstance(raw, dict) else None

    @property
    def has_content(self) -> bool:
        return self.meta.get("content") != "not kept"

    def without_content(self) -> Trace:
        """Its numbers, and who answered: nothing of what was said."""
        meta = {**self.meta, "content": "not kept"}
        return replace(self, input={}, messages=(), output=None, schema=None, tools=(), passages=(), meta=meta)

    def to_json(self) -> dict[str, Json]:
        return {
            "id": self.id,
            "task": self.task,
            "time": self.time,
            "origin": self.origin,
            "input": dict(self.input),
            "messages": [message_to_openai(message) for message in self.messages],
            "output": self.output.to_json() if self.output else None,
            "gold": self.gold.to_json() if self.gold else None,
            "alternatives": [item.to_json() for item in self.alternatives],
            "schema": dict(self.schema) if self.schema is not None else None,
            "tools": [dict(tool) for tool in self.tools],
            "passages": [{"chunk": item.chunk, "text": item.text, "source": item.source} for item in self.passages],
            "model": self.model,
            "release": self.release,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": self.cost_usd,
            "latency_ms": self.latency_ms,
            "status": self.status,
            "instruction_hash": self.instruction_hash,
            "row_key": self.row_key,
            "split": self.split,
            "provenance": self.provenance,
            "terms": self.terms,
            "verdicts": dict(self.verdicts),
            "feedback": dict(self.feedback),
            "meta": dict(self.meta),
        }

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> Trace:
        def target(key: str) -> Target | None:
            value = raw.get(key)
            return Target.from_json(cast(dict[str, Json], value)) if value else None

        passages = cast(list[dict[str, str]], raw.get("passages") or [])
        schema = raw.get("schema")
        return Trace(
            id=str(raw["id"]),
            task=str(raw["task"]),
            time=str(raw["time"]),
            origin=cast(Origin, raw["origin"]),
            input=cast(dict[str, Json], raw["input"]),
            messages=tuple(message_from_openai(item) for item in cast(list[Json], raw.get("messages") or [])),
            output=target("output"),
            gold=target("gold"),
            alternatives=tuple(
                Alternative.from_json(item) for item in cast(list[dict[str, Json]], raw.get("alternatives") or [])
            ),
            schema=cast(dict[str, Json], schema) if schema is not None else None,
            tools=tuple(cast(list[dict[str, Json]], raw.get("tools") or [])),
            passages=tuple(Passage(item["chunk"], item["text"], item["source"]) for item in passages),
            model=str(raw.get("model") or ""),
            release=str(raw.get("release") or ""),
            input_tokens=cast(int | None, raw.get("input_tokens")),
            output_tokens=cast(int | None, raw.get("output_tokens")),
            cost_usd=cast(float | None, raw.get("cost_usd")),
            latency_ms=cast(float | None, raw.get("latency_ms")),
            status=str(raw.get("status") or "ok"),
            instruction_hash=str(raw.get("instruction_hash") or ""),
            row_key=str(raw.get("row_key") or ""),
            split=str(raw.get("split") or ""),
            provenance=str(raw.get("provenance") or ""),
            terms=cast(Terms, raw.get("terms") or "unknown"),
            verdicts=cast(dict[str, Json], raw.get("verdicts") or {}),
            feedback=cast(dict[str, Json], raw.get("feedback") or {}),
            meta=cast(dict[str, Json], raw.get("meta") or {}),
        )
