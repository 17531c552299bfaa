"""`import` and `prepare`: files to traces, traces to a dataset. The work is in ``data``; here it meets the project."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from journeyman.core.example import Split, Terms
from journeyman.core.ids import make_id
from journeyman.data.candidates import Instructions
from journeyman.data.imports import ImportReport, import_files
from journeyman.data.intake import Intake
from journeyman.data.lines import Source, stream_source
from journeyman.data.prepare import Prepared, prepare
from journeyman.data.recorded import PASSED, take_recorded
from journeyman.data.shares import read_shares
from journeyman.flows.retrieving import Shelves, make_fill
from journeyman.flows.subset import Keep, keep_fewer
from journeyman.flows.workspace import Workspace

STDIN = "-"


def import_sources(
    workspace: Workspace,
    task_name: str,
    files: Sequence[str],
    *,
    split: Split | None = None,
    terms: Terms = "unknown",
    provenance: str = "",
    is_private: bool = False,
) -> ImportReport:
    """Import files, stdin for ``-``, and recorded calls for ``model:NAME``. Raises DataError JM-30x, TaskError JM-2xx, StoreError JM-80x."""
    task, now = workspace.task(task_name), datetime.now(UTC)
    recorded = [name for name in files if name.startswith(PASSED)]
    sources: list[Source | Path] = [
        stream_source(sys.stdin.buffer) if name == STDIN else Path(name) for name in files if name not in recorded
    ]
    report = ImportReport(make_id("import", now), (), None)
    if sources or not recorded:
        with Shelves(workspace) as shelves:
            report = import_files(
                task,
                sources,
                workspace.store,
                quarantine_folder=workspace.project.state / "quarantine",
                now=now,
                split=split,
                provenance=provenance,
                terms=terms,
                is_private=is_private,
                fill=make_fill(shelves, task),
                progress=workspace.progress,
            )
    intake = Intake(task, now, split, provenance, terms)
    taken = [take_recorded(name, intake, workspace.store, workspace.progress) for name in recorded]
    return replace(report, files=(*report.files, *taken))


def prepare_task(
    workspace: Workspace, task_name: str, instructions: Instructions = "own", keep: Keep | None = None
) -> Prepared:
    """Make or find the dataset of the traces as they stand; ``any`` takes those made under another instruction too, ``keep`` some of its train rows.
    Raises DataError JM-305 and others of ``data.prepare``, JM-367 of ``flows.subset``."""
    task = workspace.task(task_name)
    prepared = prepare(
        task,
        workspace.store,
        read_shares(workspace.project),
        now=datetime.now(UTC),
        instructions=instructions,
        progress=workspace.progress,
    )
    return keep_fewer(workspace, task, prepared, keep) if keep is not None else prepared
