"""Groups of calls with one prompt, from traffic of any size: a sample is mined, then every call is put where it belongs.

    calls ── fair sample ──► groups ── align ──► forms ──► drafts and schemas
      └────────────────── second pass ──────────────────────────► tallies

Memory holds the sample and the tallies. The calls are read twice, so their source must give them twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from journeyman.core.canonical import Json
from journeyman.core.errors import UserError
from journeyman.core.progress import Progress, Silent
from journeyman.data.intake import settle
from journeyman.data.mining.call import Call, Seen
from journeyman.data.mining.draft import Draft, clean_instruction, make_draft
from journeyman.data.mining.form import Form, Matcher, align, squeeze
from journeyman.data.mining.groups import find_groups
from journeyman.data.mining.outputs import infer_schema
from journeyman.data.mining.tally import Tally
from journeyman.task.prompt import read_user_text
from journeyman.task.task import Task

SAMPLE = 20_000
HEAD, TAIL = 8_000, 4_000
"""Characters of a text that the sample keeps."""
LEAST = 10
"""Calls in the sample that make a group."""
MOST_LONG = 200
"""System texts longer than that of which the whole is kept."""
SHOWN = 3
REPORTED = 200
Read = Callable[[], Iterator[Seen]]
Price = Callable[[Seen], float | None]


@dataclass(frozen=True, slots=True)
class Group:
    """Calls with one prompt. ``constant``: how much of a call's text is the same in all, as a share of the characters; ``examples`` are some calls, not redacted."""

    number: int
    tools: tuple[str, ...]
    system: Form
    body: Form
    draft: Draft
    schema: Mapping[str, Json] | None
    constant: float
    examples: tuple[Call, ...]
    has_pictures: bool = False
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True, slots=True)
class Mined:
    """The groups, the largest first, and the tally of calls that belong to none."""

    groups: tuple[Group, ...]
    rest: Tally
    sampled: int

    @property
    def calls(self) -> int:
        return self.rest.calls + sum(group.tally.calls for group in self.groups)


def mine(
    read: Read, *, price: Price = lambda seen: seen.cost_usd, least: int = LEAST, progress: Progress | None = None
) -> Mined:
    """Find the groups of what ``read`` gives, which is called twice."""
    bar = progress or Silent()
    bar.start("read", None, "calls")
    whole = Whole()
    sample, total = _draw(read(), bar, whole)
    bar.finish(f"{total:,} calls")
    bar.start("mine", None, "groups")
    groups = [
        _describe([sample[place] for place in places], whole)
        for places in find_groups([seen.call for seen in sample], least)
    ]
    groups = [replace(group, number=number) for number, group in enumerate(_merge(groups), 1)]
    bar.finish(f"{len(groups):,} groups in a sample of {len(sample):,}")
    sorter, rest = Sorter(groups), Tally()
    bar.start("count", total, "calls")
    for number, seen in enumerate(read(), 1):
        group = sorter.find(seen.call)
        (group.tally if group else rest).add(seen, price(seen))
        if group is not None:
            _measure(group, seen)
        if number % REPORTED == 0:
            bar.advance(REPORTED)
    bar.finish()
    ordered = sorted((group for group in groups if group.tally.calls), key=lambda group: -group.tally.calls)
    return Mined(tuple(replace(group, number=number) for number, group in enumerate(ordered, 1)), rest, len(sample))


class Sorter:
    """Puts calls where they belong: to the group whose constant words are the most of those that the call has."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._by_tools: dict[tuple[str, ...], list[tuple[Matcher, Matcher, Group]]] = {}
        for group in groups:
            matchers = Matcher.of(group.system), Matcher.of(group.body), group
            self._by_tools.setdefault(group.tools, []).append(matchers)
        for found in self._by_tools.values():
            found.sort(key=lambda item: -(item[0].weight + item[1].weight))

    def find(self, call: Call) -> Group | None:
        rivals = self._by_tools.get(call.tools)
        if rivals is None:
            return None
        system, body = squeeze(_cut(call.system)), squeeze(_cut(call.body))
        return next((group for first, second, group in rivals if first.matches(system) and second.matches(body)), None)


class Whole:
    """Long system texts that came twice, as they were before they were cut for the sample."""

    def __init__(self) -> None:
        self._once: set[int] = set()
        self._texts: dict[str, str] = {}

    def add(self, text: str) -> None:
        if len(text) <= HEAD + TAIL or len(self._texts) == MOST_LONG:
            return
        mark = hash(text)
        if mark in self._once:
            self._texts.setdefault(_cut(text), text)
        elif len(self._once) < SAMPLE:
            self._once.add(mark)

    def find(self, cut: str) -> str:
        return self._texts.get(cut, cut)


def _draw(calls: Iterator[Seen], bar: Progress, whole: Whole) -> tuple[list[Seen], int]:
    """A fair sample, in the order in which the calls came, and how many there were."""
    draw, total = random.Random(0), 0
    kept: list[tuple[int, Seen]] = []
    for seen in calls:
        total += 1
        whole.add(seen.call.system)
        if total % REPORTED == 0:
            bar.advance(REPORTED)
        if len(kept) < SAMPLE:
            kept.append((total, _shorten(seen)))
        elif (place := draw.randrange(total)) < SAMPLE:
            kept[place] = (total, _shorten(seen))
    return [seen for _, seen in sorted(kept, key=lambda item: item[0]) if not seen.is_failed], total


def _shorten(seen: Seen) -> Seen:
    call = replace(seen.call, system=_cut(seen.call.system), body=_cut(seen.call.body))
    return replace(seen, call=call, messages=(), target=None)


def _cut(text: str) -> str:
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n{text[-TAIL:]}"


def _describe(seen: Sequence[Seen], whole: Whole) -> Group:
    calls = [item.call for item in seen]
    calls_in_time = sorted(calls, key=lambda call: call.seconds or 0.0)
    systems = [call.system for call in calls_in_time]
    system, body = align(systems), align([call.body for call in calls])
    singles = [call.user for call in calls if call.is_single]
    draft = make_draft(systems, system, singles)
    if draft.instruction == clean_instruction(systems[-1]):
        draft = replace(draft, instruction=clean_instruction(whole.find(systems[-1])))
    lengths = sum(len(call.system) + len(call.body) for call in calls) / len(calls)
    step = max(1, len(calls) // SHOWN)
    return Group(
        0,
        calls[0].tools,
        system,
        body,
        draft,
        infer_schema(seen),
        min(1.0, (system.characters + body.characters) / max(1.0, lengths)),
        tuple(calls[::step][:SHOWN]),
        sum(call.has_pictures for call in calls) > 0.1 * len(calls),
    )


def _merge(groups: Sequence[Group]) -> list[Group]:
    """Of groups with the very same forms the first."""
    found: dict[tuple[object, ...], Group] = {}
    for group in groups:
        pieces = tuple(squeeze(piece) for piece in (*group.system.literals, "\n", *group.body.literals))
        found.setdefault((group.tools, pieces), group)
    return list(found.values())


def _measure(group: Group, seen: Seen) -> None:
    """Whether an import would take the call, and whether its answer has the schema."""
    tally, draft = group.tally, group.draft
    if draft.fields and seen.call.is_single and _is_read(draft.task(), seen):
        tally.read += 1
        tally.instructed += not seen.call.system or seen.call.system.split() == draft.instruction.split()
    if seen.target is not None:
        tally.valid += not settle(seen.target, group.schema)[1]


def _is_read(task: Task, seen: Seen) -> bool:
    try:
        read_user_text(task, seen.messages[0].text)
    except UserError:
        return False
    return True
