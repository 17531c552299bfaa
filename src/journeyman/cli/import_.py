"""`journeyman import`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from journeyman.cli.options import AsJson, ProjectFolder, working
from journeyman.cli.terminal import print_json, print_lines

if TYPE_CHECKING:
    from journeyman.data.imports import FileReport


def import_(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Files, gzipped or not, or folders of a data set; - is stdin; model:NAME takes recorded calls to that model over.",
            show_default=False,
        ),
    ],
    task: Annotated[str, typer.Option("--task", help="The task that the rows belong to.", show_default=False)],
    split: Annotated[
        Literal["train", "dev", "calibration", "test"] | None,
        typer.Option(help="Assign all rows beforehand; test seals them.", show_default=False),
    ] = None,
    terms: Annotated[
        Literal["free", "unknown", "restricted"], typer.Option(help="Whether the source's terms allow training on it.")
    ] = "unknown",
    source: Annotated[str, typer.Option(help="Where the rows come from; default: the file's name.")] = "",
    private: Annotated[
        bool,
        typer.Option(
            "--private",
            help="Take personal data out of rows that --split assigns, as it is taken out of recorded calls; without it they keep their text, as public sets should.",
        ),
    ] = False,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Read recorded calls or pairs, in a format told by the content: chat logs of OpenAI's and Anthropic's form, fine-tuning files, exports of
    Langfuse, OpenTelemetry, LiteLLM, MLflow and others, input/output JSONL, CSV, Parquet. Bad rows are set aside. docs/import.md lists all.

    Example: journeyman import calls.jsonl --task tickets

    Example: journeyman import train.parquet --task tickets --terms free
    """
    from journeyman.data.recorded import FORMAT as RECORDED
    from journeyman.flows.prepare import import_sources

    with working(project, is_json) as workspace:
        report = import_sources(workspace, task, files, split=split, terms=terms, provenance=source, is_private=private)
    if is_json:
        print_json(
            {
                "task": task,
                "files": [_to_json(item) for item in report.files],
                "quarantine": report.quarantine and str(report.quarantine),
            }
        )
        return
    for item in report.files:
        print_lines(
            f"{item.file}: {item.read} read = {item.added} added + {item.repeated} already there + "
            f"{item.quarantined} {'left there' if item.format == RECORDED else 'set aside'}"
        )
        if item.others:
            print_lines(f"  {item.others} spans or calls that are none of a language model were passed over")
    for reason, count in report.reasons.items():
        print_lines(f"  {count} x {reason}")
    if report.quarantine is not None:
        print_lines(f"set aside in {report.quarantine}")
    print_lines(f"next: journeyman prepare {task}")


def _to_json(item: FileReport) -> dict[str, object]:
    return asdict(item) | {"read": item.read, "quarantined": item.quarantined}
