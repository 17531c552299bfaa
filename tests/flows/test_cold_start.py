"""A server whose workers come and go: who answers meanwhile, and what the replies say of it."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import openai
import pytest

from journeyman.flows.releases import release
from journeyman.flows.workspace import open_workspace
from tests.flows.conftest import Loop
from tests.flows.projects import serving
from tests.flows.providers import provider

RIGHT = '{"colour": "red", "many": true}'
LAZY = '[serve]\nstart = "call"\nwait_s = 60\n'


@pytest.fixture
def project(loop: Loop, tmp_path: Path) -> Path:
    return Path(shutil.copytree(loop.folder, tmp_path / "project"))


def add_settings(folder: Path, text: str) -> None:
    settings = folder / "journeyman.toml"
    settings.write_text(settings.read_text() + "\n" + text, encoding="utf-8")


def write_route(folder: Path, route: str) -> None:
    task = folder / "tasks/paint.yaml"
    task.write_text(f"{task.read_text()}\nroute: {route}\n", encoding="utf-8")


def ask(client: openai.OpenAI, model: str = "task:paint") -> tuple[str, str | None]:
    """The route, and how the worker was found."""
    reply = client.chat.completions.with_raw_response.create(
        model=model,
        messages=[{"role": "user", "content": "two red things"}],
        max_tokens=24 if model.startswith("base:") else openai.omit,
    )
    return reply.headers["x-journeyman-route"], reply.headers.get("x-journeyman-start")


def until(is_so: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_the_first_call_starts_the_worker_where_nobody_else_would_answer(
    project: Path, workers: Callable[[], set[int]]
) -> None:
    add_settings(project, LAZY)
    with serving(project) as said, openai.OpenAI(base_url=said["openai"], api_key="none", max_retries=0) as client:
        assert not workers()
        assert ask(client) == ("student: policy", "cold")
        assert ask(client) == ("student: policy", "warm")
        assert len(workers()) == 1


def test_the_teacher_covers_the_start(project: Path) -> None:
    add_settings(project, LAZY)
    write_route(project, "{policy: auto, patience_s: 0.05}")
    with (
        provider(project, lambda _body: (200, RIGHT)),
        serving(project) as said,
        openai.OpenAI(base_url=said["openai"], api_key="none", max_retries=0) as client,
    ):
        assert ask(client) == ("teacher: cold", None)
        until(lambda: ask(client)[0].startswith("student"))
    with open_workspace(project) as workspace:
        first = next(iter(workspace.store.traces("paint", origins=("serve",))))
    route = first.verdicts["route"]
    assert isinstance(route, dict)
    assert (route["by"], route["why"], first.model) == ("teacher", "cold", "big")


def test_a_base_answers_by_its_name_on_the_same_worker(project: Path, workers: Callable[[], set[int]]) -> None:
    with serving(project) as said, openai.OpenAI(base_url=said["openai"], api_key="none", max_retries=0) as client:
        (base,) = [item.id for item in client.models.list() if item.id.startswith("base:")]
        assert ask(client, base)[1] == "warm"
        assert len(workers()) == 1


def test_a_killed_worker_is_replaced_and_the_call_answered(project: Path, workers: Callable[[], set[int]]) -> None:
    with serving(project) as said, openai.OpenAI(base_url=said["openai"], api_key="none", max_retries=0) as client:
        assert ask(client) == ("student: policy", "warm")
        (pid,) = workers()
        os.kill(pid, signal.SIGKILL)
        assert ask(client)[0] == "student: policy"
        assert workers() != {pid}


def test_a_second_worker_takes_over_from_the_first(
    project: Path, tmp_path: Path, workers: Callable[[], set[int]]
) -> None:
    """The next release is an adapter on the same weights: no call fails while it comes."""
    with open_workspace(project) as workspace:
        from journeyman.flows.assess import assess
        from journeyman.flows.tune import tune

        first = workspace.store.alias("paint")
        second = tune(workspace, "paint", {"epochs": 1, "seed": 7})
        assess(workspace, "paint", named=second.run.id, base_rows=0)
    with serving(project) as said, openai.OpenAI(base_url=said["openai"], api_key="none", max_retries=0) as client:
        before = workers()
        with open_workspace(project) as workspace:
            hash = release(workspace, "paint", force="the second").hash
        assert hash != first

        def has_come() -> bool:
            reply = client.chat.completions.with_raw_response.create(
                model="task:paint", messages=[{"role": "user", "content": "two red things"}]
            )
            return reply.headers["x-journeyman-release"] == hash

        until(has_come)
        until(lambda: len(workers()) == 1)
        assert workers() != before
