"""`judge T --labels FILE`: how well the judge of a task's metric agrees with people, measured once and kept for the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, Field, StrictInt, ValidationError

from journeyman.core.canonical import Json, file_hash
from journeyman.core.errors import GateError, TaskError
from journeyman.core.nodes import write_json
from journeyman.data.lines import Line, file_source, open_source
from journeyman.data.near import Groups, find_pairs
from journeyman.evaluation.judge import Contest, find_worth
from journeyman.evaluation.judged import Measurement, find_objection, make_measurement, write_measurement
from journeyman.flows.panel import Panel
from journeyman.flows.workspace import Workspace
from journeyman.measure.judged import Better
from journeyman.task.answer import arrange
from journeyman.task.prompt import check_input, user_text
from journeyman.task.schema import read_json
from journeyman.task.task import Task

FORM = '{"input": fields or text, "first": answer, "second": answer, "better": 1 | 2 | "tie"}'
LABELS: dict[object, Better] = {1: "one", 2: "two", "tie": "tie"}


@dataclass(frozen=True, slots=True)
class Labelled:
    """Two answers, and which one people say is better. Pairs of one ``group`` are not independent."""

    contest: Contest
    better: Better
    group: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """``objection`` says why the judge may decide no gate; empty where it may."""

    path: Path
    measurement: Measurement
    least_kappa: float
    objection: str


def measure_judge(workspace: Workspace, task_name: str, labels: Path, metric: str = "") -> Measured:
    """Ask the judge about every labelled pair, in both orders, and keep what its verdicts are worth.

    Raises:
        GateError: JM-650 no such judge, JM-654 a damaged line, JM-655 fewer than two pairs, and what the judge raises. DataError: JM-301 to JM-303.
    """
    task = workspace.task(task_name)
    name = choose_judge(task, metric)
    pairs = read_labels(labels, task)
    panel = Panel(workspace, task)
    found = panel.judges[name]
    verdicts = panel.verdicts(found, [pair.contest for pair in pairs])
    threshold = workspace.project.number("prepare", "near_copy_jaccard")
    worth = find_worth([pair.better for pair in pairs], verdicts, find_groups(pairs, threshold or 1.0))
    unreadable = sum(verdict.unreadable for verdict in verdicts)
    made = make_measurement(worth, task.name, name, found.who, file_hash(labels), unreadable, workspace.now())
    path = panel.measurement_path(found)
    write_measurement(path, made)
    _code, objection = find_objection(made, found.spec.least_kappa)
    return Measured(path, made, found.spec.least_kappa, objection)


def choose_judge(task: Task, metric: str) -> str:
    """The metric's name: the one that is given, the gate's, or the only one of its kind.

    Raises:
        GateError: JM-650 it cannot be told, or is no judge.
    """
    known = [name for name, spec in task.metrics.items() if spec.kind == "judge"]
    wanted = metric or (task.gate.metric if task.gate.metric in known else known[0] if len(known) == 1 else "")
    if wanted in known:
        return wanted
    raise GateError(
        "JM-650",
        f"{task.name} has no metric {metric} of kind judge"
        if metric
        else f"which judge of {task.name} is to be measured?",
        expected=", ".join(known) or "a metric of kind judge in the task file",
        got=metric or f"{len(known)} metrics of kind judge",
        hint="give one with --metric" if known else "metrics: {helpful: {kind: judge, rubric: ..., model: base}}",
    )


def read_labels(path: Path, task: Task) -> list[Labelled]:
    """Pairs that people labelled, JSON lines.

    Raises:
        GateError: JM-654 with file and line, JM-655 fewer than two pairs. DataError: JM-301 to JM-303 no file of text.
    """
    with open_source(file_source(path)) as reader:
        pairs = [_read_line(line, f"{path}:{line.number}", task) for line in reader if not line.is_blank]
    if len(pairs) < 2:
        raise GateError(
            "JM-655",
            "a judge cannot be measured on so few pairs",
            where=str(path),
            expected="two at least, and 50 to let it decide a gate",
            got=str(len(pairs)),
            hint="let people label more pairs of answers",
        )
    return pairs


def find_groups(pairs: Sequence[Labelled], threshold: float) -> list[str]:
    """One name for pairs about near copies of one request, or of one group in the file."""
    groups, named = Groups(len(pairs)), dict[str, int]()
    for one, other in find_pairs([pair.contest.request for pair in pairs], threshold):
        groups.join(one, other)
    for place, pair in enumerate(pairs):
        if pair.group:
            groups.join(place, named.setdefault(pair.group, place))
    return [str(groups.find(place)) for place in range(len(pairs))]


class _PairLine(BaseModel):
    """A line of the labels' file; other keys (who labelled it, when) are passed over."""

    input: str | dict[str, Any]
    first: Any
    second: Any
    better: Annotated[StrictInt, Field(ge=1, le=2)] | Literal["tie"]
    group: str = ""


def _read_line(line: Line, where: str, task: Task) -> Labelled:
    if line.problem:
        raise _damaged(where, f"{line.problem} {line.detail}".strip())
    try:
        raw = _PairLine.model_validate(read_json(line.text))
        if not isinstance(raw.input, str):
            check_input(task, raw.input)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _damaged(where, f"{'.'.join(str(step) for step in first['loc'][:1]) or 'line'}: {first['msg']}") from None
    except TaskError as error:
        raise _damaged(where, f"{error.what}: {error.got}") from error
    except ValueError as error:
        raise _damaged(where, f"not JSON: {error}") from None
    request = raw.input if isinstance(raw.input, str) else user_text(task, raw.input)
    contest = Contest(request, _answer(task, raw.first, where), _answer(task, raw.second, where))
    return Labelled(contest, LABELS[raw.better], raw.group)


def _answer(task: Task, value: Any, where: str) -> str:
    """As the task's own answers are shown to a judge."""
    if value is None or value == "":
        raise _damaged(where, "an answer is missing")
    if isinstance(value, str):
        return value
    return write_json(arrange(cast(Json, value), task.schema) if task.schema is not None else cast(Json, value))


def _damaged(where: str, got: str) -> GateError:
    return GateError(
        "JM-654",
        "this is no pair of answers with a label",
        where=where,
        expected=FORM,
        got=got,
        hint="correct the line, or remove it; nothing was asked",
    )
