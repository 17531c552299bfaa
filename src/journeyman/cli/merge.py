"""`journeyman merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from journeyman.cli.options import AsJson
from journeyman.cli.terminal import Bars, print_json, print_lines


def merge(
    config: Annotated[Path, typer.Argument(help="A merge in mergekit's YAML.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Folder for the merged model.", show_default=False)],
    is_json: AsJson = False,
) -> None:
    """Merge models into one Hugging Face folder: linear, slerp, ties, dare and others, a tensor at a time.

    With `adapter_method` in the file, adapters are merged into one, or one is extracted from a tuned model (docs/merge.md).

    Example: journeyman merge ties.yaml ./merged
    """
    from journeyman.flows.merging import is_adapter_merge, merge_adapter_files
    from journeyman.flows.merging import merge as merge_files

    if is_adapter_merge(config):
        report = merge_adapter_files(config, out, Bars(is_quiet=is_json))
        if is_json:
            print_json(report.model_dump(mode="json"))
            return
        least = min(report.held.values(), default=1.0)
        print_lines(
            f"rank {report.rank}, {len(report.held)} matrices in {report.folder}; the least holds {least:.1%} of its change"
        )
        if report.left_out:
            print_lines(
                f"left out, as no adapter holds them: {len(report.left_out)} tensors, {report.left_out[0]} first"
            )
        return
    merged = merge_files(config, out, Bars(is_quiet=is_json))
    if is_json:
        print_json({"folder": str(merged.folder), "tensors": merged.tensors, "layers": merged.layers})
        return
    print_lines(f"{merged.tensors} tensors in {merged.folder}", "what happened to each: merge-report.json")
