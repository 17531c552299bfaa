"""A fine-tuning job as the project's own commands: import, prepare, tune, and the student's folder among the releases, without any alias.

Each step finds what an earlier attempt has done: rows by their keys, the dataset by what the job wrote down, the run by its key.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import StoreError
from journeyman.core.files import write_atomic
from journeyman.data.tuning_file import TuningFile
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.releases import publish
from journeyman.flows.runs import RESULT, RunFolder
from journeyman.flows.tunable import files_folder, find_base
from journeyman.flows.tune import Request, TuneResult, tune
from journeyman.flows.workspace import Workspace
from journeyman.gateway.files import RESULTS, unknown_file, vanished
from journeyman.gateway.tuning_request import TuningRequest, make_slug
from journeyman.store.files import StoredFile
from journeyman.store.job_events import Level
from journeyman.store.jobs import Job
from journeyman.task.file import load_task, write_task

NO_INSTRUCTION = "Answer the message."
BUSY_S = 1.0


class LostJobError(Exception):
    """The job is another worker's now, or was cancelled: nothing more may be written for it."""


@dataclass(frozen=True)
class JobWork:
    """One attempt. ``worker`` is who holds the lease."""

    workspace: Workspace
    job: Job
    asked: TuningRequest
    worker: str

    def say(self, message: str, level: Level = "info", data: Json = None) -> None:
        self.workspace.store.desk.add_event(self.job.id, self.workspace.now(), message, level, data)

    def keep(self, state: Mapping[str, Json]) -> None:
        """Raises: LostJobError."""
        if not self.workspace.store.desk.write_state(self.job.id, self.worker, dict(state)):
            raise LostJobError


def run_job(work: JobWork) -> dict[str, Json]:
    """Do the job, or what is left of it; what `fine_tuning.job` objects tell of it.

    Raises:
        ServeError: JM-777 a file is gone; else what the commands raise. LostJobError: it is not ours any more.
    """
    state = cast("dict[str, Json] | None", work.job.state)
    if state is None:
        state = _prepare(work)
        work.keep(state)
    task, dataset = str(state["task"]), str(state["dataset"])
    results = _tune(work, task, dataset)
    last = results[-1]
    publish(work.workspace, task, last.student)
    for problem in cast("list[str]", last.parity.get("problems", [])):
        work.say(f"What is served differs from what was tuned: {problem}", "warn")
    tuned = last.run.read(RESULT) or {}
    name = f"{task}@{last.student.hash}"
    work.say(f"New fine-tuned model created: {name}")
    return {
        "task": task,
        "student": last.student.hash,
        "run": last.run.id,
        "fine_tuned_model": name,
        "trained_tokens": sum(cast(int, (result.run.read(RESULT) or {}).get("tokens", 0)) for result in results),
        "steps": tuned.get("steps", 0),
        "metrics": {"step": tuned.get("steps", 0), "valid_loss": tuned.get("dev_loss")},
        "result_files": [_write_results(work, last.run)],
    }


def _prepare(work: JobWork) -> dict[str, Json]:
    """The task, with the rows of the files, and the dataset that this job tunes on from now on, whatever is imported later."""
    workspace, asked = work.workspace, work.asked
    training, path = _find_file(work, asked.training_file, "training_file")
    task = asked.task or _make_task(work, training)
    _import(work, task, path, asked.training_file, is_validation=False)
    if asked.validation_file:
        _, path = _find_file(work, asked.validation_file, "validation_file")
        _import(work, task, path, asked.validation_file, is_validation=True)
    prepared = prepare_task(workspace, task)
    counts = ", ".join(f"{prepared.count(split)} {split}" for split in ("train", "dev", "calibration", "test"))
    work.say(f"Dataset {prepared.hash[:12]} of task {task}: {counts}; test rows stay sealed for the gate")
    return {"task": task, "dataset": prepared.hash}


def _import(work: JobWork, task: str, path: Path, id: str, *, is_validation: bool) -> None:
    split, source = "dev" if is_validation else None, f"fine-tuning {id}"
    report = import_sources(work.workspace, task, [str(path)], split=split, provenance=source, is_private=True)  # type: ignore[arg-type]
    work.say(f"{report.read} rows read from {id}")
    if report.quarantined:
        why = "; ".join(f"{count} x {reason}" for reason, count in report.reasons.items())
        work.say(f"{report.quarantined} rows of {id} do not fit the task and were set aside: {why}", "warn")


def _tune(work: JobWork, task: str, dataset: str) -> list[TuneResult]:
    """Plain tuning, and where preferences were given a run on top of it."""
    asked, base = work.asked, find_base(work.workspace.project, work.asked.model)
    settings = asked.settings()
    if asked.method == "supervised":
        return [_tune_alone(work, task, settings, Request("sft", base=base, dataset=dataset))]
    seed = {"seed": settings["seed"]} if "seed" in settings else {}
    first = _tune_alone(work, task, seed, Request("sft", base=base, dataset=dataset))
    second = Request("dpo", start=first.run.id, base=base, dataset=dataset)
    return [first, _tune_alone(work, task, settings, second)]


def _tune_alone(work: JobWork, task: str, settings: Mapping[str, Json], request: Request) -> TuneResult:
    """Where somebody works on the same run, perhaps the attempt before, which is ending, wait."""
    is_told = False
    while True:
        try:
            return tune(work.workspace, task, settings, request)
        except StoreError as error:
            if error.code != "JM-821":
                raise
        if not is_told:
            work.say("Another process works on this run; waiting for it", "warn")
            is_told = True
        time.sleep(BUSY_S)


def _find_file(work: JobWork, id: str, where: str) -> tuple[TuningFile, Path]:
    """Raises: ServeError: JM-770 deleted since, JM-777 its bytes are gone."""
    file, path = work.workspace.store.desk.file(id, work.job.owner), files_folder(work.workspace.project) / id
    if file is None:
        raise unknown_file(id, where)
    if not path.is_file():
        raise vanished(id, where)
    return TuningFile.from_json(cast("dict[str, Json]", file.facts)), path


def _make_task(work: JobWork, file: TuningFile) -> str:
    """A task file of the rows' system text and of what their answers have in common; the same one for every attempt."""
    name = f"{make_slug(work.asked.suffix) or 'tuned'}-{work.job.id.rpartition('-')[2]}"
    path = work.workspace.project.tasks / f"{name}.yaml"
    if not path.is_file():
        schema = dict(file.schema) if file.schema is not None else None
        content: dict[str, Json] = {
            "edition": 1,
            "name": name,
            "instruction": file.system if file.system.strip() else NO_INSTRUCTION,
            "input": {"message": "string"},
            "output": schema if schema is not None else "text",
            "gate": {"metric": "exact_match", "against": "agreement", "margin": 0.05},
        }
        write_atomic(path, write_task(content))
        try:
            load_task(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return name


def _write_results(work: JobWork, run: RunFolder) -> str:
    """The curve of the run as a file of the caller's; its id. The same one for every attempt."""
    id, desk = work.job.id.replace("ftjob", "file", 1), work.workspace.store.desk
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["step", "train_loss", "valid_loss", "valid_exact"])
    for event in run.events():
        table.writerow([event.get("step"), event.get("loss"), event.get("dev_loss"), event.get("dev_exact")])
    data = text.getvalue().encode()
    write_atomic(files_folder(work.workspace.project) / id, data)
    if desk.file(id, work.job.owner) is None:
        name = f"{work.job.id}-results.csv"
        desk.add_file(StoredFile(id, work.job.owner, name, RESULTS, work.workspace.now(), len(data)))
    return id
