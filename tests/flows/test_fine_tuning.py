"""An existing fine-tuning script against `journeyman serve`: OpenAI's own client, a real store, real tuning of the tiny model in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest
from openai.types.fine_tuning import FineTuningJob

from journeyman.flows.workspace import open_workspace
from tests.flows.projects import journeyman, make_project, paint_rows, serving

SYSTEM = "Say whether the line is of several things."
LONG = 1000
"""Passes that nobody waits for."""


@pytest.fixture
def folder(tmp_path: Path, tiny_gguf: Path) -> Path:
    return make_project(tmp_path / "project", tiny_gguf)


def painted(count: int, seed: int) -> list[tuple[str, dict[str, Any]]]:
    rows: list[Any] = paint_rows(count, seed)
    return [(row["input"]["line"], row["gold"]) for row in rows]


def chat_rows(count: int, seed: int = 1, system: str = SYSTEM) -> list[dict[str, Any]]:
    rows = []
    for line, gold in painted(count, seed):
        answer = json.dumps({"many": gold["many"]})
        said = [("system", system), ("user", line), ("assistant", answer)]
        rows.append({"messages": [{"role": role, "content": text} for role, text in said]})
    return rows


def pair_rows(count: int) -> list[dict[str, Any]]:
    """Of the task paint."""

    def said(role: str, text: str) -> list[dict[str, str]]:
        return [{"role": role, "content": text}]

    return [
        {
            "input": {"messages": said("user", line)},
            "preferred_output": said("assistant", json.dumps(gold)),
            "non_preferred_output": said("assistant", json.dumps(gold | {"many": not gold["many"]})),
        }
        for line, gold in painted(count, 1)
    ]


def upload(client: openai.OpenAI, rows: list[dict[str, Any]], name: str = "train.jsonl") -> str:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return client.files.create(file=(name, data), purpose="fine-tune").id


@contextmanager
def client_of(folder: Path, key: str = "none") -> Iterator[openai.OpenAI]:
    with (
        serving(folder, "--empty") as said,
        openai.OpenAI(base_url=said["openai"], api_key=key, max_retries=0) as client,
    ):
        yield client


def make_key(folder: Path, name: str, *arguments: str) -> str:
    done = journeyman(folder, "key", "add", name, *arguments, "--json")
    return str(json.loads(done.stdout)["secret"])


@contextmanager
def server_of(folder: Path) -> Iterator[tuple[subprocess.Popen[str], openai.OpenAI]]:
    """A server that may be killed."""
    command = [sys.executable, "-m", "journeyman", "serve", "--empty", "--port", "0", "--json"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = json.loads("".join([*iter(server.stdout.readline, "}\n"), "}"]))
        with openai.OpenAI(base_url=said["openai"], api_key="none", max_retries=0) as client:
            yield server, client
        server.kill()


def wait(look: Callable[[], Any], patience_s: float = 120.0) -> Any:
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError("it never came")


def ended(client: openai.OpenAI, id: str) -> FineTuningJob:
    def look() -> FineTuningJob | None:
        job = client.fine_tuning.jobs.retrieve(id)
        return job if job.status in ("succeeded", "failed", "cancelled") else None

    found: FineTuningJob = wait(look)
    return found


def tuning_process(id: str) -> psutil.Process | None:
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "journeyman.flows.tuning_process" in command and id in command:
            return process
    return None


def messages_of(client: openai.OpenAI, id: str) -> list[str]:
    """Oldest first, over all pages."""
    return [event.message for event in client.fine_tuning.jobs.list_events(id, limit=5)][::-1]


def begin(client: openai.OpenAI, file: str, epochs: int) -> str:
    """A job that is learning when this returns."""
    hyperparameters: Any = {"n_epochs": epochs}
    made = client.fine_tuning.jobs.create(model="base:tiny", training_file=file, hyperparameters=hyperparameters)
    wait(lambda: any("training loss" in message for message in messages_of(client, made.id)))
    return made.id


def ask(client: openai.OpenAI, model: str, system: str = SYSTEM) -> dict[str, Any]:
    said = [{"role": "system", "content": system}] if system else []
    said.append({"role": "user", "content": "two red things"})
    reply = client.chat.completions.create(model=model, messages=said)  # type: ignore[arg-type]
    return dict(json.loads(reply.choices[0].message.content or ""))


def test_a_script_tunes_a_base_and_asks_the_student(folder: Path) -> None:
    secret, other = (make_key(folder, name, "--tune") for name in ("tuner", "other"))
    plain = make_key(folder, "plain")
    with client_of(folder, secret) as client:
        training = upload(client, chat_rows(36))
        validation = upload(client, chat_rows(8, seed=3), "valid.jsonl")
        asked: Any = {"n_epochs": 1, "batch_size": 4, "learning_rate_multiplier": 0.5}
        job = client.fine_tuning.jobs.create(
            model="base:tiny",
            training_file=training,
            validation_file=validation,
            suffix="Many things",
            seed=7,
            method={"type": "supervised", "supervised": {"hyperparameters": asked}},
            metadata={"team": "shop"},
        )
        assert (job.status, job.fine_tuned_model, job.seed, job.metadata) == ("queued", None, 7, {"team": "shop"})
        done = ended(client, job.id)
        assert done.status == "succeeded", done.error
        name = str(done.fine_tuned_model)
        check_done(client, done)
        for key in (other, plain):
            check_stranger(client.with_options(api_key=key), done)
        with pytest.raises(openai.PermissionDeniedError, match="JM-776"):
            upload(client.with_options(api_key=plain), chat_rows(10))
        (folder / ".journeyman/files" / training).unlink()
        with pytest.raises(openai.APIStatusError, match="JM-777 training_file"):
            client.fine_tuning.jobs.create(model="base:tiny", training_file=training)
    with open_workspace(folder) as workspace:
        (run,) = workspace.project.runs.glob("many-things-*")
        settings = json.loads((run / "plan.json").read_text())
        assert (settings["epochs"]["value"], settings["seed"]["value"]) == (1, 7)
        assert "times 0.5" in settings["rate"]["reason"]
        assert "about 4 rows" in settings["batch_tokens"]["reason"]
        assert workspace.store.alias(name.partition("@")[0]) is None
    with client_of(folder, secret) as client:
        assert set(ask(client, name)) == {"many"}


def check_done(client: openai.OpenAI, done: FineTuningJob) -> None:
    name = str(done.fine_tuned_model)
    assert name.startswith("many-things-")
    assert set(ask(client, name)) == {"many"}
    assert name in [model.id for model in client.models.list()]
    assert (done.trained_tokens or 0) > 0
    assert (done.finished_at or 0) >= done.created_at
    said = messages_of(client, done.id)
    assert said[0].startswith("Created")
    assert said[-1] == "The job has successfully completed"
    assert any("8 dev" in message for message in said)
    curve = client.files.content(done.result_files[0]).text.splitlines()
    assert curve[0].startswith("step,train_loss")
    assert len(curve) > 3
    (checkpoint,) = client.fine_tuning.jobs.checkpoints.list(done.id).data
    assert checkpoint.fine_tuned_model_checkpoint == name
    assert checkpoint.metrics.valid_loss is not None
    with pytest.raises(openai.APIStatusError, match="JM-715"):
        ask(client, "task:" + name.partition("@")[0])
    with pytest.raises(openai.BadRequestError, match="JM-779"):
        client.fine_tuning.jobs.cancel(done.id)


def check_stranger(client: openai.OpenAI, done: FineTuningJob) -> None:
    """Another key hears of nothing: neither of files and jobs, nor of the student and its instruction."""
    name = str(done.fine_tuned_model)
    for look in (client.fine_tuning.jobs.retrieve, client.fine_tuning.jobs.cancel):
        with pytest.raises(openai.NotFoundError, match="JM-774"):
            look(done.id)
    with pytest.raises(openai.NotFoundError, match="JM-770"):
        client.files.content(done.training_file)
    assert client.files.list().data == []
    assert client.fine_tuning.jobs.list().data == []
    with pytest.raises(openai.PermissionDeniedError, match="JM-741"):
        ask(client, name)
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, "task:" + name.partition("@")[0])
    assert name[-8:] not in str(caught.value)
    assert name not in [model.id for model in client.models.list()]
    tasks = client.with_options(base_url=str(client.base_url).replace("/v1", "")).get("/tasks", cast_to=object)
    assert "many-things" not in json.dumps(tasks)


def test_killed_jobs_go_on_and_cancelled_ones_end(folder: Path) -> None:
    """First the tuning process is killed, then the server over a job that is cancelled in the end."""
    with server_of(folder) as (server, client):
        file = upload(client, chat_rows(30))
        id = begin(client, file, 12)
        first = tuning_process(id)
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        done = ended(client, id)
        assert done.status == "succeeded", done.error
        said = messages_of(client, id)
        assert "the tuning process ended by signal 9; it is tried again" in said
        assert "Attempt 2 goes on where the last one ended" in said
        assert sum(message.startswith("Dataset ") for message in said) == 1
        assert set(ask(client, str(done.fine_tuned_model))) == {"many"}

        id = begin(client, file, LONG)
        running = tuning_process(id)
        assert running is not None
        server.kill()
    wait(lambda: not running.is_running())
    with client_of(folder) as client:
        wait(lambda: "Attempt 2 goes on where the last one ended" in messages_of(client, id))
        again = tuning_process(id)
        assert again is not None
        assert client.fine_tuning.jobs.cancel(id).status == "cancelled"
        wait(lambda: not again.is_running() or again.status() == psutil.STATUS_ZOMBIE)
        assert client.fine_tuning.jobs.retrieve(id).fine_tuned_model is None
        page = client.fine_tuning.jobs.list(limit=1)
        assert ([job.id for job in page.data], page.has_more) == ([id], True)
        assert len(list(client.fine_tuning.jobs.list(limit=1))) == 2


def test_preferences_are_learned_on_top_of_an_existing_task(folder: Path) -> None:
    with client_of(folder) as client:
        hyperparameters: Any = {"n_epochs": 1, "beta": 0.2}
        method: Any = {"type": "dpo", "dpo": {"hyperparameters": hyperparameters}}
        file = upload(client, pair_rows(30))
        job = ended(client, client.fine_tuning.jobs.create(model="task:paint", training_file=file, method=method).id)
        assert job.status == "succeeded", job.error
        name = str(job.fine_tuned_model)
        assert name.startswith("paint@")
        assert set(ask(client, name, "")) == {"colour", "many"}
    with open_workspace(folder) as workspace:
        plans = [json.loads(path.read_text()) for path in workspace.project.runs.glob("paint-tune-*/plan.json")]
        assert [plan["beta"]["value"] for plan in plans if "beta" in plan] == [0.2]
        assert len(plans) == 2
        assert workspace.store.alias("paint") is None
