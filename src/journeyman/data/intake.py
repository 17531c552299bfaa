"""From Records to Traces: the task reads its fields, answers are verified, redaction comes before storage.

A teacher's answer that breaks the schema is a wrong answer: with ``gold`` beside it the row is kept and the answer stays
as the text that it is; without, the row has nothing to learn from and goes into quarantine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from journeyman.core.canonical import Json, bytes_hash, content_hash, dump
from journeyman.core.errors import DataError
from journeyman.core.example import Alternative, Passage, Split, Target, Terms, object_target, text_target
from journeyman.core.messages import Message, make_message, message_to_openai
from journeyman.core.trace import Trace
from journeyman.data.record import Record, hash_row, parse_json, row_error
from journeyman.data.redaction import RowRedaction
from journeyman.task.prompt import check_input, read_messages, user_text
from journeyman.task.schema import Checked, verifier
from journeyman.task.task import Task

SAID = "said"
"""In the ``meta`` of a row with a provider's id: what it said, as a hash."""


Fields = dict[str, Json]
Fill = Callable[[Fields], tuple[Fields, tuple[Passage, ...]]]
"""Input fields with the one that retrieval fills, and what was retrieved."""


def refuse_to_fill(fields: Fields) -> tuple[Fields, tuple[Passage, ...]]:
    raise row_error("the row has no passages, and nothing here retrieves them", where="input", got=", ".join(fields))


@dataclass(frozen=True, slots=True)
class Intake:
    """What holds for every row of one import. ``now`` stands in for rows without a recorded time. Rows of a split given beforehand keep their text, unless they are
    ``is_private``. ``fill`` retrieves what a row of a task that answers from documents lacks."""

    task: Task
    now: datetime
    split: Split | None = None
    provenance: str = ""
    terms: Terms = "unknown"
    is_private: bool = False
    fill: Fill = refuse_to_fill


def make_trace(record: Record, intake: Intake, row_key: str) -> Trace:
    """Read, redact and verify one row.

    Raises:
        DataError: JM-311 the row cannot be read, JM-312 nothing in it can be learned or measured.
        TaskError: JM-23x, JM-24x, the input is not this task's.
    """
    task = intake.task
    system, fields = _read_input(task, record)
    passages: tuple[Passage, ...] = ()
    if task.filled and task.filled not in fields:
        fields, passages = intake.fill(fields)
    if not any(value.strip() if isinstance(value, str) else value is not None for value in fields.values()):
        raise row_error("the input is empty", where="input")
    schema = record.schema if record.schema is not None and not _is_same(record.schema, task.schema) else None
    verified_by = schema if schema is not None else task.schema
    redaction = RowRedaction(task, keeps_text=intake.split is not None and not intake.is_private)
    seen = redaction.fields(fields)
    check_input(task, seen)
    output, flaw = _read_output(record, verified_by, redaction)
    gold = _read_gold(record, verified_by, redaction)
    alternatives = _read_alternatives(record, verified_by, redaction)
    _check_storable(system, seen, output, gold, alternatives)
    if not (record.feedback == "down" or alternatives):
        _check_use(output, gold, flaw, intake.split)
    verdicts: dict[str, Json] = {"output": flaw} if flaw else {}
    return Trace(
        id=make_trace_id(task.name, row_key),
        task=task.name,
        time=record.time or intake.now.isoformat(timespec="seconds"),
        origin="import",
        input=seen,
        messages=_messages(task, redaction.text(system), seen) if record.input is None else (),
        output=output,
        gold=gold,
        alternatives=alternatives,
        schema=schema,
        passages=tuple(replace(item, text=redaction.text(item.text)) for item in passages),
        tools=record.tools,
        model=record.model,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        instruction_hash=instruction_hash(system) if system.strip() else task.instruction_hash,
        row_key=row_key,
        split=intake.split or "",
        provenance=intake.provenance,
        terms="restricted" if record.is_restricted else intake.terms,
        verdicts=verdicts,
        feedback={"verdict": record.feedback} if record.feedback else {},
        meta=({} if record.time else {"undated": True})
        | ({"group": hash_source(task.name, record.group)} if record.group else {})
        | ({"person": record.person} if record.person else {})
        | ({SAID: hash_said(record)} if record.key else {})
        | _logprobs(record, output),
    )


def make_trace_id(task_name: str, row_key: str) -> str:
    return f"trace-{bytes_hash(f'{task_name} {row_key}'.encode())[:32]}"


def hash_source(task_name: str, source: str) -> str:
    """What rows of one conversation, document or person share."""
    return content_hash([task_name, source])


def hash_said(record: Record) -> str:
    """What a row says of a call, whatever else the file notes beside it: 24 hexadecimal digits."""
    targets = [target.to_json() if target is not None else None for target in (record.output, record.gold)]
    said: list[Json] = [message_to_openai(message) for message in record.messages]
    asked = record.input if isinstance(record.input, str) or record.input is None else dict(record.input)
    others: list[Json] = [item.to_json() for item in record.alternatives]
    return content_hash([said, asked, targets, others, record.feedback])[:24]


def instruction_hash(text: str) -> str:
    """As ``Task.instruction_hash``: white space does not count."""
    return content_hash(" ".join(text.split()))


def _read_input(task: Task, record: Record) -> tuple[str, dict[str, Json]]:
    """The system text, which may be another instruction than the task's, and the input fields."""
    if record.input is None:
        systems = [message for message in record.messages if message.role in ("system", "developer")]
        rest = [message for message in record.messages if message.role not in ("system", "developer")]
        return "\n".join(message.text for message in systems), read_messages(task, rest)
    if isinstance(record.input, str):
        if len(task.asked) != 1:
            raise row_error(
                "the input is plain text, the task has several fields",
                where="input",
                expected="an object with " + ", ".join(task.asked),
            )
        return "", {next(iter(task.asked)): record.input}
    fields = dict(record.input)
    check_input(task, fields, may_lack=task.filled)
    return "", {name: fields[name] for name in task.input if name in fields}


def _read_output(
    record: Record, schema: Mapping[str, Json] | None, redaction: RowRedaction
) -> tuple[Target | None, str]:
    """The teacher's answer and, if it is a wrong one, why; a wrong one stays as text."""
    if record.output is None:
        return None, ""
    answer, problem = settle(record.output, schema)
    if not problem and record.flaw:
        problem = record.flaw
    if problem:
        return text_target(redaction.text(_written(record.output))), problem
    return _redact(answer, schema, redaction), ""


def _read_gold(record: Record, schema: Mapping[str, Json] | None, redaction: RowRedaction) -> Target | None:
    if record.gold is None:
        return None
    gold, problem = settle(record.gold, schema)
    if problem:
        raise DataError("JM-312", "the gold breaks the task's output", where="gold", got=problem)
    return _redact(gold, schema, redaction)


def _read_alternatives(
    record: Record, schema: Mapping[str, Json] | None, redaction: RowRedaction
) -> tuple[Alternative, ...]:
    """Answers that break the schema are kept where they were rejected, as the text that they are: a wrong form is worth unlearning."""
    kept = []
    for item in record.alternatives:
        answer, problem = settle(item.target, schema)
        if not problem:
            kept.append(replace(item, target=_redact(answer, schema, redaction)))
        elif item.verdict == "rejected":
            kept.append(replace(item, target=text_target(redaction.text(_written(item.target)))))
    return tuple(kept)


def _logprobs(record: Record, output: Target | None) -> dict[str, Json]:
    """A redacted answer is no longer the one that the teacher's tokens write, and they would give away what was taken out."""
    if not record.logprobs or output is None or record.output is None:
        return {}
    is_same = output == record.output or (output.kind == "object" and _parses_to(record.output.text, output.value))
    return {"logprobs": list(record.logprobs)} if is_same else {}


def _parses_to(text: str, value: Json) -> bool:
    try:
        return parse_json(text) == value
    except DataError:
        return False


def settle(target: Target, schema: Mapping[str, Json] | None) -> tuple[Target, str]:
    """Read an answer against a schema (None: free text): the target it stands for, and what is wrong with it or ``""``."""
    if schema is None:
        if target.kind == "object":
            return target, "the task answers in text, this is JSON"
        is_empty = target.kind == "text" and not target.text.strip()
        return target, "the answer is empty" if is_empty else ""
    if target.kind == "tool_calls":
        return _settle_calls(target, schema)
    checked = _check(target, schema)
    return object_target(checked.value), checked.problem


def _settle_calls(target: Target, schema: Mapping[str, Json]) -> tuple[Target, str]:
    """One call whose arguments fit the schema is an answer by function calling; other calls stay calls."""
    if len(target.tool_calls) == 1:
        checked = _verify(schema, target.tool_calls[0].arguments, is_text=True)
        if checked.is_valid:
            return object_target(checked.value), ""
    return target, ""


def _check(target: Target, schema: Mapping[str, Json]) -> Checked:
    if target.kind == "object":
        return _verify(schema, target.value, is_text=False)
    checked = _verify(schema, target.text, is_text=True)
    if not checked.is_valid:
        plain = _verify(schema, target.text, is_text=False)  # a schema of plain texts, such as one enum
        return plain if plain.is_valid else checked
    return checked


def _verify(schema: Mapping[str, Json], value: Json, *, is_text: bool) -> Checked:
    try:
        compiled = verifier(schema)
    except ValueError as error:
        raise row_error("the row's response_format holds no JSON Schema", got=str(error)) from None
    return compiled.check(value) if is_text and isinstance(value, str) else compiled.check_value(value)


def _redact(target: Target, schema: Mapping[str, Json] | None, redaction: RowRedaction) -> Target:
    """Raises: DataError: JM-312, the redacted answer no longer fits the schema."""
    redacted = redaction.target(target)
    problem = settle(redacted, schema)[1] if redacted != target else ""
    if problem:
        raise DataError(
            "JM-312",
            "redaction makes this answer break the schema",
            got=problem,
            expected="a field that may hold a surrogate, or one listed under verbatim in the task file",
        )
    return redacted


def _check_storable(
    system: str,
    fields: Mapping[str, Json],
    output: Target | None,
    gold: Target | None,
    alternatives: tuple[Alternative, ...],
) -> None:
    """A text that a row holds as JSON within JSON may write lone surrogates and NUL in signs that the row itself does not have.

    Raises:
        DataError: JM-311, no store keeps it.
    """
    targets = [target.to_json() for target in (output, gold) if target is not None]
    hash_row([system, dict(fields), *targets, *(item.to_json() for item in alternatives)])


def _check_use(output: Target | None, gold: Target | None, flaw: str, split: Split | None) -> None:
    if gold is None and flaw:
        raise DataError("JM-312", "the answer is wrong and there is no gold", where="output", got=flaw)
    if split is not None and gold is None and output is None:
        raise DataError("JM-312", f"a row for {split} needs an output or a gold")


def _messages(task: Task, system: str, fields: Mapping[str, Json]) -> tuple[Message, ...]:
    """What was said, made again from the redacted fields: they came from the one form that the prompt has."""
    user = make_message("user", user_text(task, fields))
    return (make_message("system", system), user) if system else (user,)


def _written(target: Target) -> str:
    if target.kind == "object":
        return dump(target.value)
    if target.kind == "tool_calls":
        return dump(target.to_json()["tool_calls"])
    return target.text


def _is_same(schema: Mapping[str, Json], other: Mapping[str, Json] | None) -> bool:
    return other is not None and content_hash(dict(schema)) == content_hash(dict(other))
