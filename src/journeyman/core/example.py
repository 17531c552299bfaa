"""The Example: one row of a dataset, whatever its kind, and its target.

One shape for single turns, conversations, tools, preferences, passages and images, so that later kinds need no new row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from journeyman.core.canonical import Json, content_hash
from journeyman.core.messages import Message, ToolCall, message_from_openai, message_to_openai

Split = Literal["train", "dev", "calibration", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "calibration", "test")
TargetKind = Literal["object", "text", "tool_calls", "abstain"]
Terms = Literal["free", "unknown", "restricted"]


@dataclass(frozen=True, slots=True)
class Target:
    """What the model should answer: a JSON ``value`` (object), ``text``, ``tool_calls``, or nothing (abstain)."""

    kind: TargetKind
    value: Json = None
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()

    def to_json(self) -> dict[str, Json]:
        raw: dict[str, Json] = {"kind": self.kind}
        if self.kind == "object":
            raw["value"] = self.value
        if self.kind == "text":
            raw["text"] = self.text
        if self.kind == "tool_calls":
            raw["tool_calls"] = [
                {"id": call.id, "name": call.name, "arguments": call.arguments} for call in self.tool_calls
            ]
        return raw

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> Target:
        calls = cast(list[dict[str, str]], raw.get("tool_calls") or [])
        return Target(
            kind=cast(TargetKind, raw["kind"]),
            value=raw.get("value"),
            text=str(raw.get("text") or ""),
            tool_calls=tuple(ToolCall(call["id"], call["name"], call["arguments"]) for call in calls),
        )


def object_target(value: Json) -> Target:
    return Target("object", value=value)


def text_target(text: str) -> Target:
    return Target("text", text=text)


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another answer to the same input. ``verdict``: ``chosen``, ``rejected``, or nothing for one sample of several.

    ``weight`` is how often it came, next to one for each time that the row's own answer did.
    """

    target: Target
    weight: float = 1.0
    verdict: str = ""

    def to_json(self) -> dict[str, Json]:
        return {"target": self.target.to_json(), "weight": self.weight, "verdict": self.verdict}

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> Alternative:
        target = Target.from_json(cast(dict[str, Json], raw["target"]))
        return Alternative(target, cast(float, raw["weight"]), str(raw["verdict"]))


@dataclass(frozen=True, slots=True)
class Passage:
    """A retrieved passage: the chunk's content hash, its text and where it came from."""

    chunk: str
    text: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One row.

    ``input`` holds the task's input fields; ``context`` the earlier turns, if any. ``target`` is the teacher's answer,
    ``gold`` the reviewed one. ``count`` says how often the same row came (gates weight by it). ``group`` names the
    near-copy group, conversation or document: a group never crosses splits. ``id`` and ``time`` are not content.
    """

    input: Mapping[str, Json]
    target: Target | None
    gold: Target | None = None
    context: tuple[Message, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    schema: Mapping[str, Json] | None = None
    passages: tuple[Passage, ...] = ()
    group: str = ""
    count: int = 1
    weight: float = 1.0
    time: str = ""
    instruction_hash: str = ""
    provenance: str = ""
    terms: Terms = "unknown"
    id: str = ""
    meta: Mapping[str, Json] = field(default_factory=dict)

    @property
    def answer(self) -> Target | None:
        """What a student learns: ``gold`` where present, else the teacher's output."""
        return self.gold if self.gold is not None else self.target

    def content(self) -> dict[str, Json]:
        """What the row says, without id, time, group, count and provenance: the part that is hashed."""
        raw: dict[str, Json] = {"input": dict(self.input)}
        if self.target is not None:
            raw["target"] = self.target.to_json()
        if self.gold is not None:
            raw["gold"] = self.gold.to_json()
        if self.context:
            raw["context"] = [message_to_openai(message) for message in self.context]
        if self.alternatives:
            raw["alternatives"] = [item.to_json() for item in self.alternatives]
        if self.schema is not None:
            raw["schema"] = dict(self.schema)
        if self.passages:
            raw["passages"] = [
                {"chunk": passage.chunk, "text": passage.text, "source": passage.source} for passage in self.passages
            ]
        if self.instruction_hash:
            raw["instruction_hash"] = self.instruction_hash
        return raw

    @property
    def hash(self) -> str:
        return content_hash(self.content())

    def to_json(self) -> dict[str, Json]:
        return self.content() | {
            "group": self.group,
            "count": self.count,
            "weight": self.weight,
            "time": self.time,
            "provenance": self.provenance,
            "terms": self.terms,
            "id": self.id,
            "meta": dict(self.meta),
        }

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> Example:
        target, gold = raw.get("target"), raw.get("gold")
        alternatives = cast(list[dict[str, Json]], raw.get("alternatives") or [])
        passages = cast(list[dict[str, str]], raw.get("passages") or [])
        schema = raw.get("schema")
        return Example(
            input=cast(dict[str, Json], raw["input"]),
            target=Target.from_json(cast(dict[str, Json], target)) if target else None,
            gold=Target.from_json(cast(dict[str, Json], gold)) if gold else None,
            context=tuple(message_from_openai(item) for item in cast(list[Json], raw.get("context") or [])),
            alternatives=tuple(Alternative.from_json(item) for item in alternatives),
            schema=cast(dict[str, Json], schema) if schema is not None else None,
            passages=tuple(Passage(item["chunk"], item["text"], item["source"]) for item in passages),
            group=str(raw.get("group") or ""),
            count=cast(int, raw.get("count", 1)),
            weight=cast(float, raw.get("weight", 1.0)),
            time=str(raw.get("time") or ""),
            instruction_hash=str(raw.get("instruction_hash") or ""),
            provenance=str(raw.get("provenance") or ""),
            terms=cast(Terms, raw.get("terms") or "unknown"),
            id=str(raw.get("id") or ""),
            meta=cast(dict[str, Json], raw.get("meta") or {}),
        )
