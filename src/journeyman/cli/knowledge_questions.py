"""`journeyman knowledge questions`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journeyman.cli.options import AsJson, ProjectFolder, parse_usd, working
from journeyman.cli.terminal import print_json, print_lines

if TYPE_CHECKING:
    from journeyman.flows.knowledge_questions import Made


def questions(
    name: Annotated[str, typer.Option("--name", help="Which knowledge.")] = "documents",
    count: Annotated[
        int, typer.Option("--n", min=1, help="Questions in all, those of the same command before included.")
    ] = 100,
    budget: Annotated[
        str,
        typer.Option(
            help="What its calls may cost in all, for example 2usd; not needed where the teacher costs nothing.",
            show_default=False,
        ),
    ] = "",
    teacher: Annotated[
        str,
        typer.Option(
            help="A catalog name or a path of a model that runs here; base: the project's base; default: the project's teacher.",
            show_default=False,
        ),
    ] = "",
    is_checked: Annotated[
        bool,
        typer.Option(
            "--check", help="Ask the teacher about each question, too, whether the passage alone answers it there."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="The file; default: NAME.questions.jsonl beside the index.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another one asks about other passages first.")] = 0,
    is_dry: Annotated[bool, typer.Option("--forecast", help="Say what it would take, and call nobody.")] = False,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Let the teacher write questions that the documents answer, each with the words that answer it: what `knowledge eval` compares ways of searching on.

    Passages are drawn over documents and sections, and sent to the teacher. A question stays where its quote stands in the passage and it can be understood without it.

    Example: journeyman knowledge questions --name handbook --n 100 --budget 1usd

    Example: journeyman knowledge questions --name handbook --teacher ./qwen2.5-7b-instruct.gguf --check
    """
    from journeyman.flows.knowledge_questions import Options, forecast_questions, make_questions

    options = Options(
        questions=count,
        budget_usd=parse_usd(budget) if budget else None,
        teacher=teacher,
        is_checked=is_checked,
        seed=seed,
        out=out,
    )
    with working(project, is_json) as workspace:
        made = (forecast_questions if is_dry else make_questions)(workspace, options, name)
    if is_json:
        print_json(made.to_json())
        return
    _print(made, is_dry=is_dry)


def _print(made: Made, *, is_dry: bool) -> None:
    forecast, receipt = made.forecast, made.receipt
    cost = "which cost nothing" if forecast.usd is None else f"about {forecast.usd:.2f} US dollars"
    print_lines(
        f"forecast: {forecast.calls:,} calls of {made.teacher}, {forecast.input_tokens:,} tokens read and "
        f"{forecast.output_tokens:,} written, {cost}"
    )
    if is_dry:
        print_lines(f"spent so far: {receipt.usd:.4f} US dollars")
        return
    print_lines(
        f"{made.questions:,} of {made.wanted:,} questions about {made.documents:,} documents, from {made.passages:,} passages, in {made.path}"
    )
    if made.why != "complete":
        print_lines(f"it ended there because {made.why}; the same command goes on")
    print_lines(*[f"  dropped {count:,} x {reason}" for reason, count in made.dropped.items() if count])
    lost = f", {receipt.lost:,} cut off" if receipt.lost else ""
    print_lines(
        f"receipt: {receipt.calls:,} calls ({receipt.failed:,} without an answer{lost}), {receipt.input_tokens:,} tokens read, "
        f"{receipt.output_tokens:,} written, {receipt.usd:.4f} US dollars",
        f"next: read some of them, then journeyman knowledge eval {made.path} --name {made.name}",
    )
