"""`improve T --write`: what was chosen goes into the task's file, and its examples into a student."""

from __future__ import annotations

from journeyman.core.canonical import Json
from journeyman.evaluation.improvement import Improvement
from journeyman.flows.prompting import make_prompted
from journeyman.flows.workspace import Workspace
from journeyman.task.rewrite import write_instruction


def adopt(workspace: Workspace, found: Improvement) -> list[str]:
    """Write, and say what was written.

    Raises:
        GateError: JM-660 the instruction cannot be replaced. TaskError, StoreError, ModelError as their modules say.
    """
    chosen, said = found.chosen, list[str]()
    path = workspace.project.tasks / f"{found.task}.yaml"
    if workspace.task(found.task).instruction != chosen.instruction:
        write_instruction(path, chosen.instruction)
        said.append(f"instruction written to {path}")
        said.append(
            "rows that were recorded or imported under the old one stay in the dataset; the next `prepare` leaves them out unless --any-instruction"
        )
    if chosen.shots:
        given: dict[str, Json] = {"shots": chosen.shots}
        base = "" if found.model == "base" else found.model
        run, _material, _student = make_prompted(workspace, found.task, given, base, found.dataset, chosen.examples)
        said.append(f"student {run.id}; next: journeyman assess {found.task}")
    return said
