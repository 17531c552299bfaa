"""`assess T`: the student, the base and the recorded teacher on the same rows, through the real server; then the gate, once.

One candidate goes to the sealed split: the student with the best dev score on the task's latest dataset. Calls carry
``origin=assess`` and can never become examples; failures that people see come from dev.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import cast

from journeyman.core.canonical import Json, content_hash
from journeyman.core.errors import GateError
from journeyman.data.dataset import read_manifest, read_split
from journeyman.evaluation.behaviour import Tried
from journeyman.evaluation.confusion import find_confusions
from journeyman.evaluation.document import (
    BehaviourPart,
    CandidatePart,
    CeilingPart,
    ChangePart,
    ConfidencePart,
    ConfusionPart,
    DatasetPart,
    Document,
    FieldPart,
    Figure,
    GatePart,
    JudgePart,
    LadderPart,
    LatencyPart,
    PromisePart,
    ReferencePart,
    ReleasePart,
    SlicePart,
    TokensPart,
    WeakPart,
    asks_judge,
)
from journeyman.evaluation.helped import Both, compare_students
from journeyman.evaluation.pairs import make_pairs
from journeyman.evaluation.run import Prediction, Predictions, Row, evaluate, load_predictions
from journeyman.evaluation.threshold import (
    FieldTrust,
    Outcomes,
    Trust,
    disagreement,
    field_outcomes,
    outcomes,
    trust,
    trust_fields,
)
from journeyman.flows.behaviours import Tests, load_tests, with_required
from journeyman.flows.ceiling import ask_ceiling, find_ceiling
from journeyman.flows.earlier import find_before
from journeyman.flows.labels import (
    DEV_ANSWERS,
    TEST_ANSWERS,
    Basis,
    assess_run,
    find_basis,
    find_labels,
    labels_rule,
    refuse_open,
)
from journeyman.flows.measures import of_answers
from journeyman.flows.panel import Panel
from journeyman.flows.rows import Rows, read_rows
from journeyman.flows.runs import BASE_ROWS, EVALUATION, SUBJECT, RunFolder
from journeyman.flows.safety import check_safety, count_prompts
from journeyman.flows.serving import serve_student, student_name
from journeyman.flows.student import Student
from journeyman.flows.students import choose_student, gate_rule, name_student, read_ladder, read_rules
from journeyman.flows.weighting import read_weighting
from journeyman.flows.workspace import Workspace
from journeyman.measure.declared import metrics_of
from journeyman.measure.latency import measure_latency
from journeyman.measure.metrics import Metric, Pair, estimate, score_fields
from journeyman.measure.novelty import Vocabulary, thin
from journeyman.task.prompt import question_text
from journeyman.task.task import Task

REPORT = "report.html"
BASE_SEED = 20_26
DECIDED = ("verdict", "alone", "unmet")


@dataclass(frozen=True, slots=True)
class Assessed:
    run: RunFolder
    tune_run: RunFolder
    student: Student
    document: Document
    dev: tuple[tuple[Row, Prediction], ...]

    @property
    def verdict(self) -> str:
        return self.document.gate.verdict if self.document.gate else "none"


def assess(
    workspace: Workspace,
    task_name: str,
    *,
    base_rows: int = BASE_ROWS,
    requests_in_flight: int = 1,
    ceiling: int = 0,
    named: str = "",
    safety_prompts: int | None = None,
) -> Assessed:
    """Evaluate the best student of the latest dataset, or that of the run ``named``, and decide the gate. ``ceiling`` dev rows are asked of the teacher again, at the
    most; ``safety_prompts`` requests of either half of base and student, else as many as the project says.

    Raises:
        GateError: JM-630 nothing tuned on the latest dataset, JM-631 no sealed rows, JM-60x from the gate, JM-64x from behavioural tests, JM-65x from a judge,
            JM-677 and JM-678 from labels, JM-679 and JM-692 from the ceiling, JM-690 and JM-691 from an embedding model or a price that is not there, JM-695 no
            such run.
    """
    task, safety = workspace.task(task_name), count_prompts(workspace, safety_prompts)
    panel = Panel(workspace, task)
    panel.refuse_unmeasured()
    metrics = metrics_of(task, workspace.project.root, panel.metrics)
    dataset, manifest = read_manifest(workspace.store, task_name)
    if named:
        name_student(workspace, task_name, dataset, named)
    tune_run, student = choose_student(workspace, task_name, dataset)
    rows = read_rows(workspace.store, manifest)
    if not rows.sealed:
        raise GateError("JM-631", f"{task_name} has no sealed rows", hint="import more rows, then prepare again")
    run, kept = assess_run(workspace, task_name, student, dataset), find_labels(workspace, task, dataset, student)
    refuse_open(task, kept)
    metric = metrics[task.gate.metric]
    rule = gate_rule(workspace, task) | labels_rule(task, kept)
    tests = load_tests(workspace, task, panel.right(metric), rows.sealed, dataset, student.hash, content_hash(rule))
    if ceiling:
        panel.refuse_ceiling()
        ask_ceiling(workspace, task, ceiling)
    with run.lock():
        asked = asyncio.run(_ask_all(workspace, task, student, run, rows, tests, base_rows, requests_in_flight))
        facing = replace(rows, sealed=panel.gate_rows(rows.sealed))
        basis = find_basis(task, metric, facing, asked.student, kept)
        gate = _decide(workspace, task, dataset, student, rule, basis, asked.tried)
        shown = _ceiling(workspace, task, metric) if panel.is_comparing else None
        right = panel.right(metric)
        trusted = _trust(task, right, rows, asked)
        fields, promised = _trust_fields(task, rows, asked), _promise(task, right, rows, asked, trusted)
        judged = _Judged(gate, trusted, fields, promised, basis, panel.parts())
        document = _document(workspace, task, metrics, dataset, manifest, student, rows.sealed, asked, judged)
        beside = {
            "ceiling": shown,
            "reference": _reference(task, rows, asked),
            "weak": _helped(workspace, task, dataset, rows, run, tune_run, student, asked),
            "safety": check_safety(workspace, student, run, safety),
        }
        document = document.model_copy(update=beside)
        (run.path / SUBJECT).unlink(missing_ok=True)  # it says whose the evaluation is, so it comes after it
        run.write(EVALUATION, document.to_json())
        subject: dict[str, Json] = {
            "student": student.hash,
            "tune_run": tune_run.id,
            "dataset": dataset,
            "labels": kept.said,
            "time": workspace.now(),
            "rule": read_rules(workspace, task) | basis.rule,
        }
        run.write(SUBJECT, subject)
    return Assessed(
        run, tune_run, student, document, tuple(zip(rows.dev, asked.dev.items, strict=True)) if asked.dev else ()
    )


def find_assessed(workspace: Workspace, task_name: str) -> Assessed:
    """The stored evaluation of the best student of the latest dataset, with its answers on dev; nothing is asked.

    Raises:
        GateError: JM-620 it was not assessed under the task's present gate.
    """
    task = workspace.task(task_name)
    dataset, manifest = read_manifest(workspace.store, task_name)
    tune_run, student = choose_student(workspace, task_name, dataset)
    run = assess_run(workspace, task_name, student, dataset)
    subject, evaluation = run.read(SUBJECT), run.read(EVALUATION)
    kept = find_labels(workspace, task, dataset, student)
    rules = read_rules(workspace, task) | labels_rule(task, kept)
    is_same = subject and subject.get("rule") == rules and subject.get("labels", "") == kept.said
    if not subject or not evaluation or not is_same:
        raise GateError(
            "JM-620",
            f"the student {student.hash[:12]} of {task_name} was not assessed by the task's present rules",
            hint=f"journeyman assess {task_name}",
        )
    dev = [Row.from_example(row) for row in read_split(workspace.store, manifest, "dev")]
    name = student_name(task, student)
    answered = load_predictions(name, task, dev, run.path / DEV_ANSWERS, with_confidence=True)
    return Assessed(run, tune_run, student, Document.model_validate(evaluation), tuple(answered))


@dataclass(frozen=True, slots=True)
class _Asked:
    student: Predictions
    dev: Predictions | None
    fit: Predictions | None
    threshold: Predictions | None
    base: Predictions | None
    base_rows: tuple[Row, ...]
    dev_rows: tuple[Row, ...]
    tried: tuple[Tried, ...]


@dataclass(frozen=True, slots=True)
class _Judged:
    gate: GatePart
    trusted: Trust | None
    fields: FieldTrust | None
    promise: PromisePart | None
    basis: Basis
    judges: tuple[JudgePart, ...]


async def _ask_all(
    workspace: Workspace,
    task: Task,
    student: Student,
    run: RunFolder,
    rows: Rows,
    tests: Tests,
    base_rows: int,
    requests_in_flight: int,
) -> _Asked:
    """Ask student and base through one real server on loopback."""
    sealed = rows.sealed
    sample = sorted(random.Random(BASE_SEED).sample(range(len(sealed)), min(base_rows, len(sealed))))
    chosen = tuple(sealed[index] for index in sample)
    async with serve_student(workspace, task, student) as served:

        async def ask(model: str, rows: Sequence[Row], name: str, is_base: bool = False) -> Predictions | None:
            if not rows:
                return None
            async with served.asking(model) as client:
                return await evaluate(
                    client,
                    task,
                    rows,
                    requests_in_flight=requests_in_flight,
                    cache_path=run.path / name,
                    progress=workspace.progress,
                    prompt="teacher" if is_base else "student",
                    max_tokens=student.json_tokens if is_base else None,
                    with_confidence=not is_base,
                )

        answered = await ask(served.student_name, sealed, TEST_ANSWERS)
        assert answered is not None
        on_dev = await ask(served.student_name, rows.dev, DEV_ANSWERS)
        to_fit = await ask(served.student_name, rows.fit, "student-fit.jsonl")
        to_decide = await ask(served.student_name, rows.threshold, "student-threshold.jsonl")
        tried = await tests.run(
            list(zip(sealed, answered.items, strict=True)),
            lambda rows: ask(served.student_name, rows, "student-behaviour.jsonl"),
        )
        base = await ask(served.base_name, chosen, "base-test.jsonl", is_base=True) if served.base_name else None
    return _Asked(answered, on_dev, to_fit, to_decide, base, chosen, tuple(rows.dev), tried)


def _trust(task: Task, metric: Metric, rows: Rows, asked: _Asked) -> Trust | None:
    """Confidence and promise; None where there are no calibration rows."""

    def known(given: Sequence[Row], said: Predictions | None) -> Outcomes:
        return outcomes(metric, list(zip(given, said.items, strict=True)) if said else [])

    return trust(
        known(rows.fit, asked.fit),
        known(rows.threshold, asked.threshold),
        known(rows.sealed, asked.student),
        task.cascade.error,
        task.cascade.delta,
        rows.heaviest,
    )


def _trust_fields(task: Task, rows: Rows, asked: _Asked) -> FieldTrust | None:
    """Of answers with several values; None where there are no calibration rows."""
    if not task.is_structured or asked.fit is None:
        return None
    fit = field_outcomes(list(zip(rows.fit, asked.fit.items, strict=True)))
    return trust_fields(fit, field_outcomes(list(zip(rows.sealed, asked.student.items, strict=True))))


def _promise(task: Task, metric: Metric, rows: Rows, asked: _Asked, trusted: Trust | None) -> PromisePart | None:
    if trusted is None or asked.threshold is None:
        return None
    decided = list(zip(rows.threshold, asked.threshold.items, strict=True))
    return PromisePart.of(trusted, disagreement(metric, decided, trusted, task.cascade.delta))


def _reference(task: Task, rows: Rows, asked: _Asked) -> ReferencePart:
    """From rows that decide no threshold: the sealed ones and those that the map is fitted on."""
    vocabulary = Vocabulary.of(question_text(task, row.input) for row in rows.train)
    shown = [*rows.sealed, *rows.fit]
    answers = [*asked.student.items, *(asked.fit.items if asked.fit else ())]
    return ReferencePart(
        confidence=thin([item.confidence.whole for item in answers if item.confidence]),
        novelty=thin([vocabulary.novelty(question_text(task, row.input)) for row in shown]),
        words=vocabulary.write(),
    )


def _helped(
    workspace: Workspace,
    task: Task,
    dataset: str,
    rows: Rows,
    run: RunFolder,
    tune_run: RunFolder,
    student: Student,
    asked: _Asked,
) -> WeakPart | None:
    """What became of the weak spots of the student before; None where there was none, or no dev row that both answered."""
    before = find_before(workspace, task, run, tune_run, student.hash)
    if before is None or asked.dev is None:
        return None
    earlier = {row.hash: item for row, item in before.answers(task, rows.dev)}
    both = [
        Both(row, row.expected, earlier[row.hash], item)
        for row, item in zip(rows.dev, asked.dev.items, strict=True)
        if row.expected is not None and row.hash in earlier
    ]
    if not both:
        return None
    whole, spots = compare_students(task, both, rows.heaviest)
    return WeakPart(
        student=before.student,
        run=before.run.id,
        dev_rows=sum(row.expected is not None for row in rows.dev),
        common_rows=len(both),
        is_same_dataset=before.dataset == dataset,
        whole=ChangePart.of(whole),
        spots=tuple(ChangePart.of(item) for item in spots),
        weighting=read_weighting(tune_run),
    )


def _ceiling(workspace: Workspace, task: Task, metric: Metric) -> CeilingPart | None:
    """It decides nothing, so a metric that fails on these answers is told and stops nothing."""
    try:
        return find_ceiling(workspace, task, metric)
    except GateError as error:
        workspace.progress.note(f"no ceiling: {error.what}")
        return None


def _decide(
    workspace: Workspace,
    task: Task,
    dataset: str,
    student: Student,
    rule: Mapping[str, Json],
    basis: Basis,
    tried: Sequence[Tried],
) -> GatePart:
    """Take the look (the same one again for the same release, dataset and rule), decide at its level, write the verdict down. A verdict that is there
    already stays."""
    decided = task.gate.to_json() | {"behaviour": rule.get("behaviour") or rule.get("labels")}
    look = workspace.store.begin_look(
        task.name, dataset, student.hash, workspace.now(), content_hash(dict(rule)), decided
    )
    verdict = with_required(GatePart.of(basis.decide(look.level)), tried)
    look = workspace.store.finish_look(task.name, look.number, verdict.model_dump(mode="json"))
    if look.verdict and look.verdict["verdict"] != verdict.verdict:
        # The scores are others than they were (a metric that is not a function of the answers, rows that failed then): the first verdict stands.
        workspace.progress.note(
            f"look {look.number} was decided before, on other scores: {look.verdict['verdict']}, which stands"
        )
        return verdict.model_copy(update={key: look.verdict[key] for key in DECIDED if key in look.verdict})
    return verdict


def _document(
    workspace: Workspace,
    task: Task,
    metrics: Mapping[str, Metric],
    dataset: str,
    manifest: Mapping[str, Json],
    student: Student,
    sealed: Sequence[Row],
    asked: _Asked,
    judged: _Judged,
) -> Document:
    kind, ladder = student.manifest.kind, read_ladder(workspace, task, dataset)
    candidates = [_candidate(metrics, f"{task.name}@{student.hash[:12]}", kind, "test", sealed, asked.student)]
    if asked.base is not None:
        candidates.append(_candidate(metrics, student.manifest.base.name, "base", "test", asked.base_rows, asked.base))
    if teacher := _teacher(workspace, of_answers(task, metrics), sealed):
        candidates.append(teacher)
    if asked.dev is not None:
        candidates.append(
            _candidate(metrics, f"{task.name}@{student.hash[:12]}", kind, "dev", asked.dev_rows, asked.dev)
        )
    sizes = {name: len(rows) for name, rows in cast(dict[str, list[Json]], manifest["splits"]).items()}
    return Document(
        task=task.name,
        dataset=DatasetPart(
            hash=dataset,
            train=sizes.get("train", 0),
            dev=sizes.get("dev", 0),
            calibration=sizes.get("calibration", 0),
            test=sizes.get("test", 0),
            synthetic=cast(dict[str, int], manifest.get("synthetic") or {}),
        ),
        candidates=tuple(candidates),
        gate=judged.gate,
        confidence=ConfidencePart.of(judged.trusted) if judged.trusted else None,
        field_confidence=ConfidencePart.of(judged.fields) if judged.fields else None,
        promise=judged.promise,
        slices=tuple(SlicePart.of(item) for item in judged.basis.slices),
        confusions=tuple(
            ConfusionPart(**asdict(item))
            for item in find_confusions(task, list(zip(sealed, asked.student.items, strict=True)))
        ),
        ladder=LadderPart.model_validate(ladder).concluded(judged.gate, asks_judge(judged.gate, judged.judges))
        if ladder
        else None,
        behaviours=tuple(BehaviourPart.of(item, judged.gate.level) for item in asked.tried),
        judges=judged.judges,
        labels=judged.basis.part,
        release=ReleasePart(hash=student.hash, path=str(student.folder)),
    )


def _candidate(
    metrics: Mapping[str, Metric], name: str, kind: str, split: str, rows: Sequence[Row], answered: Predictions
) -> CandidatePart:
    items = [(row, item) for row, item in zip(rows, answered.items, strict=True) if row.expected is not None]
    pairs = make_pairs(items)
    tokens = [(item.input_tokens, item.output_tokens) for _row, item in items]
    has_confidence = any(item.confidence is not None for _row, item in items)
    return CandidatePart(
        name=name,
        kind=kind,
        split=split,
        metrics=_figures(metrics, pairs),
        latency_ms=LatencyPart.of(measure_latency(answered.latencies_ms)) if answered.latencies_ms else None,
        tokens_per_call=TokensPart(input=_mean([a for a, _ in tokens]), output=_mean([b for _, b in tokens])),
        fields=tuple(FieldPart.of(score) for score in score_fields(pairs)),
        cost_usd_per_1000=0.0,
        note="no price per call: it runs on this machine"
        + (", asked for its confidence too" if has_confidence else ""),
    )


def _teacher(workspace: Workspace, metrics: Mapping[str, Metric], sealed: Sequence[Row]) -> CandidatePart | None:
    """The recorded answers on the rows that have gold beside them."""
    pairs = [
        Pair(row.gold, row.teacher, row.count, row.input)
        for row in sealed
        if row.gold is not None and row.teacher is not None
    ]
    if not pairs:
        return None
    name = workspace.project.text("teacher", "model") or "recorded teacher"
    return CandidatePart(
        name=name,
        kind="teacher",
        split="test",
        metrics=_figures(metrics, pairs),
        fields=tuple(FieldPart.of(score) for score in score_fields(pairs)),
        note="as recorded; scored on the rows with gold",
    )


def _figures(metrics: Mapping[str, Metric], pairs: Sequence[Pair]) -> dict[str, Figure]:
    return {name: Figure.of(estimate(metric, pairs)) for name, metric in metrics.items()}


def _mean(values: Sequence[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
