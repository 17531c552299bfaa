"""`tune T --kind nearest`: a student that gives the answer of the most similar train row. Made in seconds, for any output; what it is worth is measured like any student's."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import TuneError
from journeyman.core.example import Example, Target
from journeyman.flows.material import Material, load_material
from journeyman.flows.once import UNCOMPARED, make_once, write_untuned
from journeyman.flows.runs import STUDENT, RunFolder
from journeyman.flows.student import Student, write_manifest
from journeyman.flows.workspace import Workspace
from journeyman.models.nearest import EXAMPLES, Examples, load_examples, save_examples
from journeyman.models.words import FILE as WORDS
from journeyman.models.words import weigh_words
from journeyman.task.answer import answer_text, read_answer
from journeyman.task.prompt import user_text
from journeyman.task.task import Task


def make_nearest(
    workspace: Workspace, task_name: str, given: Mapping[str, Json], base: str = "", dataset: str = ""
) -> tuple[RunFolder, Material, Student]:
    """Write the student; the same arguments find their own finished run.

    Raises:
        DataError: JM-352 nothing prepared. TuneError: JM-569 a setting, or a base.
    """
    unread = [*(name for name in given if name != "kind"), *(["base"] if base else [])]
    if unread:
        raise TuneError(
            "JM-569",
            f"the nearest example has no setting {unread[0]}",
            expected="--kind nearest alone",
            hint=f"leave out --{unread[0].replace('_', '-')}",
        )
    material = load_material(workspace, task_name, dataset=dataset, use="none")
    run, student = make_once(
        workspace,
        material,
        {"kind": "nearest"},
        "nearest",
        "nothing is tuned",
        lambda run: _write(material, run),
        lambda _student: UNCOMPARED,
    )
    return run, material, student


def _write(material: Material, run: RunFolder) -> Student:
    started = time.monotonic()
    folder, task = run.path / STUDENT, material.task
    rows = [row for row in material.splits["train"] if row.answer is not None]
    texts = tuple(user_text(task, row.input) for row in rows)
    answers = tuple(answer_text(task, cast(Target, row.answer)) for row in rows)
    save_examples(folder, Examples(weigh_words(texts), texts, answers))
    exact = _right_on_dev(run, task, [row for row in material.splits["dev"] if row.answer is not None])
    write_untuned(run, "nearest", started, exact)
    files = {"examples": EXAMPLES, "words": WORDS}
    return write_manifest(folder, "nearest", task, material.base, files, {"max_tokens": 1}, f"numpy {version('numpy')}")


def _right_on_dev(run: RunFolder, task: Task, rows: Sequence[Example]) -> float | None:
    """By what was written, as it will be served."""
    examples = load_examples(run.path / STUDENT)
    if not rows:
        return None
    said = [examples.answers[examples.nearest(user_text(task, row.input), 1)[0][0]] for row in rows]
    return sum(read_answer(task, text)[0] == row.answer for text, row in zip(said, rows, strict=True)) / len(rows)
