"""`journeyman synthesize`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, parse_usd, working
from journeyman.cli.terminal import print_json, print_lines

if TYPE_CHECKING:
    from journeyman.flows.synthesize import Synthesis


def synthesize(
    task: TaskName,
    rows: Annotated[int, typer.Option("--n", min=1, help="Rows in all, those of the same command before included.")],
    budget: Annotated[
        str,
        typer.Option(
            help="What its calls may cost in all, for example 5usd; not needed where the teacher costs nothing.",
            show_default=False,
        ),
    ] = "",
    teacher: Annotated[
        str,
        typer.Option(
            help="A catalog name or a path of a model that runs here; base: the project's base; default: the task's teacher.",
            show_default=False,
        ),
    ] = "",
    samples: Annotated[int, typer.Option(min=1, help="Answers to each input.")] = 3,
    agree: Annotated[float, typer.Option(min=0, max=1, help="Share of them that must be the same.")] = 0.6,
    is_judged: Annotated[
        bool, typer.Option("--judge", help="Ask the teacher about each answer, too, whether it is right.")
    ] = False,
    language: Annotated[
        list[str] | None,
        typer.Option(help="Of the inputs, by turns; default: that of the examples.", show_default=False),
    ] = None,
    documents: Annotated[
        list[Path] | None, typer.Option(help="Files of text that inputs take their content from.", show_default=False)
    ] = None,
    into: Annotated[
        Literal["train", "dev", "calibration", "test"],
        typer.Option(help="The split that the rows are for; sealed rows that were made up are named in every report."),
    ] = "train",
    terms: Annotated[
        Literal["free", "unknown", "restricted"],
        typer.Option(help="Whether the teacher's terms allow training on what it writes."),
    ] = "unknown",
    is_aimed: Annotated[
        bool,
        typer.Option("--weak", help="Aim at what the assessed student errs in on dev rows, which are shown to nobody."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Another one makes other rows.")] = 0,
    is_dry: Annotated[bool, typer.Option("--forecast", help="Say what it would take, and call nobody.")] = False,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Make rows from the instruction and the examples there are: inputs by the teacher, several answers each, kept where they agree.

    Example: journeyman synthesize tickets --n 1000 --budget 5usd

    Example: journeyman synthesize tickets --n 300 --weak --budget 2usd

    Example: journeyman synthesize tickets --n 500 --teacher ./qwen2.5-7b-instruct.gguf --documents handbook.md
    """
    from journeyman.flows.synthesize import Options, forecast_synthesis
    from journeyman.flows.synthesize import synthesize as synthesize_rows

    options = Options(
        rows=rows,
        budget_usd=parse_usd(budget) if budget else None,
        teacher=teacher,
        samples=samples,
        least_share=agree,
        is_judged=is_judged,
        languages=tuple(language or ()),
        documents=tuple(documents or ()),
        into=into,
        terms=terms,
        seed=seed,
        is_aimed=is_aimed,
    )
    with working(project, is_json) as workspace:
        made = (forecast_synthesis if is_dry else synthesize_rows)(workspace, task, options)
    if is_json:
        print_json(made.to_json())
        return
    _print(made, is_dry=is_dry)


def _print(made: Synthesis, *, is_dry: bool) -> None:
    forecast, receipt = made.forecast, made.receipt
    cost = "which cost nothing" if forecast.usd is None else f"about {forecast.usd:.2f} US dollars"
    print_lines(
        f"forecast: {forecast.calls:,} calls of {made.teacher}, {forecast.input_tokens:,} tokens read and "
        f"{forecast.output_tokens:,} written, {cost}"
    )
    print_lines(*[f"  aimed at: {spot.name}, {spot.errors:,} of {spot.rows:,} dev rows" for spot in made.spots])
    if is_dry:
        print_lines(f"{made.examples} examples to show; spent so far: {receipt.usd:.4f} US dollars")
        return
    print_lines(f"{made.rows:,} of {made.wanted:,} rows for {made.into}, {made.unanimous:,} with all answers the same")
    if made.why != "complete":
        print_lines(f"it ended there because {made.why}; the same command goes on")
    print_lines(*[f"  {count:,} x {value}" for value, count in made.by_value.items()])
    print_lines(*[f"  {count:,} x {case}" for case, count in made.by_case.items()])
    print_lines(*[f"  dropped {count:,} x {reason}" for reason, count in made.dropped.items() if count])
    lost = f", {receipt.lost:,} cut off" if receipt.lost else ""
    print_lines(
        f"receipt: {receipt.calls:,} calls ({receipt.failed:,} without an answer{lost}), {receipt.input_tokens:,} tokens read, "
        f"{receipt.output_tokens:,} written, {receipt.usd:.4f} US dollars",
        f"next: journeyman prepare {made.task}",
    )
