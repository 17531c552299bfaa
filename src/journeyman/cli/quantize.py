"""`journeyman quantize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from journeyman.cli.options import AsJson, ProjectFolder, working
from journeyman.cli.terminal import Bars, print_json, print_lines

Type = Literal["F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_0", "Q5_K_M", "Q4_0", "Q4_K_M"]


def quantize(
    model: Annotated[
        str, typer.Argument(help="Catalog name, or path of a GGUF or of a Hugging Face folder.", show_default=False)
    ],
    out: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
    kind: Annotated[Type, typer.Option("--type", help="Number type of the weights.")] = "Q8_0",
    task: Annotated[
        str, typer.Option(help="Weigh errors by this task's train rows and score its dev rows before and after.")
    ] = "",
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Write a model in a smaller number type, and say what it really holds and what it lost.

    Example: journeyman quantize tuned.gguf tuned-q4.gguf --type Q4_K_M --task tickets
    """
    from journeyman.flows.quantizing import quantize as quantize_file
    from journeyman.flows.quantizing import quantize_for

    if task:
        with working(project, is_json) as workspace:
            done = quantize_for(workspace, task, model, out, kind)
    else:
        done = quantize_file(model, out, kind, Bars(is_quiet=is_json))
    if is_json:
        print_json(done.to_json())
        return
    written = done.written
    held = ", ".join(f"{count} {name}" for name, count in sorted(written.kinds.items()))
    print_lines(
        f"{written.path}: {written.bytes / 1e6:.1f} MB from {done.bytes_before / 1e6:.1f} MB",
        f"matrices: {held}" + (f"; {written.fell_back} could not be {kind}" if written.fell_back else ""),
    )
    if done.before and done.after:
        print_lines(
            f"dev loss {done.before.loss:.4f} -> {done.after.loss:.4f}, exact {done.before.exact:.3f} -> {done.after.exact:.3f}"
        )
