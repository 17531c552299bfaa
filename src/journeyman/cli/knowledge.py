"""`journeyman knowledge add`, `search`, `list`, `remove`, `eval`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from journeyman.cli.options import AsJson, ProjectFolder, working
from journeyman.cli.plain import show_line, show_plainly
from journeyman.cli.terminal import print_json, print_lines, print_table
from journeyman.core.canonical import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from journeyman.flows.knowledge import Added
    from journeyman.knowledge.document import Box, Fact
    from journeyman.knowledge.index.file import Shelved
    from journeyman.knowledge.retrieve.abstain import Abstention, Share
    from journeyman.knowledge.retrieve.grid import Compared, Figure, Row
    from journeyman.knowledge.retrieve.search import Found

Name = Annotated[str, typer.Option("--name", help="Which knowledge: tasks name it as `knowledge: NAME`.")]
SHOWN = 20  # refused files that are listed


def add(
    given: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, globs in quotes, zip archives, https:// addresses; - for standard input.",
            show_default=False,
        ),
    ],
    name: Name = "documents",
    stdin_name: Annotated[
        str, typer.Option(help="What standard input is called; its ending says how it is read.")
    ] = "stdin.txt",
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and follow what changes until Ctrl-C.")] = False,
    anew: Annotated[bool, typer.Option("--anew", help="Forget what the index holds first.")] = False,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Read documents, cut them into chunks, embed these and index them. What has not changed since costs nothing; what is gone leaves the index.

    PDF, DOCX, PPTX, XLSX, ODT, HTML, Markdown and Obsidian vaults, e-mail, EPUB, CSV, plain text. A file that cannot be read is listed with the reason.

    Example: journeyman knowledge add handbook/ "contracts/*.pdf" --name handbook
    """
    from journeyman.flows.knowledge import add as add_documents
    from journeyman.flows.knowledge import read_most
    from journeyman.flows.knowledge_watch import follow

    with working(project, is_json) as workspace:
        most = read_most(workspace)
        added = add_documents(
            workspace, given, name, stdin=lambda: sys.stdin.buffer.read(most), stdin_name=stdin_name, is_anew=anew
        )
        if is_json:
            print_json({"name": name, "added": [_added_json(item) for item in added]})
        else:
            _print_added(added, name)
        if watch:
            for again in follow(workspace, given, name):
                if is_json:
                    print_json({"name": name, "added": [_added_json(item) for item in again]})
                else:
                    print_lines(*(_line(item) for item in again))


def search(
    question: Annotated[str, typer.Argument(help="A question, or words.", show_default=False)],
    name: Name = "documents",
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many passages.")] = 5,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help='FIELD=VALUE, or FIELD={"gte": 2020} as JSON: only documents whose facts say so. May be repeated.',
            show_default=False,
        ),
    ] = None,
    ranker: Annotated[
        Literal["hybrid", "dense", "lexical"], typer.Option(help="By words and vectors, by vectors, by words.")
    ] = "hybrid",
    window: Annotated[int, typer.Option(min=0, help="Neighbours of a chunk on each side that are read with it.")] = 0,
    diversity: Annotated[
        float, typer.Option(min=0, max=1, help="Passages that differ rather than repeat (MMR).")
    ] = 0.0,
    is_split: Annotated[
        bool,
        typer.Option("--split/--whole", help="Several sentences: each by itself, too, or only as they stand."),
    ] = True,
    is_named: Annotated[
        bool,
        typer.Option("--named", help="Prefer documents whose facts the question names: a year, a client, a title."),
    ] = False,
    has_embeds: Annotated[
        bool,
        typer.Option("--embeds", help="Behind each passage what it embeds of other notes, as passages of their own."),
    ] = False,
    rerank: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=1000,
            help="How many of the first hits are put in the order that `knowledge tune` learned; 0 for none.",
            show_default="30 where it has learned one",
        ),
    ] = None,
    least: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Evidence below which it is not in the documents: `knowledge eval` chooses it."
        ),
    ] = 0.0,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """The passages that answer a question best, each with its document, headings and page.

    Example: journeyman knowledge search "how long may goods be returned?" --where lang=en
    """
    from journeyman.flows.knowledge import open_library
    from journeyman.knowledge.retrieve.recipe import Recipe

    recipe = Recipe(
        ranker=ranker,
        top=top,
        window=window,
        diversity=diversity,
        is_split=is_split,
        is_named=is_named,
        has_embeds=has_embeds,
        least=least,
        rerank=rerank,
        depth=max(50, 2 * top),
    )
    with working(project, is_json) as workspace, open_library(workspace, name) as library:
        found = library.find(question, recipe, read_filter(where or []))
        names = {item.id: item.origin.name for item in library.index.documents()} if found else {}
        if is_json:
            passages = [_found_json(item, names, library.boxes(item)) for item in found]
            print_json({"question": question, "passages": passages})
            return
    if not found:
        said = "This is not in the documents, by the evidence that was asked for." if least else "Nothing was found."
        print_lines(said + (" No document meets the conditions, perhaps." if where else ""))
    for number, item in enumerate(found, 1):
        page = f", page {item.piece.page}" if item.piece.page else ""
        path = " > ".join(item.piece.headings)
        print_lines(
            f"{number}. {show_line(names.get(item.piece.document, '?'))}{page}{'  ' + show_line(path) if path else ''}  ({'embedded above' if item.is_embedded else f'{item.score:.3f}'})",
            *(f"   {show_plainly(line)}" for line in item.text.strip().splitlines()),
            "",
        )


def list_(
    name: Name = "documents",
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """The documents of an index, and the files that gave nothing.

    Example: journeyman knowledge list --name handbook
    """
    from journeyman.flows.knowledge import open_library

    with working(project, is_json) as workspace, open_library(workspace, name) as library:
        documents, refusals = library.index.documents(), library.index.refusals()
    if is_json:
        print_json(
            {
                "name": name,
                "documents": [_document_json(item) for item in documents],
                "refused": [{"name": item.name, "code": item.code, "reason": item.reason} for item in refusals],
            }
        )
        return
    for item in documents:
        print_lines(f"{item.chunks:>6} chunks  {show_line(item.origin.name)}  {show_line(item.title)}")
    print_lines(*(f"     refused  {show_line(f'{item.name}: {item.code} {item.reason}')}" for item in refusals))
    print_lines(f"{len(documents):,} documents, {sum(item.chunks for item in documents):,} chunks")


def remove(
    given: Annotated[
        list[str], typer.Argument(help="What was added, or a folder or file below it.", show_default=False)
    ],
    name: Name = "documents",
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Take documents out of an index, with their vectors; the files stay as they are.

    Example: journeyman knowledge remove handbook/drafts --name handbook
    """
    from journeyman.flows.knowledge import remove as remove_documents

    with working(project, is_json) as workspace:
        removed = remove_documents(workspace, given, name)
    if is_json:
        print_json({"name": name, "removed": removed})
    else:
        print_lines(f"{removed:,} documents have left {name}.")


def eval_(
    questions: Annotated[
        Path,
        typer.Argument(
            help='JSONL: {"question", "document", "quote"} a line, or "gold": [{"document", "start", "end"}, ...]; an empty gold: not in the documents.',
            show_default=False,
        ),
    ],
    name: Name = "documents",
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many passages each recipe finds.")] = 5,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Compare ways of searching on questions whose answers are known: what each finds, with intervals, what it costs, and which is enough.

    The choice is made on one half of the questions, the figures are of the other.

    Example: journeyman knowledge eval questions.jsonl --name handbook
    """
    from journeyman.flows.knowledge_eval import evaluate

    with working(project, is_json) as workspace:
        compared = evaluate(workspace, questions, name, top)
    if is_json:
        print_json(
            {
                "name": name,
                "best": compared.best,
                "recommended": compared.recommended,
                "chosen_on": compared.chosen_on,
                "is_held_out": compared.is_held_out,
                "look": compared.look,
                "rows": [_row_json(row) for row in compared.rows],
                "abstention": _abstention_json(compared.abstention) if compared.abstention else None,
            }
        )
        return
    _print_compared(compared, top)
    if compared.abstention:
        _print_abstention(compared.abstention)
    if compared.look > 1:
        print_lines(
            f"Look {compared.look} at these questions: what is chosen by looking again and again is praised for its luck."
        )


def _print_compared(compared: Compared, top: int) -> None:
    from rich.table import Table

    table = Table("search", "recall", "first right at", "IoU", "against the best", "characters read", "ms")
    for row in compared.rows:
        table.add_row(
            f"{row.name}{' *' if row.name == compared.recommended else ''}",
            *(_figure(figure) for figure in (row.recall, row.reciprocal, row.iou)),
            "" if row.name == compared.best else _figure(row.difference, "+"),
            f"{row.read:,.0f}",
            f"{row.median_ms:.1f}",
        )
    print_table(table)
    n = compared.rows[0].n
    held = (
        f"chosen on {compared.chosen_on:,} other questions"
        if compared.is_held_out
        else "chosen on the same questions: too few to keep half apart"
    )
    print_lines(
        f"Recall: the share of the answers' text among the first {top} passages; first right at: the mean of 1 / rank; n = {n:,}, 95 % intervals.",
        f"* {compared.recommended}: not worse than the best ({compared.best}) by more than 2 points of recall, and reads least; {held}.",
    )


def _print_abstention(abstention: Abstention) -> None:
    asked = "without the documents that answer them" if abstention.is_left_out else "that no document answers"
    held = f"chosen on {abstention.chosen_on:,} others" if abstention.is_held_out else "chosen on the same questions"
    print_lines(
        f"Not in the documents: with --least {abstention.least:.3f}, {_share(abstention.answered)} of the questions are answered, "
        f"and {_share(abstention.refused)} of those asked {asked} are refused; {held}.",
    )


def _share(share: Share) -> str:
    return f"{share.value:.3f} ({share.interval.low:.3f} to {share.interval.high:.3f}, n = {share.n:,})"


def _abstention_json(abstention: Abstention) -> dict[str, Json]:
    shares: dict[str, Json] = {
        name: {"value": share.value, "low": share.interval.low, "high": share.interval.high, "n": share.n}
        for name, share in (("answered", abstention.answered), ("refused", abstention.refused))
    }
    return {
        "least": abstention.least,
        "accuracy": abstention.accuracy,
        **shares,
        "chosen_on": abstention.chosen_on,
        "is_held_out": abstention.is_held_out,
        "is_left_out": abstention.is_left_out,
    }


def _figure(figure: Figure, sign: str = "") -> str:
    return f"{figure.value:{sign}.3f} ({figure.interval.low:{sign}.3f} to {figure.interval.high:{sign}.3f})"


def _row_json(row: Row) -> dict[str, Json]:
    figures: dict[str, Json] = {
        key: {"value": figure.value, "low": figure.interval.low, "high": figure.interval.high, "n": row.n}
        for key, figure in (
            ("recall", row.recall),
            ("reciprocal_rank", row.reciprocal),
            ("precision", row.precision),
            ("iou", row.iou),
            ("recall_minus_best", row.difference),
        )
    }
    return {
        "name": row.name,
        "recipe": asdict(row.recipe),
        **figures,
        "characters_read": row.read,
        "median_ms": row.median_ms,
    }


def read_filter(conditions: list[str]) -> dict[str, Fact | list[Fact] | dict[str, object]]:
    """Conditions as the command line takes them: the value is JSON where it reads as such, else text."""
    read: dict[str, Fact | list[Fact] | dict[str, object]] = {}
    for condition in conditions:
        field, mark, value = condition.partition("=")
        if not mark or not field:
            raise typer.BadParameter(f"--where {condition}: FIELD=VALUE")
        try:
            read[field] = json.loads(value)
        except ValueError:
            read[field] = value
    return read


def _print_added(added: list[Added], name: str) -> None:
    refused = [refusal for item in added for refusal in item.done.refused]
    print_lines(*(_line(item) for item in added))
    print_lines(*(f"  not read: {show_line(f'{item.name}: {item.code} {item.reason}')}" for item in refused[:SHOWN]))
    if len(refused) > SHOWN:
        print_lines(f"  and {len(refused) - SHOWN:,} more: journeyman knowledge list --name {name}")
    print_lines(f'next: journeyman knowledge search "..." --name {name}')


def _line(item: Added) -> str:
    done = item.done
    counts = {"new": done.added, "changed": done.changed, "as before": done.unchanged, "removed": done.removed}
    said = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count) or "no files"
    refused = f", {len(done.refused):,} not read" if done.refused else ""
    return f"{show_line(item.given)}: {said}{refused}; {done.chunks:,} chunks written, {done.embedded:,} embedded"


def _added_json(item: Added) -> dict[str, Json]:
    done = item.done
    return {
        "given": item.given,
        "added": done.added,
        "changed": done.changed,
        "unchanged": done.unchanged,
        "removed": done.removed,
        "chunks": done.chunks,
        "embedded": done.embedded,
        "refused": [{"name": each.name, "code": each.code, "reason": each.reason} for each in done.refused],
        "notes": [{"name": each, "note": note} for each, note in done.notes],
    }


def _document_json(item: Shelved) -> dict[str, Json]:
    facts: dict[str, Json] = {
        key: list(value) if isinstance(value, tuple) else value for key, value in item.facts.items()
    }
    return {
        "name": item.origin.name,
        "root": item.origin.root,
        "title": item.title,
        "media": item.media,
        "chunks": item.chunks,
        "facts": facts,
    }


def _found_json(item: Found, names: dict[int, str], boxes: Sequence[Box]) -> dict[str, Json]:
    """``boxes``: page, left, top, right, bottom in points from the page's upper left corner."""
    return {
        "document": names.get(item.piece.document, ""),
        "chunk": item.piece.id,
        "start": item.start,
        "end": item.end,
        "page": item.piece.page,
        "headings": list(item.piece.headings),
        "score": item.score,
        "embedded": item.is_embedded,
        "text": item.text,
        "boxes": [
            [box.page, *(round(edge, 2) for edge in (box.left, box.top, box.right, box.bottom))] for box in boxes
        ],
    }
