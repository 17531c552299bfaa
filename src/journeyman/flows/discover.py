"""`discover`: from raw traffic to the narrow tasks in it, what they cost, which are worth a student, and task files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.core.files import write_atomic
from journeyman.core.providers import find_price
from journeyman.core.settings import Project
from journeyman.data.formats import open_rows
from journeyman.data.imports import find_sources
from journeyman.data.lines import Source
from journeyman.data.mining.call import Seen, see_record, see_trace
from journeyman.data.mining.discover import Group, Mined, mine
from journeyman.data.mining.names import name_task
from journeyman.data.mining.tally import Tally, sum_known
from journeyman.data.recorded import PASSED
from journeyman.flows.beginnings import new_task_path
from journeyman.flows.workspace import Workspace
from journeyman.guards.redact import Redactor
from journeyman.task.file import task_from_mapping, write_task
from journeyman.task.task import Task

Worth = Literal["yes", "later", "no"]
Measure = Literal["spend", "tokens", "calls"]
NO_TASK = Task("discover", "-", {"(no field)": {"type": "string"}}, None)
"""What a file is read with where no task is defined yet: rows are looked at as messages alone."""
ALL = "all"
ENOUGH_CALLS = 200
SINGLE, TAKEN, VALID = 0.9, 0.9, 0.9
LONG_ANSWER = 4000
SMALL_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a group is worth a student, and why."""

    worth: Worth
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A group with a name to write it under, its share of all traffic and the verdict."""

    name: str
    group: Group
    share: float
    verdict: Verdict

    @property
    def can_be_written(self) -> bool:
        return bool(self.group.draft.fields) and self.group.tally.read >= TAKEN * self.group.tally.calls


@dataclass(frozen=True, slots=True)
class Discovery:
    """``measure`` is what shares are of: spend where the cost of every call is known, else tokens, else calls. ``unread`` counts rows that hold no call."""

    sources: tuple[str, ...]
    found: tuple[Found, ...]
    rest: Tally
    measure: Measure
    total: float
    unread: Mapping[str, int]
    sampled: int

    @property
    def calls(self) -> int:
        return self.rest.calls + sum(item.group.tally.calls for item in self.found)

    @property
    def worth(self) -> tuple[Found, ...]:
        return tuple(item for item in self.found if item.verdict.worth == "yes")


def discover(workspace: Workspace, names: Sequence[str]) -> Discovery:
    """Look at files and, for ``model:NAME``, at recorded calls; without a name at all recorded calls.

    Raises:
        DataError: JM-301 a file cannot be read, JM-302 it is empty or there is no such call, JM-303 its format is unknown.
    """
    known = workspace.store.count_passed()
    sources = _Sources(workspace, tuple(names) or tuple(known))
    sources.check(known)
    mined = mine(sources.read, price=make_pricer(workspace.project), progress=workspace.progress)
    if not mined.calls:
        raise _no_call("; ".join(f"{count:,} x {reason}" for reason, count in sources.unread.items()))
    return _judge_all(sources, mined)


def make_pricer(project: Project) -> Callable[[Seen], float | None]:
    """What a call cost: as recorded, else by the project's prices; None where neither is known."""

    def price(seen: Seen) -> float | None:
        if seen.cost_usd is not None or not seen.model:
            return seen.cost_usd
        provider, name = project.find_provider(seen.model)
        found = find_price(provider.prices, name) or provider.price
        if found is None or seen.input_tokens is None or seen.output_tokens is None:
            return None
        return (seen.input_tokens * found[0] + seen.output_tokens * found[1]) / 1e6

    return price


def check_wishes(workspace: Workspace, wishes: Sequence[str]) -> None:
    """What can be said of ``NAME=GROUP`` before the traffic is looked at.

    Raises:
        TaskError: JM-261 a bad name, JM-262 the file exists.
    """
    for wish in wishes:
        if wish != ALL:
            new_task_path(workspace.project.tasks, wish.partition("=")[0])


def write_tasks(workspace: Workspace, found: Discovery, wishes: Sequence[str]) -> list[Path]:
    """Write ``NAME=GROUP``, or for ``all`` every group that a task file can read; nothing is written where one cannot be.

    Raises:
        DataError: JM-364 no such group, JM-365 a task file cannot say it, JM-366 a name twice. TaskError: JM-261 a bad name, JM-262 the file exists.
    """
    check_wishes(workspace, wishes)
    texts: dict[Path, str] = {}
    for name, item in _choose(found, wishes):
        path = new_task_path(workspace.project.tasks, name)
        if path in texts:
            raise DataError("JM-366", f"the name {name} is asked for twice", hint="give each group a name of its own")
        mapping = describe_task(name, item.group)
        task_from_mapping(mapping, str(path))
        texts[path] = write_task(mapping)
    for path, text in texts.items():
        write_atomic(path, text)
    return list(texts)


def describe_task(name: str, group: Group) -> dict[str, Json]:
    """The content of its task file. Nobody has labelled such calls, so the gate compares with what the large model said."""
    draft = group.draft
    mapping: dict[str, Json] = {
        "edition": 1,
        "name": name,
        "instruction": draft.instruction,
        "input": dict.fromkeys(draft.fields, "string"),
        "output": dict(group.schema) if group.schema is not None else "text",
    }
    if draft.prompt != f"{{{draft.fields[0]}}}":
        mapping["prompt"] = draft.prompt
    metric = "exact_match" if group.schema is not None else "rouge_l"
    return mapping | {"gate": {"metric": metric, "against": "agreement", "margin": 0.05}}


def redact_example(text: str, longest: int = 160) -> str:
    """A text for people to read: without personal data, and short."""
    seen = Redactor().text(text[: 4 * longest])
    return seen if len(seen) <= longest else f"{seen[:longest]}…"


class _Sources:
    """Calls of files and of the store, as often as they are asked for."""

    def __init__(self, workspace: Workspace, names: tuple[str, ...]) -> None:
        self.names = names
        self.unread: Counter[str] = Counter()
        self._workspace = workspace

    def check(self, known: Mapping[str, int]) -> None:
        """Every source is looked at before the first is read."""
        if not self.names:
            raise _no_call("no call that was passed on")
        for name in self.names:
            if not name.startswith(PASSED):
                for source in find_sources(Path(name)):
                    with open_rows(source, NO_TASK):
                        pass
            elif name not in known:
                raise _no_call(f"calls to {', '.join(known) or 'no model'}", name)

    def read(self) -> Iterator[Seen]:
        self.unread.clear()
        for name in self.names:
            if name.startswith(PASSED):
                yield from self._recorded(name)
                continue
            for source in find_sources(Path(name)):
                yield from self._rows(source)

    def _recorded(self, name: str) -> Iterator[Seen]:
        for trace in self._workspace.store.traces(name, origins=("serve",)):
            if trace.has_content and trace.messages:
                yield see_trace(trace)
            else:
                self.unread["the numbers alone were kept"] += 1

    def _rows(self, source: Source) -> Iterator[Seen]:
        with open_rows(source, NO_TASK) as opened:
            for row in opened.rows.rows:
                if row.record is not None and row.record.messages:
                    yield see_record(row.record)
                elif not row.is_blank and not row.is_other:
                    self.unread[row.line.problem or "no messages in this row"] += 1


def _judge_all(sources: _Sources, mined: Mined) -> Discovery:
    tallies = [*(group.tally for group in mined.groups), mined.rest]
    measure, sizes = _sizes([tally for tally in tallies if tally.calls])
    by_tally = dict(zip((id(tally) for tally in tallies if tally.calls), sizes, strict=True))
    total = sum(sizes)
    names: list[str] = []
    found = []
    for group in mined.groups:
        share = by_tally[id(group.tally)] / total if total else 0.0
        names.append(name_task(" ".join((group.draft.instruction, *group.draft.literals)), names))
        found.append(Found(names[-1], group, share, judge(group, share)))
    found.sort(key=lambda item: -item.share)
    found = [replace(item, group=replace(item.group, number=number)) for number, item in enumerate(found, 1)]
    return Discovery(sources.names, tuple(found), mined.rest, measure, total, dict(sources.unread), mined.sampled)


def _sizes(tallies: Sequence[Tally]) -> tuple[Measure, list[float]]:
    """What each takes, in the best measure that is known of all."""
    for measure, values in (
        ("spend", [item.cost_usd for item in tallies]),
        ("tokens", [item.tokens for item in tallies]),
    ):
        if sum_known(values):
            return cast(Measure, measure), [float(value or 0) for value in values]
    return "calls", [float(item.calls) for item in tallies]


def judge(group: Group, share: float) -> Verdict:
    """Whether a student could take these calls over, by what they are; how good it would be is only measured on it."""
    tally, draft = group.tally, group.draft
    answered = max(1, tally.answered)
    against = list[str]()
    if tally.single < SINGLE * tally.calls:
        against.append(
            f"{_percent(1 - tally.single / tally.calls)} of the calls have earlier turns, which a task's prompt cannot read"
        )
    elif not draft.fields:
        against.append("every call says the same: a cache answers that")
    elif tally.read < TAKEN * tally.calls:
        against.append(
            f"a prompt reads {_percent(tally.read / tally.calls)} of the calls: their messages differ in more than the fields"
        )
    if group.has_pictures:
        against.append("the messages hold pictures")
    if group.tools and group.schema is None:
        against.append("the answers call several tools, or none")
    if group.schema is not None and tally.valid < VALID * answered:
        against.append(f"{_percent(tally.valid / answered)} of the answers have the schema")
    median = tally.answer_characters.median or 0
    if median > LONG_ANSWER:
        against.append(f"answers are long: {median:,.0f} characters")
    if not tally.answered:
        against.append("no answer is recorded")
    if against:
        return Verdict("no", (*against, *draft.obstacles[:1]))
    reasons = _reasons(group)
    if tally.instructed < min(ENOUGH_CALLS, TAKEN * tally.calls):
        taken = f"{tally.instructed:,} of the calls say the instruction as a task file can: the others are another task's to an import of recorded calls, and to `prepare`"
        return Verdict("later", (taken, *reasons))
    if tally.answered < ENOUGH_CALLS:
        return Verdict(
            "later", (f"{tally.answered:,} answered calls; {ENOUGH_CALLS} are enough to begin with", *reasons)
        )
    if share < SMALL_SHARE:
        return Verdict("later", (f"{100 * share:.1f} % of the traffic", *reasons))
    return Verdict("yes", reasons)


def find_entropy(group: Group) -> float | None:
    """Bits of an answer that is one of a few; None of others."""
    labels = group.tally.labels
    if group.schema is None or "enum" not in group.schema or not labels:
        return None
    return -sum(count / labels.total() * math.log2(count / labels.total()) for count in labels.values())


def _reasons(group: Group) -> tuple[str, ...]:
    tally, schema = group.tally, group.schema
    reasons = [f"{_percent(group.constant)} of a call is the same text"]
    if schema is None:
        reasons.append(f"answers in free text, {tally.answer_characters.median or 0:,.0f} characters")
    elif isinstance(choices := schema.get("enum"), list):
        reasons.append(f"the answer is one of {len(choices)}")
    else:
        keys = schema.get("properties")
        reasons.append(
            f"answers have {len(keys) if isinstance(keys, dict) else 0} keys, {_percent(tally.valid / max(1, tally.answered))} by the schema"
        )
    return (*reasons, *group.draft.obstacles)


def _choose(found: Discovery, wishes: Sequence[str]) -> Iterator[tuple[str, Found]]:
    groups = {str(item.group.number): item for item in found.found}
    for wish in wishes:
        if wish == ALL:
            yield from ((item.name, item) for item in found.found if item.can_be_written)
            continue
        name, _, number = wish.partition("=")
        if number not in groups:
            raise DataError(
                "JM-364",
                "there is no such group",
                expected=f"NAME=GROUP with a group from 1 to {len(groups)}, or all"
                if groups
                else "traffic with groups",
                got=wish,
                hint="journeyman discover lists the groups",
            )
        item = groups[number]
        if not item.group.draft.fields:
            raise DataError(
                "JM-365",
                "a task file cannot say this group",
                where=f"group {number}",
                expected="single user messages that differ in some places",
                got="; ".join(item.verdict.reasons),
                hint="send such calls as one user message, with what changes in it",
            )
        yield name, item


def _no_call(got: str, where: str = "") -> DataError:
    return DataError(
        "JM-302",
        "there is no call to look at",
        where=where,
        expected="files of chat-completion logs, or model:NAME of recorded calls",
        got=got,
        hint="`journeyman serve` records the calls to other models that it passes on",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
