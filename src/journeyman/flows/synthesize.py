"""`synthesize T`: rows to tune on from an instruction and a few examples.

    cells ──► inputs by the teacher ──► (further turns) ──► new ones ──► several answers each ──► agreed on, and right ──► traces of origin `synthesize`

A round at a time: what a round asks for follows from what was kept before it, so that the same command after a kill makes the same rows from the calls that were
answered. Examples that the teacher is shown are train rows, and stay so. Sealed and dev rows are shown to nobody; inputs near to any of them are dropped.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Literal, cast

from journeyman.core.canonical import Json, bytes_hash, dump
from journeyman.core.errors import DataError
from journeyman.core.example import Alternative, Example, Split, Target, Terms
from journeyman.core.providers import Price
from journeyman.core.trace import Trace
from journeyman.data.intake import Intake, make_trace
from journeyman.data.near import Known, near_text
from journeyman.data.record import Record
from journeyman.data.synthesis.asking import (
    Sizes,
    ask_answer,
    ask_inputs,
    ask_topics,
    ask_verdict,
    find_sizes,
    find_uncopied,
    is_input,
    read_inputs,
    read_topics,
    read_verdict,
    vote,
)
from journeyman.data.synthesis.cells import CASES, LOST, Aim, Balance, Cell, aim_cells, find_axis, make_cells, quota
from journeyman.data.synthesis.conversations import ask_turn, find_conversation, read_turn
from journeyman.data.synthesis.passages import read_passages
from journeyman.data.synthesis.seeds import MADE_BY, Seeds, find_seeds
from journeyman.data.synthesis.tools import find_offered, find_tools
from journeyman.evaluation.weak import WeakSpot
from journeyman.flows.earlier import find_aims
from journeyman.flows.paid_calls import PaidCalls, Receipt, count_bytes
from journeyman.flows.retrieving import Shelves
from journeyman.flows.runs import RunFolder, find_run
from journeyman.flows.upstream import require_teacher
from journeyman.flows.workspace import Workspace
from journeyman.models.catalog import resolve
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.local import LocalModel
from journeyman.models.protocol import Model, Request
from journeyman.models.template import load_base_template
from journeyman.task.task import Task

CALLS, SYNTHESIS, SEEDS = "calls.jsonl", "synthesis.json", "seeds.json"
NEAR = 0.7
"""Jaccard similarity from which on an input is no new one; near-copy groups begin at 0.8 unless set otherwise."""
SURPLUS = 1.3
CALLS_A_ROUND, ROUNDS_A_TOPICS, TOPICS_A_CALL = 4, 5, 20
ANSWERED_AT_ONCE = 16
BARREN_ROUNDS, BARREN_SHARE = 3, 0.05
MOST_PASSAGES = 1000
"""Chunks of a task's own documents that inputs take their content from, where none are handed in."""
LETTERS_A_TOKEN = 4.0
CONTEXT = 4096
Why = Literal["complete", "the budget is spent", "hardly anything new comes"]


@dataclass(frozen=True, slots=True)
class Options:
    """``rows`` in all, those of earlier commands of the same settings included, as ``budget_usd`` is of all of them. ``teacher``: empty for the task's, else a model that
    runs here. Each input is answered ``samples`` times and kept where ``least_share`` of them agree; ``a_call`` inputs come from one call, after ``shown`` examples. ``is_aimed``: at what the assessed
    student errs in on dev."""

    rows: int
    budget_usd: float | None = None
    teacher: str = ""
    samples: int = 3
    a_call: int = 5
    shown: int = 4
    least_share: float = 0.6
    is_judged: bool = False
    languages: tuple[str, ...] = ()
    documents: tuple[Path, ...] = ()
    into: Split = "train"
    terms: Terms = "unknown"
    seed: int = 0
    is_aimed: bool = False


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of calls that are still to be made, if all goes as the examples are: ``usd`` None where a call costs nothing."""

    calls: int
    input_tokens: int
    output_tokens: int
    usd: float | None

    def to_json(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Synthesis:
    """``rows`` kept so far of ``wanted``, by the value that they are balanced by, and by kind of case; ``dropped`` inputs by reason; ``unanimous`` rows on which all samples agree."""

    task: str
    run: str
    teacher: str
    wanted: int
    rows: int
    into: str
    by_value: dict[str, int]
    by_case: dict[str, int]
    unanimous: int
    dropped: dict[str, int]
    examples: int
    spots: tuple[WeakSpot, ...]
    forecast: Forecast
    receipt: Receipt
    why: Why

    def to_json(self) -> dict[str, Json]:
        own: dict[str, Json] = {
            name: getattr(self, name)
            for name in self.__dataclass_fields__
            if name not in ("forecast", "receipt", "spots")
        }
        spots: list[Json] = [spot.to_json() for spot in self.spots]
        return own | {"spots": spots, "forecast": self.forecast.to_json(), "receipt": self.receipt.to_json()}


@dataclass(frozen=True, slots=True)
class _Teacher:
    name: str
    model: Model | None
    price: Price | None
    """None: it costs nothing."""
    identity: Json
    in_flight: int


@dataclass(frozen=True, slots=True)
class _Asked:
    """An input on its way: the cell that it was asked for, and the examples that were shown."""

    cell: Cell
    shown: tuple[str, ...]
    fields: dict[str, Json]


@dataclass(frozen=True, slots=True)
class _Answered:
    asked: _Asked
    target: Target
    share: float
    others: list[tuple[Target, int]]


@dataclass(slots=True)
class _Tally:
    """``seen``: answers by value, whether there were enough of them or not; ``filled``: the same by kind of case, those that are none to keep in part."""

    rows: int = 0
    unanimous: int = 0
    cases: Counter[str] = field(default_factory=Counter)
    filled: dict[str, float] = field(default_factory=lambda: dict.fromkeys(CASES, 0.0))
    seen: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


def synthesize(workspace: Workspace, task_name: str, options: Options) -> Synthesis:
    """Make rows until there are enough; the same command continues one that was killed, or whose budget ended.

    Raises:
        DataError: JM-360 a budget is missing, JM-361 the teacher's price is not known, JM-362 documents that cannot be read, JM-363 and JM-385 no weak spot is known. ServeError: JM-730 no teacher. ModelError:
            JM-40x, JM-42x of a local model, JM-43x of a provider. StoreError: JM-821 another process is at it.
    """
    return asyncio.run(_with_teacher(workspace, workspace.task(task_name), options, is_dry=False))


def forecast_synthesis(workspace: Workspace, task_name: str, options: Options) -> Synthesis:
    """What it would take, without a call. Raises as `synthesize` does."""
    return asyncio.run(_with_teacher(workspace, workspace.task(task_name), options, is_dry=True))


async def _with_teacher(workspace: Workspace, task: Task, options: Options, *, is_dry: bool) -> Synthesis:
    async with AsyncExitStack() as stack:
        teacher = await _open_teacher(workspace, task, options, stack, is_dry=is_dry)
        spots = find_aims(workspace, task).spots if options.is_aimed else ()
        key = _make_key(task, teacher, options) | ({"spots": [spot.to_json() for spot in spots]} if spots else {})
        run = find_run(workspace.project.runs, task.name, "synthesize", key)
        with run.lock():
            shelves = stack.enter_context(Shelves(workspace))
            work = _Work(workspace, task, options, teacher, run, spots, shelves)
            if is_dry:
                return work.tell("complete")
            work.refuse_unbounded()
            return await work.make()


class _Work:
    """One synthesis."""

    def __init__(
        self,
        workspace: Workspace,
        task: Task,
        options: Options,
        teacher: _Teacher,
        run: RunFolder,
        spots: tuple[WeakSpot, ...],
        shelves: Shelves,
    ) -> None:
        self.workspace, self.task, self.options, self.teacher, self.run = workspace, task, options, teacher, run
        self.shelves = shelves
        self.seeds = self._find_seeds()
        self.sizes: Sizes = find_sizes(task, self.seeds.rows)
        self.spots = spots
        self.aims = make_aims(spots)
        self.offered = find_offered(task)
        axis = find_tools(task.schema) or self.offered or find_axis(task.schema)
        self.axis: Balance | None = axis if not spots else None
        self.conversation = find_conversation(task, self.seeds.rows)
        self.asked_for = replace(task, input=task.asked, knowledge=None, prompt="") if task.filled else task
        self.asked_for = self.conversation.opening(self.asked_for) if self.conversation else self.asked_for
        self.openings = Known(NEAR)
        self.passages = read_passages(options.documents)
        if task.knowledge is not None and not self.passages:
            self.passages = shelves.draw(task.knowledge, MOST_PASSAGES, options.seed)
        budget = options.budget_usd if teacher.price is not None else None
        price = teacher.price or (0.0, 0.0)
        self.calls = PaidCalls(run.path / CALLS, teacher.model, price, budget, teacher.identity, teacher.in_flight)
        self.tally = _Tally()
        self.topics: list[str] = []
        self.rounds = 0
        self.forecast = self._forecast(options.rows)

    def refuse_unbounded(self) -> None:
        """Raises: DataError: JM-360."""
        if self.teacher.price is not None and self.options.budget_usd is None:
            raise DataError(
                "JM-360",
                "this teacher costs money, and there is no limit",
                where=self.teacher.name,
                expected="--budget, in US dollars",
                got=f"a forecast of {self.forecast.calls:,} calls and {self.forecast.usd or 0:.2f} US dollars",
                hint=f"journeyman synthesize {self.task.name} --n {self.options.rows} --budget {max(0.01, ceil(150 * (self.forecast.usd or 0)) / 100):.2f}",
            )

    async def make(self) -> Synthesis:
        self.run.decide(SEEDS, lambda: {"rows": [row.id for row in self.seeds.rows]})
        self.seeds.pin(self.workspace.store, self.task.name)
        self.workspace.progress.start("synthesize", self.options.rows, "rows")
        why = await self._fill()
        self.workspace.progress.finish(f"{self.tally.rows:,} rows")
        made = self.tell(why)
        self.run.write(SYNTHESIS, made.to_json())
        return made

    def tell(self, why: Why) -> Synthesis:
        return Synthesis(
            task=self.task.name,
            run=self.run.id,
            teacher=self.teacher.name,
            wanted=self.options.rows,
            rows=self.tally.rows,
            into=self.options.into,
            by_value=dict(sorted(self.tally.values.items())) if self.axis else {},
            by_case=dict(sorted(self.tally.cases.items())),
            unanimous=self.tally.unanimous,
            dropped=dict(self.tally.dropped.most_common()),
            examples=len(self.seeds.rows),
            spots=self.spots,
            forecast=self.forecast,
            receipt=self.calls.receipt(),
            why=why,
        )

    async def _fill(self) -> Why:
        """What is asked follows from what was answered before, and from nothing else: a command for more rows asks what this one did, and goes on."""
        known, waiting, is_cut = Known(NEAR, self.seeds.known), deque[_Asked](), False
        before = barren = 0
        while self.tally.rows < self.options.rows:
            if not waiting:
                barren = (
                    barren + 1 if self.tally.rows - before < BARREN_SHARE * CALLS_A_ROUND * self.options.a_call else 0
                )
                if is_cut:
                    return "the budget is spent"
                if self.rounds > BARREN_ROUNDS and barren >= BARREN_ROUNDS:
                    return "hardly anything new comes"
                before = self.tally.rows
                asked, is_cut = await self._ask_inputs(known)
                waiting.extend(asked)
                continue
            count = min(len(waiting), ANSWERED_AT_ONCE, ceil((self.options.rows - self.tally.rows) * SURPLUS))
            had = self.tally.rows
            answered, is_short = await self._ask_answers([waiting.popleft() for _ in range(count)])
            self._keep(answered)
            gained = self.tally.rows - had
            self.workspace.progress.advance(gained, f"{self.calls.spent_usd:.4f} USD" if self.teacher.price else "")
            if is_short:
                return "the budget is spent"
        return "complete"

    async def _ask_topics(self, turn: int) -> list[str] | None:
        """For some rounds; an empty list where documents say what to write about, or none can be read; None where the budget is short."""
        if self.passages:
            return []
        shown = self.seeds.turn(turn, self.options.shown)
        (reply,), _is_cut = await self.calls.ask_all([ask_topics(self.task, shown, TOPICS_A_CALL, self._seed(turn))])
        return None if reply is None else read_topics(reply.text or "")

    def _seed(self, number: int) -> int:
        return self.options.seed * 1_000_003 + number

    async def _ask_inputs(self, known: Known) -> tuple[list[_Asked], bool]:
        """A round of inputs that are like no known one; and whether the budget was short."""
        number = self.rounds * CALLS_A_ROUND
        if self.rounds % ROUNDS_A_TOPICS == 0:
            topics = await self._ask_topics(self.rounds // ROUNDS_A_TOPICS)
            if topics is None:
                return [], True
            self.topics = topics
        self.rounds += 1
        cells = list(self._make_cells(number, CALLS_A_ROUND))
        shown = [self.seeds.turn(number + place, self.options.shown, cell.wanted) for place, cell in enumerate(cells)]
        requests = [
            self._input_request(number + place, cell, rows)
            for place, (cell, rows) in enumerate(zip(cells, shown, strict=True))
        ]
        replies, is_cut = await self.calls.ask_all(requests)
        found: list[_Asked] = []
        for cell, rows, reply in zip(cells, shown, replies, strict=True):
            if reply is None:
                break
            made, unfit = read_inputs(self.asked_for, reply.text, self.options.a_call) if reply.text else ([], 1)
            self.tally.dropped["inputs that cannot be read"] += unfit
            sound = [fields for fields in made if self.offered is None or self.offered.is_sound(fields)]
            self.tally.dropped["tools that nothing can be held against"] += len(made) - len(sound)
            filled = [dict(self.shelves.fill(self.task, fields).fields) for fields in sound]
            found += [_Asked(cell, tuple(row.id for row in rows), fields) for fields in filled]
        if self.conversation is None:
            return self._keep_new(known, found), is_cut
        played, is_short = await self._play(self._keep_new(self.openings, found), number * self.options.a_call)
        return self._keep_new(known, played), is_cut or is_short

    def _keep_new(self, known: Known, asked: Sequence[_Asked]) -> list[_Asked]:
        found = [item for item in asked if known.add(near_text(Example(item.fields, None), self.task.filled))]
        self.tally.dropped["near copies of known inputs"] += len(asked) - len(found)
        return found

    async def _play(self, asked: Sequence[_Asked], first: int) -> tuple[list[_Asked], bool]:
        """Conversations from their first messages, all of them a turn at a time; up to the first that the budget left unfinished, and whether there was one."""
        conversation, task = self.conversation, self.task
        assert conversation is not None, "the task is asked about conversations"
        fields = [conversation.begin(item.fields) for item in asked]
        shown = [item.shown for item in asked]
        lengths = [conversation.length(first + place) for place in range(len(asked))]
        ended, lost = set[int](), set[int]()
        for turn in range(1, max(lengths, default=0)):
            places = [place for place in range(len(asked)) if lengths[place] > turn and place not in ended | lost]
            requests = [
                ask_turn(
                    task, conversation, fields[place], self._shots(fields[place]), self.sizes, self._seed(first + place)
                )
                for place in places
            ]
            replies, _is_cut = await self.calls.ask_all(requests)
            for place, request, reply in zip(places, requests, replies, strict=True):
                if task.schema is None:
                    shown[place] = (*shown[place], *(row.id for row in self._shots(fields[place])))
                if reply is None:
                    lost.add(place)
                elif said := read_turn(request, reply.text or ""):
                    fields[place] = conversation.add(fields[place], said)
                else:
                    ended.add(place)
        whole = range(min(lost, default=len(asked)))
        fitting = [place for place in whole if place not in ended and is_input(task, fields[place])]
        self.tally.dropped["conversations that broke off"] += len(whole) - len(fitting)
        return [_Asked(asked[place].cell, shown[place], fields[place]) for place in fitting], bool(lost)

    def _make_cells(self, number: int, count: int) -> Iterator[Cell]:
        if self.aims:
            return aim_cells(number, count, self.aims, self.topics, self.tally.filled)
        seen, languages = self.tally.seen, self.options.languages
        return make_cells(number, count, self.axis, seen, languages, self.topics, self.tally.filled)

    def _input_request(self, number: int, cell: Cell, shown: Sequence[Example]) -> Request:
        passage = self.passages[number % len(self.passages)] if self.passages else ""
        return ask_inputs(self.asked_for, cell, shown, self.options.a_call, self.sizes, self._seed(number), passage)

    async def _ask_answers(self, asked: Sequence[_Asked]) -> tuple[list[_Answered], bool]:
        """Those on which the samples agree, up to the first that the budget left without an answer."""
        samples = self.options.samples
        requests = [self._answer_request(item.fields, sample) for item in asked for sample in range(samples)]
        replies, is_cut = await self.calls.ask_all(requests)
        found: list[_Answered] = []
        values = Counter(self.tally.values)
        for place, item in enumerate(asked):
            own = replies[place * samples : (place + 1) * samples]
            if None in own:
                break
            answered = self._decide(item, [reply.text for reply in own if reply is not None], values)
            found += [answered] if answered else []
        if not self.options.is_judged:
            return found, is_cut
        right, is_short = await self._judge(found)
        return right, is_cut or is_short

    def _answer_request(self, fields: Mapping[str, Json], sample: int) -> Request:
        return ask_answer(self.task, fields, self._shots(fields), self.sizes, sample)

    def _shots(self, fields: Mapping[str, Json]) -> tuple[Example, ...]:
        return self.seeds.nearest(near_text(Example(fields, None), self.task.filled), self.options.shown)

    def _decide(self, item: _Asked, texts: Sequence[str | None], values: Counter[str]) -> _Answered | None:
        """None, and why in the tally, where the answer is none to keep."""
        offered = self.offered
        target, share, others = vote(
            self.task,
            texts,
            self.options.samples,
            lambda target: offered is None or offered.is_fit(item.fields, target.value),
        )
        self.tally.seen.update([self._value(target)] if self.axis and target else [])
        self.tally.filled[item.cell.case] += LOST
        if target is None:
            self.tally.dropped["no answer fits the task's output"] += 1
        elif share < self.options.least_share:
            self.tally.dropped["the teacher disagrees with itself"] += 1
        elif find_uncopied(cast(Json, self.task.schema), target.value, item.fields):
            self.tally.dropped["a value that is to be copied is not in the input"] += 1
        else:
            self.tally.filled[item.cell.case] += 1 - LOST
            if not (self.axis and values[value := self._value(target)] >= quota(self.options.rows, self.axis)):
                values.update([self._value(target)] if self.axis else [])
                return _Answered(item, target, share, others)
            self.tally.dropped[f"enough rows with {value}"] += 1
        return None

    async def _judge(self, answered: Sequence[_Answered]) -> tuple[list[_Answered], bool]:
        requests = [ask_verdict(self.task, item.asked.fields, item.target) for item in answered]
        replies, is_cut = await self.calls.ask_all(requests)
        right: list[_Answered] = []
        for item, reply in zip(answered, replies, strict=True):
            if reply is None:
                break
            if read_verdict(reply.text or ""):
                right.append(item)
            else:
                self.tally.dropped["judged to be wrong"] += 1
        return right, is_cut

    def _keep(self, answered: Sequence[_Answered]) -> None:
        traces: list[Trace] = []
        for item in answered:
            if self.tally.rows == self.options.rows:
                break
            try:
                traces.append(self._make_trace(item))
            except DataError:
                self.tally.dropped["redaction makes the answer break the schema"] += 1
                continue
            self.tally.rows += 1
            self.tally.unanimous += item.share == 1.0
            self.tally.cases[item.asked.cell.case] += 1
            self.tally.values.update([self._value(item.target)] if self.axis else [])
        self.workspace.store.add_traces(traces)

    def _make_trace(self, item: _Answered) -> Trace:
        options, fields = self.options, item.asked.fields
        intake = Intake(
            self.task,
            datetime.now(UTC),
            options.into,
            f"synthesized by {self.teacher.name}",
            options.terms,
            is_private=True,
        )
        record = Record(
            key="",
            content="",
            input=fields,
            output=item.target,
            alternatives=tuple(Alternative(target, float(count)) for target, count in item.others),
            model=self.teacher.name,
        )
        trace = make_trace(record, intake, f"{self.run.id}:{bytes_hash(dump(fields).encode('utf-8', 'surrogatepass'))}")
        meta: dict[str, Json] = {
            MADE_BY: self.run.id,
            "made_from": list(dict.fromkeys((*item.asked.shown, *(row.id for row in self._shots(fields))))),
            "share": round(item.share, 4),
            "cell": item.asked.cell.to_json(),
        }
        return replace(trace, origin="synthesize", meta={**trace.meta, **meta})

    def _value(self, target: Target) -> str:
        assert self.axis is not None, "rows are balanced by something"
        return self.axis.read(target.value)

    def _find_seeds(self) -> Seeds:
        """The same ones when it goes on."""
        found = find_seeds(self.task, self.workspace.store, self.run.id)
        decided = self.run.read(SEEDS)
        return found.only(cast(list[str], decided["rows"])) if decided else found

    def _forecast(self, rows: int) -> Forecast:
        """Of all calls for so many rows, of average examples; what is lost on the way is in the surplus."""
        options = self.options
        inputs = ceil(rows * SURPLUS)
        cells = self._make_cells(0, 8)
        of_inputs = [
            count_bytes(self._input_request(place, cell, self.seeds.turn(place, options.shown)))
            for place, cell in enumerate(cells)
        ]
        some: Sequence[Example] = self.seeds.rows[:50] or [Example(dict.fromkeys(self.task.input, "x" * 200), None)]
        of_answers = [count_bytes(self._answer_request(row.input, 0)) for row in some]
        written = sum(len(dump(dict(row.input))) for row in some) / len(some)
        answered = sum(len(dump(row.answer.to_json())) if row.answer else 200 for row in some) / len(some)
        ways = options.samples + options.is_judged
        read = inputs / options.a_call * sum(of_inputs) / len(of_inputs) + inputs * ways * sum(of_answers) / len(some)
        told = inputs * (written + ways * answered)
        turns = ceil(inputs * (self.conversation.mean_length - 1)) if self.conversation else 0
        read += turns * sum(of_answers) / len(some)
        tokens = ceil(read / LETTERS_A_TOKEN), ceil(told / LETTERS_A_TOKEN)
        price = self.teacher.price
        usd = (tokens[0] * price[0] + tokens[1] * price[1]) / 1e6 if price is not None else None
        return Forecast(ceil(inputs / options.a_call) + turns + inputs * ways, *tokens, usd)


def make_aims(spots: Sequence[WeakSpot]) -> list[Aim]:
    """A score of turns for all of them, shared out by errors, one at least for each."""
    total = sum(spot.errors for spot in spots)
    return [
        Aim(
            spot.field,
            spot.value if spot.kind == "taken for another" else None,
            max(1, round(20 * spot.errors / total)),
        )
        for spot in spots
    ]


async def _open_teacher(
    workspace: Workspace, task: Task, options: Options, stack: AsyncExitStack, *, is_dry: bool
) -> _Teacher:
    if options.teacher:
        name = workspace.project.text("base", "model") if options.teacher == "base" else options.teacher
        source = resolve(name, progress=workspace.progress)
        if is_dry:
            return _Teacher(name, None, None, source.sha256, 1)
        engine = await LlamaCpp.start(source.path, context=CONTEXT)
        stack.push_async_callback(engine.close)
        return _Teacher(name, LocalModel(engine, load_base_template(source.path), name), None, source.sha256, 1)
    upstream = require_teacher(workspace, task)
    price = upstream.price
    if price is None and not upstream.is_local:
        raise DataError(
            "JM-361",
            "the teacher's price is not known, so its calls cannot be limited",
            where=upstream.name,
            expected="input_usd_per_million and output_usd_per_million under [teacher] in journeyman.toml",
            hint="state both; 0 where it costs nothing",
        )
    model = upstream.open()
    stack.push_async_callback(model.close)
    free = price is None or not any(price)
    return _Teacher(upstream.name, model, None if free else price, [upstream.name, upstream.url], 8)


def _make_key(task: Task, teacher: _Teacher, options: Options) -> dict[str, Json]:
    """What decides the rows, but for how many there are to be and what they may cost."""
    return {
        "task": task.answering(),
        "teacher": teacher.identity,
        "samples": options.samples,
        "a_call": options.a_call,
        "shown": options.shown,
        "least_share": options.least_share,
        "judged": options.is_judged,
        "languages": list(options.languages),
        "documents": [bytes_hash(path.read_bytes()) for path in options.documents if path.is_file()],
        "into": options.into,
        "seed": options.seed,
    }
