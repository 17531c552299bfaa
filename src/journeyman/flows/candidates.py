"""`canary T`: which release may stand beside the live one and answer a share of the calls; begun, changed and stopped by people."""

from __future__ import annotations

import getpass
import secrets

from journeyman.core.errors import GateError
from journeyman.core.ids import make_id
from journeyman.flows.audits import read_promise
from journeyman.flows.releases import find_release, publish_assessed
from journeyman.flows.workspace import Workspace
from journeyman.models.manifest import load_manifest
from journeyman.store.canaries import Canary, Step, Sticky
from journeyman.task.task import Task


def start(
    workspace: Workspace,
    task_name: str,
    *,
    release: str = "",
    share: float,
    audit: float = 0.1,
    sticky: Sticky = "person",
    is_promoting: bool | None = None,
    reason: str = "",
    force: str = "",
) -> Canary:
    """Begin a canary with a release by hash, or with the assessed student, which is published by the rules of a release; where one is running, change its share.

    Raises:
        GateError: JM-636 there is no live release to stand beside, or another canary is running; JM-637 the candidate answers another task, or has no threshold where
            the live one has; JM-639 the task's route asks no student. What `release` and `find_release` raise.
    """
    task, store = workspace.task(task_name), workspace.store
    step = Step(workspace.now(), share, getpass.getuser(), reason)
    running = store.canary(task_name)
    if running is not None and running.release.startswith(release):
        promoting = running.is_promoting if is_promoting is None else is_promoting
        changed = store.change_canary(task_name, step, is_promoting=promoting)
        if changed is not None:
            return changed
    if running is not None:
        raise _cannot_start(
            task_name, f"{running.release[:12]} is a candidate already", f"journeyman canary {task_name} --stop"
        )
    live = store.alias(task_name)
    if live is None:
        raise _cannot_start(task_name, "no release is live", f"journeyman release {task_name}")
    if task.route.policy in ("teacher", "shadow"):
        raise GateError(
            "JM-639",
            f"the students of {task_name} answer nobody, so none can answer a share",
            expected="route: {policy: auto}, cascade or student",
            got=f"policy: {task.route.policy}",
            hint=f"change the route in tasks/{task_name}.yaml",
        )
    folder = (
        find_release(workspace, task_name, release) if release else publish_assessed(workspace, task_name, force).path
    )
    if folder.name == live:
        raise _cannot_start(task_name, f"{live[:12]} is live itself", f"journeyman tune {task_name}, or --release HASH")
    _check_fit(workspace, task, live, folder.name)
    begun = store.begin_canary(
        Canary(
            make_id("canary"),
            task_name,
            folder.name,
            live,
            share,
            secrets.token_hex(8),
            sticky,
            audit,
            bool(is_promoting),
            step.time,
            (step,),
        )
    )
    if begun is None:
        raise _cannot_start(task_name, "somebody else was faster", f"journeyman canary {task_name}")
    return begun


def stop(workspace: Workspace, task_name: str, reason: str) -> Canary:
    """Raises: GateError: JM-638 none is running."""
    running = workspace.store.canary(task_name)
    by = getpass.getuser()
    ended = running and workspace.store.end_canary(
        running, "stopped", f"by {by}: {reason}" if reason else f"by {by}", workspace.now()
    )
    if ended is None:
        raise GateError(
            "JM-638",
            f"no canary of {task_name} is running",
            expected="a candidate that answers a share of the calls",
            hint=f"journeyman canary {task_name} --share 0.1",
        )
    return ended


def _check_fit(workspace: Workspace, task: Task, live: str, release: str) -> None:
    """Callers are promised one shape of answers, whoever gives them."""
    folder = workspace.project.releases / task.name
    ours, theirs = (load_manifest(folder / hash).task for hash in (release, live))
    if different := [key for key in ("input", "schema") if ours.get(key) != theirs.get(key)]:
        raise _unfit(task.name, release, f"the {different[0]} of the live release", f"another {different[0]}")
    promises = [read_promise(workspace, task.name, hash) for hash in (live, release)]
    has_live, has_candidate = (promise is not None and promise.threshold is not None for promise in promises)
    if has_live and not has_candidate and task.route.policy != "student":
        raise _unfit(
            task.name, release, "a threshold, as the live release has one", "no threshold from which on it may answer"
        )


def _unfit(task_name: str, release: str, expected: str, got: str) -> GateError:
    return GateError(
        "JM-637",
        f"the candidate {release[:12]} cannot stand beside the live release",
        where=f"task {task_name}",
        expected=expected,
        got=got,
        hint=f"journeyman release {task_name} makes it live for all calls",
    )


def _cannot_start(task_name: str, got: str, hint: str) -> GateError:
    return GateError(
        "JM-636",
        f"no canary of {task_name} can begin",
        expected="a live release, and another one beside it",
        got=got,
        hint=hint,
    )
