"""`release`, `rollback`: immutable folders named by hash, and the alias that says which one is live."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import GateError
from journeyman.core.files import disk_errors, write_atomic
from journeyman.evaluation.document import Document, asks_judge
from journeyman.evaluation.gate import describe_more
from journeyman.flows.assess import find_assessed
from journeyman.flows.cards import write_card
from journeyman.flows.runs import ATTACHMENTS, EVALUATION, MATERIAL, PARITY, RunFolder
from journeyman.flows.student import Student
from journeyman.flows.workspace import Workspace
from journeyman.models.manifest import MANIFEST, load_manifest


@dataclass(frozen=True, slots=True)
class Released:
    task: str
    hash: str
    path: Path
    verdict: str
    forced: str

    def to_json(self) -> dict[str, Json]:
        return {
            "task": self.task,
            "hash": self.hash,
            "path": str(self.path),
            "verdict": self.verdict,
            "forced": self.forced or None,
        }


def release(workspace: Workspace, task_name: str, force: str = "") -> Released:
    """Make the task's assessed student its live release; raises as `publish_assessed`."""
    made = publish_assessed(workspace, task_name, force)
    reason = f"gate {made.verdict}" + (f", forced: {force}" if force else "")
    if workspace.store.alias(task_name) != made.hash:
        workspace.store.set_alias(task_name, made.hash, reason, workspace.now())
    return made


def publish_assessed(workspace: Workspace, task_name: str, force: str = "") -> Released:
    """Put the task's assessed student among its releases, live or not.

    Raises:
        GateError: JM-620 nothing assessed, JM-621 the gate did not pass and no reason was given, JM-622 terms restrict it,
            JM-626 the export failed the parity gate.
    """
    assessed = find_assessed(workspace, task_name)
    run, student, verdict = assessed.tune_run, assessed.student, assessed.verdict
    evaluation = assessed.document.to_json()
    if verdict != "pass" and not force:
        raise _not_passed(task_name, assessed.document)
    _refuse_unequal(run, force)
    _refuse_restricted(workspace, task_name, run, force)
    target = publish(workspace, task_name, student)
    _attach(workspace, target, run, evaluation, force)
    return Released(task_name, student.hash, target, verdict, force)


def publish(workspace: Workspace, task_name: str, student: Student) -> Path:
    """Copy a student folder to its place by hash; the rename comes last, so a folder there is whole."""
    target = workspace.project.releases / task_name / student.hash
    if (target / MANIFEST).is_file():
        load_manifest(target)
        return target
    partial = target.with_name(f".{student.hash}.partial")
    with disk_errors(target):
        shutil.rmtree(partial, ignore_errors=True)
        partial.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(student.folder, partial)
        partial.rename(target)
    return target


def roll_back(workspace: Workspace, task_name: str, reason: str) -> Released:
    """Make the release before the live one live again.

    Raises:
        StoreError: JM-814 there is none; ModelError: JM-412 its files are gone or changed.
    """
    workspace.task(task_name)
    entry = workspace.store.roll_back(task_name, reason or "rollback", workspace.now())
    folder = find_release(workspace, task_name, entry.release)
    return Released(task_name, entry.release, folder, "", reason)


def find_release(workspace: Workspace, task_name: str, prefix: str = "") -> Path:
    """The folder of a release by hash or unique prefix; the live one when empty.

    Raises:
        GateError: JM-623 none, JM-624 several fit.
    """
    wanted = prefix or workspace.store.alias(task_name) or ""
    folder = workspace.project.releases / task_name
    known = sorted(path for path in folder.glob("*") if (path / MANIFEST).is_file()) if folder.is_dir() else []
    fitting = [path for path in known if wanted and path.name.startswith(wanted)]
    if len(fitting) > 1:
        raise GateError(
            "JM-624", f"several releases of {task_name} begin with {wanted}", got=", ".join(p.name for p in fitting)
        )
    if not fitting:
        raise GateError(
            "JM-623",
            f"{task_name} has no release" + (f" {prefix}" if prefix else ""),
            expected="one of " + ", ".join(path.name[:12] for path in known) if known else "",
            hint=f"journeyman run {task_name}",
        )
    return fitting[0]


def _not_passed(task_name: str, document: Document) -> GateError:
    got, more = "verdict none", ""
    if (gate := document.gate) is not None:
        is_judged = asks_judge(gate, document.judges)
        needed = f", {describe_more(gate.against, is_judged, gate.needed)}" if gate.needed else ""
        unmet = f", required tests that do not pass: {', '.join(gate.unmet)}" if gate.unmet else ""
        got, more = f"verdict {gate.verdict}{needed}{unmet}", f"{describe_more(gate.against, is_judged)}, "
    return GateError(
        "JM-621",
        f"the gate of {task_name} did not pass, so this student is not released",
        expected="verdict pass",
        got=got,
        hint=f'improve the student, {more}or say why: journeyman release {task_name} --force "REASON"',
    )


def _refuse_unequal(run: RunFolder, force: str) -> None:
    parity = run.read(PARITY) or {}
    if not parity.get("is_passed") and not force:
        raise GateError(
            "JM-626",
            "the export of this student failed the parity gate",
            where=str(run.path / PARITY),
            got="; ".join(cast(list[str], parity.get("problems") or ["no parity result"])),
            hint="tune longer: a student that is surer of its answers differs less",
        )


def _refuse_restricted(workspace: Workspace, task_name: str, run: RunFolder, force: str) -> None:
    state = run.read(MATERIAL) or {}
    restricted = cast(int, state.get("restricted", 0))
    if restricted and not force:
        raise GateError(
            "JM-622",
            f"{restricted} rows that this student learned from are under terms that restrict training",
            where=str(run.path),
            hint=f'check the terms, then journeyman release {task_name} --force "REASON"',
        )


def _against(run: RunFolder, evaluation: Mapping[str, Json]) -> list[str]:
    """What a release had to be forced past."""
    gate = cast(dict[str, Json] | None, evaluation.get("gate")) or {}
    problems = cast(list[str], (run.read(PARITY) or {}).get("problems") or [])
    restricted = cast(int, (run.read(MATERIAL) or {}).get("restricted", 0))
    return [
        *(["the gate did not pass"] if gate.get("verdict") != "pass" else []),
        *(f"its export is not held to be torch's ({problem})" for problem in problems),
        *([f"{restricted} of its rows are under terms that restrict training"] if restricted else []),
    ]


def _attach(workspace: Workspace, target: Path, run: RunFolder, evaluation: dict[str, Json], force: str) -> None:
    """Evaluation, card and timings refer to the release and are not part of its hash."""
    folder = target / ATTACHMENTS
    document = evaluation | {"forced": force or None, "released": workspace.now(), "run": run.id}
    write_atomic(folder / EVALUATION, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    for name in ("parity.json", "plan.json", "machine.json", "tuned.json"):
        if (run.path / name).is_file():
            shutil.copy2(run.path / name, folder / name)
    write_card(folder, load_manifest(target, verify=False), evaluation, force, _against(run, evaluation))
