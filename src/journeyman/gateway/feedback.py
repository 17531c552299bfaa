"""What people say of a recorded call: a thumb, the right answer, what came of it later, a note.

The call's redaction cannot be undone, so a right answer with personal data in it is taken only beside the call's input: from that the same surrogates are made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol, cast

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError, ServeError, StoreError
from journeyman.core.example import Target, object_target, text_target
from journeyman.core.messages import messages_from_openai
from journeyman.core.trace import Trace
from journeyman.data.intake import settle
from journeyman.data.record import DEPTH_LIMIT, find_depth, read_target
from journeyman.gateway.callers import Caller
from journeyman.gateway.knowing import Knower
from journeyman.gateway.registry import Registry
from journeyman.guards.detect import SECRET
from journeyman.guards.redact import SURROGATE, Redactor
from journeyman.task.prompt import check_input, read_messages
from journeyman.task.task import Task

SAID = ("verdict", "answer", "outcome", "note")
KNOWN = ("trace", "input", *SAID)
MARK = "trace-"


class Calls(Protocol):
    """The part of the store that is needed."""

    def trace(self, id: str, /) -> Trace | None: ...

    def add_feedback(self, trace_id: str, feedback: Mapping[str, Json], /) -> None: ...


class FeedbackDesk:
    """Joins feedback to calls. Without ``calls`` it knows none."""

    def __init__(
        self,
        registry: Registry,
        calls: Calls | None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        unwanted: Callable[[Trace], None] = lambda _trace: None,
        knower: Knower | None = None,
    ) -> None:
        """``unwanted`` is told of a call whose answer was corrected or got thumbs down, as it was before; ``knower`` finds the passages of an input that comes without them."""
        self._registry = registry
        self._calls = calls
        self._now = now
        self._unwanted = unwanted
        self._knower = knower

    async def take(self, raw: Json, caller: Caller) -> dict[str, Json]:
        """The call's id and the keys that were stored; a later value of the same key replaces the earlier one.

        Raises:
            ServeError: JM-750 not this shape, JM-751 no such call of this caller, JM-752 the answer breaks the task's output, JM-753 it has personal data and
                comes without the call's input, JM-754 that input is not the call's, JM-755 there is nothing that it could correct.
        """
        body = _check_body(raw)
        trace = await asyncio.to_thread(self._find, str(body["trace"]), caller)
        task = next((task for task in self._registry.tasks() if task.name == trace.task), None)
        stored = await asyncio.to_thread(self._store, task, trace, await self._know(task, body))
        if "answer" in body or body.get("verdict") == "down":
            self._unwanted(trace)
        return {"trace": trace.id, "stored": stored}

    async def _know(self, task: Task | None, body: Mapping[str, Json]) -> Mapping[str, Json]:
        """An input with its passages, as the call's had them."""
        if task is None or not task.filled or self._knower is None or "answer" not in body or "input" not in body:
            return body
        fields = _read_input(task, body["input"], may_lack=task.filled)
        return {**body, "input": dict((await self._knower.know(task, fields)).fields)}

    def _store(self, task: Task | None, trace: Trace, body: Mapping[str, Json]) -> list[Json]:
        redactor = Redactor(is_personal=task is None or task.redact, more=task.redact_also if task else ())
        said: dict[str, Json] = {"time": self._now().isoformat()}
        if "verdict" in body:
            said["verdict"] = body["verdict"]
        if "answer" in body:
            said["answer"] = read_correction(task, trace, body, redactor).to_json()
        if "outcome" in body:
            said["outcome"] = redactor.value(body["outcome"])
        if "note" in body:
            said["note"] = redactor.text(str(body["note"]))
        try:
            assert self._calls is not None
            self._calls.add_feedback(trace.id, said)
        except StoreError as error:
            raise (_unknown(trace.id) if error.code == "JM-813" else error) from error  # erased in between
        return [key for key in SAID if key in said]

    def _find(self, given: str, caller: Caller) -> Trace:
        """By the reply's header or the completion's id, which ends in it. Another key's call is as unknown as one that never was."""
        id = given[given.find(MARK) :] if MARK in given else given
        trace = self._calls.trace(id) if self._calls is not None else None
        if trace is None or (caller.id and trace.meta.get("key") != caller.id):
            raise _unknown(given)
        return trace


def _check_body(raw: Json) -> Mapping[str, Json]:
    if not isinstance(raw, dict):
        raise _wrong("the body", "a JSON object", raw)
    if not isinstance(raw.get("trace"), str) or not raw["trace"]:
        raise _wrong("trace", "the id in the reply's header x-journeyman-trace", raw.get("trace"))
    if unknown := [key for key in raw if key not in KNOWN]:
        raise _wrong(f"{unknown[0]!r:.80}", "one of " + ", ".join(KNOWN), raw[unknown[0]])
    body = {key: value for key, value in raw.items() if value is not None}
    if not any(key in body for key in SAID):
        raise _wrong("what is said", "one of " + ", ".join(SAID), None)
    if body.get("verdict", "up") not in ("up", "down"):
        raise _wrong("verdict", "up or down", body["verdict"])
    if not isinstance(body.get("note", ""), str):
        raise _wrong("note", "text", body["note"])
    if isinstance(body.get("outcome"), list):
        raise _wrong("outcome", "text, a number, true or false, or an object", body["outcome"])
    if find_depth(raw) > DEPTH_LIMIT:
        raise _wrong("the body", f"JSON of at most {DEPTH_LIMIT} levels", None)
    return body


def read_correction(task: Task | None, trace: Trace, body: Mapping[str, Json], redactor: Redactor) -> Target:
    """The right answer, verified before and after it is redacted.

    Raises:
        ServeError: JM-752 the answer breaks the task's output, JM-753 it has personal data and comes without the call's input, JM-754 that input is not the call's,
            JM-755 there is nothing that it could correct.
    """
    if task is None or not trace.input:
        raise ServeError(
            "JM-755",
            "this call has nothing that an answer could correct",
            where=trace.id,
            expected="a call of a task that is served here, of the task's shape, whose content was kept",
            got=trace.task,
            hint="send a verdict, an outcome or a note",
        )
    given = read_target(body["answer"])
    assert given is not None, "null says nothing and was dropped"
    answer = _settle(task, given)
    if "input" in body:
        _redact_input(task, trace, body["input"], redactor)
        redacted = redactor.value(redactor.restore_value(_content(answer)), task.verbatim)
    else:
        refuse_personal(task, trace, answer)
        redacted = Redactor(is_personal=False).value(_content(answer), task.verbatim)
    return _settle(task, text_target(str(redacted)) if answer.kind == "text" else object_target(redacted))


def _settle(task: Task, target: Target) -> Target:
    answer, problem = settle(target, task.schema)
    if problem:
        raise ServeError(
            "JM-752",
            "this answer breaks the task's output",
            where=f"task {task.name}",
            expected="an answer as the task gives it, personal data in it replaced or not",
            got=problem,
            hint="correct the answer",
        )
    return answer


def _content(target: Target) -> Json:
    return target.text if target.kind == "text" else target.value


def _redact_input(task: Task, trace: Trace, given: Json, redactor: Redactor) -> None:
    """Show ``redactor`` the call's input, so that it knows the surrogates that this has in the trace."""
    if redactor.value(_read_input(task, given), task.verbatim) != dict(trace.input):
        raise ServeError(
            "JM-754",
            "this is not the input that the call had",
            where=trace.id,
            expected="input: the same fields or messages that were sent",
            hint="send the input of this very call, or an answer without personal data and no input"
            + (f"; documents may have changed: send {task.filled} as they were" if task.filled else ""),
        )


def _read_input(task: Task, given: Json, may_lack: str = "") -> dict[str, Json]:
    try:
        fields = read_messages(task, messages_from_openai(given)) if isinstance(given, list) else given
    except DataError as error:
        raise _wrong("input", "the fields of the call, or its messages", given) from error
    if not isinstance(fields, dict):
        raise _wrong("input", "the fields of the call, or its messages", given)
    check_input(task, fields, may_lack=may_lack)
    return dict(fields)


def refuse_personal(task: Task, trace: Trace, answer: Target) -> None:
    """Surrogates that stand in the trace are none, whoever reads the record may write them. Raises: ServeError: JM-753."""
    if not task.redact:
        return
    known = set(_surrogates(dict(trace.input)))
    search = Redactor(more=task.redact_also)
    search.value(_without(_content(answer), known), task.verbatim)
    if found := sorted(kind for kind in search.counts if kind != SECRET):
        raise ServeError(
            "JM-753",
            "this answer has personal data in it, and without the call's input they cannot get the surrogates that they have there",
            where=trace.id,
            expected="input: the fields or messages of the call, beside the answer",
            got=", ".join(found),
            hint="send the call's input along; it is compared, and not stored",
        )


def _surrogates(value: Json) -> list[str]:
    if isinstance(value, str):
        return [match.group() for match in SURROGATE.finditer(value)]
    parts = value if isinstance(value, list) else [*value, *value.values()] if isinstance(value, dict) else []
    return [found for part in parts for found in _surrogates(part)]


def _without(value: Json, known: set[str]) -> Json:
    if isinstance(value, str):
        return SURROGATE.sub(lambda match: " " if match.group() in known else match.group(), value)
    if isinstance(value, list):
        return [_without(item, known) for item in value]
    if isinstance(value, dict):
        return {cast(str, _without(key, known)): _without(item, known) for key, item in value.items()}
    return value


def _unknown(id: str) -> ServeError:
    return ServeError(
        "JM-751",
        "there is no such call",
        got=f"{id:.80}",
        hint="use the id in the reply's header x-journeyman-trace, and the key that asked",
    )


def _wrong(what: str, expected: str, got: object) -> ServeError:
    return ServeError(
        "JM-750",
        f"{what} is missing or wrong",
        expected=expected,
        got="nothing" if got is None else f"{got!r:.80}",
        hint='send {"trace": ID, "verdict": "up" or "down", "answer": ..., "outcome": ..., "note": ...}, one of them at least',
    )
