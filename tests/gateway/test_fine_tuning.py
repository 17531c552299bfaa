"""Files and jobs over real routes and a real store, asked by OpenAI's own client; nothing works on the jobs here."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from journeyman.core.errors import ServeError
from journeyman.core.keys import Key, hash_secret
from journeyman.gateway.app import make_app
from journeyman.gateway.callers import Doorkeeper
from journeyman.gateway.files import FileRoutes
from journeyman.gateway.fine_tuning import add_fine_tuning
from journeyman.gateway.multipart import Head, find_boundary, read_form
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry
from journeyman.gateway.server import serve_in_background
from journeyman.gateway.tuning_request import KIND
from journeyman.store.database import Store, open_store

TUNABLE = {"base:tiny": "", "task:tickets": "Sort it."}
KEYS = {
    hash_secret("jm-a"): Key("key-a", "a", hash_secret("jm-a"), "", "t", may_tune=True),
    hash_secret("jm-few"): Key("key-f", "few", hash_secret("jm-few"), "", "t", ("other",), ("gpt-*",), may_tune=True),
}


@dataclass
class Desk:
    client: openai.AsyncOpenAI
    store: Store
    folder: Path


@asynccontextmanager
async def open_desk(folder: Path, key: str = "none", limit_bytes: int | None = None) -> AsyncIterator[Desk]:
    with open_store(f"sqlite:///{folder / 'store.db'}") as store:
        keeper = Doorkeeper(KEYS.get, is_open=key == "none")
        add = partial(add_fine_tuning, store.desk, folder / "files", lambda: TUNABLE)

        def extend(app: Starlette, keeper: Doorkeeper) -> None:
            if limit_bytes is not None:
                small = FileRoutes(store.desk, folder / "files", keeper, limit_bytes)
                app.add_route("/v1/files", small.create, methods=["POST"])
            add(app, keeper)

        recorder = Recorder(store)
        app = make_app(Registry([], lambda _task: None), recorder, keeper=keeper, extend=extend)
        async with (
            serve_in_background(app) as url,
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client,
        ):
            yield Desk(client, store, folder / "files")
        recorder.close()


def rows(count: int = 12, system: str = "Sort it.") -> bytes:
    lines = []
    for number in range(count):
        said = [("system", system), ("user", f"line {number}"), ("assistant", '{"intent": "refund"}')]
        lines.append({"messages": [{"role": role, "content": text} for role, text in said if text]})
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def pairs(count: int = 12) -> bytes:
    def said(text: str) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": text}]

    asked = {"messages": [{"role": "user", "content": "a line"}]}
    row = {"input": asked, "preferred_output": said("a"), "non_preferred_output": said("b")}
    return (json.dumps(row) + "\n").encode() * count


async def upload(desk: Desk, data: bytes, name: str = "train.jsonl") -> str:
    return (await desk.client.files.create(file=(name, data), purpose="fine-tune")).id


def test_files_from_upload_to_deletion(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_desk(tmp_path) as desk:
            data = rows(2000)
            made = await desk.client.files.create(file=("größe 1.jsonl", data), purpose="fine-tune")
            assert (made.bytes, made.status, made.purpose) == (len(data), "processed", "fine-tune")
            assert made.filename == "größe 1.jsonl"
            assert (await desk.client.files.content(made.id)).content == data
            second = await upload(desk, pairs())
            assert [file.id async for file in desk.client.files.list(limit=1)] == [second, made.id]
            assert [file.id async for file in desk.client.files.list(order="asc")] == [made.id, second]
            assert (await desk.client.files.retrieve(made.id)).id == made.id
            assert (await desk.client.files.delete(made.id)).deleted
            with pytest.raises(openai.NotFoundError, match="JM-770"):
                await desk.client.files.retrieve(made.id)
            assert [path.name for path in desk.folder.iterdir()] == [second]

    asyncio.run(work())


def test_files_that_are_refused_leave_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_desk(tmp_path, limit_bytes=10_000) as desk:
            with pytest.raises(openai.BadRequestError, match="JM-771 row 13: "):
                await upload(desk, rows() + b"{broken\n")
            with pytest.raises(openai.BadRequestError, match="this file is empty"):
                await upload(desk, b"")
            with pytest.raises(openai.BadRequestError, match="JM-772 purpose"):
                await desk.client.files.create(file=("a.jsonl", rows()), purpose="assistants")
            with pytest.raises(openai.APIStatusError, match="JM-775") as caught:
                await upload(desk, rows(1000))
            assert caught.value.status_code == 413
            with pytest.raises(openai.BadRequestError, match="JM-772 body"):
                await desk.client.post("/files", body={"purpose": "fine-tune"}, cast_to=object)
            with small_files(100), pytest.raises(openai.InternalServerError, match="JM-801"):
                await upload(desk, rows())
            assert list(desk.folder.iterdir()) == []
            assert (await desk.client.files.list()).data == []

    asyncio.run(work())


@contextmanager
def small_files(most: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: what a full disk answers with."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"model": "gpt-4o"}, "JM-773 model: .*base:tiny, task:tickets"),
        ({"training_file": "file-1"}, "JM-770 training_file"),
        ({"extra_body": {"colour": "red"}}, "JM-772 colour"),
        ({"hyperparameters": {"n_epochs": 0}}, "JM-772 hyperparameters.n_epochs"),
        ({"hyperparameters": {"n_epochs": 1.5}}, "JM-772 hyperparameters.n_epochs"),
        ({"hyperparameters": {"beta": 0.1}}, "supervised has no such setting"),
        ({"method": {"type": "reinforcement"}}, "JM-772 method: "),
        ({"method": {"type": "dpo"}}, "JM-772 training_file: dpo learns from preference rows"),
        ({"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": -1}}}}, "hyperparameters.beta"),
        ({"method": {"type": "supervised", "dpo": {}}}, "JM-772 method.dpo"),
        ({"seed": -1}, "JM-772 seed"),
        ({"suffix": "1234"}, "JM-772 suffix"),
        ({"model": "task:tickets", "suffix": "mine"}, "JM-772 suffix"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, "JM-772 integrations"),
        ({"metadata": {"a": "x" * 600}}, "JM-772 metadata"),
        ({"training": 3}, "at least 10"),
        ({"training": "else"}, "row 13 has another system text"),
        ({"model": "task:tickets", "training": "sort"}, "the system text is not the task's instruction"),
        ({"validation": True}, "JM-772 validation_file"),
    ],
)
def test_jobs_that_cannot_be_honoured(tmp_path: Path, asked: dict[str, Any], told: str) -> None:
    files = {3: rows(3), "else": rows() + rows(1, "Else."), "sort": rows(system="Sort them."), None: rows()}

    async def work() -> None:
        async with open_desk(tmp_path) as desk:
            wanted = dict(asked)
            training = await upload(desk, files[wanted.pop("training", None)])
            if wanted.pop("validation", None):
                wanted["validation_file"] = await upload(desk, pairs())
            with pytest.raises(openai.APIStatusError, match=f"(?s){told}") as caught:
                await desk.client.fine_tuning.jobs.create(**{"model": "base:tiny", "training_file": training} | wanted)
            assert caught.value.status_code in (400, 404)
            assert (await desk.client.fine_tuning.jobs.list()).data == []

    asyncio.run(work())


def test_a_queued_job_is_listed_cancelled_and_never_claimed(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_desk(tmp_path) as desk:
            file, jobs = await upload(desk, rows()), desk.client.fine_tuning.jobs
            made = [(await jobs.create(model="base:tiny", training_file=file)).id for _ in range(3)]
            assert [job.id async for job in jobs.list(limit=2)] == made[::-1]
            job = await jobs.retrieve(made[0])
            assert (job.status, job.training_file, job.result_files, job.error) == ("queued", file, [], None)
            assert job.hyperparameters.n_epochs == "auto"
            cancelled = await jobs.cancel(made[0])
            assert cancelled.status == "cancelled"
            assert cancelled.finished_at is not None
            events = [event.message async for event in jobs.list_events(made[0], limit=1)]
            assert events == ["The job has been cancelled", f"Created fine-tuning job: {made[0]}"]
            assert (await jobs.checkpoints.list(made[0])).data == []
            claimed = desk.store.desk.claim(KIND, "w", "2027-01-01", 30)
            assert claimed is not None
            assert claimed.id == made[1]
            desk.store.desk.finish(made[1], "w", "2027-01-01", error="JM-305 too few rows", result={"param": "training_file"})  # fmt: skip
            failed = (await jobs.retrieve(made[1])).error
            assert failed is not None
            assert (failed.code, failed.message, failed.param) == ("JM-305", "JM-305 too few rows", "training_file")
            with pytest.raises(openai.BadRequestError, match="JM-772 metadata"):
                await jobs.list(extra_query={"metadata[a]": "b"})

    asyncio.run(work())


def test_a_key_tunes_only_what_it_may_ask(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_desk(tmp_path, "jm-few") as desk:
            file = await upload(desk, rows())
            for model in TUNABLE:
                with pytest.raises(openai.BadRequestError, match="JM-773") as caught:
                    await desk.client.fine_tuning.jobs.create(model=model, training_file=file)
                assert "tickets, " not in str(caught.value)
            other = desk.client.with_options(api_key="jm-a")
            with pytest.raises(openai.NotFoundError, match="JM-770 training_file"):
                await other.fine_tuning.jobs.create(model="base:tiny", training_file=file)
            assert (await other.files.list()).data == []

    asyncio.run(work())


FORM = (
    b'preamble\r\n--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--B\r\n'
    b'content-type: application/x\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    b"one\r\n--\r\n-B\r\n--A\r\n--B\r\n"
    b'Content-Disposition: form-data; name="empty"\r\n\r\n\r\n--B--\r\nafter'
)


async def collect(chunks: list[bytes]) -> list[tuple[str, str | None, bytes]]:
    async def feed() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    found: list[tuple[str, str | None, bytes]] = []
    async for part in read_form(feed(), b"B"):
        if isinstance(part, Head):
            found.append((part.name, part.filename, b""))
        else:
            name, filename, data = found[-1]
            found[-1] = name, filename, data + part.data
    return found


@given(st.lists(st.integers(0, len(FORM)), max_size=12))
def test_a_form_is_read_alike_however_it_comes(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(FORM)]
    chunks = [FORM[start:end] for start, end in pairwise(places)]
    assert asyncio.run(collect(chunks)) == [
        ("purpose", None, b"fine-tune"),
        ("file", "a.jsonl", b"one\r\n--\r\n-B\r\n--A"),
        ("empty", None, b""),
    ]


@given(st.integers(0, len(FORM) - len(b"--\r\nafter") - 1))
def test_a_form_that_breaks_off_is_refused(end: int) -> None:
    with pytest.raises(ServeError, match="JM-772"):
        asyncio.run(collect([FORM[:end]]))


@pytest.mark.parametrize("header", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=B"])
def test_what_is_no_form(header: str) -> None:
    with pytest.raises(ServeError, match="JM-772"):
        find_boundary(header)
