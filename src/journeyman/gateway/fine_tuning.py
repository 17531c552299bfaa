"""`/v1/fine_tuning/jobs`: OpenAI's objects over the store's jobs. Who runs them is elsewhere; here they are asked for, listed and cancelled.

A job is its caller's own: to every other key it is as unknown as one that never was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError, StoreError
from journeyman.data.tuning_file import TuningFile
from journeyman.gateway.body import read_body
from journeyman.gateway.callers import Caller, Doorkeeper
from journeyman.gateway.failures import json_response
from journeyman.gateway.files import PURPOSE, FileRoutes, unknown_file, vanished
from journeyman.gateway.pages import check_query, read_limit, write_page
from journeyman.gateway.tuning_request import KIND, TuningRequest, read_request, refuse
from journeyman.store.desk import Desk
from journeyman.store.job_events import JobEvent
from journeyman.store.jobs import Job, seconds

BODY_LIMIT_BYTES = 100_000
LEAST_ROWS = 10
STATUS = {"queued": "queued", "running": "running", "done": "succeeded", "failed": "failed", "cancelled": "cancelled"}
EVENT = "ftevent-"
Tunable = Callable[[], Mapping[str, str]]
"""Names that can be tuned, ``base:...`` and ``task:...``, with the task's instruction, empty for a base. Raises ServeError JM-773 where nothing can be tuned here."""


def add_fine_tuning(desk: Desk, folder: Path, tunable: Tunable, app: Starlette, keeper: Doorkeeper) -> None:
    """The routes of files and jobs; files lie in ``folder``."""
    files = FileRoutes(desk, folder, keeper)
    jobs = JobRoutes(desk, folder, tunable, keeper)
    app.add_route("/v1/files", files.create, methods=["POST"])
    app.add_route("/v1/files", files.list, methods=["GET"])
    app.add_route("/v1/files/{id}", files.retrieve, methods=["GET"])
    app.add_route("/v1/files/{id}", files.delete, methods=["DELETE"])
    app.add_route("/v1/files/{id}/content", files.content, methods=["GET"])
    app.add_route("/v1/fine_tuning/jobs", jobs.create, methods=["POST"])
    app.add_route("/v1/fine_tuning/jobs", jobs.list, methods=["GET"])
    app.add_route("/v1/fine_tuning/jobs/{id}", jobs.retrieve, methods=["GET"])
    app.add_route("/v1/fine_tuning/jobs/{id}/cancel", jobs.cancel, methods=["POST"])
    app.add_route("/v1/fine_tuning/jobs/{id}/events", jobs.events, methods=["GET"])
    app.add_route("/v1/fine_tuning/jobs/{id}/checkpoints", jobs.checkpoints, methods=["GET"])


class JobRoutes:
    def __init__(
        self,
        desk: Desk,
        folder: Path,
        tunable: Tunable,
        keeper: Doorkeeper,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._desk = desk
        self._folder = folder
        self._tunable = tunable
        self._keeper = keeper
        self._now = now

    async def create(self, request: Request) -> Response:
        caller = await self._keeper.admit(request.headers)
        caller.check_tuner()
        asked = read_request(await read_body(request, BODY_LIMIT_BYTES))
        return json_response(write_job(await asyncio.to_thread(self._create, asked, caller)))

    def _create(self, asked: TuningRequest, caller: Caller) -> Job:
        instruction = self._check_model(asked.model, caller)
        training = self._find_file(asked.training_file, "training_file", caller)
        _check_training(asked, training, instruction)
        if asked.validation_file:
            _check_validation(training, self._find_file(asked.validation_file, "validation_file", caller))
        id = self._desk.add_job(KIND, asked.to_json(), caller.id, self._time(), "ftjob")
        self._desk.add_event(id, self._time(), f"Created fine-tuning job: {id}")
        made = self._desk.job(id, caller.id)
        assert made is not None, "it was just added"
        return made

    async def list(self, request: Request) -> Response:
        caller = await self._keeper.admit(request.headers)
        check_query(request, ("after", "limit"))
        limit, after = read_limit(request, 20, 100), request.query_params.get("after", "")
        try:
            found = await asyncio.to_thread(self._desk.jobs, KIND, caller.id, after, limit + 1)
        except StoreError as error:
            raise (_unknown(after) if error.code == "JM-813" else error) from error
        return json_response(write_page([write_job(job) for job in found[:limit]], has_more=len(found) > limit))

    async def retrieve(self, request: Request) -> Response:
        return json_response(write_job(await self._find(request)))

    async def cancel(self, request: Request) -> Response:
        """Raises: ServeError: JM-779 it has ended."""
        job = await self._find(request)
        if not await asyncio.to_thread(self._desk.cancel, job.id, self._time()):
            job = await self._find(request)
            raise ServeError(
                "JM-779", "this job has ended", where=job.id, got=STATUS[job.status], hint="nothing is left to cancel"
            )
        await asyncio.to_thread(self._desk.add_event, job.id, self._time(), "The job has been cancelled")
        return json_response(write_job(await self._find(request)))

    async def events(self, request: Request) -> Response:
        job = await self._find(request)
        check_query(request, ("after", "limit"))
        limit, before = read_limit(request, 20, 100), _read_event(request.query_params.get("after"))
        found = await asyncio.to_thread(self._desk.events, job.id, before, limit + 1)
        return json_response(write_page([write_event(item) for item in found[:limit]], has_more=len(found) > limit))

    async def checkpoints(self, request: Request) -> Response:
        """The student, chosen by dev: what a run keeps besides is there to go on from after a kill, and answers nothing."""
        job = await self._find(request)
        check_query(request, ("after", "limit"))
        limit, after = read_limit(request, 10, 100), request.query_params.get("after")
        found = [] if after or job.status != "done" else [write_checkpoint(job)]
        return json_response(write_page(found[:limit], has_more=False))

    async def _find(self, request: Request) -> Job:
        caller = await self._keeper.admit(request.headers)
        id = request.path_params["id"]
        job = await asyncio.to_thread(self._desk.job, id, caller.id)
        if job is None or job.kind != KIND:
            raise _unknown(id)
        return job

    def _check_model(self, name: str, caller: Caller) -> str:
        """The task's instruction. Raises: ServeError: JM-773 it cannot be tuned here, or not by this caller."""
        known = self._tunable()
        mine = {
            other: text
            for other, text in known.items()
            if (caller.may_ask(other.removeprefix("task:")) if other.startswith("task:") else caller.may_pass(other))
        }
        if name not in mine:
            raise ServeError(
                "JM-773",
                f"{name:.80} cannot be tuned here",
                where="model",
                expected="one of " + ", ".join(mine) if mine else "nothing can be tuned with this key",
                got=name[:80],
                hint="`journeyman pull NAME` gets another base; a task is a file under tasks/",
            )
        return mine[name]

    def _find_file(self, id: str, where: str, caller: Caller) -> TuningFile:
        file = self._desk.file(id, caller.id)
        if file is None:
            raise unknown_file(id, where)
        if file.purpose != PURPOSE:
            raise refuse(where, "this file was not uploaded to tune on", f"purpose {PURPOSE}", file.purpose)
        if not (self._folder / id).is_file():
            raise vanished(id, where)
        return TuningFile.from_json(cast("dict[str, Json]", file.facts))

    def _time(self) -> str:
        return self._now().isoformat(timespec="microseconds")


def _check_training(asked: TuningRequest, file: TuningFile, instruction: str) -> None:
    wanted = "preference" if asked.method == "dpo" else "chat"
    if file.shape != wanted:
        other = "dpo" if asked.method == "supervised" else "supervised"
        raise refuse(
            "training_file", f"{asked.method} learns from {wanted} rows", f"such rows, or method {other}", file.shape
        )
    if file.rows < LEAST_ROWS:
        raise refuse("training_file", "the file has too few rows", f"at least {LEAST_ROWS}", file.rows)
    if file.other_row:
        raise refuse(
            "training_file",
            f"row {file.other_row} has another system text",
            "one for all rows: the task's instruction",
            "",
        )
    if asked.task and file.system.split() and file.system.split() != instruction.split():
        raise refuse(
            "training_file",
            "the system text is not the task's instruction",
            f"none, or: {instruction:.120}",
            file.system,
        )


def _check_validation(training: TuningFile, file: TuningFile) -> None:
    is_like = file.shape == training.shape and file.system.split() == training.system.split() and not file.other_row
    if not is_like:
        raise refuse(
            "validation_file",
            "its rows are not like those of the training file",
            "the same shape and system text",
            file.shape,
        )


def write_job(job: Job) -> dict[str, Json]:
    """OpenAI's job object."""
    asked = TuningRequest.from_json(cast("dict[str, Json]", job.payload))
    result = cast("dict[str, Json]", job.result or {})
    is_done = job.status == "done"
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "created_at": int(seconds(job.created)),
        "finished_at": int(seconds(job.finished)) if job.finished else None,
        "status": STATUS[job.status],
        "model": asked.model,
        "fine_tuned_model": result.get("fine_tuned_model") if is_done else None,
        "trained_tokens": result.get("trained_tokens") if is_done else None,
        "result_files": result.get("result_files", []) if is_done else [],
        "error": _write_error(job),
        "training_file": asked.training_file,
        "validation_file": asked.validation_file or None,
        "hyperparameters": dict(asked.hyperparameters) if asked.method == "supervised" else {},
        "method": {"type": asked.method, asked.method: {"hyperparameters": dict(asked.hyperparameters)}},
        "seed": asked.seed or 0,
        "suffix": asked.suffix or None,
        "metadata": dict(asked.metadata) or None,
        "organization_id": "journeyman",
        "estimated_finish": None,
        "integrations": [],
    }


def write_event(event: JobEvent) -> dict[str, Json]:
    return {
        "id": f"{EVENT}{event.number}",
        "object": "fine_tuning.job.event",
        "created_at": int(seconds(event.time)),
        "level": event.level,
        "message": event.message,
        "type": "metrics" if event.data is not None else "message",
        "data": event.data if event.data is not None else {},
    }


def write_checkpoint(job: Job) -> dict[str, Json]:
    result = cast("dict[str, Json]", job.result)
    return {
        "id": job.id.replace("ftjob", "ftckpt", 1),
        "object": "fine_tuning.job.checkpoint",
        "created_at": int(seconds(job.finished)),
        "fine_tuned_model_checkpoint": result["fine_tuned_model"],
        "fine_tuning_job_id": job.id,
        "metrics": result["metrics"],
        "step_number": result["steps"],
    }


def _write_error(job: Job) -> dict[str, Json] | None:
    if job.status != "failed":
        return None
    param = cast("dict[str, Json]", job.result or {}).get("param")
    return {"code": job.error.partition(" ")[0], "message": job.error, "param": param}


def _unknown(id: str) -> ServeError:
    return ServeError("JM-774", "there is no such job", got=id[:80], hint="client.fine_tuning.jobs.list() names yours")


def _read_event(after: str | None) -> int | None:
    if after is None:
        return None
    number = after.removeprefix(EVENT)
    if not (number.isascii() and number.isdecimal() and len(number) < 16):
        raise refuse("after", "this is no event", f"{EVENT}...", after)
    return int(number)
