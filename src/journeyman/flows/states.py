"""`status` and `doctor`: what is there, and whether this machine can do the work."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from journeyman.core.errors import JourneymanError
from journeyman.core.settings import Project, cache_folder
from journeyman.data.candidates import ORIGINS
from journeyman.flows.erasing import count_learned
from journeyman.flows.routing import describe_canary, find_hold
from journeyman.flows.upstream import find_upstream
from journeyman.flows.workspace import Workspace
from journeyman.models.catalog import resolve
from journeyman.store.database import open_store
from journeyman.task.file import load_tasks

LEAST_DISK_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class TaskState:
    name: str
    traces: int
    """Calls that may become rows: none of an evaluation."""
    dataset: str
    looks: int
    release: str
    held: str
    canary: str
    """What is known of the candidate that answers a share of the calls, or how the last one ended; empty where there was none."""
    erased: int
    """Rows that the live release was trained or measured with, erased since."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `doctor` looked at; ``next`` says what to do where it is not well."""

    name: str
    is_well: bool
    found: str
    next: str = ""


def read_states(workspace: Workspace) -> list[TaskState]:
    """One line per task."""
    store = workspace.store
    return [
        TaskState(
            task.name,
            store.count_traces(task.name, origins=ORIGINS),
            store.latest_dataset(task.name) or "",
            len(store.looks(task.name)),
            store.alias(task.name) or "",
            find_hold(workspace, task.name),
            _describe_canary(workspace, task.name),
            count_learned(workspace, task.name, store.alias(task.name) or ""),
        )
        for task in workspace.tasks()
    ]


def _describe_canary(workspace: Workspace, task_name: str) -> str:
    canary = workspace.store.canary(task_name)
    if canary is None:
        ended = workspace.store.last_canary(task_name)
        return f"{ended.outcome}: {ended.release[:12]}, {ended.why}" if ended else ""
    from journeyman.flows.canaries import (
        read_evidence,  # what it takes to judge is loaded where there is something to judge
    )

    evidence = read_evidence(workspace, canary)
    verdict = f"would {evidence.verdict} it" if evidence.verdict else "no verdict yet"
    return f"{describe_canary(canary)}; {verdict}: {evidence.describe()}"


def examine(project: Project | None) -> list[Finding]:
    """Python, packages, memory of the disk, the base model, the database, the tasks, the teacher's key."""
    findings = [
        Finding("python", sys.version_info >= (3, 11), platform.python_version(), "install Python 3.11 or later"),
        _package("xllamacpp", "pip install journeyman"),
        _package("onnxruntime", "pip install journeyman"),
        _package("torch", 'pip install "journeyman[tune]"'),
        _disk(),
    ]
    if project is None:
        return [*findings, Finding("project", False, "none here", "journeyman init")]
    base = project.text("base", "model")
    findings += [
        _try("base model", lambda: str(resolve(base).path)),
        _try("database", lambda: _open(project)),
        _try("tasks", lambda: ", ".join(load_tasks(project.tasks)) or "none yet"),
    ]
    teacher = find_upstream(project)
    if teacher.name and teacher.key_name:
        state = "set" if teacher.key else "not set"
        found = f"{teacher.key_name} {state}"
        findings.append(Finding("teacher's key", bool(teacher.key), found, f"export {teacher.key_name}=..."))
    return findings


def _try(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except JourneymanError as error:
        return Finding(name, False, f"{error.code} {error.what}", error.hint)


def _open(project: Project) -> str:
    with open_store(project.store_url) as store:
        return store.where


def _package(name: str, hint: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, "not installed", hint)


def _disk() -> Finding:
    folder = cache_folder()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Finding("disk", free > LEAST_DISK_BYTES, f"{free / 1e9:.1f} GB free at {folder}", "free some space")
