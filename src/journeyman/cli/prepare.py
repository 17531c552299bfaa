"""`journeyman prepare`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from journeyman.cli.options import AsJson, KeepRows, ProjectFolder, TaskName, working
from journeyman.cli.terminal import print_json, print_lines, print_table
from journeyman.core.canonical import Json
from journeyman.core.example import SPLITS

if TYPE_CHECKING:
    from journeyman.flows.quality import Quality

MOST_SHOWN = 12


def prepare(
    task: TaskName,
    is_any: Annotated[
        bool, typer.Option("--any-instruction", help="Take rows that were made under another instruction too.")
    ] = False,
    is_inspected: Annotated[
        bool,
        typer.Option(
            "--quality", help="Say what the dataset holds and what is wrong with it, labels that are likely wrong too."
        ),
    ] = False,
    keep: KeepRows = None,
    keep_by: Annotated[
        Literal["coverage", "random"] | None,
        typer.Option(
            help="With --keep: rows that stand for the others, and hard ones where many are kept (default), or a draw to compare with."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="With --keep: of the draw, and of the parts that many rows are dealt into.")
    ] = None,
    doubts: Annotated[
        Path | None,
        typer.Option(
            help="With --quality: write the rows with such labels here, to be filled in and imported.",
            show_default=False,
        ),
    ] = None,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Make a dataset: validate, group near copies, split, seal the test split.

    Example: journeyman prepare tickets

    Example: journeyman prepare tickets --quality --doubts look-at.jsonl

    Example: journeyman prepare tickets --keep 2000
    """
    from journeyman.flows.prepare import prepare_task
    from journeyman.flows.subset import choose_keep

    quality, kept = None, choose_keep(keep, keep_by, seed)
    with working(project, is_json) as workspace:
        prepared = prepare_task(workspace, task, "any" if is_any else "own", kept)
        if is_inspected or doubts is not None:
            from journeyman.flows.quality import inspect_dataset, write_doubts

            quality = inspect_dataset(workspace, task)
            if doubts is not None:
                write_doubts(quality, doubts, workspace.now())
    account = cast(Mapping[str, Json], prepared.manifest.get("kept") or {})
    if is_json:
        said: dict[str, Any] = {
            "task": task,
            "dataset": prepared.hash,
            "funnel": prepared.funnel,
            "notices": prepared.notices,
        }
        said |= {"kept": account} if account else {}
        print_json(said | ({"quality": quality.to_json()} if quality else {}))
        return
    sizes = ", ".join(f"{name} {prepared.count(name)}" for name in SPLITS)
    aside = cast(Mapping[str, int], prepared.funnel["set_aside"])
    print_lines(f"dataset {prepared.hash[:12]}: {sizes}")
    print_lines(*[f"  {count} set aside: {reason}" for reason, count in aside.items() if count])
    print_lines(*[f"  {notice}" for notice in prepared.notices])
    if account:
        print_lines(*_describe_kept(account))
    elif kept is not None:
        print_lines(f"all train rows are kept: there are no more than {kept.rows:,}")
    if quality is not None:
        _print(quality)
    print_lines(f"next: journeyman tune {task}")


def _describe_kept(account: Mapping[str, Json]) -> Iterator[str]:
    rows, left, hard = (cast(int, account[name]) for name in ("rows", "left_out", "hard"))
    how = f"a draw, seed {account['seed']}"
    if account["by"] == "coverage":
        barely = f", {hard:,} of them for being barely told right" if hard else ""
        how = f"by how they cover the others ({account['features']}){barely}"
    yield f"kept {rows:,} of {rows + left:,} train rows: {how}; all of them are dataset {str(account['of'])[:12]}, which prepare without --keep goes back to"
    for field, values in cast(Mapping[str, Mapping[str, list[int]]], account["values"]).items():
        most = [f"{json.loads(value)} {kept:,} of {count:,}" for value, (kept, count) in values.items()]
        yield f"  {field or 'answers'}: {', '.join(most[:MOST_SHOWN])}{', ...' if len(most) > MOST_SHOWN else ''}"


def _print(quality: Quality) -> None:
    from rich.table import Table

    table = Table("letters", "5th", "middle", "95th", "longest")
    for name, ends in quality.lengths.items():
        table.add_row(name, *(f"{end:,}" for end in ends))
    print_table(table)
    for field, counts in quality.values.items():
        most = sorted(counts.items(), key=lambda item: -item[1])
        shown = ", ".join(f"{value} {count:,}" for value, count in most[:MOST_SHOWN]) + (
            ", ..." if len(most) > MOST_SHOWN else ""
        )
        print_lines(f"{field or 'answers'}: {shown}")
    if quality.unlooked:
        print_lines(f"labels were not looked at: {quality.unlooked}")
    for item in quality.doubts[:5]:
        text = " ".join(str(value) for value in item.input.values())
        print_lines(f"  {item.value} ({item.given:.2f}), rather {item.likely} ({item.taken:.2f}): {text[:100]}")
    for finding in quality.findings:
        print_lines(
            f"* {finding.rows:,} {finding.what}",
            *(f"    e.g. {' '.join(text.split())}" for text in finding.examples),
            f"    {finding.command}",
        )
    if not quality.findings:
        print_lines("nothing was found to be wrong")
