"""`tune T --kind prompt`: a student that is the base as it is, with the instruction and, with `--shots N`, the nearest examples before each input.

Nothing is tuned, so it is there in seconds; each call pays for the instruction and the examples. It is assessed, gated, released and served as any student.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import cast

import numpy as np

from journeyman.core.canonical import Json, file_hash
from journeyman.core.errors import ModelError, TuneError
from journeyman.core.example import Example, Target
from journeyman.core.files import write_atomic
from journeyman.core.messages import Message, make_message
from journeyman.core.nodes import write_json
from journeyman.flows.material import Material, load_material
from journeyman.flows.runs import MATERIAL, METHOD, PARITY, PLAN, RESULT, STUDENT, RunFolder, find_run
from journeyman.flows.signals import hold
from journeyman.flows.student import Student, load_student
from journeyman.flows.workspace import Workspace
from journeyman.models.manifest import MANIFEST, BaseRef, Manifest
from journeyman.models.template import load_base_template
from journeyman.models.words import FILE as WORDS
from journeyman.models.words import Words, load_words, save_words
from journeyman.task.answer import arrange
from journeyman.task.prompt import teacher_messages, user_text
from journeyman.task.task import Task
from journeyman.tuning.words import weigh_words

EXAMPLES = "examples.json"
MOST_EXAMPLES = 2000  # to look among, at each call
MOST_SHOTS = 32
SETTINGS = ("kind", "shots")
SPARE, LEAST_TOKENS = 1.5, 64


@dataclass(frozen=True)
class FewShot:
    """``texts`` and ``answers`` of train rows, and the words that tell which are near."""

    words: Words
    texts: tuple[str, ...]
    answers: tuple[str, ...]
    shots: int

    def __call__(self, task: Task, input: Mapping[str, Json]) -> tuple[Message, ...]:
        """Instruction, examples as turns with the nearest last, then the input."""
        system, user = teacher_messages(task, input)
        turns = []
        for place in self._nearest(user.text):
            turns += [make_message("user", self.texts[place]), make_message("assistant", self.answers[place])]
        return (system, *turns, user)

    def _nearest(self, text: str) -> list[int]:
        scores = (self._vectors @ self.words.embed([text]).vectors.T).toarray().ravel()  # type: ignore[operator]
        return np.argsort(-scores, kind="stable")[: self.shots][::-1].tolist()  # type: ignore[no-any-return]

    @cached_property
    def _vectors(self) -> object:
        return self.words.embed(self.texts).vectors


def make_prompted(
    workspace: Workspace, task_name: str, given: Mapping[str, Json], base: str = "", dataset: str = ""
) -> tuple[RunFolder, Material, Student]:
    """Write the student; the same arguments find their own finished run.

    Raises:
        DataError: JM-352 nothing prepared. ModelError: JM-401 the base is not pulled. TuneError: JM-569 a setting that a prompt does not have.
    """
    shots = given.get("shots", 0)
    unknown = [name for name in given if name not in SETTINGS]
    if unknown or not isinstance(shots, int) or not 0 <= shots <= MOST_SHOTS:
        name = unknown[0] if unknown else "shots"
        raise TuneError(
            "JM-569",
            f"a prompted base has no setting {name}" if unknown else "so many examples cannot be shown",
            expected=f"--shots 0 to {MOST_SHOTS}, and --base",
            got=f"{name} {given[name]}",
            hint=f"leave out --{name.replace('_', '-')}" if unknown else "give fewer",
        )
    material = load_material(workspace, task_name, base, dataset)
    key: dict[str, Json] = {
        "task": material.task.answering(),
        "dataset": material.dataset,
        "base": material.base.sha256,
        "given": dict(given),
    }
    run = find_run(workspace.project.runs, task_name, "tune", key)
    with run.lock():
        run.decide(MATERIAL, material.to_json)
        holding = hold(material.learnable)
        run.decide(METHOD, lambda: {"method": "prompt", "reason": "nothing is tuned", "holding": holding.to_json()})
        student = load_student(run.path / STUDENT)
        if student is None:
            student = _write(material, run, shots)
        if run.read(PARITY) is None:
            run.write(PARITY, {"n": 0, "equal": 0, "is_passed": True, "problems": [], "defects": []})
    return run, material, student


def _write(material: Material, run: RunFolder, shots: int) -> Student:
    started = time.monotonic()
    folder, task = run.path / STUDENT, material.task
    known = [row for row in material.splits["train"] if row.answer is not None]
    template = load_base_template(material.base.path)
    answers = [_answer(task, cast(Target, row.answer)) for row in known]
    longest = max((len(template.tokenizer.encode(text)) for text in answers), default=0)
    files = {}
    if shots:
        _write_examples(folder, task, known, answers)
        files = {"examples": EXAMPLES, "words": WORDS}
    run.write(
        PLAN,
        {
            "kind": {"value": "prompt", "origin": "flag"},
            "shots": {"value": shots, "origin": "flag" if shots else "default"},
        },
    )
    result: dict[str, Json] = {"seconds": round(time.monotonic() - started, 1), "tokens": 0, "steps": 0}
    run.write(RESULT, result | {"dev_exact": None, "dev_loss": None, "dev_row_loss": None, "lesson": {}})
    if task.schema is not None:
        write_atomic(folder / "schema.json", json.dumps(task.schema, indent=2, ensure_ascii=False) + "\n")
    write_atomic(folder / "template.jinja", template.source)
    budget = task.max_output_tokens or max(LEAST_TOKENS, int(SPARE * longest) + 8)
    manifest = Manifest(
        kind="prompt",
        base=BaseRef(material.base.name, material.base.sha256, material.base.licence),
        files={role: {"path": path, "sha256": file_hash(folder / path)} for role, path in files.items()},
        template=template.source,
        task=task.answering(),
        decoding={"max_tokens": budget, "temperature": 0, "whitespace": "compact", "shots": shots},
        engine=f"xllamacpp {version('xllamacpp')}",
    )
    write_atomic(folder / MANIFEST, json.dumps(manifest.to_json(), indent=2, ensure_ascii=False) + "\n")
    return Student(folder, manifest)


def _write_examples(folder: Path, task: Task, rows: Sequence[Example], answers: Sequence[str]) -> None:
    """The first rows by hash, so that equal datasets have equal examples."""
    order = sorted(range(len(rows)), key=lambda place: rows[place].hash)[:MOST_EXAMPLES]
    texts = [user_text(task, rows[place].input) for place in order]
    listed = [{"text": text, "answer": answers[place]} for text, place in zip(texts, order, strict=True)]
    write_atomic(folder / EXAMPLES, json.dumps(listed, ensure_ascii=False) + "\n")
    save_words(folder, weigh_words(texts))


def _answer(task: Task, target: Target) -> str:
    if target.kind != "object":
        return target.text
    return write_json(arrange(target.value, task.schema) if task.schema is not None else target.value)


def open_prompt(student: Student) -> FewShot:
    """What writes the messages of a prompted student.

    Raises:
        ModelError: JM-436 its examples are damaged.
    """
    shots = int(cast(int, student.manifest.decoding["shots"]))
    if not shots:
        return FewShot(Words((), ()), (), (), 0)
    path = student.folder / EXAMPLES
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        texts, answers = tuple(str(item["text"]) for item in listed), tuple(str(item["answer"]) for item in listed)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            "JM-436",
            "these examples cannot be read",
            where=str(path),
            expected=f"{EXAMPLES} as it was written",
            got=str(error)[:300],
            hint="restore the folder from a copy, or tune again",
        ) from error
    return FewShot(load_words(student.folder), texts, answers, shots)
