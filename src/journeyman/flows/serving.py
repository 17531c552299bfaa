"""Releases on the local engine behind the gateway: for `serve`, `ask`, `assess` and typed functions.

One engine per file of weights holds the adapters of every release that is loaded on it. The alias is read at each call, so a
rollback to a loaded release takes effect at once.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI

from journeyman.core.canonical import Json
from journeyman.core.errors import GateError, JourneymanError, ServeError
from journeyman.flows.attached import read_attached
from journeyman.flows.auditor import Auditor
from journeyman.flows.deciding import deciding
from journeyman.flows.embedding import find_embedders
from journeyman.flows.fleet import Engines, Fleet, Started, read_habits
from journeyman.flows.loading import Loader
from journeyman.flows.observing import Observers, observing
from journeyman.flows.reloading import Reloader
from journeyman.flows.retention import retaining
from journeyman.flows.retrieving import Shelves
from journeyman.flows.routing import Ways, describe_routes, open_registry
from journeyman.flows.shots import open_prompt
from journeyman.flows.student import Student
from journeyman.flows.tuning_worker import open_fine_tuning
from journeyman.flows.upstream import find_upstream
from journeyman.flows.votes import make_reader
from journeyman.flows.workspace import Workspace
from journeyman.gateway.app import make_app
from journeyman.gateway.callers import Budgets, Caps, Doorkeeper
from journeyman.gateway.journal import Form
from journeyman.gateway.observers import telling
from journeyman.gateway.purse import Purse
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry, Served
from journeyman.gateway.routes import GatewaySettings
from journeyman.gateway.server import (
    Ending,
    is_loopback,
    open_socket,
    run_loop,
    serve_in_background,
    serve_until_signal,
)
from journeyman.measure.calibrators import Calibrator
from journeyman.models.catalog import ResolvedModel, resolve, resolve_exactly
from journeyman.models.classifier import Classifier
from journeyman.models.embedder import Features, open_embedder
from journeyman.models.head import load_heads
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.local import LocalModel
from journeyman.models.manifest import MANIFEST, load_manifest
from journeyman.models.nearest import Nearest, load_examples
from journeyman.models.protocol import Decoding, Model
from journeyman.models.remembered import remember_threads
from journeyman.models.remote import OpenAIModel
from journeyman.models.standby import Standby
from journeyman.models.template import Template, load_base_template
from journeyman.models.tokenizer import load_tokenizer
from journeyman.models.votes import Votes
from journeyman.models.words import load_words
from journeyman.task.prompt import student_messages
from journeyman.task.task import Task

LOADED_RELEASES = 4
PATIENCE_S = 120.0  # for one answer of one student


@dataclass(frozen=True, slots=True)
class Serving:
    """A running server on loopback and the names of what was asked for; a head has no base that could answer."""

    url: str
    student_name: str
    base_name: str
    patience_s: float = PATIENCE_S

    @asynccontextmanager
    async def asking(self, name: str) -> AsyncIterator[Model]:
        """A client for one of the names."""
        client = OpenAIModel(name, f"{self.url}/v1", "", timeout_s=self.patience_s)
        try:
            yield client
        finally:
            await client.close()


@asynccontextmanager
async def serve_student(workspace: Workspace, task: Task, student: Student) -> AsyncIterator[Serving]:
    """The student and its base behind a real server on a free loopback port."""
    async with AsyncExitStack() as stack:
        served = await load_students(stack, [student], with_base=not student.is_light)
        recorder = Recorder(workspace.store)
        stack.callback(recorder.close)
        shelves = stack.enter_context(Shelves(workspace))
        app = make_app(Registry(served, lambda _task: None), recorder, knower=shelves)
        url = await stack.enter_async_context(serve_in_background(app))
        base_name = "" if student.is_light else served[-1].name
        if isinstance(base := served[-1].model, LocalModel) and isinstance(base.engine, LlamaCpp):
            remember_threads(student.manifest.base.sha256, base.engine.threads.value)
        samples = student.sampling.samples if student.sampling else 1
        yield Serving(url, student_name(task, student), base_name, PATIENCE_S * samples)


def student_name(task: Task, student: Student) -> str:
    return f"{task.name}@{student.hash}"


async def load_students(
    stack: AsyncExitStack,
    students: Sequence[Student],
    *,
    with_base: bool = False,
    threads: int | None = None,
    engines: Engines | None = None,
) -> list[Served]:
    """Open one engine per file of weights: a base holds the adapters of all its students, a whole model is alone, heads share their
    embedding model in this process. Without ``engines`` each starts at once.

    Engines stop when ``stack`` closes. With ``with_base`` the bases are served as well, after the students.

    Raises:
        ModelError: JM-401 a base is not pulled, JM-409 a base of another content, JM-420 not loadable.
    """
    served: list[Served] = []
    bases: dict[Path, ResolvedModel] = {}
    groups: dict[Path, list[Student]] = {}
    embedders: dict[str, Features] = {}
    for student in students:
        if student.is_light:
            served.append(await asyncio.to_thread(_serve_light, student, embedders, threads))
            continue
        if student.own_weights is None or with_base:
            base = resolve_exactly(student.manifest.base.name, student.manifest.base.sha256)
            bases[base.path] = base
        groups.setdefault(student.own_weights or base.path, []).append(student)
    plain: list[Served] = []
    for path in dict.fromkeys([*groups, *(bases if with_base else ())]):
        source, all_mine = engines or Started(threads), groups.get(path, [])
        parts = [all_mine[place :: source.copies] for place in range(source.copies)]
        for place, mine in enumerate(parts):
            if place and not mine:
                continue
            adapters = {name: file for student in mine for name, file in student.adapters.items()}
            engine = await source.open(stack, path, adapters)
            served += [await asyncio.to_thread(_serve_student, engine, path, student) for student in mine]
            if with_base and path in bases and not place:
                name = bases[path].name
                plain.append(Served(f"base:{name}", LocalModel(engine, load_base_template(path), name)))
    return served + plain


def _serve_bases(fleet: Fleet, workspace: Workspace, students: Sequence[Student]) -> list[Served]:
    """The bases that students answer on, and the project's own where it is pulled: each starts with its first call."""
    names = [student.manifest.base.name for student in students if not student.is_light]
    found: dict[str, ResolvedModel] = {}
    for name in (*names, workspace.project.text("base", "model")):
        with suppress(JourneymanError):
            found.setdefault(name, resolve(name))
    return [
        Served(f"base:{base.name}", LocalModel(fleet.stand_by(base.path), load_base_template(base.path), base.name))
        for base in found.values()
    ]


def loadable(workspace: Workspace, task_name: str = "") -> list[Student]:
    """Live releases, and a few before them, of one task or all, verified.

    Raises:
        ModelError: JM-412 a release was changed.
    """
    names = [task_name] if task_name else [task.name for task in workspace.tasks()]
    students = []
    for name in names:
        history = list(dict.fromkeys(entry.release for entry in workspace.store.alias_history(name)))
        for release in history[:LOADED_RELEASES]:
            folder = workspace.project.releases / name / release
            if (folder / MANIFEST).is_file():
                students.append(Student(folder, load_manifest(folder)))
    return students


def serve(
    workspace: Workspace,
    host: str,
    port: int,
    ready: Callable[[str], None],
    threads: int | None = None,
    *,
    is_open: bool = False,
    is_empty: bool = False,
    log: Form | None = None,
) -> None:
    """Serve all releases until a signal, also where there is nothing yet if it ``is_empty``. The port is taken first, so that a wrong one costs no loading time. Where
    there are keys one is wanted of every caller, unless ``is_open``. ``log``: calls and notes are lines of that form on stderr.

    Raises:
        ServeError: JM-701 port in use, JM-790 and JM-791 spans cannot be sent, JM-792 no length of time, JM-745 others could call, and there is no key. GateError: JM-625 nothing to serve.
    """
    has_keys = not is_open and bool(workspace.store.all_keys())  # also where the last one has expired
    is_private = is_loopback(host)
    if not (has_keys or is_open or is_private):
        raise ServeError(
            "JM-745",
            "other machines could call this server, and no key says who may",
            where=host,
            expected="a key, or an address of this machine alone such as 127.0.0.1",
            hint="journeyman key add NAME; or `serve --open`, and whoever reaches the address may ask and spend",
        )
    ending, silence_s = _read_ending(workspace), _read_seconds(workspace, "silence_s")
    listener = open_socket(host, port)
    try:
        students, is_passing = loadable(workspace), has_keys or is_private
        if not (students or is_empty or _has_upstream(workspace, is_passing=is_passing)):
            raise GateError(
                "JM-625",
                "no task has a release, and no teacher is set, so there is nothing to serve",
                where=str(workspace.project.releases),
                hint="journeyman run TASK, or set the teacher in journeyman.toml; `serve --empty` waits for fine-tuning jobs",
            )
        with observing(workspace, log) as (workspace, observers):
            settings = GatewaySettings(silence_s=silence_s)
            run_loop(
                _serve(workspace, students, listener, ready, threads, has_keys, is_passing, ending, observers, settings)
            )
    finally:
        listener.close()


async def _serve(
    workspace: Workspace,
    students: Sequence[Student],
    listener: socket.socket,
    ready: Callable[[str], None],
    threads: int | None,
    has_keys: bool,
    is_passing: bool,
    ending: Ending,
    observers: Observers,
    settings: GatewaySettings,
) -> None:
    """``has_keys``: callers must have one. ``is_passing``: it is known who calls, so other models of the teacher's provider may be asked too."""
    async with AsyncExitStack() as stack:
        is_eager = workspace.project.text("serve", "start") == "ready"
        fleet = await stack.enter_async_context(
            Fleet(
                read_habits(workspace.project),
                threads,
                eager=is_eager,
                copies=max(1, int(workspace.project.number("serve", "copies") or 1)),
                slots=max(1, int(workspace.project.number("serve", "slots") or 1)),
            )
        )
        load = partial(load_students, threads=threads, engines=fleet)
        loader = Loader(stack, workspace.project.releases, load)
        served = await loader.load_first(students)
        served += await asyncio.to_thread(_serve_bases, fleet, workspace, students)
        from journeyman.gateway.metrics import Metrics  # the library behind it takes 0.1 s to load
        from journeyman.gateway.operations import Operations, add_operations

        metrics = Metrics(observers.count_spans)
        recorder = Recorder(workspace.store, telling([metrics.observe, *observers.heard]))
        stack.callback(recorder.close)
        tasks = workspace.tasks()
        ways = Ways(stack, workspace)
        registry = open_registry(stack, workspace, served, tasks, is_passing=is_passing, wanted=loader.want, ways=ways)
        loader.registry = registry
        for line in describe_routes(registry):
            workspace.progress.note(line)
        retain = stack.enter_context(retaining(workspace, tasks))
        judge = stack.enter_context(deciding(workspace, tasks))
        keeper = Doorkeeper(workspace.store.find_key, is_open=not has_keys, is_traced=observers.count_spans is not None)
        budgets = await open_budgets(stack, workspace, tasks)
        embedders = await asyncio.to_thread(find_embedders, threads)

        def take_over(changed: Sequence[Task]) -> None:
            made = ways.make(changed)
            budgets.set_caps(_read_caps(workspace, changed))
            registry.take_over(made)
            retain(changed)
            judge(changed)

        reloader = Reloader(stack, workspace.project, tasks, take_over)
        reloader.watch()
        operations = Operations(metrics, recorder, workspace.store.probe, ending, reloader.problems, fleet.states)
        add_fine_tuning = await open_fine_tuning(stack, workspace, registry, load) if is_passing else None

        def extend(app: FastAPI, keeper: Doorkeeper) -> None:
            add_operations(operations, app, keeper)
            if add_fine_tuning is not None:
                add_fine_tuning(app, keeper)

        app = make_app(
            registry,
            recorder,
            settings=settings,
            audited=Auditor(workspace).hear,
            keeper=keeper,
            budgets=budgets,
            calls=workspace.store,
            embedders=embedders,
            extend=extend,
            knower=stack.enter_context(Shelves(workspace)),
        )
        await serve_until_signal(app, listener, ready, ending)


def _has_upstream(workspace: Workspace, *, is_passing: bool) -> bool:
    """Whether a call could go to a teacher, of a task or, where calls to other models are passed on, of the project: before its first task that is all there is."""
    project = workspace.project
    if is_passing and (find_upstream(project).name or project.providers):
        return True
    return any(find_upstream(project, task).is_ready for task in workspace.tasks())


def _read_ending(workspace: Workspace) -> Ending:
    """Raises: ServeError JM-792 a length of time that is none."""
    return Ending(_read_seconds(workspace, "drain_s"), _read_seconds(workspace, "finish_s"))


def _read_seconds(workspace: Workspace, name: str) -> float:
    seconds = workspace.project.number("serve", name) or 0.0
    if seconds < 0:
        raise ServeError(
            "JM-792",
            "this is no length of time",
            where=f"serve.{name}",
            expected="seconds, from 0 on",
            got=f"{seconds:g}",
            hint="correct it in journeyman.toml",
        )
    return seconds


async def open_budgets(stack: AsyncExitStack, workspace: Workspace, tasks: Sequence[Task]) -> Budgets:
    """What calls may cost, of the project's and its tasks' budgets and of keys; leases are renewed until ``stack`` closes."""
    purse = Purse(workspace.store)
    stack.push_async_callback(purse.close)
    keeping = asyncio.create_task(purse.keep())
    stack.callback(keeping.cancel)
    return Budgets(purse, _read_caps(workspace, tasks))


def _read_caps(workspace: Workspace, tasks: Sequence[Task]) -> Caps:
    by_task = {task.name: task.route.usd_per_day for task in tasks if task.route.usd_per_day is not None}
    return Caps(workspace.project.number("budget", "usd_per_day"), by_task)


def open_features(student: Student, threads: int | None = None) -> Features:
    """What makes the vectors of a head's texts: the words in its folder, or its embedding model.

    Raises:
        ModelError: JM-401 the embedding model is not pulled, JM-436 the words are damaged.
    """
    if "words" in student.manifest.files:
        return load_words(student.folder)
    return open_embedder(student.manifest.base.name, threads)


def open_classifier(student: Student, name: str, embedder: Features | None = None) -> Classifier:
    """The student's model, in this process.

    Raises:
        ModelError: JM-401 the embedding model is not pulled, JM-436, JM-437 the heads are damaged, or were trained on another's vectors.
    """
    embedder = embedder or open_features(student)
    decoding = student.manifest.decoding
    return Classifier(
        embedder,
        load_heads(student.folder, embedder.id).widened(),
        name,
        tuple(cast(list[str], decoding["order"])),
        cast(dict[str, Json], decoding["fixed"]),
    )


def _serve_light(student: Student, embedders: dict[str, Features], threads: int | None) -> Served:
    """``embedders`` are those that are open, by the model's name; heads of one model share it."""
    manifest = student.manifest
    name = f"{manifest.task_name}@{student.hash}"
    if manifest.kind == "nearest":
        model: Model = Nearest(load_examples(student.folder), name)
    else:
        base_name = manifest.base.name or student.hash
        if base_name not in embedders:
            embedders[base_name] = open_features(student, threads)
        model = open_classifier(student, name, embedders[base_name])
    trust = _find_trust(student)
    return Served(
        name,
        model,
        Task.from_json(manifest.task),
        student.hash,
        calibrate=trust.calibrate,
        calibrate_field=trust.calibrate_field,
        threshold=trust.threshold,
    )


@dataclass(frozen=True, slots=True)
class _Trust:
    """Of a release that was assessed with calibration rows: the map from its confidence to a chance, and the chance from which on its promise holds."""

    calibrate: Callable[[float], float] | None = None
    threshold: float | None = None
    calibrate_field: Callable[[float], float] | None = None


def _find_trust(student: Student) -> _Trust:
    """Raises: GateError: JM-609 the release's evaluation cannot be read."""
    return read_attached(student.folder, _read_trust) or _Trust()


def _read_trust(found: Mapping[str, Any]) -> _Trust:
    part, promise, fields = found.get("confidence"), found.get("promise"), found.get("field_confidence")
    if not part:
        return _Trust()
    threshold = promise["threshold"] if promise else None
    return _Trust(
        _read_map(part), None if threshold is None else float(threshold), _read_map(fields) if fields else None
    )


def _read_map(part: Mapping[str, Any]) -> Callable[[float], float]:
    calibrator = Calibrator(part["kind"], tuple(part["points"]))
    return lambda confidence: float(calibrator(confidence)) if confidence > 0 else 0.0


def _serve_student(engine: LlamaCpp | Standby, weights: Path, student: Student) -> Served:
    manifest = student.manifest
    template = Template(manifest.template, load_tokenizer(weights))
    name, task = f"{manifest.task_name}@{student.hash}", Task.from_json(manifest.task)
    model: Model = LocalModel(engine, template, name, adapter=student.adapter, writing=student.writing)
    if drawn := student.sampling:
        model = Votes(model, drawn.samples, drawn.temperature, make_reader(task), drawn.seed)
    trust = _find_trust(student)
    return Served(
        name=name,
        model=model,
        task=task,
        release=student.hash,
        decoding=Decoding(max_tokens=student.max_tokens),
        write=open_prompt(student) if student.is_prompted else student_messages,
        calibrate=trust.calibrate,
        calibrate_field=trust.calibrate_field,
        threshold=trust.threshold,
    )
