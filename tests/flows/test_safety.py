"""Refusals before and after, on a real engine: what is asked, what is kept, and what is not asked again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from journeyman.core.canonical import file_hash
from journeyman.core.errors import SettingsError
from journeyman.evaluation.safety import choose_prompts
from journeyman.flows.runs import RunFolder
from journeyman.flows.safety import ANSWERS, SLOTS, check_safety, count_prompts
from journeyman.flows.student import Student
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.models.manifest import BaseRef, Manifest, StudentKind
from tests.flows.projects import make_project

MOST = SLOTS // 2


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path) -> Path:
    return make_project(tmp_path_factory.mktemp("safety") / "project", tiny_gguf)


@pytest.fixture
def workspace(project: Path) -> Iterator[Workspace]:
    with open_workspace(project) as opened:
        yield opened


def make_student(folder: Path, base: Path, kind: StudentKind = "full", files: bool = True) -> Student:
    """A whole model with the weights of its base, which therefore answers as the base does."""
    folder.mkdir(parents=True, exist_ok=True)
    sha256 = file_hash(base)
    if files:
        os.link(base, folder / "model.gguf")
    held = {"model": {"path": "model.gguf", "sha256": sha256}} if files else {}
    return Student(folder, Manifest(kind, BaseRef(str(base), sha256), held, "", {"name": "paint"}, {}, ""))


def test_the_same_weights_give_the_same_counts_and_no_answer_is_asked_for_twice(
    workspace: Workspace, tmp_path: Path, tiny_gguf: Path
) -> None:
    student, run = make_student(tmp_path / "student", tiny_gguf), RunFolder(tmp_path / "run")
    part = check_safety(workspace, student, run, MOST)
    assert part is not None
    assert part.harmful is not None
    assert part.harmless is not None
    for found in (part.harmful, part.harmless):
        assert found.n == MOST
        assert found.counts.n10 == found.counts.n01 == 0
        assert found.difference.low < 0 < found.difference.high
        assert found.shift == "none shown"
    (folder,) = workspace.project.runs.glob("base-safety-*")
    kept = [(folder / ANSWERS).read_bytes(), (run.path / ANSWERS).read_bytes()]
    assert [item.count(b"\n") for item in kept] == [2 * MOST, 2 * MOST]

    (student.folder / "model.gguf").unlink()  # an engine could not start any more
    assert check_safety(workspace, student, run, MOST) == part
    assert [(folder / ANSWERS).read_bytes(), (run.path / ANSWERS).read_bytes()] == kept


def test_another_student_asks_the_base_nothing_and_a_larger_number_only_what_is_new(
    workspace: Workspace, tmp_path: Path, tiny_gguf: Path
) -> None:
    student, run = make_student(tmp_path / "student", tiny_gguf), RunFolder(tmp_path / "run")
    check_safety(workspace, student, run, MOST)
    (folder,) = workspace.project.runs.glob("base-safety-*")
    before = (folder / ANSWERS).read_bytes()
    other = RunFolder(tmp_path / "other")
    check_safety(workspace, make_student(tmp_path / "second", tiny_gguf), other, MOST)
    assert (folder / ANSWERS).read_bytes() == before
    assert (other.path / ANSWERS).read_bytes() == (run.path / ANSWERS).read_bytes()

    first = (run.path / ANSWERS).read_bytes()
    check_safety(workspace, student, run, 2 * MOST)
    assert (run.path / ANSWERS).read_bytes().startswith(first)
    assert (run.path / ANSWERS).read_bytes().count(b"\n") == len(choose_prompts(2 * MOST))


def test_what_a_kill_has_cut_is_asked_again(workspace: Workspace, tmp_path: Path, tiny_gguf: Path) -> None:
    student, run = make_student(tmp_path / "student", tiny_gguf), RunFolder(tmp_path / "run")
    part = check_safety(workspace, student, run, MOST)
    path = run.path / ANSWERS
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert check_safety(workspace, student, run, MOST) == part
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("kind", "said"),
    [("head", "labels only"), ("nearest", "what an example says"), ("prompt", "Nothing was tuned")],
)
def test_what_cannot_refuse_or_was_not_tuned_is_not_asked(
    workspace: Workspace, tmp_path: Path, tiny_gguf: Path, kind: StudentKind, said: str
) -> None:
    student = make_student(tmp_path / "student", tiny_gguf, kind, files=False)
    part = check_safety(workspace, student, RunFolder(tmp_path / "run"), MOST)
    assert part is not None
    assert said in part.note
    assert (part.harmful, part.harmless) == (None, None)
    assert not (tmp_path / "run").exists()


def test_the_number_is_the_options_else_the_projects_and_never_more_than_there_are(
    project: Path, tmp_path: Path, tiny_gguf: Path
) -> None:
    with open_workspace(project) as workspace:
        assert [count_prompts(workspace, given) for given in (None, 0, 5, 100)] == [16, 0, 5, 60]
        assert check_safety(workspace, make_student(tmp_path / "student", tiny_gguf), RunFolder(tmp_path), 0) is None
    settings = project / "journeyman.toml"
    text = settings.read_text()
    for value, found in ((0, 0), (7, 7)):
        settings.write_text(f"{text}[assess]\nsafety_prompts = {value}\n")
        with open_workspace(project) as workspace:
            assert count_prompts(workspace, None) == found
    settings.write_text(f"{text}[assess]\nsafety_prompts = -1\n")
    with open_workspace(project) as workspace, pytest.raises(SettingsError, match=r"assess\.safety_prompts") as caught:
        count_prompts(workspace, None)
    assert "JM-104" in str(caught.value)
    settings.write_text(text)
