"""Calls that were passed on to a model and recorded become a task's: those that say its instruction and have its form. The rest stay where they are.

They keep id, time, key and person, so that feedback, retention and erasure find them as before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError, UserError
from journeyman.core.messages import Message, make_message
from journeyman.core.progress import Progress, Silent
from journeyman.core.trace import Trace
from journeyman.data.imports import FileReport
from journeyman.data.intake import Intake, make_trace
from journeyman.data.openai import FLAWS
from journeyman.data.record import Record
from journeyman.guards.messages import redact_message
from journeyman.guards.redact import Redactor
from journeyman.store.database import Store
from journeyman.task.prompt import has_words
from journeyman.task.task import Task

PASSED = "model:"
"""Begins the name under which such calls are recorded."""
FORMAT = "recorded calls"
TAKEN_FROM = "taken_from"
"""In a trace's ``meta``: the name under which the call was recorded."""
SYSTEM = ("system", "developer")
BATCH = 200


def take_recorded(name: str, intake: Intake, store: Store, progress: Progress | None = None) -> FileReport:
    """Make recorded calls of ``model:NAME`` the task's. ``reasons`` counts those that stay.

    Raises:
        DataError: JM-302 there is no such call, JM-304 none of them is this task's.
        StoreError: the database cannot be read or written; finished batches are kept.
    """
    bar, task = progress or Silent(), intake.task
    repeated = sum(trace.meta.get(TAKEN_FROM) == name for trace in store.traces(task.name, origins=("serve",)))
    total = store.count_traces(name, origins=("serve",))
    if not total and not repeated:
        raise _no_call(name, store)
    bar.start(f"take over {name}", total, "calls")
    reasons: Counter[str] = Counter()
    added, calls = 0, store.traces(name, origins=("serve",))
    while batch := list(islice(calls, BATCH)):
        added += store.move_traces(list(_change(batch, intake, reasons)))
        bar.advance(len(batch))
    bar.finish(f"{added:,} calls")
    if not added and not repeated:
        raise DataError(
            "JM-304",
            "not one of these calls is the task's",
            where=name,
            expected=f"calls with the instruction and the prompt of {task.name}",
            got="; ".join(f"{count:,} x {reason}" for reason, count in reasons.most_common(3)),
            hint=f"write instruction, input and prompt in tasks/{task.name}.yaml as the calls have them",
        )
    return FileReport(name, FORMAT, added, repeated, 0, dict(reasons))


def _change(traces: Sequence[Trace], intake: Intake, reasons: Counter[str]) -> Iterator[tuple[Trace, Trace]]:
    for trace in traces:
        try:
            yield trace, _adopt(trace, intake)
        except UserError as error:
            reasons[error.what] += 1


def _adopt(trace: Trace, intake: Intake) -> Trace:
    """The call as the task's own.

    Raises:
        DataError: JM-311, JM-312, TaskError: JM-23x, JM-24x, it cannot be.
    """
    task = intake.task
    if trace.status != "ok":
        raise DataError("JM-312", "the call failed")
    systems = tuple(message for message in trace.messages if message.role in SYSTEM)
    if not _has_instruction(task, systems):
        raise DataError("JM-311", "another instruction than the task's, or none")
    record = Record(
        key="",
        content="",
        messages=tuple(message for message in trace.messages if message.role not in SYSTEM),
        schema=trace.schema,
        output=trace.output,
        gold=trace.correction,
        feedback=str(trace.feedback.get("verdict") or ""),
        flaw=FLAWS.get(str(trace.verdicts.get("finish") or ""), ""),
    )
    # Redacted once more: surrogates are numbered as a call to the task itself would number them.
    made = make_trace(record, replace(intake, is_private=True), "")
    said: dict[str, Json] = {"answer": made.gold.to_json()} if made.gold is not None else {}
    return replace(
        trace,
        task=task.name,
        input=made.input,
        messages=(*systems, *made.messages),
        output=made.output,
        schema=made.schema,
        instruction_hash=made.instruction_hash,
        split=made.split,
        terms=made.terms,
        provenance=intake.provenance or trace.provenance,
        feedback={**trace.feedback, **said},
        meta={**trace.meta, TAKEN_FROM: trace.task},
    )


def _has_instruction(task: Task, systems: Sequence[Message]) -> bool:
    """The record is redacted, and so the instruction may be in it. A call that says none is the task's where its prompt has words of its own."""
    if not systems:
        return has_words(task)
    said = "\n".join(message.text for message in systems).split()
    redacted = redact_message(make_message("system", task.instruction), Redactor())
    return said in (task.instruction.split(), redacted.text.split())


def _no_call(name: str, store: Store) -> DataError:
    known = store.count_passed()
    return DataError(
        "JM-302",
        "no call to this model is recorded",
        where=name,
        expected="one of " + ", ".join(f"{other} ({count:,} calls)" for other, count in known.items()) if known else "",
        hint="`journeyman serve` records the calls to other models that it passes on",
    )
