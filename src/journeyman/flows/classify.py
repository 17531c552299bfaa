"""`tune T --kind head`: a student that is an embedding model and a classifier per closed field, instead of a language model.

Minutes of tuning become seconds and an answer some milliseconds, for tasks whose output is a choice. What it writes, how it is measured,
gated, released and served is as for any student.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import cast

import numpy as np
import numpy.typing as npt

from journeyman.core.canonical import Json
from journeyman.core.errors import TuneError
from journeyman.core.example import Example, Target
from journeyman.flows.material import Material, load_material, weigh_weak
from journeyman.flows.once import make_once
from journeyman.flows.parity import Parity, choose_prompts, refuse_defects
from journeyman.flows.runs import PLAN, RESULT, STUDENT, RunFolder
from journeyman.flows.serving import open_classifier, open_features
from journeyman.flows.signals import wanted
from journeyman.flows.student import Student, write_manifest
from journeyman.flows.workspace import Workspace
from journeyman.models.classifier import Classifier
from journeyman.models.embedder import Embedded, Features, open_embedder
from journeyman.models.head import DESCRIPTION, WEIGHTS, ClosedField, save_heads
from journeyman.models.protocol import Request
from journeyman.models.words import FILE as WORDS
from journeyman.models.words import Words, save_words, weigh_words
from journeyman.task.answer import read_answer
from journeyman.task.closed import MOST, closed_fields
from journeyman.task.prompt import student_messages, user_text
from journeyman.task.task import Task
from journeyman.tuning.heads import HeadRows, number_values, train_heads
from journeyman.tuning.words import mine_patterns, train_word_heads

SETTINGS = ("kind", "seed", "features")
FEATURES = ("embedding", "words", "patterns", "none")
ROUNDING = 1e-6  # of a probability, between two readings of the same weights


@dataclass(frozen=True, slots=True)
class Choice:
    """What a task chooses: the fields with a choice, those with one value only, and all names in the answer's order."""

    fields: tuple[ClosedField, ...]
    fixed: Mapping[str, Json]
    order: tuple[str, ...]

    def value(self, field: ClosedField, target: Target) -> Json:
        return cast(dict[str, Json], target.value)[field.name] if self.order else target.value


def find_choice(task: Task) -> Choice:
    """Raises: TuneError: JM-566 the task's output is no choice."""
    found = closed_fields(task.schema) if task.schema is not None else None
    several = [(name, values) for name, values in found or [] if len(values) > 1]
    if not found or not several:
        raise TuneError(
            "JM-566",
            "a head chooses among values, and this task's output is no such choice",
            where=f"task {task.name}",
            expected=f"fields that are enums, booleans or short ranges, at most {MOST} values each, and all required",
            hint="tune a language model: leave out --kind head",
        )
    return Choice(
        tuple(ClosedField(name, tuple(values)) for name, values in several),
        {name: values[0] for name, values in found if len(values) == 1},
        () if found[0][0] == "" else tuple(name for name, _values in found),
    )


def tune_heads(
    workspace: Workspace,
    task_name: str,
    given: Mapping[str, Json],
    base: str = "",
    dataset: str = "",
    threads: int | None = None,
    weak: float = 0.0,
) -> tuple[RunFolder, Material, Student]:
    """Train a head per field on the train rows' answers, chosen on dev; the same arguments find their own finished run. ``weak``: how much more train rows weigh that have a
    weak spot's part.

    Raises:
        DataError: JM-352 nothing prepared, JM-363, JM-385 to JM-387 rows that cannot weigh more. ModelError: JM-401 the embedding model is not pulled. TuneError: JM-560 to
        JM-566 of the rows and the task, JM-567 a setting that heads do not have, JM-568 texts that are too long.
    """
    for name in given:
        if name not in SETTINGS:
            raise TuneError(
                "JM-567",
                f"a head has no setting {name}",
                expected=" | ".join(SETTINGS),
                got=f"{name} {given[name]}",
                hint=f"leave out --{name.replace('_', '-')}",
            )
    features = str(given.get("features", FEATURES[0]))
    if features not in FEATURES or (base and features != FEATURES[0]):
        raise TuneError(
            "JM-567",
            "a head reads the vectors of an embedding model, words, mined patterns, or nothing",
            expected=f"--features {' | '.join(FEATURES)}, and --base with {FEATURES[0]} alone",
            got=f"--features {features}" + (f" --base {base}" if base else ""),
            hint="leave out --base, or --features",
        )
    material = load_material(
        workspace, task_name, base, dataset, use="embedding" if features == FEATURES[0] else "none"
    )
    choice = find_choice(material.task)
    material = weigh_weak(workspace, material, weak)
    seed = int(cast(int, given.get("seed", 0)))

    def check(student: Student) -> Mapping[str, Json]:
        parity = asyncio.run(_compare(material, student, open_features(student, threads)))
        refuse_defects(parity)
        return parity.to_json()

    run, student = make_once(
        workspace,
        material,
        {name: value for name, value in given.items() if (name, value) != ("features", FEATURES[0])},
        "sft",
        "a head learns from answers",
        lambda run: _train(workspace, material, choice, run, features, seed, threads),
        check,
    )
    return run, material, student


def _train(
    workspace: Workspace,
    material: Material,
    choice: Choice,
    run: RunFolder,
    features: str,
    seed: int,
    threads: int | None,
) -> Student:
    started = time.monotonic()
    learned = [(row, target, weight) for row in material.splits["train"] for target, weight in wanted(row)]
    dev = [(row, row.answer) for row in material.splits["dev"] if row.answer is not None]
    rows = [row for row, _target, _weight in learned] + [row for row, _target in dev]
    texts = [user_text(material.task, row.input) for row in rows]
    columns = [
        number_values(field, [choice.value(field, target) for _row, target, _weight in learned])
        for field in choice.fields
    ]
    embedder: Features
    if features == "embedding":
        embedder = open_embedder(material.base.name, threads)
    else:
        embedder = _find_words(features, texts[: len(learned)], columns)
    embedded = embedder.embed(texts, workspace.progress)
    _refuse_long(embedded, rows)
    vectors, outer = embedded.vectors[: len(learned)], embedded.vectors[len(learned) :]
    totals: dict[str, float] = {}
    for row, _target, weight in learned:
        totals[row.hash] = totals.get(row.hash, 0.0) + weight
    weights = np.array([row.weight * weight / totals[row.hash] for row, _target, weight in learned])
    parts = []
    for field, labels in zip(choice.fields, columns, strict=True):
        dev_labels = number_values(field, [choice.value(field, target) for _row, target in dev])
        parts.append((field, HeadRows(vectors, labels, weights), HeadRows(outer, dev_labels)))
    if isinstance(embedder, Words):
        heads, reports = train_word_heads(embedder, parts, workspace.progress)
    else:
        heads, reports = train_heads(embedder.id, parts, seed=seed, progress=workspace.progress)
    right, loss = np.ones(len(dev), dtype=bool), np.zeros(len(dev))
    for head, (_field, _train_rows, dev_rows) in zip(heads.heads, parts, strict=True):
        shares = head.probabilities(outer)
        right &= shares.argmax(axis=1) == dev_rows.labels
        loss -= np.log(np.maximum(shares[np.arange(len(dev)), dev_rows.labels], np.finfo(float).tiny))
    save_heads(run.path / STUDENT, heads)
    if isinstance(embedder, Words):
        save_words(run.path / STUDENT, embedder)
    run.write(
        PLAN,
        {
            "kind": {"value": "head", "origin": "flag"},
            "features": {"value": features, "origin": "flag" if features != FEATURES[0] else "default"},
            "seed": {"value": seed, "origin": "default"},
        },
    )
    run.write(
        RESULT,
        {
            "seconds": round(time.monotonic() - started, 1),
            "tokens": int(embedded.tokens.sum()),
            "steps": 0,
            "dev_loss": float(loss.mean()),
            "dev_exact": float(right.mean()),
            "dev_row_loss": float(loss.mean()),
            "lesson": {"heads": [report.to_json() for report in reports]},
        },
    )
    for report in reports:
        workspace.progress.note(
            f"{report.field or 'answer'}: {report.chosen.kind} head, {report.chosen.accuracy:.3f} right on {report.dev_rows} dev rows"
        )
    decoding: dict[str, Json] = {
        "max_tokens": len(choice.fields),
        "order": list(choice.order),
        "fixed": dict(choice.fixed),
    }
    files = {"heads": WEIGHTS, "heads_description": DESCRIPTION} | ({"words": WORDS} if features != FEATURES[0] else {})
    engine = f"onnxruntime {version('onnxruntime')}" if features == FEATURES[0] else f"numpy {version('numpy')}"
    # Last: a student has a result.
    return write_manifest(run.path / STUDENT, "head", material.task, material.base, files, decoding, engine)


def _find_words(features: str, texts: Sequence[str], columns: Sequence[npt.NDArray[np.int64]]) -> Words:
    if features == "words":
        return weigh_words(texts)
    return mine_patterns(texts, columns) if features == "patterns" else Words((), ())


def _refuse_long(embedded: Embedded, rows: Sequence[Example]) -> None:
    if embedded.cut:
        worst = max(embedded.cut, key=lambda row: int(embedded.tokens[row]))
        raise TuneError(
            "JM-568",
            f"{len(embedded.cut)} of {len(rows)} rows are longer than the embedding model reads",
            where=f"row {rows[worst].hash[:12]} is the longest",
            expected=f"at most {embedded.most_tokens} tokens",
            got=str(int(embedded.tokens[worst])),
            hint="shorten these inputs, or tune a language model: leave out --kind head",
        )


async def _compare(material: Material, student: Student, embedder: Features) -> Parity:
    """What the student's files answer, one call at a time, beside their probabilities for all texts at once."""
    prompts = choose_prompts(dict(material.splits))
    model = open_classifier(student, student.hash, embedder)
    texts = [user_text(material.task, row.input) for _source, row in prompts]
    together = embedder.embed(texts)
    kept = sorted(set(range(len(texts))) - set(together.cut))
    shares = [np.array(of_field) for of_field in model.shares(together.vectors)]
    equal = labelled = alone_right = together_right = 0
    largest = 0.0
    for index in kept:
        row = prompts[index][1]
        reply = await model.complete(Request(student_messages(material.task, row.input)))
        places = [int(of_field[index].argmax()) for of_field in shares]
        largest = max(largest, _difference(model, embedder, texts[index], [part[index] for part in shares]))
        equal += reply.text == model.answer(places)
        if row.answer is not None:
            labelled += 1
            alone_right += read_answer(material.task, reply.text)[0] == row.answer
            together_right += read_answer(material.task, model.answer(places))[0] == row.answer
    sources: dict[str, int] = {}
    for index in kept:
        sources[prompts[index][0]] = sources.get(prompts[index][0], 0) + 1
    defects = [f"{len(kept) - equal} of {len(kept)} answers differ"] if equal < len(kept) else []
    if largest > ROUNDING:
        defects.append(f"a probability differs by {largest:.2g}, at most {ROUNDING:.0e} may be")
    return Parity(
        n=len(kept),
        sources=sources,
        prompt_mismatches=0,
        equal=equal,
        largest_gap=largest,
        exact_gap=None,
        labelled=labelled,
        torch_exact=together_right,
        served_exact=alone_right,
        defects=tuple(defects),
        problems=(),
    )


def _difference(model: Classifier, embedder: Features, text: str, together: Sequence[npt.NDArray[np.float64]]) -> float:
    alone = model.shares(embedder.embed([text]).vectors)
    return max(float(np.abs(np.array(one[0]) - other).max()) for one, other in zip(alone, together, strict=True))
