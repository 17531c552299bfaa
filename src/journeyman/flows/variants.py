"""Prompt variants on the real engine: a model with an instruction, examples and a temperature, asked rows of train or dev through the server.

Each variant has a file of answers of its own, named by everything that decides an answer, so that `compare` and `improve` ask nothing twice and a killed one
continues. Knows nothing about metrics.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from journeyman.core.canonical import content_hash
from journeyman.core.errors import GateError
from journeyman.core.example import Example
from journeyman.core.progress import Progress
from journeyman.data.dataset import hash_schema, read_manifest, read_split
from journeyman.evaluation.run import Predictions, Row, evaluate, load_predictions
from journeyman.flows.examples import gather_examples, prompt_budget
from journeyman.flows.runs import RunFolder, find_run
from journeyman.flows.serving import load_students
from journeyman.flows.shots import FewShot
from journeyman.flows.student import Student
from journeyman.flows.upstream import find_upstream, open_teacher
from journeyman.flows.workspace import Workspace
from journeyman.gateway.app import make_app
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry, Served
from journeyman.gateway.server import serve_in_background
from journeyman.models.catalog import ResolvedModel
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.local import LocalModel
from journeyman.models.nearest import Examples
from journeyman.models.protocol import Decoding, Model, Reply, Request
from journeyman.models.remote import OpenAIModel
from journeyman.models.template import load_base_template
from journeyman.task.prompt import read_messages
from journeyman.task.task import Task

SEED = 20_26  # of answers that are drawn


@dataclass(frozen=True, slots=True)
class Paid:
    """The teacher, asked at most ``most_calls`` times by one command."""

    most_calls: int


Source = ResolvedModel | Student | Paid


@dataclass(frozen=True, slots=True)
class Variant:
    """``task`` has the variant's instruction; ``shots`` nearest examples, of the train rows ``chosen`` by hash where there are any."""

    task: Task
    source: Source
    shots: int = 0
    chosen: tuple[str, ...] = ()
    temperature: float = 0.0


@dataclass(frozen=True)
class Ground:
    """What variants of a task are asked about: its rows that may be looked at (never sealed ones), and the folder of the answers."""

    task: Task
    dataset: str
    train: Sequence[Example]
    dev: Sequence[Row]
    teacher: tuple[str, str]
    run: RunFolder

    def name(self, variant: Variant) -> str:
        """Task and hash of everything that decides an answer."""
        source = variant.source
        identity = {
            "task": variant.task.answering(),
            "model": self._weights(source),
            "shots": variant.shots,
            "chosen": sorted(variant.chosen),
            "dataset": self.dataset if variant.shots or isinstance(source, ResolvedModel) else "",
            "temperature": variant.temperature,
        }
        return f"{self.task.name}@{content_hash(identity)}"

    def _weights(self, source: Source) -> str | list[str]:
        if isinstance(source, Paid):
            return list(self.teacher)
        return source.hash if isinstance(source, Student) else source.sha256

    def cache(self, variant: Variant) -> Path:
        return self.run.path / f"{self.name(variant).partition('@')[2][:24]}.jsonl"

    def missing(self, variant: Variant, rows: Sequence[Row]) -> int:
        """Rows that nobody has asked this variant yet."""
        return len(rows) - len(load_predictions(self.name(variant), variant.task, rows, self.cache(variant)))

    def answered(self, variant: Variant, rows: Sequence[Row]) -> int:
        """How many of the first rows this variant was asked, up to one that it was not."""
        known = {row.hash for row, _ in load_predictions(self.name(variant), variant.task, rows, self.cache(variant))}
        return next((place for place, row in enumerate(rows) if row.hash not in known), len(rows))

    def prompt(self, variant: Variant) -> FewShot:
        """What writes the variant's messages."""
        if not variant.shots:
            return FewShot(None, 0)
        if not variant.chosen:
            return FewShot(self.examples, variant.shots)
        return FewShot(gather_examples(self.task, self.train, variant.chosen, self.examples.words), variant.shots)

    @cached_property
    def examples(self) -> Examples:
        """Every row that can be shown."""
        return gather_examples(self.task, self.train)


def find_ground(workspace: Workspace, task_name: str) -> Ground:
    """The latest dataset of a task.

    Raises:
        DataError: JM-352 nothing prepared. GateError: JM-662 it was prepared for another output.
    """
    task = workspace.task(task_name)
    dataset, manifest = read_manifest(workspace.store, task_name)
    if manifest["schema_hash"] != hash_schema(task.schema):
        raise GateError(
            "JM-662",
            "the task's output has changed since its dataset was prepared, so no answer could be compared",
            where=f"task {task_name}, dataset {dataset[:12]}",
            hint=f"journeyman prepare {task_name}",
        )
    name = task.teacher or workspace.project.text("teacher", "model")
    return Ground(
        task=task,
        dataset=dataset,
        train=read_split(workspace.store, manifest, "train", purpose="tune"),
        dev=[Row.from_example(row) for row in read_split(workspace.store, manifest, "dev")],
        teacher=(name, find_upstream(workspace.project, task).url),
        run=find_run(workspace.project.runs, task_name, "prompts", {"dataset": dataset}),
    )


@dataclass
class Asker:
    """One model that variants of its prompt can be asked of, loaded when the first question is. ``calls`` counts what a paid model was asked."""

    workspace: Workspace
    ground: Ground
    source: Source
    stack: AsyncExitStack
    calls: int = 0
    _served: Served | None = None
    _engine: LlamaCpp | None = None
    _recorder: Recorder | None = None
    _teacher: Model | None = None

    async def ask(self, variant: Variant, rows: Sequence[Row], progress: Progress | None = None) -> Predictions:
        """Answers to ``rows`` in their order; what was answered before is not asked again.

        Raises:
            GateError: JM-602 none of the rows has an answer, JM-665 more paid calls than were allowed. ModelError: JM-401 the model is not pulled,
                JM-420 not loadable. ServeError: JM-730 no teacher is set, or no key.
        """
        async with AsyncExitStack() as stack:
            answered = await evaluate(
                await self._open(variant, rows, stack),
                variant.task,
                rows,
                requests_in_flight=1,
                cache_path=self.ground.cache(variant),
                progress=progress or self.workspace.progress,
            )
        is_paid = isinstance(variant.source, Paid)
        return replace(answered, items=tuple(replace(item, is_paid=is_paid) for item in answered.items))

    async def pay(self, variant: Variant, request: Request) -> Reply:
        """One call of a paid model, with the variant's own messages."""
        assert isinstance(self.source, Paid), "only paid models are asked directly"
        if self.calls >= self.source.most_calls:
            raise GateError(
                "JM-665",
                "the teacher was asked as often as it may be",
                expected=f"at most {self.source.most_calls} calls, tries that failed among them",
                hint="run the same command again: what was answered is kept",
            )
        self.calls += 1
        teacher = await self._open_teacher()
        messages = self.ground.prompt(variant)(variant.task, read_messages(variant.task, request.messages))
        return await teacher.complete(replace(request, messages=messages, headers={}))

    async def _open(self, variant: Variant, rows: Sequence[Row], stack: AsyncExitStack) -> Model:
        """The variant behind a server of its own, where there is anything to ask."""
        name = self.ground.name(variant)
        if isinstance(variant.source, Paid):
            return _Asked(partial(self.pay, variant), name, variant.temperature)
        url, served_name = "", name
        if self.ground.missing(variant, rows):
            served = await self._serve(variant, name)
            app = make_app(Registry([served], lambda _task: None), self._open_recorder())
            url, served_name = await stack.enter_async_context(serve_in_background(app)), served.name
        client = OpenAIModel(served_name, f"{url}/v1", "")
        stack.push_async_callback(client.close)
        return _Asked(client.complete, name, variant.temperature)

    async def _serve(self, variant: Variant, name: str) -> Served:
        if isinstance(variant.source, Student):
            self._served = self._served or (await load_students(self.stack, [variant.source]))[0]
            return self._served
        assert isinstance(variant.source, ResolvedModel), "a paid model is not served"
        path = variant.source.path
        if self._engine is None:
            self._engine = await LlamaCpp.start(path)
            self.stack.push_async_callback(self._engine.close)
        return Served(
            name=name,
            model=LocalModel(self._engine, load_base_template(path), name),
            task=variant.task,
            release=name.partition("@")[2],
            decoding=Decoding(max_tokens=self.budget),
            write=self.ground.prompt(variant),
        )

    @cached_property
    def budget(self) -> int:
        """Most tokens of an answer, as the student of the same prompt would have."""
        assert isinstance(self.source, ResolvedModel), "only a base has no budget of its own"
        return prompt_budget(self.ground.task, self.ground.train, load_base_template(self.source.path).tokenizer)

    def _open_recorder(self) -> Recorder:
        if self._recorder is None:
            self._recorder = Recorder(self.workspace.store)
            self.stack.callback(self._recorder.close)
        return self._recorder

    async def _open_teacher(self) -> Model:
        if self._teacher is None:
            self._teacher = open_teacher(self.workspace, self.ground.task)
            self.stack.push_async_callback(self._teacher.close)
        return self._teacher


@asynccontextmanager
async def open_asker(workspace: Workspace, ground: Ground, source: Source) -> AsyncIterator[Asker]:
    """What is loaded is gone when the block ends."""
    async with AsyncExitStack() as stack:
        yield Asker(workspace, ground, source, stack)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A variant as a model of a name of its own."""

    call: Callable[[Request], Awaitable[Reply]]
    name: str
    temperature: float

    async def complete(self, request: Request) -> Reply:
        seed = SEED if self.temperature else None
        decoding = replace(request.decoding, temperature=self.temperature, seed=seed)
        return await self.call(replace(request, decoding=decoding))

    async def stream(self, request: Request) -> AsyncIterator[str]:
        yield (await self.complete(request)).text

    async def close(self) -> None:
        """The client is closed by whoever opened it."""


def with_instruction(task: Task, instruction: str | None) -> Task:
    return task if instruction is None else replace(task, instruction=instruction.strip("\n"))
