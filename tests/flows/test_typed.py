"""Typed functions: asked of a real teacher over HTTP while there is no student, of the live release afterwards."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest
from pydantic import BaseModel

import journeyman as jm
from journeyman.core.errors import ServeError, TaskError
from journeyman.flows.releases import find_release
from journeyman.flows.serving import serve_student
from journeyman.flows.student import Student
from journeyman.flows.typed import describe_task
from journeyman.flows.workspace import open_workspace
from journeyman.models.manifest import load_manifest
from journeyman.task.file import load_task, task_from_mapping
from tests.flows.conftest import Loop


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"
    BLUE = "blue"


class Paint(BaseModel):
    colour: Colour
    many: bool


class Book(BaseModel):
    title: str
    parts: list[Paint]


@pytest.fixture
def project(loop: Loop, tmp_path: Path) -> Path:
    """A copy with its live release."""
    return Path(shutil.copytree(loop.folder, tmp_path / "project"))


@pytest.fixture
def teacher(loop: Loop, tmp_path: Path) -> Iterator[Path]:
    """A project without a release whose teacher is the untuned tiny model, served on loopback."""
    source = Path(shutil.copytree(loop.folder, tmp_path / "teacher"))
    asked = tmp_path / "asking"
    (asked / "tasks").mkdir(parents=True)
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        with open_workspace(source) as workspace:
            folder = find_release(workspace, "paint")
            student = Student(folder, load_manifest(folder))
            async with serve_student(workspace, workspace.task("paint"), student) as serving:
                settings = f'[teacher]\nmodel = "{serving.base_name}"\nurl = "{serving.url}/v1"\n'
                (asked / "journeyman.toml").write_text(settings)
                ready.set()
                await asyncio.to_thread(stop.wait)

    server = threading.Thread(target=asyncio.run, args=(serve(),))
    server.start()
    assert ready.wait(60)
    yield asked
    stop.set()
    server.join()


def test_a_live_release_answers_in_the_functions_type(project: Path) -> None:
    @jm.task(name="paint", project=project)
    def paint(line: str) -> Paint:
        """Name the colour that the line asks for."""
        raise AssertionError("the body never runs")

    answer = paint("bcdfg hklmn two red prstv zbcdf")
    assert isinstance(answer, Paint)
    assert paint.__name__ == "paint"
    assert paint.task.name == "paint"  # type: ignore[attr-defined]
    with open_workspace(project) as workspace:
        traces = [trace for trace in workspace.store.traces("paint") if trace.origin == "task"]
    assert [trace.input for trace in traces] == [{"line": "bcdfg hklmn two red prstv zbcdf"}]


def test_it_works_in_async_code_and_from_many_tasks_at_once(project: Path) -> None:
    @jm.task(name="paint", project=project)
    async def paint(line: str) -> Paint:
        """Name the colour that the line asks for."""
        raise AssertionError

    async def ask_all() -> list[Paint]:
        return await asyncio.gather(*(paint(f"bcdfg hklmn one {colour} prstv zbcdf") for colour in Colour))

    answers = asyncio.run(ask_all())
    assert len(answers) == 3
    assert all(isinstance(answer, Paint) for answer in answers)


def test_without_a_release_the_teacher_answers_and_is_recorded(teacher: Path) -> None:
    @jm.task(project=teacher)
    def shade(line: str) -> Paint:
        """Name the colour that the line asks for."""
        raise AssertionError

    assert isinstance(shade("two red"), Paint)
    with open_workspace(teacher) as workspace:
        (trace,) = workspace.store.traces("shade")
    assert trace.input == {"line": "two red"}
    assert trace.output is not None
    assert load_task(teacher / "tasks/shade.yaml").schema == shade.task.schema  # type: ignore[attr-defined]


def test_a_task_file_that_says_something_else_is_an_error(teacher: Path) -> None:
    (teacher / "tasks/shade.yaml").write_text(
        "edition: 1\nname: shade\ninstruction: Name the colour.\ninput: {line: string}\noutput: text\n"
    )

    @jm.task(project=teacher)
    def shade(line: str) -> Paint:
        """Name the colour."""
        raise AssertionError

    with pytest.raises(TaskError, match=r"JM-252 .*another output") as caught:
        shade("two red")
    assert (caught.value.expected, caught.value.got) == ("colour, many", "text")


def test_without_release_and_teacher_the_error_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "journeyman.toml").touch()

    @jm.task(project=tmp_path)
    def shade(line: str) -> Paint:
        """Name the colour that the line asks for."""
        raise AssertionError

    with pytest.raises(ServeError, match=r"JM-730 .*has no release yet"):
        shade("two red")


def test_the_signature_is_the_task() -> None:
    def triage(message: str, urgent: bool, tags: list[str]) -> Paint:
        """Sort a message."""
        raise AssertionError

    mapping = describe_task(triage, "openai/gpt-5", "", {"metric": "exact_match", "margin": 0.02}, 50)
    task = task_from_mapping(mapping, "here")
    assert (task.name, task.instruction, task.teacher) == ("triage", "Sort a message.", "openai/gpt-5")
    assert list(task.input) == ["message", "urgent", "tags"]
    assert task.schema is not None
    assert task.schema["additionalProperties"] is False
    assert task.gate.margin == 0.02
    assert task.max_output_tokens == 50


def test_a_field_may_be_called_title() -> None:
    def read(line: str) -> Book:
        """Read a book's line."""
        raise AssertionError

    schema = describe_task(read)["output"]
    assert isinstance(schema, dict)
    assert schema["properties"]["title"] == {"type": "string"}  # type: ignore[index,call-overload]
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Paint"]["additionalProperties"] is False  # type: ignore[index,call-overload]
    assert '"title": "' not in json.dumps(schema)


def test_what_cannot_be_typed_is_refused_where_it_is_written() -> None:
    def silent(message: str) -> Paint:
        raise AssertionError

    def untyped(message) -> Paint:  # type: ignore[no-untyped-def]
        """Sort."""
        raise AssertionError

    def endless(*message: str) -> Paint:
        """Sort."""
        raise AssertionError

    def aimless(message: str):  # type: ignore[no-untyped-def]
        """Sort."""
        raise AssertionError

    for function, code in ((silent, "JM-250"), (untyped, "JM-251"), (endless, "JM-251"), (aimless, "JM-251")):
        with pytest.raises(TaskError, match=code):
            describe_task(function)
