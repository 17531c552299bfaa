"""`journeyman export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines

if TYPE_CHECKING:
    from journeyman.flows.dataset_files import Written
    from journeyman.flows.exporting import Exported, Form


def export(
    task: TaskName,
    to: Annotated[
        Literal["gguf", "peft", "ollama", "merged", "hf", "openai", "dpo", "parquet", "alpaca", "chatml"],
        typer.Option(
            "--to",
            help="Of the live release: gguf, peft, ollama: copies; merged: one GGUF with the adapter in it; hf: a folder for transformers "
            "and vLLM. Of the dataset: openai (fine-tuning JSONL), dpo (preference pairs), parquet, alpaca, chatml.",
        ),
    ] = "gguf",
    written_as: Annotated[
        str,
        typer.Option(
            "--as", help="Type of merged (default Q8_0; F16, BF16, Q4_K_M ...) and hf (default BF16; F32, F16)."
        ),
    ] = "",
    split: Annotated[
        Literal["train", "dev", "calibration", "test"] | None,
        typer.Option(
            help="Of a dataset, the one split to write; default: train and dev. test is sealed and refused.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Target folder; default: TASK-FORM.", show_default=False)] = None,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Write the live release, or the current dataset, in another tool's form. A merged model passes the parity gate before it takes its place.

    Example: journeyman export tickets --to ollama --out ./tickets

    Example: journeyman export tickets --to merged --as F16

    Example: journeyman export tickets --to openai --split train
    """
    from journeyman.flows.dataset_files import export_dataset, refuse_options

    target = out or Path(f"{task}-{to}")
    refuse_options(to, split, written_as)
    with working(project, is_json) as workspace:
        if to in ("openai", "dpo", "parquet", "alpaca", "chatml"):
            rows = export_dataset(workspace, task, to, target, split)
            _tell_rows(task, to, rows, is_json)
            return
        from journeyman.flows.exporting import export as export_release

        _tell_release(task, to, export_release(workspace, task, cast("Form", to), target, written_as), is_json)


def _tell_rows(task: str, to: str, done: Written, is_json: bool) -> None:
    if is_json:
        print_json({"task": task, "to": to, **done.to_json()})
        return
    for path, count in done.rows.items():
        print_lines(f"{path}: {count:,} rows")
    for reason, count in done.left_out.items():
        print_lines(f"  {count:,} left out: {reason}")
    for what, count in done.unsaid.items():
        print_lines(f"  of {count:,} rows this form does not say: {what}")
    if restricted := done.terms.get("restricted"):
        print_lines(f"{restricted:,} of them come from a source whose terms restrict training")
    print_lines(f"next: journeyman import FILE --task OTHER reads such files; dataset {done.dataset[:12]} of {task}")


def _tell_release(task: str, to: str, done: Exported, is_json: bool) -> None:
    if is_json:
        print_json({"task": task, "to": to, **done.to_json()})
        return
    print_lines(*[str(path) for path in done.files])
    if done.parity is not None:
        print_lines(f"{done.parity.equal}/{done.parity.n} greedy answers equal those of torch in fp32")
        print_lines(*[f"PARITY FAILED: {problem}" for problem in done.parity.problems])
    if done.lost:
        print_lines(
            f"{len(done.lost)} matrices moved by less than the error of this type, {done.lost[0]} among them: "
            "write them in a finer one"
        )
