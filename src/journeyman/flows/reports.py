"""`report T`: the evaluation, the run and the ledger as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from journeyman.core.canonical import Json
from journeyman.data.dataset import count_erased
from journeyman.evaluation.asides import describe_asides
from journeyman.evaluation.document import Document, describe_judge
from journeyman.evaluation.plots import CurvePoint
from journeyman.evaluation.report import Failure, FunnelStage, Look, Loss, ReportData, SettingLine, write_report
from journeyman.evaluation.run import Prediction, Row
from journeyman.flows.assess import REPORT, Assessed, find_assessed
from journeyman.flows.runs import MACHINE, PARITY, PLAN, RunFolder
from journeyman.flows.weighting import read_setting
from journeyman.flows.workspace import Workspace
from journeyman.measure.metrics import exact_match

MOST_FAILURES = 100


def report(workspace: Workspace, task_name: str, out: Path | None = None) -> Path:
    """Write the report of the best student of the latest dataset; nothing is asked.

    Raises:
        GateError: JM-620 it was not assessed.
    """
    return write_assessed(workspace, find_assessed(workspace, task_name), out)


def write_assessed(workspace: Workspace, assessed: Assessed, out: Path | None = None) -> Path:
    path = out or assessed.run.path / REPORT
    dataset = workspace.store.dataset(assessed.document.dataset.hash, task=assessed.document.task) or {}
    data = ReportData(
        document=assessed.document,
        made=workspace.now(),
        command=f"journeyman assess {assessed.document.task}",
        curve=read_curve(assessed.tune_run),
        funnel=read_funnel(dataset),
        failures=find_failures(assessed.dev),
        settings=read_settings(assessed.tune_run, dataset),
        looks=_looks(workspace, assessed.document),
        notes=(
            *describe_asides(assessed.document),
            *_notes(assessed.tune_run),
            *_erased(workspace, dataset),
            *(describe_judge(judge) for judge in assessed.document.judges),
        ),
    )
    write_report(path, data)
    return path


def read_curve(run: RunFolder) -> tuple[CurvePoint, ...]:
    """Train losses by step, dev losses where dev was looked at."""
    points: dict[int, CurvePoint] = {}
    for event in run.events():
        step = cast(int, event["step"])
        before = points.get(step, CurvePoint(step))
        points[step] = CurvePoint(
            step,
            cast(float | None, event.get("loss", before.train)),
            cast(float | None, event.get("dev_loss", before.dev)),
        )
    return tuple(points[step] for step in sorted(points))


def read_funnel(manifest: Mapping[str, Json]) -> tuple[FunnelStage, ...]:
    """The dataset's own account of what became of every trace."""
    funnel = cast(dict[str, Json], manifest.get("funnel") or {})
    if not funnel:
        return ()
    aside = cast(dict[str, int], funnel["set_aside"])
    repeats = cast(int, funnel["repeats"])
    losses = [Loss(count, reason) for reason, count in aside.items() if count]
    if repeats:
        losses.append(Loss(repeats, "repeats of a row, kept as its count"))
    stages = [
        FunnelStage("imported or recorded", cast(int, funnel["traces"]), tuple(losses)),
        FunnelStage("distinct rows", cast(int, funnel["rows"])),
    ]
    parts = cast(dict[str, int], funnel["splits"]) | {
        name: cast(int, funnel[name]) for name in ("unlabelled", "retired") if funnel[name]
    }
    return (*stages, *(FunnelStage(name, rows) for name, rows in parts.items()))


def find_failures(dev: Sequence[tuple[Row, Prediction]]) -> tuple[Failure, ...]:
    """Dev rows that the student answers otherwise than expected; never sealed ones."""
    failures = []
    for row, item in dev:
        if row.expected is not None and not exact_match(row.expected, item.target):
            problem = item.error or item.problem
            failures.append(Failure(row.input, row.expected, item.target, item.text, problem))
    return tuple(failures[:MOST_FAILURES])


def read_settings(run: RunFolder, manifest: Mapping[str, Json]) -> tuple[SettingLine, ...]:
    lines = []
    for part in (run.read(PLAN) or {}, read_setting(run), cast(dict[str, Json], manifest.get("settings") or {})):
        for name, setting in part.items():
            if isinstance(setting, dict) and "origin" in setting:
                lines.append(
                    SettingLine(name, str(setting["value"]), str(setting["origin"]), str(setting.get("reason", "")))
                )
    machine = run.read(MACHINE) or {}
    for name in ("number", "threads"):
        if name in machine:
            lines.append(SettingLine(name, str(machine[name]), "derived", str(machine[f"{name}_reason"])))
    return tuple(lines)


def _looks(workspace: Workspace, document: Document) -> tuple[Look, ...]:
    return tuple(
        Look(look.number, look.time, look.release, look.level, str((look.verdict or {}).get("verdict", "begun")))
        for look in workspace.store.looks(document.task)
    )


def _erased(workspace: Workspace, manifest: Mapping[str, Json]) -> tuple[str, ...]:
    rows = count_erased(workspace.store, manifest) if manifest else {}
    if not rows:
        return ()
    parts = ", ".join(f"{split} {count:,}" for split, count in rows.items())
    return (f"{sum(rows.values()):,} rows of this dataset were erased after it was made ({parts}).",)


def _notes(run: RunFolder) -> tuple[str, ...]:
    parity = run.read(PARITY)
    if parity is None or not parity["n"]:  # a prompted base has nothing to compare
        return ()
    kind = cast(dict[str, Json], (run.read(PLAN) or {}).get("kind") or {})
    if kind.get("value") == "head":
        return (
            f"Asked one text at a time, the head answers as for all at once: {parity['equal']} of {parity['n']} answers equal, "
            f"largest difference of a probability {parity['largest_gap']:.1g}.",
        )
    return (
        f"Parity of the export with torch in fp32: {parity['equal']} of {parity['n']} greedy answers equal, "
        f"largest logit gap at a first difference {parity['largest_gap']}.",
    )
