"""The process that does one fine-tuning job: `python -m journeyman.flows.tuning_process PROJECT JOB WORKER`.

It ends with its whole process group when its stdin ends, which is when the server closes it or dies. What was done by then is kept, and the next attempt goes on there.
Exit 0: the result, or the failure that its caller can mend, is in the store, or the job is not ours any more. Anything else: it died.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError, UserError
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.gateway.tuning_request import TuningRequest
from journeyman.store.jobs import Job

NICENESS = 10
"""Calls to the server come before tuning."""
SAID_SHARE = 0.05


def main() -> int:
    root, id, worker = sys.argv[1:]
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    os.nice(NICENESS)
    with open_workspace(Path(root)) as workspace:
        job = workspace.store.job(id)
        if job is None or job.status != "running" or job.worker != worker:
            return 0
        return _do(workspace, job, worker)


def _do(workspace: Workspace, job: Job, worker: str) -> int:
    asked = TuningRequest.from_json(cast("dict[str, Json]", job.payload))
    from journeyman.flows.tuning_job import JobWork, LostJobError, run_job  # loads what tuning needs

    store = workspace.store
    said = Workspace(workspace.project, store, JobProgress(workspace, job.id), workspace.now)
    work = JobWork(said, job, asked, worker)
    work.say(
        "Fine-tuning job started" if job.attempts == 1 else f"Attempt {job.attempts} goes on where the last one ended"
    )
    try:
        result = run_job(work)
        work.keep({**_state(workspace, job.id), "result": result})
    except LostJobError:
        return 0
    except UserError as error:
        if error.retryable:  # the database, for a while: another attempt
            raise
        param: Json = error.where if isinstance(error, ServeError) and error.where else None
        if store.desk.finish(job.id, worker, workspace.now(), error=error.message(), result={"param": param}):
            work.say(error.message(), "error")
    return 0


def _state(workspace: Workspace, id: str) -> dict[str, Json]:
    job = workspace.store.job(id)
    return dict(job.state) if job is not None and isinstance(job.state, dict) else {}


class JobProgress:
    """Progress as the job's events: every note, and of each stage some steps, a twentieth of it apart at the least."""

    def __init__(self, workspace: Workspace, id: str) -> None:
        self._workspace = workspace
        self._id = id
        self._stage, self._total, self._done, self._said = "", 0.0, 0.0, 0.0

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
        self._stage, self._total, self._done, self._said = stage, total or 0.0, 0.0, 0.0

    def advance(self, amount: float = 1.0, detail: str = "") -> None:
        self._done += amount
        if self._stage != "tune" or not detail.startswith("loss ") or not self._total:
            return
        share = self._done / self._total
        if share - self._said >= SAID_SHARE or not self._said:
            self._said = share
            numbers: dict[str, Json] = {
                "train_loss": float(detail.removeprefix("loss ")),
                "tokens": self._done,
                "total_tokens": self._total,
            }
            self._say(f"{min(share, 1):.0%} of the tokens, training {detail}", numbers)

    def finish(self, detail: str = "") -> None:
        if self._stage == "tune" and detail:
            self._say(f"Tuned: {detail}")

    def note(self, text: str) -> None:
        self._say(text)

    def _say(self, message: str, data: Json = None) -> None:
        self._workspace.store.desk.add_event(self._id, self._workspace.now(), message, "info", data)


def _end_with_the_server() -> None:
    while os.read(0, 1024):  # not sys.stdin, whose lock the interpreter would wait for at its end
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
