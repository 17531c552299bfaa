"""`tune T --kind prompt`: a student that is the base as it is, with the instruction and, with `--shots N`, the nearest examples before each input.

Nothing is tuned, so it is there in seconds; each call pays for the instruction and the examples. It is assessed, gated, released and served as any student.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from journeyman.core.canonical import Json
from journeyman.core.errors import TuneError
from journeyman.flows.examples import gather_examples, prompt_budget
from journeyman.flows.material import Material, load_material
from journeyman.flows.once import UNCOMPARED, make_once, write_untuned
from journeyman.flows.runs import STUDENT, RunFolder
from journeyman.flows.student import Student, write_manifest
from journeyman.flows.workspace import Workspace
from journeyman.models.nearest import EXAMPLES, save_examples
from journeyman.models.template import load_base_template
from journeyman.models.words import FILE as WORDS
from journeyman.task.grid import MOST_SHOTS

SETTINGS = ("kind", "shots")


def make_prompted(
    workspace: Workspace,
    task_name: str,
    given: Mapping[str, Json],
    base: str = "",
    dataset: str = "",
    examples: Sequence[str] = (),
) -> tuple[RunFolder, Material, Student]:
    """Write the student; the same arguments find their own finished run. ``examples``: hashes of the train rows to show, instead of the nearest of all.

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
    said: dict[str, Json] = ({"shots": shots} if shots else {}) | ({"examples": list(examples)} if examples else {})
    run, student = make_once(
        workspace,
        material,
        {"kind": "prompt", **said},
        "prompt",
        "nothing is tuned",
        lambda run: _write(material, run, shots, examples),
        lambda _student: UNCOMPARED,
    )
    return run, material, student


def _write(material: Material, run: RunFolder, shots: int, examples: Sequence[str]) -> Student:
    started = time.monotonic()
    folder, task = run.path / STUDENT, material.task
    known = [row for row in material.splits["train"] if row.answer is not None]
    template = load_base_template(material.base.path)
    files = {}
    if shots:
        save_examples(folder, gather_examples(task, known, examples))
        files = {"examples": EXAMPLES, "words": WORDS}
    write_untuned(run, "prompt", started, shots={"value": shots, "origin": "flag" if shots else "default"})
    budget = prompt_budget(task, known, template.tokenizer)
    decoding: dict[str, Json] = {"max_tokens": budget, "temperature": 0, "whitespace": "compact", "shots": shots}
    engine = f"xllamacpp {version('xllamacpp')}"
    return write_manifest(folder, "prompt", task, material.base, files, decoding, engine, template.source)
