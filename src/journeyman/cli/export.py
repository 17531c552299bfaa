"""`journeyman export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines


def export(
    task: TaskName,
    to: Annotated[
        Literal["gguf", "peft", "ollama", "merged", "hf"],
        typer.Option(
            "--to",
            help="gguf, peft, ollama: copies. merged: one GGUF with the adapter in it. hf: a folder for transformers and vLLM.",
        ),
    ] = "gguf",
    written_as: Annotated[
        str,
        typer.Option(
            "--as", help="Type of merged (default Q8_0; F16, BF16, Q4_K_M ...) and hf (default BF16; F32, F16)."
        ),
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Target folder; default: TASK-FORM.", show_default=False)] = None,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Write the live release in another tool's form. A merged model passes the parity gate before it takes its place.

    Example: journeyman export tickets --to ollama --out ./tickets

    Example: journeyman export tickets --to merged --as F16
    """
    from journeyman.flows.exporting import export as export_release

    with working(project, is_json) as workspace:
        done = export_release(workspace, task, to, out or Path(f"{task}-{to}"), written_as)
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
