"""The Task: one narrow job. Made from a YAML file (``task.file``) or a typed function (``flows.typed``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from journeyman.core.canonical import Json, content_hash
from journeyman.core.nodes import subschemas
from journeyman.task.behaviour import BehaviourSpec
from journeyman.task.guard import GuardSpec

MetricKind = Literal[
    "normalized",
    "edit_similarity",
    "token_f1",
    "rouge_l",
    "numeric",
    "set",
    "sequence",
    "calls",
    "quoted",
    "function",
    "judge",
    "embedding",
    "latency",
    "cost",
]
LEAST_KAPPA = 0.4
"""What a judge's agreement with people must be shown to reach before it may decide a gate. A task may ask for more."""
JUDGE_KEYS = ("rubric", "model", "least_kappa")
CALL_KEYS: Mapping[str, str] = {"latency": "most_ms", "cost": "most_usd"}
"""Kinds of what a call takes, and the key that each needs."""
Against = Literal["teacher", "floor", "agreement"]
Policy = Literal["auto", "teacher", "student", "cascade", "shadow"]
Fallback = Literal["none", "student"]
Ungrounded = Literal["drop", "mark", "refuse"]
LATER: dict[str, Json] = {"least": 0.0, "diversity": 0.0, "named": False, "embeds": False, "rerank": None}
NEVER = object()
ABSENT = "Not in the documents."


@dataclass(frozen=True, slots=True)
class Gate:
    """The rule of the switch: ``metric`` compared ``against`` the teacher (or a floor) within ``margin`` (shares, 0.05 = 5 points)."""

    metric: str = "exact_match"
    against: Against = "teacher"
    margin: float | None = 0.05
    floor: float | None = None

    def to_json(self) -> dict[str, Json]:
        return {"metric": self.metric, "against": self.against, "margin": self.margin, "floor": self.floor}

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> Gate:
        return Gate(
            metric=str(raw["metric"]),
            against=cast(Against, raw["against"]),
            margin=cast(float | None, raw.get("margin")),
            floor=cast(float | None, raw.get("floor")),
        )


@dataclass(frozen=True, slots=True)
class Cascade:
    """What a student may answer by itself: so much that at most ``error`` of it is wrong, with a chance of 1 - ``delta`` that this holds."""

    error: float = 0.05
    delta: float = 0.05

    def to_json(self) -> dict[str, Json]:
        return {"error": self.error, "delta": self.delta}


@dataclass(frozen=True, slots=True)
class Shadow:
    """Of what the teacher answers, the ``share`` that the student is asked too, unseen, ``calls_per_minute`` times at the most (None: no limit)."""

    share: float = 1.0
    calls_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Cache:
    """Answers are kept in memory for ``seconds``, ``entries`` of them at the most, for the key alone that asked, unless ``shared``. With ``semantic`` a call whose texts
    are that near (cosine) to those of an earlier one, and which is otherwise the same, is given its answer."""

    seconds: float
    entries: int = 1000
    shared: bool = False
    semantic: float | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers the calls of a task that has a live release. ``cascade``: the student where its calibrated confidence reaches the release's threshold, else the
    teacher; ``auto`` is that where there are a threshold and a teacher, else the student with the teacher for
    where it fails; ``student`` is never anybody else; under ``shadow`` the teacher answers, and the student too, unseen. Of what the student answers itself under a cascade the share
    ``audit`` is asked of the teacher too, after the answer has gone out. The teacher's answers may cost ``usd_per_day`` US dollars in a day (UTC). Where it
    fails, the ``fallback`` may be the student's answer, sure or not."""

    policy: Policy = "auto"
    audit: float = 0.02
    usd_per_day: float | None = None
    fallback: Fallback = "none"
    shadow: Shadow = Shadow()
    cache: Cache | None = None
    patience_s: float = 2.0
    """Seconds that a call waits for a student that is asleep or busy before the teacher is asked, where there is one."""


@dataclass(frozen=True, slots=True)
class Records:
    """What is kept of the task's calls: of those that the student answers by itself the share ``sample`` whole, of the others their numbers; all of them for ``keep_days`` days."""

    sample: float = 1.0
    keep_days: int | None = None


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric of the task's own: what is compared (``field``, a dotted path; empty: the whole answer) and how. ``tolerance`` is a share of the
    expected number, ``source`` the input field that quotes must stand in, ``function`` a ``file.py:name``. A judge has a ``rubric`` and a ``model``
    (``teacher``, ``base`` or a name), and decides nothing before its kappa with people is shown to be ``least_kappa``. A latency is
    ``most_ms`` milliseconds at the most, a cost ``most_usd``."""

    kind: MetricKind
    field: str = ""
    tolerance: float = 0.0
    source: str = ""
    function: str = ""
    rubric: str = ""
    model: str = "teacher"
    least_kappa: float = LEAST_KAPPA
    most_ms: float | None = None
    most_usd: float | None = None

    def to_json(self) -> dict[str, Json]:
        """Without the keys of other kinds: looks that were taken before there were judges, latencies and costs stay the same looks."""
        others = set() if self.kind == "judge" else set(JUDGE_KEYS)
        others |= {key for kind, key in CALL_KEYS.items() if kind != self.kind}
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in others}

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> MetricSpec:
        return MetricSpec(**cast(dict[str, Any], dict(raw)))


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Documents that a task answers from: the index ``name``, asked what the input field ``question`` says; the ``top`` passages that are found, with ``window`` neighbours on each side, of
    documents with the facts ``where``, as different as ``diversity`` asks, those that the question names before others where ``named``, fill the input field ``fill``; with less evidence than ``least`` nothing is found. ``rerank`` of the first are put in the order that the index has learned, None: as many as it learned it for. With ``embeds`` each is followed by what it embeds. ``ungrounded`` says what becomes of citations that stand in none of them, ``absent`` is the answer in text to what they do not say."""

    name: str
    question: str
    fill: str
    top: int = 5
    window: int = 0
    where: Mapping[str, Json] = field(default_factory=dict)
    least: float = 0.0
    rerank: int | None = None
    ungrounded: Ungrounded = "drop"
    absent: str = ABSENT
    diversity: float = 0.0
    named: bool = False
    embeds: bool = False

    def to_json(self) -> dict[str, Json]:
        """Without what was added later and is not asked for: students that were tuned before it could be stay this task's."""
        own: dict[str, Json] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in own.items() if value != LATER.get(name, NEVER)}

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> Knowledge:
        return Knowledge(**cast(dict[str, Any], dict(raw)))


@dataclass(frozen=True, slots=True)
class Task:
    """One narrow job.

    ``input`` maps field names to JSON Schemas (almost always ``{"type": "string"}``). ``schema`` is the full, closed
    JSON Schema of the answer, or None for free text. ``prompt`` is the user message with ``{field}`` places, used at
    import and when serving; the empty default means: a task with one text field uses that text alone, one with several
    fields writes ``name: value`` lines. ``verbatim`` fields are never redacted, ``redact_also`` names kinds that are redacted only where asked for. ``notices`` is what loading it had to say: no part of the task itself.
    """

    name: str
    instruction: str
    input: Mapping[str, Mapping[str, Json]]
    schema: Mapping[str, Json] | None
    prompt: str = ""
    gate: Gate = Gate()
    cascade: Cascade = Cascade()
    route: Route = Route()
    records: Records = Records()
    guards: tuple[GuardSpec, ...] = ()
    verbatim: tuple[str, ...] = ()
    redact: bool = True
    redact_also: tuple[str, ...] = ()
    teacher: str = ""
    max_output_tokens: int | None = None
    metrics: Mapping[str, MetricSpec] = field(default_factory=dict)
    behaviour: Mapping[str, BehaviourSpec] = field(default_factory=dict)
    knowledge: Knowledge | None = None
    notices: tuple[str, ...] = field(default=(), compare=False)

    @property
    def instruction_hash(self) -> str:
        return content_hash(" ".join(self.instruction.split()))

    @property
    def is_structured(self) -> bool:
        return self.schema is not None

    @property
    def filled(self) -> str:
        """The input field that retrieval fills; empty: there is none."""
        return self.knowledge.fill if self.knowledge is not None else ""

    @property
    def asked(self) -> dict[str, Mapping[str, Json]]:
        """The input fields that a caller has to state: all but the one that retrieval fills."""
        return {name: schema for name, schema in self.input.items() if name != self.filled}

    def to_json(self) -> dict[str, Json]:
        """The whole task but for its teacher, its route, its records and its guards, which are the project's business."""
        metrics: dict[str, Json] = {name: spec.to_json() for name, spec in self.metrics.items()}
        behaviour: dict[str, Json] = {name: spec.to_json() for name, spec in self.behaviour.items()}
        return self.answering() | {
            "gate": self.gate.to_json(),
            "cascade": self.cascade.to_json(),
            "metrics": metrics,
            "behaviour": behaviour,
        }

    def answering(self) -> dict[str, Json]:
        """What shapes an answer, as it stands in a release's manifest: the rule of the switch is not part of it.

        ``order`` says in which order inputs are shown and keys are written, which a hash of JSON objects would not notice.
        """
        return {
            "edition": 1,
            "name": self.name,
            "instruction": self.instruction,
            "input": {name: dict(schema) for name, schema in self.input.items()},
            "schema": dict(self.schema) if self.schema is not None else None,
            "prompt": self.prompt,
            "verbatim": list(self.verbatim),
            "redact": self.redact,
            **({"redact_also": list(self.redact_also)} if self.redact_also else {}),
            "max_output_tokens": self.max_output_tokens,
            **({"knowledge": self.knowledge.to_json()} if self.knowledge is not None else {}),
            "order": {"input": list(self.input), **_key_order(self.schema)},
        }

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> Task:
        """Read what ``to_json`` or ``answering`` wrote; teacher, route, records and guards are not part of it."""
        schema, knowledge = raw.get("schema"), raw.get("knowledge")
        return Task(
            name=str(raw["name"]),
            instruction=str(raw["instruction"]),
            input=cast(dict[str, dict[str, Json]], raw["input"]),
            schema=cast(dict[str, Json], schema) if schema is not None else None,
            prompt=str(raw.get("prompt") or ""),
            gate=Gate.from_json(cast(dict[str, Json], raw["gate"])) if "gate" in raw else Gate(),
            cascade=Cascade(**cast(dict[str, float], raw.get("cascade") or {})),
            verbatim=tuple(cast(list[str], raw.get("verbatim") or [])),
            redact=bool(raw.get("redact", True)),
            redact_also=tuple(cast(list[str], raw.get("redact_also") or [])),
            max_output_tokens=cast(int | None, raw.get("max_output_tokens")),
            metrics={
                name: MetricSpec.from_json(spec)
                for name, spec in cast(dict[str, dict[str, Json]], raw.get("metrics") or {}).items()
            },
            behaviour={
                name: BehaviourSpec.from_json(spec)
                for name, spec in cast(dict[str, dict[str, Json]], raw.get("behaviour") or {}).items()
            },
            knowledge=Knowledge.from_json(cast(dict[str, Json], knowledge)) if knowledge else None,
        )


def _key_order(schema: Mapping[str, Json] | None) -> dict[str, Json]:
    """The declared keys of each object of the answer, by the object's path in the schema."""
    found = ((path, node.get("properties")) for path, node in subschemas(schema or {}) if isinstance(node, Mapping))
    return {path: list(names) for path, names in found if isinstance(names, Mapping)}
