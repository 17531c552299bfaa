"""The worker beside the server: a job whose process dies each time, and one that the server's end interrupts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from journeyman.core.canonical import Json
from journeyman.flows.tuned_students import TunedStudents
from journeyman.flows.tuning_worker import MOST_ATTEMPTS, TuningWorker
from journeyman.flows.workspace import Workspace
from journeyman.gateway.registry import Registry
from journeyman.gateway.tuning_request import KIND
from journeyman.store.jobs import Job
from tests.flows.projects import make_project

UNREADABLE: Json = {"model": "base:tiny", "colour": "red"}
"""No request: what reads it dies of a defect."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("worker") / "project", Path("/nowhere.gguf"))


def make_worker(workspace: Workspace) -> TuningWorker:
    async def load(*_: object) -> list[None]:
        raise AssertionError("there is no student")

    return TuningWorker(workspace, TunedStudents(workspace, Registry([], workspace.store.alias), load))  # type: ignore[arg-type]


async def until(workspace: Workspace, id: str, *statuses: str) -> Job:
    for _ in range(1200):
        job = workspace.store.job(id)
        assert job is not None
        if job.status in statuses:
            return job
        await asyncio.sleep(0.05)
    raise AssertionError(f"it is {job.status} for ever")


async def stop(running: asyncio.Task[None]) -> None:
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def children(id: str) -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if id in child.cmdline()]


def test_a_job_whose_process_dies_three_times_fails(workspace: Workspace) -> None:
    id = workspace.store.desk.add_job(KIND, UNREADABLE, "", workspace.now(), "ftjob")

    async def work() -> None:
        running = asyncio.create_task(make_worker(workspace).run())
        job = await until(workspace, id, "failed", "done")
        await stop(running)
        assert job.attempts == MOST_ATTEMPTS == 3
        assert job.error.startswith("JM-778 ")
        assert "ended with status 1" in job.error

    asyncio.run(work())
    said = [event.message for event in workspace.store.desk.events(id, limit=50)]
    assert sum("it is tried again" in message for message in said) == 2
    log = workspace.project.state / "jobs" / f"{id}.log"
    assert log.read_text().count("TypeError") >= 3


def test_the_servers_end_puts_a_job_back_and_does_not_count(workspace: Workspace) -> None:
    id = workspace.store.desk.add_job(KIND, UNREADABLE, "", workspace.now(), "ftjob")

    async def work() -> None:
        running = asyncio.create_task(make_worker(workspace).run())
        await until(workspace, id, "running")
        for _ in range(200):
            if children(id):
                break
            await asyncio.sleep(0.01)
        else:
            raise AssertionError("no process was started")
        await stop(running)

    asyncio.run(work())
    job = workspace.store.job(id)
    assert job is not None
    assert (job.status, job.attempts, job.worker) == ("queued", 0, "")
    assert children(id) == []


def test_a_server_that_died_with_a_job_three_times_gives_it_up(workspace: Workspace) -> None:
    desk = workspace.store.desk
    id = desk.add_job(KIND, UNREADABLE, "", workspace.now(), "ftjob")
    for _ in range(3):
        assert desk.claim(KIND, "dead", "2026-01-01T00:00:00Z", -1) is not None

    async def work() -> None:
        running = asyncio.create_task(make_worker(workspace).run())
        job = await until(workspace, id, "failed", "done")
        await stop(running)
        assert "the server died each time" in job.error

    asyncio.run(work())
    assert not (workspace.project.state / "jobs").exists()
