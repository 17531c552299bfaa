"""While the server runs: fine-tuning jobs, one at a time, each in a process of its own.

The process is ended with its whole group when its job is cancelled, when another worker has it, or when the server stops. A job whose process died is tried again, three
times in all; one that only the server's end interrupted is not counted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from subprocess import PIPE
from subprocess import Popen as Process
from typing import cast

from starlette.applications import Starlette

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError, ServeError
from journeyman.core.files import disk_errors
from journeyman.core.ids import make_id
from journeyman.flows.loading import Load
from journeyman.flows.tunable import files_folder, find_tunable
from journeyman.flows.tuned_students import TunedStudents, read_tuned
from journeyman.flows.workspace import Workspace
from journeyman.gateway.callers import Doorkeeper
from journeyman.gateway.fine_tuning import add_fine_tuning
from journeyman.gateway.registry import Registry
from journeyman.gateway.tuning_request import KIND
from journeyman.store.jobs import Job

LOG = logging.getLogger("journeyman.gateway")
POLL_S, LOOK_S, BEAT_S, LEASE_S = 1.0, 0.1, 1.0, 15.0
MOST_ATTEMPTS = 3
LOGS = "jobs"
"""Where in the project's state processes write what they say, a file for each job."""


async def open_fine_tuning(
    stack: AsyncExitStack, workspace: Workspace, registry: Registry, load: Load
) -> Callable[[Starlette, Doorkeeper], None]:
    """Serve the students of earlier jobs and work on new ones until ``stack`` closes; what adds the routes to the server."""
    students = TunedStudents(workspace, registry, load)
    stack.push_async_callback(students.close)
    await students.follow()
    working = asyncio.create_task(TuningWorker(workspace, students).run())
    stack.push_async_callback(_stop, working)
    folder = files_folder(workspace.project)
    return partial(add_fine_tuning, workspace.store.desk, folder, partial(find_tunable, workspace))


async def _stop(working: asyncio.Task[None]) -> None:
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working


class TuningWorker:
    def __init__(self, workspace: Workspace, students: TunedStudents) -> None:
        self._workspace = workspace
        self._desk = workspace.store.desk
        self._students = students
        self._name = make_id("worker", bits=60)

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as both:  # which waits for both to end
            both.create_task(_repeat(self._students.follow))
            both.create_task(_repeat(self._turn))

    async def _turn(self) -> None:
        now = self._workspace.now
        if await asyncio.to_thread(self._desk.has_claimable, KIND, now()):
            job = await asyncio.to_thread(self._desk.claim, KIND, self._name, now(), LEASE_S)
            if job is not None:
                await self._work(job)

    async def _work(self, job: Job) -> None:
        if job.attempts > MOST_ATTEMPTS:
            await asyncio.to_thread(self._give_up, job, "the server died each time")
            return
        process = self._start(job)
        beating = asyncio.create_task(self._beat(job, process))
        try:
            while process.poll() is None:  # noqa: ASYNC110  # a process tells nobody of its end
                await asyncio.sleep(LOOK_S)
            await self._conclude(job, process.returncode)
        except asyncio.CancelledError:
            _kill(process)
            await asyncio.to_thread(process.wait)
            with suppress(JourneymanError):
                self._desk.put_back(job.id, self._name, is_counted=False)
            raise
        finally:
            beating.cancel()
            _kill(process)  # also what it started and left
            process.communicate()

    def _start(self, job: Job) -> Process[bytes]:
        """Raises: StoreError: JM-801, JM-802 of the log."""
        path = self._workspace.project.state / LOGS / f"{job.id}.log"
        root = str(self._workspace.project.root)
        command = [sys.executable, "-m", "journeyman.flows.tuning_process", root, job.id, self._name]
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as log:
                return Process(command, stdin=PIPE, stdout=log, stderr=log, start_new_session=True)

    async def _beat(self, job: Job, process: Process[bytes]) -> None:
        """Keep the lease; end the process once the job is not ours."""
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                is_ours = await asyncio.to_thread(
                    self._workspace.store.heartbeat, job.id, self._name, self._workspace.now(), LEASE_S
                )
            except JourneymanError as error:
                LOG.warning("%s: the lease could not be extended: %s", job.id, error)
                continue
            if not is_ours:
                _kill(process)
                return

    async def _conclude(self, job: Job, code: int) -> None:
        """Of a process that ended: serve its student, then say that it is done; or try again."""
        found = await asyncio.to_thread(self._workspace.store.job, job.id)
        if found is None or found.status != "running" or found.worker != self._name:
            return
        state = found.state if isinstance(found.state, dict) else {}
        result = cast("dict[str, Json] | None", state.get("result"))
        if result is not None:
            await self._students.serve(read_tuned(found, result))
            await asyncio.to_thread(self._finish, job, result)
            return
        why = (
            f"the tuning process ended by signal {-code}"
            if code < 0
            else f"the tuning process ended with status {code}"
        )
        if job.attempts >= MOST_ATTEMPTS:
            await asyncio.to_thread(self._give_up, job, why)
        else:
            await asyncio.to_thread(self._try_again, job, why)

    def _finish(self, job: Job, result: dict[str, Json]) -> None:
        now = self._workspace.now()
        if self._desk.finish(job.id, self._name, now, result=result):
            self._desk.add_event(job.id, now, "The job has successfully completed")

    def _try_again(self, job: Job, why: str) -> None:
        self._desk.add_event(job.id, self._workspace.now(), f"{why}; it is tried again", "warn")
        self._desk.put_back(job.id, self._name, is_counted=True)

    def _give_up(self, job: Job, why: str) -> None:
        message = ServeError(
            "JM-778",
            f"the job was tried {MOST_ATTEMPTS} times",
            got=why,
            hint=f"read .journeyman/{LOGS}/{job.id}.log, then create the job again",
        ).message()
        now = self._workspace.now()
        if self._desk.finish(job.id, self._name, now, error=message):
            self._desk.add_event(job.id, now, message, "error")


def _kill(process: Process[bytes]) -> None:
    """The process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _repeat(work: Callable[[], Awaitable[None]]) -> None:
    """A failure of the store or the disk is said, and tried again."""
    while True:
        try:
            await work()
        except JourneymanError as error:
            LOG.warning("fine-tuning jobs: %s", error)
        except Exception:
            LOG.exception("fine-tuning jobs")
        await asyncio.sleep(POLL_S)
