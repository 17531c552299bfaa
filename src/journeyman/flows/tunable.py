"""What fine-tuning jobs may be asked for, and where their files lie. Loads nothing of what tunes: the server asks it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from journeyman.core.errors import ServeError
from journeyman.core.settings import Project
from journeyman.flows.workspace import Workspace
from journeyman.models.catalog import CATALOG, entry_path

FOLDER = "files"


def find_tunable(workspace: Workspace) -> dict[str, str]:
    """Names that jobs may ask for: the project's base, the catalog's that are on this machine, and tasks, with their instruction.

    Raises:
        ServeError: JM-773 what tuning needs is not installed.
    """
    if find_spec("torch") is None:
        raise ServeError(
            "JM-773",
            "this server cannot tune",
            expected="what tuning needs, installed beside it",
            got="no torch",
            hint='pip install "journeyman[tune]", then start the server again',
        )
    pulled = [name for name, entry in CATALOG.items() if entry.use == "language" and entry_path(entry).is_file()]
    bases = dict.fromkeys(
        [base_name(workspace.project.text("base", "model")), *(f"base:{name}" for name in pulled)], ""
    )
    return bases | {f"task:{task.name}": task.instruction for task in workspace.tasks()}


def base_name(model: str) -> str:
    """How callers name a base of the settings: a catalog's name as it is, of a path the last part."""
    return f"base:{Path(model).stem if model.endswith('.gguf') else Path(model).name}"


def find_base(project: Project, model: str) -> str:
    """What `tune` is given for `base:NAME`; the project's own base for a task."""
    own = project.text("base", "model")
    return own if not model.startswith("base:") or model == base_name(own) else model.removeprefix("base:")


def files_folder(project: Project) -> Path:
    """Where the bytes of callers' files lie."""
    return project.state / FOLDER
