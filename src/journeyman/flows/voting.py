"""`tune T --kind votes`: a student that is another one asked several times, with the answer that most of its samples agree on.

Nothing is tuned, so it is there in seconds; a call pays for the samples. It is assessed, gated, released and served as any student.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import TuneError
from journeyman.core.files import disk_errors
from journeyman.flows.material import Material, load_material
from journeyman.flows.once import make_once
from journeyman.flows.runs import PARITY, PLAN, RESULT, STUDENT, RunFolder
from journeyman.flows.starts import base_of
from journeyman.flows.student import Student, write_manifest
from journeyman.flows.students import find_best, finished_students
from journeyman.flows.workspace import Workspace

SETTINGS = ("kind", "samples", "temperature", "of")
SAMPLES, MOST_SAMPLES = 5, 40
TEMPERATURE, MOST_TEMPERATURE = 0.7, 2.0


def make_votes(
    workspace: Workspace, task_name: str, given: Mapping[str, Json], base: str = "", dataset: str = ""
) -> tuple[RunFolder, Material, Student]:
    """Write the student that asks the one of the run ``of``, by default the best on dev; the same arguments find their own finished run.

    Raises:
        DataError: JM-352 nothing prepared. ModelError: JM-401 its base is not pulled. TuneError: JM-595 a setting, JM-596 no such run, JM-597 a student
        whose samples say nothing new, JM-598 none that could be asked.
    """
    samples, temperature = _read_settings(given, base)
    material = load_material(workspace, task_name, dataset=dataset, use="none")
    run, asked = _find_asked(workspace, material, str(given.get("of", "")))
    material = replace(material, base=base_of(run))
    plan: dict[str, Json] = {
        name: {"value": value, "origin": "flag" if name in given else "default"}
        for name, value in (("kind", "votes"), ("samples", samples), ("temperature", temperature), ("of", run.id))
    }
    made, student = make_once(
        workspace,
        material,
        {"kind": "votes", "samples": samples, "temperature": temperature, "of": run.id},
        "votes",
        "nothing is tuned",
        lambda made: _write(material, made, asked, run, plan),
        lambda _student: run.read(PARITY) or {},  # what is asked answers as it did when it was compared
    )
    return made, material, student


def can_vote(student: Student) -> bool:
    """Whether its samples can differ from its likeliest answer without saying less: a model that writes its answers token by token."""
    return not student.is_light and student.form != "codes" and student.sampling is None


def _read_settings(given: Mapping[str, Json], base: str) -> tuple[int, float]:
    unknown = [*(name for name in given if name not in SETTINGS), *(["base"] if base else [])]
    if unknown:
        raise TuneError(
            "JM-595",
            f"votes have no setting {unknown[0]}",
            expected="--samples, --temperature and --of",
            hint=f"leave out --{unknown[0].replace('_', '-')}",
        )
    samples, temperature = given.get("samples", SAMPLES), given.get("temperature", TEMPERATURE)
    if isinstance(samples, bool) or not isinstance(samples, int) or not 2 <= samples <= MOST_SAMPLES:
        raise _out_of_range("samples", f"2 to {MOST_SAMPLES}", samples)
    if not isinstance(temperature, int | float) or not 0 < temperature <= MOST_TEMPERATURE:
        raise _out_of_range(
            "temperature", f"above 0, at most {MOST_TEMPERATURE:g}: at 0 all samples are one", temperature
        )
    return samples, float(temperature)


def _out_of_range(name: str, expected: str, got: Json) -> TuneError:
    return TuneError(
        "JM-595",
        f"votes cannot be taken with this --{name}",
        expected=expected,
        got=str(got),
        hint=f"leave out --{name}",
    )


def _find_asked(workspace: Workspace, material: Material, of: str) -> tuple[RunFolder, Student]:
    """The run ``of`` and its student, or the best on dev of those that can vote."""
    name, runs = material.task.name, workspace.project.runs
    found = dict(finished_students(workspace, material.task, material.dataset))
    able = {run: student for run, student in found.items() if can_vote(student)}
    if of and of not in found:
        raise TuneError(
            "JM-596",
            "this is no finished run on the latest dataset, of the task as its file says it now",
            where=f"task {name}, dataset {material.dataset[:12]}",
            expected=", ".join(list(able)[-5:]) or f"a run of `journeyman tune {name}`",
            got=of,
            hint="leave out --of, and the best on dev is asked",
        )
    if of and of not in able:
        raise TuneError(
            "JM-597",
            "the samples of this run's student say no more than its one answer",
            where=of,
            expected="a language model that writes its answer in several tokens",
            got=_describe(found[of]),
            hint=f"journeyman assess {name} measures it as it is",
        )
    if not able:
        raise TuneError(
            "JM-598",
            f"no student of {name} could be asked for several samples",
            where=f"dataset {material.dataset[:12]}",
            expected="a finished language model on the latest dataset that does not write codes",
            got=f"{len(found)} other students" if found else "no student",
            hint=f"journeyman tune {name}, or journeyman tune {name} --kind prompt",
        )
    run = of or find_best(workspace, material.task, material.dataset, able)
    return RunFolder(runs / run), able[run]


def _describe(student: Student) -> str:
    if student.sampling is not None:
        return "votes"
    return "codes, one token for a whole answer" if student.form == "codes" else f"kind {student.manifest.kind}"


def _write(material: Material, made: RunFolder, asked: Student, source: RunFolder, plan: Mapping[str, Json]) -> Student:
    """A copy of the student that is asked, with how its samples are drawn."""
    folder, manifest = made.path / STUDENT, asked.manifest
    files = {role: entry["path"] for role, entry in manifest.files.items()}
    for path in files.values():
        with disk_errors(folder / path):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(asked.folder / path, folder / path)
    made.write(PLAN, plan)
    seconds = cast(float, (source.read(RESULT) or {}).get("seconds") or 0.0)  # without that tuning there is no vote
    result: dict[str, Json] = {"seconds": seconds, "tokens": 0, "steps": 0, "lesson": {"of": source.id}}
    made.write(RESULT, result | {"dev_exact": None, "dev_loss": None, "dev_row_loss": None})
    settings = {name: cast(dict[str, Json], plan[name])["value"] for name in ("samples", "temperature")}
    sampling: dict[str, Json] = {"student": asked.hash, "kind": manifest.kind, "seed": 0, **settings}
    return write_manifest(
        folder,
        "votes",
        material.task,
        material.base,
        files,
        {**manifest.decoding, "sampling": sampling},
        manifest.engine,
        manifest.template,
    )
