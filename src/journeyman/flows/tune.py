"""`tune T`: from a prepared dataset to a student folder that has passed the parity gate. Resumable at every step.

What is learned from (answers, pairs, verdicts, a teacher's log-probabilities) is a lesson; methods that begin at a tuned student
tune that one first, in a run of its own that can be assessed as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, cast, get_args

from journeyman.core.canonical import Json, content_hash
from journeyman.core.errors import TuneError
from journeyman.core.example import Example
from journeyman.flows.classify import tune_heads
from journeyman.flows.lessons import Lesson, Work, make_lesson
from journeyman.flows.making import write_student
from journeyman.flows.material import Material, load_material, weigh_weak
from journeyman.flows.parity import Trial, ask_engine, ask_in_fp32, choose_prompts, judge_served, refuse_defects
from journeyman.flows.prompting import make_prompted
from journeyman.flows.recalling import make_nearest
from journeyman.flows.runs import MACHINE, MATERIAL, METHOD, PARITY, PLAN, RESULT, STUDENT, RunFolder, find_run
from journeyman.flows.search import search
from journeyman.flows.signals import Asked, Writer, choose_method, hold, make_writing, signal_key
from journeyman.flows.starts import base_of, find_start, load_writing, open_start
from journeyman.flows.student import Form, Student, answer_budget, load_student
from journeyman.flows.texts import read_texts
from journeyman.flows.voting import make_votes
from journeyman.flows.workspace import Workspace
from journeyman.models.catalog import resolve
from journeyman.models.families import DecoderConfig, read_config
from journeyman.models.template import make_student_template
from journeyman.models.torch_decoder import Decoder
from journeyman.models.torch_weights import Number, load_decoder
from journeyman.tuning.batching import TuneRow, common_beginning
from journeyman.tuning.loop import Tuned
from journeyman.tuning.loop import tune as tune_weights
from journeyman.tuning.machine import (
    Machine,
    check_memory,
    count_flops,
    estimate_bytes,
    free_bytes,
    probe_machine,
    use_machine,
)
from journeyman.tuning.peft_layout import open_peft
from journeyman.tuning.plan import Method, Plan, make_plan, refuse_foreign
from journeyman.tuning.trainable import Trainable, adopt, make_trainable, settle
from journeyman.tuning.vocabulary import held_tokens

# Methods that move a tuned student, and what its weights look like, which they cannot change.
CONTINUING = ("dpo", "ipo", "kto")
SHAPE = ("kind", "layers", "rank", "alpha")
# What a form of answers cannot be learned by: codes have no worse answer beside them, and a teacher's tokens are those of JSON.
PLAIN = ("head", "nearest", "prompt", "votes")  # kinds that are made in one piece
CANNOT: dict[Form, tuple[str, ...]] = {"codes": (*CONTINUING, "orpo", "reject")}


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asks for besides the settings of the plan. ``start`` is a finished run's id, ``teacher`` that or a model;
    ``budget_s`` is the time for a search and its winner, 0 for the derived settings; ``texts`` are files that the base reads first;
    ``answers`` is how the student writes them; ``weak``: how much more train rows weigh that have a weak spot's part, 0 for no more."""

    method: Asked = "auto"
    teacher: str = ""
    start: str = ""
    base: str = ""
    dataset: str = ""
    number: str = ""
    threads: int | None = None
    budget_s: float = 0.0
    texts: tuple[str, ...] = ()
    answers: Form = "json"
    weak: float = 0.0


@dataclass(frozen=True, slots=True)
class Way:
    """How a student is made: the method, the run whose student it begins at or asks, the run in which the base read text, the run whose
    lines it takes over."""

    method: Method | Literal["reject"]
    reason: str
    start: RunFolder | None = None
    read: RunFolder | None = None
    lines: RunFolder | None = None

    @property
    def moved(self) -> RunFolder | None:
        """The run whose weights are moved on from; None: fresh ones."""
        return self.start if self.method in CONTINUING else self.read


@dataclass(frozen=True, slots=True)
class TuneResult:
    run: RunFolder
    dataset: str
    student: Student
    parity: Mapping[str, Json]
    tuned: Mapping[str, Json]


def tune(
    workspace: Workspace, task_name: str, given: Mapping[str, Json] | None = None, request: Request | None = None
) -> TuneResult:
    """Tune a student on the task's latest dataset, export it, hold it against torch.

    The same arguments on the same dataset continue or repeat the same run.

    Raises:
        DataError: JM-352 nothing prepared, JM-363, JM-385 to JM-387 rows that cannot weigh more. ModelError: JM-401 base not pulled. TuneError: JM-5xx.
    """
    request, given = request or Request(), dict(given or {})
    if given.get("kind") in PLAIN:
        return _make_plain(workspace, task_name, given, request)
    material = load_material(workspace, task_name, request.base, request.dataset)
    material = weigh_weak(workspace, material, request.weak)
    holding = hold(material.learnable)
    method, reason = choose_method(request.method, holding, bool(request.teacher))
    way = _choose_way(workspace, material, given, request, Way(method, reason))
    key = _key(workspace, material, given, request, way)
    run = find_run(workspace.project.runs, task_name, "tune", key)
    with run.lock():
        run.decide(MATERIAL, material.to_json)
        run.decide(METHOD, lambda: {"method": method, "reason": reason, "holding": holding.to_json()})
        workspace.progress.note(f"{method}: {reason}")
        student = load_student(run.path / STUDENT)
        if student is None:
            student = _make_student(workspace, material, run, given, request, way)
        parity = run.read(PARITY)
        if parity is None:
            parity = _show_parity(workspace, material, run, student)
        workspace.progress.note(
            f"student {student.hash[:12]}: {parity['equal']}/{parity['n']} greedy answers equal those of torch"
        )
        for problem in cast(list[str], parity["problems"]):
            workspace.progress.note(f"PARITY FAILED, so this student is not released unless forced: {problem}")
        return TuneResult(run, material.dataset, student, parity, run.read(RESULT) or {})


def _make_plain(workspace: Workspace, task_name: str, given: Mapping[str, Json], request: Request) -> TuneResult:
    """A head, the nearest example, a prompted base or votes, which are made in one piece.

    Raises:
        TuneError: JM-567, JM-569, JM-595 it was asked for what only tuned language models have; what making it raises.
    """
    kind = str(given["kind"])
    of_head = {"threads": request.threads, "weak": request.weak} if kind == "head" else {}
    plain = Request(base=request.base, dataset=request.dataset, **of_head)  # type: ignore[arg-type]
    if replace(request, method="auto" if request.method == "sft" else request.method) != plain:
        code, what, expected = {
            "head": (
                "JM-567",
                "a head has no setting of a language model's",
                " --base, --seed, --features, --threads and --weak",
            ),
            "nearest": ("JM-569", "the nearest example is not tuned", "out another option"),
            "prompt": ("JM-569", "a prompted base is not tuned", " --shots and --base"),
            "votes": ("JM-595", "votes are not tuned", " --samples, --temperature and --of"),
        }[kind]
        raise TuneError(
            code,
            what,
            expected=f"--kind {kind} with{' no more than' if kind != 'nearest' else ''}{expected}",
            hint=f"leave out the other options, or tune a language model without --kind {kind}",
        )
    if kind == "head":
        made = tune_heads(workspace, task_name, given, request.base, request.dataset, request.threads, request.weak)
    else:
        make = {"nearest": make_nearest, "prompt": make_prompted, "votes": make_votes}[kind]
        made = make(workspace, task_name, given, request.base, request.dataset)
    run, material, student = made
    return TuneResult(run, material.dataset, student, run.read(PARITY) or {}, run.read(RESULT) or {})


def _choose_way(workspace: Workspace, material: Material, given: Mapping[str, Json], request: Request, way: Way) -> Way:
    """The way with the runs that come before it, which are done now if they were not yet.

    Raises:
        TuneError: JM-549 an option that changes nothing, JM-537 a search that cannot be, JM-539 a form of answers that the method does not teach, JM-547; what the earlier runs raise.
    """
    is_moved = way.method in CONTINUING
    _refuse_unread(given, request, way.method)
    _refuse_machine(request)
    refuse_foreign(_planned(way.method), given)
    if request.budget_s and (is_moved or request.texts or not material.splits["dev"]):
        raise TuneError(
            "JM-537",
            "a search needs dev rows, and weights that begin at the base",
            expected="sft, distill, orpo or reject, without --text",
            got=f"{way.method}, {len(material.splits['dev'])} dev rows",
            hint="tune without --budget",
        )
    if way.method in CANNOT.get(request.answers, ()):
        raise TuneError(
            "JM-539",
            f"{way.method} does not teach answers written as {request.answers}",
            expected="another method, or --answers json",
            got=f"--method {way.method} --answers {request.answers}",
            hint="tune with --answers json, or with --method sft",
        )
    if way.method == "distill" and request.answers == "lines":
        way = replace(way, lines=_find_lines(workspace, material, request))
    if is_moved or way.method == "reject":
        way = replace(way, start=_start_run(workspace, material, given, request))
    if request.texts and not is_moved:
        shape = {name: given[name] for name in SHAPE if name in given}
        probe = partial(_probe, request)
        way = replace(way, read=read_texts(workspace, material, request.texts, shape, request.number, probe))
    return way


def _refuse_unread(given: Mapping[str, Json], request: Request, method: str) -> None:
    """Raises: TuneError: JM-549 an option that this method would not look at."""
    is_moved = method in CONTINUING
    unread = {
        "--start": bool(request.start) and not is_moved and method != "reject",
        "--text": bool(request.texts and request.start) and is_moved,
        "--rank": "rank" in given and given.get("kind") == "full",
        "--alpha": "alpha" in given and given.get("kind") == "full",
        "--weak": bool(request.weak and request.start) and method == "kto",
    }
    for option, is_given in unread.items():
        if is_given:
            raise TuneError(
                "JM-549",
                f"{option} would change nothing here",
                expected={
                    "--start": "--start with dpo, ipo, kto or reject",
                    "--text": "--text without --start: the run that is begun at has read its own",
                    "--weak": "--weak with another method, whose rows have weights",
                }.get(option, f"{option} with adapters"),
                got=f"--method {method}" + (" --kind full" if given.get("kind") == "full" else ""),
                hint=f"leave out {option}",
            )


def _find_lines(workspace: Workspace, material: Material, request: Request) -> RunFolder:
    """The run that teaches a student to write lines; the student takes over its words.

    Raises:
        TuneError: JM-547 the teacher is no run, whose log-probabilities are those of JSON's tokens; what `find_start` raises.
    """
    path = workspace.project.runs / request.teacher
    if not request.teacher or not (path / MATERIAL).is_file():
        raise TuneError(
            "JM-547",
            "distill teaches lines only from a student that writes them",
            expected="--teacher RUN, a finished run with --answers lines",
            got=f"--teacher {request.teacher}" if request.teacher else "log-probabilities of JSON's tokens",
            hint="tune the teacher with --answers lines first, or this student with --answers json",
        )
    return find_start(path, material.task, "lines")


def _start_run(workspace: Workspace, material: Material, given: Mapping[str, Json], request: Request) -> RunFolder:
    """The run whose student a method begins at: a given one, or plain tuning, which is done now if it was not yet.

    Raises:
        TuneError: JM-533 no such run, JM-534 of another task, JM-535 it tuned another base, JM-545 it writes another form of answers.
    """
    name = material.task.name
    if not request.start:
        workspace.progress.note("first, plain tuning")
        shape = {key: given[key] for key in SHAPE if key in given}
        return tune(workspace, name, shape, replace(request, method="sft", teacher="", budget_s=0.0)).run
    run = find_start(workspace.project.runs / request.start, material.task, request.answers)
    if base_of(run).sha256 != material.base.sha256:
        raise TuneError("JM-535", "this run tuned another base", where=run.id, expected=material.base.name)
    return run


def _key(
    workspace: Workspace,
    material: Material,
    given: Mapping[str, Json],
    request: Request,
    way: Way,
) -> dict[str, Json]:
    key: dict[str, Json] = material.key() | {
        "given": dict(given),
        "number": request.number,
        "threads": request.threads,
        "method": way.method,
        "budget_s": request.budget_s,
        "signals": signal_key(material.splits["train"]),
    }
    if reads := _unanswered(material, request, way):
        key["unlabelled"] = content_hash(sorted(row.hash for row in reads))
    if way.start:
        key["start"] = way.start.id
    if way.read:
        key["read"] = way.read.id
    if request.answers != "json":
        key["answers"] = request.answers
    if request.teacher:
        is_run = (workspace.project.runs / request.teacher / MATERIAL).is_file()
        key["teacher"] = request.teacher if is_run else resolve(request.teacher).sha256
    return key


def _unanswered(material: Material, request: Request, way: Way) -> list[Example]:
    """The rows without an answer that a run learns from: all for a teacher or a vote, else those of which answers are known."""
    rows = material.splits["unlabelled"]
    if request.teacher or way.method == "reject":
        return list(rows)
    return [row for row in rows if row.alternatives] if way.method in (*CONTINUING, "orpo") else []


def _make_student(
    workspace: Workspace,
    material: Material,
    run: RunFolder,
    given: Mapping[str, Json],
    request: Request,
    way: Way,
) -> Student:
    """Probe, load, lay out the lesson, plan, tune, write."""
    config = read_config(material.base.path)
    template = make_student_template(material.base.path)
    writing = load_writing(way.lines) if way.lines else make_writing(material.task, template.tokenizer, request.answers)
    writer = Writer(material.task, template, config.context, writing)
    learned = writer.rows(material.splits["train"])
    if way.method == "sft":  # what is missing or out of range is told before anything is loaded
        make_plan(learned, given)
    machine = Machine.from_json(run.decide(MACHINE, lambda: _probe(request).to_json()))
    use_machine(machine)
    shaped = _shape(way.moved, given) if way.moved else given
    available = free_bytes(machine.device)  # the estimate counts the weights, which are there when it is made
    decoder = load_decoder(material.base.path, machine.number, is_packed=shaped.get("kind") == "qlora")
    begun = open_start(way.start, decoder) if way.start else None
    work = Work(
        material, writer, learned, decoder, run.path, workspace.progress, begun, request.teacher, workspace.project.runs
    )
    lesson = make_lesson(work, way.method)
    planned = _planned(way.method)

    def decide_plan() -> dict[str, Json]:
        chosen = search(work, lesson, shaped, planned, request.budget_s) if request.budget_s else shaped
        return make_plan(lesson.rows, chosen, planned, decoder.weight_size()).to_json()

    plan = Plan.from_json(run.decide(PLAN, decide_plan))
    _announce(workspace, plan, machine, lesson)
    longest = max(len(row.ids) for row in lesson.rows)
    check_memory(estimate_bytes(config, plan, longest, machine.number), available)
    weights = _begin(way, begun, decoder, plan)
    tuned = tune_weights(decoder, weights, lesson.make(plan, weights, lesson.dev), plan, run.path, workspace.progress)
    _record(workspace, run, tuned, _utilization(config, plan, machine, tuned, lesson.rows), lesson)
    budget = answer_budget(row.supervised for row in [*writer.answers(material.splits["train"]), *lesson.dev])
    plain = replace(writer, writing=None)
    in_json = answer_budget(
        plain.row(row, row.answer).supervised for row in material.learnable if row.answer is not None
    )
    return write_student(
        run.path / STUDENT,
        material.task,
        material.base,
        decoder,
        tuned.adapters,
        budget,
        plan.text("finish"),
        writing,
        in_json,
    )


def _begin(way: Way, begun: Trainable | None, decoder: Decoder, plan: Plan) -> Trainable:
    """What the plan changes, with the parameters of the run that is moved on from; ``begun`` is opened for the lesson."""
    weights = make_trainable(decoder, plan)
    if way.moved:
        source = begun if begun is not None and way.moved is way.start else open_start(way.moved, decoder)
        adopt(weights, dict(source.parameters()))
        settle(decoder, weights, plan, is_finishing=False)
    return weights


def _shape(start: RunFolder, given: Mapping[str, Json]) -> dict[str, Json]:
    """Settings with the start's shape; a caller cannot give another one.

    Raises:
        TuneError: JM-502, a shape that differs.
    """
    settings = Plan.from_json(start.read(PLAN) or {}).settings
    shape = {name: settings[name].value for name in SHAPE}
    for name in SHAPE:
        if name in given and given[name] != shape[name]:
            raise TuneError(
                "JM-502",
                f"the {name} is that of the student that this run begins at",
                where=start.id,
                expected=str(shape[name]),
                got=str(given[name]),
            )
    return shape | dict(given)


def _planned(method: Method | Literal["reject"]) -> Method:
    """The method whose plan and loss it has: draws that won are answers."""
    return "sft" if method == "reject" else method


def _refuse_machine(request: Request) -> None:
    """Raises: TuneError: JM-502 a number type or a count of threads that cannot be."""
    known = get_args(Number)
    if request.number and request.number not in known:
        raise TuneError(
            "JM-502",
            "unknown number type",
            expected=" | ".join(known),
            got=request.number,
            hint="leave out --number, and the faster one is taken",
        )
    if request.threads is not None and request.threads < 1:
        raise TuneError(
            "JM-502",
            "tuning needs a thread",
            expected="at least 1",
            got=str(request.threads),
            hint="leave out --threads, and the fastest count is taken",
        )


def _probe(request: Request) -> Machine:
    return probe_machine(request.number or None, request.threads)  # type: ignore[arg-type]


def _announce(workspace: Workspace, plan: Plan, machine: Machine, lesson: Lesson) -> None:
    note = workspace.progress.note
    note(f"{len(lesson.rows)} rows to tune on, {len(lesson.dev)} to choose by; {plan.total_tokens} tokens in all")
    if lesson.notes:
        note(", ".join(f"{name} {value}" for name, value in lesson.notes.items()))
    note(
        f"{machine.number} because {machine.number_reason}; {machine.threads} threads because {machine.threads_reason}"
    )
    note(
        ", ".join(
            f"{name} {setting.value} ({setting.reason or setting.origin})" for name, setting in plan.settings.items()
        )
    )


def _utilization(config: DecoderConfig, plan: Plan, machine: Machine, tuned: Tuned, rows: Sequence[TuneRow]) -> float:
    """Operations that the model needed, over those that products at the measured peak would have done in the same time; looks at dev
    are in the time, not in the operations. What all rows share counts once a step, and not at all while it is held."""
    passes = tuned.cursor.tokens / sum(len(row.ids) for row in rows)
    shared = 0 if plan.hold else tuned.cursor.step * len(common_beginning(rows))
    tokens = int(passes * sum(row.own for row in rows)) + shared
    head = len(held_tokens(rows, config.vocabulary, plan.head_tokens))
    flops = count_flops(config, plan, tokens, int(passes * sum(row.supervised for row in rows)), head)
    return flops / (max(tuned.cursor.seconds, 1e-9) * machine.peak_gflops * 1e9)


def _record(workspace: Workspace, run: RunFolder, tuned: Tuned, utilization: float, lesson: Lesson) -> None:
    cursor = tuned.cursor
    workspace.progress.note(
        f"{cursor.tokens / max(cursor.seconds, 1e-9):.0f} tokens/s, {utilization:.0%} of the machine's measured peak"
    )
    run.write(
        RESULT,
        {
            "seconds": round(cursor.seconds, 1),
            "tokens": cursor.tokens,
            "steps": cursor.step,
            "utilization": round(utilization, 3),
            "dev_loss": tuned.score.loss if tuned.score else None,
            "dev_exact": tuned.score.exact if tuned.score else None,
            "dev_row_loss": tuned.score.loss * _answer_tokens(lesson.dev) if tuned.score else None,
            "lesson": dict(lesson.notes),
        },
    )


def _answer_tokens(rows: Sequence[TuneRow]) -> float:
    """Tokens of a row's answer in the mean. A loss per answer can be compared where students write answers in different tokens."""
    return sum(row.supervised for row in rows) / max(1, len(rows))


def _show_parity(workspace: Workspace, material: Material, run: RunFolder, student: Student) -> dict[str, Json]:
    """What is served beside torch in fp32: an adapter as its PEFT folder has it, a whole model as the run left its weights."""
    prompts = choose_prompts(dict(material.splits))
    decoder = load_decoder(material.base.path, "float32")
    weights = (
        open_peft(decoder, student.folder / "peft", material.base.sha256)
        if student.adapter
        else open_start(run, decoder)
    )
    template = make_student_template(material.base.path)
    trial = Trial(material.task, template, prompts, student.max_tokens, student.writing)
    path = student.own_weights or material.base.path
    served, mismatches = asyncio.run(ask_engine(trial, path, student.adapters, workspace.progress))
    ask_exactly = partial(
        ask_in_fp32,
        decoder=decoder,
        base=material.base.path,
        adapters=student.adapters,
        path=run.path / "exact.gguf",
        progress=workspace.progress,
    )
    parity = judge_served(trial, decoder, weights, served, mismatches, ask_exactly if student.adapter else None)
    refuse_defects(parity)
    run.write(PARITY, parity.to_json())
    return parity.to_json()
