"""Files of cases for behavioural tests: JSON lines, each with an ``input`` and what it is ``changed`` to, or the ``output`` that is right.

A file is read as a whole before anything is asked. Inputs and outputs are redacted as imported rows are, so that a student sees what it saw when it was tuned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from journeyman.core.canonical import Json, content_hash
from journeyman.core.errors import DataError, GateError, TaskError
from journeyman.core.example import Target
from journeyman.data.intake import settle
from journeyman.data.lines import file_source, open_source
from journeyman.data.record import parse_object, read_target
from journeyman.data.redaction import RowRedaction
from journeyman.evaluation.behaviour import Unit
from journeyman.task.prompt import check_input
from journeyman.task.task import Task

Key = Literal["changed", "output"]
NEXT = "write a case a line, or mend `cases:` in the task file"
MEND = "mend or remove the line, then run the same command again"


def read_cases(path: Path, task: Task, test: str, key: Key) -> list[Unit]:
    """The cases of a file as units, in its order. Pairs with one input are one unit, a case that comes again is left out.

    Raises:
        GateError: JM-640 no such file, or nothing in it; JM-641 a line that is no case; JM-642 a case that does not fit the task; JM-643 one that
            changes nothing; JM-644 one that contradicts a line before it.
    """
    found: dict[str, Unit] = {}
    for where, raw in _lines(path, test, key):
        unit = _read(task, raw, key, where)
        name = content_hash(dict(unit.input))
        found[name] = _join(found[name], unit) if name in found else unit
    if not found:
        raise GateError("JM-640", f"the test {test} has no cases", where=str(path), expected=_shape(key), hint=NEXT)
    return list(found.values())


def _lines(path: Path, test: str, key: Key) -> Iterator[tuple[str, dict[str, Json]]]:
    """Where it stands and what it says, of each line that is not blank."""
    try:
        source = file_source(path)
    except DataError as error:
        got = error.got or error.what
        raise GateError(
            "JM-640", f"the test {test} has no cases", where=str(path), expected=_shape(key), got=got, hint=NEXT
        ) from None
    with open_source(source) as lines:
        for line in lines:
            where = f"{path}:{line.number}"
            if line.problem:
                raise _no_case(where, key, " ".join([line.problem, line.detail]).strip())
            if not line.is_blank:
                yield where, _parse(line.text, key, where)


def _parse(text: str, key: Key, where: str) -> dict[str, Json]:
    try:
        raw = parse_object(text)
    except DataError as error:
        raise _no_case(where, key, error.got or error.what) from None
    if set(raw) != {"input", key}:
        raise _no_case(where, key, "the keys " + (", ".join(raw) or "of nothing"))
    return raw


def _read(task: Task, raw: Mapping[str, Json], key: Key, where: str) -> Unit:
    redaction = RowRedaction(task)
    input = redaction.fields(_fields(task, raw["input"], where))
    if key == "changed":
        changed = redaction.fields(_fields(task, raw[key], where))
        if changed == input:
            hint = "change something, or remove the line"
            raise GateError("JM-643", "this case changes nothing", where=where, expected="another input", hint=hint)
        return Unit(input, (changed,), place=where)
    target = read_target(raw[key])
    target, problem = settle(redaction.target(target), task.schema) if target else (None, "null is no answer")
    if problem:
        raise _misfit(where, "an output of the task", problem)
    return Unit(input, expected=target, place=where)


def _fields(task: Task, value: Json, where: str) -> dict[str, Json]:
    """An input as a file states it: fields, or the text of a task with one field."""
    if isinstance(value, str) and len(task.input) == 1:
        value = dict.fromkeys(task.input, value)
    if not isinstance(value, dict):
        raise _misfit(where, f"the fields {', '.join(task.input)}", f"{value!r:.80}")
    try:
        check_input(task, value)
    except TaskError as error:
        raise _misfit(where, error.expected, f"{error.what}: {error.got}") from None
    return value


def _join(first: Unit, second: Unit) -> Unit:
    if first.expected != second.expected:
        raise GateError(
            "JM-644",
            "two cases ask the same and expect another answer",
            where=second.place,
            expected=f"{_say(first.expected)}, as in {first.place}",
            got=_say(second.expected),
            hint="remove one of the two lines",
        )
    new = tuple(input for input in second.changed if input not in first.changed)
    return Unit(first.input, first.changed + new, first.expected, first.place)


def _say(target: Target | None) -> str:
    return f"{(target.value if target.kind == 'object' else target.text) if target else None!r:.80}"


def _shape(key: Key) -> str:
    shown = '{"input": {...}, "changed": {...}}' if key == "changed" else '{"input": {...}, "output": ...}'
    return f"JSON lines such as {shown}"


def _no_case(where: str, key: Key, got: str) -> GateError:
    return GateError("JM-641", "this line is no case", where=where, expected=_shape(key), got=got, hint=MEND)


def _misfit(where: str, expected: str, got: str) -> GateError:
    return GateError("JM-642", "this case does not fit the task", where=where, expected=expected, got=got, hint=MEND)
