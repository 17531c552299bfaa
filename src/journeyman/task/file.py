"""Task files: ``tasks/NAME.yaml``, edition 1. What the file says is checked here once, with file and line.

Keys are declared in ``TaskFile``; the JSON Schema for editors is made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from journeyman.core.canonical import Json
from journeyman.core.errors import TaskError
from journeyman.core.grammar import copied_fields
from journeyman.core.nodes import Where, resolve, split_dotted
from journeyman.task.behaviour_file import BehaviourFile, find_contradictions
from journeyman.task.document import Document, Place, load_document, read_plain
from journeyman.task.guard import GuardSpec
from journeyman.task.guard_file import GuardFile, GuardList, read_guards
from journeyman.task.prompt import is_text, parse_template
from journeyman.task.schema import admit, expand
from journeyman.task.shorthand import SCALARS
from journeyman.task.task import (
    ABSENT,
    CALL_KEYS,
    JUDGE_KEYS,
    LEAST_KAPPA,
    Against,
    Cache,
    Cascade,
    Fallback,
    Gate,
    Knowledge,
    MetricKind,
    MetricSpec,
    Policy,
    Records,
    Route,
    Shadow,
    Task,
    Ungrounded,
)

FIELD_USES = {"fill": "hold the passages", "question": "say what is looked for"}
FIELD_NAME = r"^[A-Za-z_][A-Za-z0-9_-]*$"
TASK_NAME = r"^[a-z][a-z0-9_-]{0,63}$"
KNOWLEDGE_METRICS = ("grounded", "cited", "absent")
"""Of tasks that answer from documents (`knowledge.ground.metrics`)."""
COMMON_METRICS = (
    "exact_match",
    "valid",
    "row_f1",
    "normalized",
    "edit_similarity",
    "token_f1",
    "rouge_l",
    "calls",
)
"""What a gate can name without a description; field_f1, a ratio over all rows, decides nothing."""
TYPE_NAMES = [name + mark for name in SCALARS for mark in ("", "?")]
TYPE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"enum": TYPE_NAMES, "description": "a type; ? means that null is allowed"},
        {"type": "array", "items": {"$ref": "#/$defs/Type"}, "minItems": 1, "maxItems": 1, "description": "a list"},
        {
            "type": "object",
            "minProperties": 1,
            "description": "fields by name (name? is optional), {enum: [...]}, or JSON Schema",
        },
    ]
}


class GateFile(BaseModel):
    """When the student may take over."""

    model_config = ConfigDict(extra="forbid", strict=True)

    metric: str = Field(
        default="exact_match",
        description="What is scored: exact_match, valid, row_f1, normalized, edit_similarity, token_f1, rouge_l, calls, or one of `metrics`.",
    )
    against: Against = Field(
        default="teacher", description="Compared with the teacher, a stated floor, or agreement with it."
    )
    margin: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        default=None, description="Allowed loss, as a share. Default 0.05."
    )
    floor: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="Least share, with against: floor."
    )


class CascadeFile(BaseModel):
    """What the student answers by itself; the rest goes to the teacher."""

    model_config = ConfigDict(extra="forbid", strict=True)

    error: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05, description="Of what the student answers by itself, at most this share is wrong ..."
    )
    delta: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05, description="... with a chance of one less this that the promise holds."
    )


class ShadowFile(BaseModel):
    """With policy: shadow, how often the student is asked."""

    model_config = ConfigDict(extra="forbid", strict=True)

    share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="Share of the teacher's answers that the student is asked about too, unseen."
    )
    calls_per_minute: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="The student is asked so often at the most. Default: no limit."
    )


class CacheFile(BaseModel):
    """Answers to the very same call, from memory."""

    model_config = ConfigDict(extra="forbid", strict=True)

    seconds: Annotated[float, Field(gt=0, le=604_800)] = Field(description="For how long an answer is kept.")
    entries: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=1000, description="How many answers are kept; the one that was not asked for longest goes first."
    )
    shared: bool = Field(default=False, description="Whether one key may be given what another one asked.")
    semantic: Annotated[float, Field(ge=0.5, le=1)] | None = Field(
        default=None,
        description="How near in meaning (cosine of all-MiniLM-L6-v2) the texts of a call may be to an earlier one's, with the same numbers, to be given its answer; none: only the very same call is.",
    )


class RouteFile(BaseModel):
    """Who answers the task's calls."""

    model_config = ConfigDict(extra="forbid", strict=True)

    policy: Policy = Field(
        default="auto",
        description="cascade: the student where it is sure enough, else the teacher; student or teacher: that one alone; shadow: the teacher, and the student too, unseen; auto: cascade where it can be, else the student with the teacher behind it.",
    )
    audit: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.02,
        description="With a cascade: share of the student's answers that the teacher is asked about too, afterwards.",
    )
    patience_s: Annotated[float, Field(ge=0, le=600)] = Field(
        default=2.0,
        description="Seconds that a call waits for a student that is asleep or busy; then the teacher is asked, where there is one.",
    )
    fallback: Fallback = Field(
        default="none",
        description="student: where the teacher cannot be reached, fails or may cost no more, the student's answer stands, sure or not; none: the call fails.",
    )
    shadow: ShadowFile | None = Field(default=None, description="With policy: shadow, how often the student is asked.")
    cache: CacheFile | None = Field(
        default=None, description="Answer the very same call from memory. Default: every call is asked anew."
    )


class BudgetFile(BaseModel):
    """What the task's calls may cost."""

    model_config = ConfigDict(extra="forbid", strict=True)

    usd_per_day: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, description="US dollars that the teacher may cost in a day (UTC) while the task is served."
    )


class RecordsFile(BaseModel):
    """What is kept of the task's calls, and for how long."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sample: Annotated[float, Field(ge=0, le=1)] = Field(
        default=1.0,
        description="Of the calls that the student answers by itself this share is recorded whole; of the others the numbers alone.",
    )
    keep_days: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="Days after which the server deletes recorded calls. Default: never."
    )


class KnowledgeFile(BaseModel):
    """Documents that the task answers from."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(
        default="documents", pattern=r"^[A-Za-z0-9_-]+$", description="The index, as `knowledge add --name` made it."
    )
    fill: str = Field(
        default="passages",
        description="The input field, of type string, that gets the passages where the caller leaves it out.",
    )
    question: str = Field(
        default="", description="The input field that says what is looked for; default: the only other text field."
    )
    top: Annotated[int, Field(ge=1, le=50)] = Field(default=5, description="How many passages.")
    window: Annotated[int, Field(ge=0, le=10)] = Field(
        default=0, description="Neighbours that are read with each passage, on each side."
    )
    embeds: bool = Field(
        default=False, description="Behind each passage what it embeds of other notes, as passages of their own."
    )
    where: dict[str, Any] = Field(
        default_factory=dict, description="Facts that documents must have, as in `knowledge search --where`."
    )
    diversity: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="Passages that differ rather than repeat: 0.3 where documents have several versions.",
    )
    named: bool = Field(default=False, description="Prefer documents whose facts the question names.")
    least: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="Evidence below which nothing is found, as `knowledge eval` advises."
    )
    rerank: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        default=None,
        description="How many of the first hits are put in the order that `knowledge tune` learned; default: 30 where it has learned one. 0 for none.",
    )
    ungrounded: Ungrounded = Field(
        default="drop",
        description="What becomes of citations that stand in no passage: drop them, mark them in the trace alone, or refuse the answer.",
    )
    absent: str = Field(
        default=ABSENT,
        min_length=1,
        description="For tasks that answer in text: the answer where the passages do not say it.",
    )


class MetricFile(BaseModel):
    """A metric of the task's own."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: MetricKind = Field(description="How an answer is compared with what was expected.")
    field: str = Field(
        default="", description="The part that is compared, as a dotted path; default: the whole answer."
    )
    tolerance: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="With numeric: how far off a number may be, as a share of the expected one."
    )
    source: str = Field(default="", description="With quoted: the input field that the quotes must stand in.")
    function: str = Field(
        default="",
        pattern=r"^(.+\.py:[A-Za-z_]\w*)?$",
        description="With function: file.py:name, from the project's folder.",
    )
    rubric: str = Field(default="", description="With judge: what makes one of two answers the better one.")
    model: str = Field(
        default="teacher",
        min_length=1,
        description="With judge: teacher, base, a catalog name, or the path of a GGUF file.",
    )
    least_kappa: Annotated[float, Field(ge=LEAST_KAPPA, lt=1)] = Field(
        default=LEAST_KAPPA,
        description="With judge: the agreement with people that it must be shown to have to decide.",
    )
    most_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, description="With latency: an answer is in time that came within so many milliseconds."
    )
    most_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, description="With cost: what a call may cost, in US dollars."
    )


PARTS: Mapping[str, type[BaseModel]] = {
    "gate": GateFile,
    "cascade": CascadeFile,
    "route": RouteFile,
    "route.shadow": ShadowFile,
    "route.cache": CacheFile,
    "budget": BudgetFile,
    "records": RecordsFile,
    "knowledge": KnowledgeFile,
    "metrics": MetricFile,
    "behaviour": BehaviourFile,
    "guards": GuardFile,
}


class TaskFile(BaseModel):
    """One narrow job."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Journeyman task, edition 1")

    edition: Literal[1] = Field(description="Version of this file's format.")
    name: str = Field(pattern=TASK_NAME, description="The file's name without .yaml.")
    instruction: str = Field(min_length=1, pattern=r"\S", description="What the teacher is told, as system message.")
    input: dict[Annotated[str, Field(pattern=FIELD_NAME)], Any] = Field(
        min_length=1,
        description="Input fields and their types.",
    )
    output: Any = Field(
        description="The answer: text, a type, fields, or JSON Schema.",
    )
    prompt: str = Field(
        default="", description="User message with a {field} place for each input field; {{ and }} are braces."
    )
    gate: GateFile = Field(default_factory=lambda: GateFile(), description="When the student may take over.")
    cascade: CascadeFile = Field(
        default_factory=lambda: CascadeFile(), description="What the student answers by itself."
    )
    route: RouteFile = Field(default_factory=lambda: RouteFile(), description="Who answers the task's calls.")
    budget: BudgetFile = Field(default_factory=lambda: BudgetFile(), description="What the task's calls may cost.")
    records: RecordsFile = Field(
        default_factory=lambda: RecordsFile(), description="What is kept of the task's calls, and for how long."
    )
    metrics: dict[Annotated[str, Field(pattern=FIELD_NAME)], MetricFile] = Field(
        default_factory=dict, description="Metrics of the task's own, by name."
    )
    behaviour: dict[Annotated[str, Field(pattern=FIELD_NAME)], BehaviourFile] = Field(
        default_factory=dict, description="Behavioural tests of the student, by name."
    )
    guards: list[GuardFile] = Field(
        default_factory=list, description="What is looked for in calls and answers while the task is served, in order."
    )
    verbatim: list[str] = Field(default_factory=list, description="Fields of input or output that are not redacted.")
    redact: bool = Field(default=True, description="Replace personal data by surrogates before anything is stored.")
    redact_also: list[Literal["DOMAIN"]] = Field(
        default_factory=list,
        description="Kinds that are redacted only where asked for: DOMAIN, the names of hosts and web sites.",
    )
    knowledge: KnowledgeFile | None = Field(default=None, description="Documents that the task answers from.")
    teacher: str = Field(default="", description="The large model, as provider/model.")
    max_output_tokens: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Limit of one answer, in tokens."
    )


def load_task(path: Path) -> Task:
    """Read and check a task file.

    Raises:
        TaskError: JM-200..JM-217, JM-270, with file and line.
    """
    document = load_document(path)
    task = _make_task(document)
    if task.name != path.stem:
        raise TaskError(
            "JM-205",
            "the task's name differs from its file's",
            where=document.where(("name",)),
            expected=path.stem,
            got=task.name,
            hint=f"write name: {path.stem}, or rename the file to {task.name}.yaml",
        )
    return task


def load_tasks(folder: Path) -> dict[str, Task]:
    """All tasks of a folder (``*.yaml``, ``*.yml``), by name; none where the folder is absent. Raises as ``load_task``."""
    tasks: dict[str, Task] = {}
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")], key=lambda path: path.name):
        if path.stem in tasks:
            raise TaskError(
                "JM-205", "two files describe one task", where=str(path), got=path.stem, hint="keep one of them"
            )
        tasks[path.stem] = load_task(path)
    return tasks


def load_guards(path: Path) -> tuple[GuardSpec, ...]:
    """A file of guards alone. Raises as ``load_task``."""
    document = load_document(path)
    try:
        return read_guards(GuardList.model_validate(document.value).guards, document)
    except ValidationError as error:
        raise _first_error(error, document) from None


def task_from_mapping(mapping: Mapping[str, object], where: str) -> Task:
    """Make a task from the same keys without a file; ``where`` stands in errors. Raises as ``load_task``."""
    return _make_task(Document(cast(Json, dict(mapping)), {}, where))


def write_task(mapping: Mapping[str, Json]) -> str:
    """The text of a task file with this content, keys in the order given; `load_task` reads the same."""
    return yaml.dump(dict(mapping), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    """Quotes also what `read_plain` would take for a number, such as 08 and 1e3."""


def _write_text(dumper: _Dumper, text: str) -> yaml.Node:
    style = None if isinstance(read_plain(text), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)


def task_file_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a task file, for editors."""
    schema = TaskFile.model_json_schema()
    schema["$defs"]["Type"] = TYPE_SCHEMA
    fields = schema["properties"]["input"]
    fields["patternProperties"] = {FIELD_NAME: {"$ref": "#/$defs/Type"}}
    fields["additionalProperties"] = False
    fields.pop("propertyNames", None)
    schema["properties"]["output"]["anyOf"] = [{"const": "text"}, {"$ref": "#/$defs/Type"}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _make_task(document: Document) -> Task:
    _check_edition(document)
    try:
        file = TaskFile.model_validate(document.value)
    except ValidationError as error:
        raise _first_error(error, document) from None
    fields = {name: _input_schema(name, raw, document) for name, raw in file.input.items()}
    schema = None if file.output == "text" else expand(file.output, _places(document, "output"))
    notices = () if schema is None else admit(schema, _places(document, "output"))
    if file.prompt:
        parse_template(file.prompt.strip("\n"), tuple(fields), document.where(("prompt",)))
    _check_gate(file, schema, document)
    _check_route(file, document)
    _check_metrics(file, schema, document)
    _check_behaviour(file, fields, schema, document)
    _check_verbatim(file, schema, document)
    _check_copies(fields, schema, document)
    knowledge = _knowledge(file.knowledge, fields, document) if file.knowledge is not None else None
    return Task(
        name=file.name,
        instruction=file.instruction.strip("\n"),
        input=fields,
        schema=schema,
        prompt=file.prompt.strip("\n"),
        gate=_gate(file.gate),
        cascade=Cascade(file.cascade.error, file.cascade.delta),
        route=_route(file),
        records=Records(file.records.sample, file.records.keep_days),
        guards=read_guards(file.guards, document, has_passages=knowledge is not None),
        verbatim=tuple(file.verbatim),
        redact=file.redact,
        redact_also=tuple(dict.fromkeys(file.redact_also)),
        teacher=file.teacher,
        max_output_tokens=file.max_output_tokens,
        metrics={name: MetricSpec(**item.model_dump()) for name, item in file.metrics.items()},
        behaviour={name: item.spec() for name, item in file.behaviour.items()},
        knowledge=knowledge,
        notices=notices,
    )


def _knowledge(file: KnowledgeFile, fields: Mapping[str, Mapping[str, Json]], document: Document) -> Knowledge:
    """Raises: TaskError JM-272, a field that is not there or no text."""
    texts = [name for name, schema in fields.items() if is_text(schema)]
    others = [name for name in texts if name != file.fill]
    question = file.question or (others[0] if len(others) == 1 else "")
    for key, name, known in (("fill", file.fill, texts), ("question", question, others)):
        if name not in known:
            raise TaskError(
                "JM-272",
                f"knowledge needs a text field of the input to {FIELD_USES[key]}",
                where=document.where(("knowledge", key)),
                expected=f"{key}: one of {', '.join(known)}" if known else f"an input field of type string for {key}",
                got=name or "several text fields, and none is named",
                hint=f"declare `{name}: string` under input"
                if name
                else f"name it: knowledge: {{{key}: {others[0] if others else 'question'}}}",
            )
    return Knowledge(**(file.model_dump() | {"question": question}))


def _route(file: TaskFile) -> Route:
    route = file.route
    shadow = Shadow(**route.shadow.model_dump()) if route.shadow else Shadow()
    cache = Cache(**route.cache.model_dump()) if route.cache else None
    return Route(route.policy, route.audit, file.budget.usd_per_day, route.fallback, shadow, cache, route.patience_s)


def _gate(file: GateFile) -> Gate:
    margin = file.margin if file.margin is not None or file.against == "floor" else Gate().margin
    return Gate(metric=file.metric, against=file.against, margin=margin, floor=file.floor)


def _input_schema(name: str, raw: object, document: Document) -> dict[str, Json]:
    where = document.where(("input", name))
    schema = expand(raw, _places(document, "input", name))
    admit(schema, _places(document, "input", name))
    if is_text(schema) is None:
        raise TaskError(
            "JM-208",
            f"the input field {name!r} can be text and something else, so its text cannot be read back",
            where=where,
            expected="one type, such as string",
            got=f"{raw!r:.120}",
            hint="give the field one type; absent text is the empty text",
        )
    return schema


def _check_edition(document: Document) -> None:
    value = document.value
    if not isinstance(value, dict):
        raise TaskError(
            "JM-203",
            "a task file is a mapping",
            where=document.where(),
            expected="name: ..., instruction: ..., input: ..., output: ...",
            got=f"{value!r:.80}",
            hint="journeyman new NAME writes a task file",
        )
    edition = value.get("edition")
    if isinstance(edition, int) and not isinstance(edition, bool) and edition > 1:
        raise TaskError(
            "JM-204",
            "this task file is of a later edition",
            where=document.where(("edition",)),
            expected="edition: 1",
            got=str(edition),
            hint="upgrade journeyman: pip install -U journeyman",
        )


def _first_error(error: ValidationError, document: Document) -> TaskError:
    """The first complaint, unknown keys first, since a misspelt key also makes one missing."""
    details = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    detail = details[0]
    path: Place = detail["loc"]
    key = ".".join(str(step) for step in path if step != "[key]")
    if detail["type"] == "extra_forbidden":
        part = PARTS.get(".".join(str(step) for step in path[:-1])) or PARTS.get(str(path[0]), TaskFile)
        known = list(part.model_fields)
        near = get_close_matches(str(path[-1]), known, 1)
        hint = f"did you mean {near[0]}?" if near else f"remove {path[-1]}"
        return TaskError(
            "JM-202", f"unknown key {key}", where=document.where(path), expected=", ".join(known), hint=hint
        )
    is_missing = detail["type"] == "missing"
    what = f"the key {key} is missing" if is_missing else f"the value of {key} is wrong"
    got = "" if is_missing else f"{detail['input']!r:.120}"
    return TaskError(
        "JM-203",
        what,
        where=document.where(path),
        expected=detail["msg"].replace("Input should be ", "").replace("Field required", f"{key}: ..."),
        got=got,
        hint=f"see {'.'.join(str(step) for step in path[:1])} in docs/task.schema.json",
    )


def _check_gate(file: TaskFile, schema: Mapping[str, Json] | None, document: Document) -> None:
    gate = file.gate
    if gate.against == "floor" and gate.floor is None:
        raise _contradiction("against: floor needs a floor", ("gate", "against"), "floor: 0.9", "no floor", document)
    if gate.against != "floor" and gate.floor is not None:
        got = f"floor with against: {gate.against}"
        raise _contradiction("a floor belongs to against: floor", ("gate", "floor"), "margin", got, document)
    if gate.against == "floor" and gate.margin is not None:
        raise _contradiction("margin and floor exclude each other", ("gate", "margin"), "floor alone", "both", document)
    if gate.metric == "valid" and schema is None:
        raise _contradiction(
            "free text is always valid",
            ("gate", "metric"),
            "metric: exact_match, or a schema",
            "metric: valid",
            document,
        )
    if gate.metric == "valid" and gate.against == "agreement":
        got = "metric: valid with against: agreement"
        raise _contradiction("agreement compares answers", ("gate", "metric"), "metric: exact_match", got, document)


def _check_route(file: TaskFile, document: Document) -> None:
    if file.route.shadow is not None and file.route.policy != "shadow":
        raise TaskError(
            "JM-270",
            "shadow says how often a student is asked that nobody sees",
            where=document.where(("route", "shadow")),
            expected="policy: shadow",
            got=f"policy: {file.route.policy}",
            hint="state the policy, or leave shadow out",
        )


def _check_metrics(file: TaskFile, schema: Mapping[str, Json] | None, document: Document) -> None:
    for name, metric in file.metrics.items():
        place: Place = ("metrics", name)
        if name in (*COMMON_METRICS, "field_f1", *(KNOWLEDGE_METRICS if file.knowledge is not None else ())):
            raise _contradiction("this name is taken", place, "another name", f"metrics: {name}", document)
        if (metric.kind == "function") != bool(metric.function):
            raise _contradiction(
                "a function belongs to kind: function",
                place,
                "kind: function, function: file.py:name",
                metric.kind,
                document,
            )
        if metric.kind == "quoted" and metric.source not in file.input:
            raise _contradiction(
                "quotes stand in an input field",
                place,
                f"source: {next(iter(file.input))}",
                f"source: {metric.source}",
                document,
            )
        if metric.tolerance and metric.kind != "numeric":
            raise _contradiction("a tolerance belongs to kind: numeric", place, "kind: numeric", metric.kind, document)
        if metric.source and metric.kind != "quoted":
            raise _contradiction("a source belongs to kind: quoted", place, "kind: quoted", metric.kind, document)
        if metric.field and metric.kind == "function":
            raise _contradiction("a function gets the whole answer", place, "no field", metric.field, document)
        _check_judge(metric, place, document)
        _check_call(metric, place, document)
        if metric.field and not _has_field(schema, split_dotted(metric.field)):
            raise _contradiction(
                "the output has no such field (a list is one field, and nothing in it is another)",
                place,
                "a property of the output, or no field: the whole answer",
                f"field: {metric.field}",
                document,
            )
    deciding = file.metrics.get(file.gate.metric)
    if deciding and deciding.kind == "judge" and file.gate.against == "agreement":
        raise _contradiction(
            "a judge compares the student's answer with the teacher's as it is, without gold",
            ("gate", "against"),
            "against: teacher",
            "against: agreement",
            document,
        )
    if deciding and deciding.kind in CALL_KEYS and file.gate.against != "floor":
        raise _contradiction(
            f"a gate on {deciding.kind} needs a floor: it is compared with no other answer",
            ("gate", "against"),
            "against: floor, floor: 0.95",
            f"against: {file.gate.against}",
            document,
        )
    known = [*COMMON_METRICS, *file.metrics, *(KNOWLEDGE_METRICS if file.knowledge is not None else ())]
    if file.gate.metric not in known:
        raise _contradiction(
            "a gate needs a metric of one row", ("gate", "metric"), ", ".join(known), file.gate.metric, document
        )


def _check_behaviour(
    file: TaskFile, fields: Mapping[str, Mapping[str, Json]], schema: Mapping[str, Json] | None, document: Document
) -> None:
    metric = file.metrics.get(file.gate.metric)
    for name, test in file.behaviour.items():
        if test.kind == "minimum" and metric is not None and metric.kind == "judge":
            place: Place = ("behaviour", name, "kind")
            raise _contradiction(
                f"{name}: what is right by a judge is told by people, not by a minimum",
                place,
                "a gate metric that asks no model",
                file.gate.metric,
                document,
            )
        for found in find_contradictions(test, fields, schema, lambda path: _has_field(schema, split_dotted(path))):
            place = ("behaviour", name, found.key)
            raise _contradiction(f"{name}: {found.what}", place, found.expected, found.got, document)


def _check_judge(metric: MetricFile, place: Place, document: Document) -> None:
    if metric.kind == "judge":
        if not metric.rubric.strip():
            raise _contradiction(
                "a judge needs a rubric", place, "rubric: what makes an answer better", "none", document
            )
        if metric.field:
            raise _contradiction("a judge gets the whole answer", place, "no field", metric.field, document)
    elif named := [key for key in JUDGE_KEYS if key in metric.model_fields_set]:
        raise _contradiction(f"{named[0]} belongs to kind: judge", place, "kind: judge", metric.kind, document)


def _check_call(metric: MetricFile, place: Place, document: Document) -> None:
    for kind, key in CALL_KEYS.items():
        if (getattr(metric, key) is None) == (metric.kind == kind):
            raise _contradiction(
                f"{key} and kind: {kind} belong together", place, f"kind: {kind}, {key}: ...", metric.kind, document
            )
    if metric.field and metric.kind in CALL_KEYS:
        raise _contradiction("a call is measured as a whole", place, "no field", metric.field, document)


def _has_field(schema: Mapping[str, Json] | None, path: list[str]) -> bool:
    """Whether an answer can have a value there. What the schema leaves open may be anything."""
    node: Json | Mapping[str, Json] = schema
    for name in path:
        if isinstance(node, Mapping) and "$ref" in node:
            node = resolve(schema or {}, str(node["$ref"]))
        if not isinstance(node, Mapping):
            return False
        if any(key in node for key in ("allOf", "anyOf", "oneOf", "if")):
            return True
        properties = node.get("properties")
        if isinstance(properties, Mapping) and name in properties:
            node = properties[name]
        elif node.get("type") in ("array", "string", "number", "integer", "boolean") or "enum" in node:
            return False
        else:
            return node.get("additionalProperties") is not False
    return True


def _check_verbatim(file: TaskFile, schema: Mapping[str, Json] | None, document: Document) -> None:
    properties = schema.get("properties") if schema else None
    known = [*file.input, *(properties if isinstance(properties, dict) else ())]
    for index, name in enumerate(file.verbatim):
        if name not in known:
            near = get_close_matches(name, known, 1)
            raise TaskError(
                "JM-209",
                f"verbatim names {name!r}, which is no field of input or output",
                where=document.where(("verbatim", index)),
                expected=", ".join(known),
                hint=f"did you mean {near[0]}?" if near else "remove it",
            )
    if file.verbatim and not file.redact:
        raise _contradiction(
            "without redaction every field is verbatim", ("verbatim",), "redact: true, or no verbatim", "both", document
        )
    if file.redact_also and not file.redact:
        raise _contradiction(
            "without redaction nothing more is redacted",
            ("redact_also",),
            "redact: true, or no redact_also",
            "both",
            document,
        )


def _check_copies(
    fields: Mapping[str, Mapping[str, Json]], schema: Mapping[str, Json] | None, document: Document
) -> None:
    texts = [name for name, field in fields.items() if is_text(field)]
    for name in sorted(copied_fields(schema) if schema else ()):
        if name not in texts:
            near = get_close_matches(name, texts, 1)
            raise TaskError(
                "JM-216",
                f"x-copy names {name!r}, which is no text field of the input",
                where=document.where(("output",)),
                expected=", ".join(texts) or "an input field of type string",
                hint=f"did you mean {near[0]}?" if near else "name an input field of type string",
            )


def _contradiction(what: str, path: Place, expected: str, got: str, document: Document) -> TaskError:
    return TaskError(
        "JM-206", what, where=document.where(path), expected=expected, got=got, hint="keep one of the two settings"
    )


def _places(document: Document, *base: str) -> Where:
    return lambda pointer: document.where_in(base, pointer)
