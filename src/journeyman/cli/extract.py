"""`journeyman extract`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journeyman.cli.extract_ladder import read_steps, show_ladder
from journeyman.cli.extract_scores import print_scores, scores_json
from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.plain import show_plainly
from journeyman.cli.terminal import print_json, print_lines, print_table
from journeyman.core.canonical import Json

if TYPE_CHECKING:
    from journeyman.flows.extracting import Extracted, Outcome, Rows, Unread
    from journeyman.knowledge.extract.doubts import Doubt, DoubtReason
    from journeyman.knowledge.extract.merge import Conflict
    from journeyman.knowledge.extract.page import Page
    from journeyman.knowledge.extract.place import Placed, Ungrounded
    from journeyman.knowledge.extract.scores import Scores

LONGEST = 60  # characters of a value in a table
BELOW = 0.8
WORDS: Mapping[DoubtReason, str] = {
    "ungrounded": "that their document does not say",
    "conflict": "on which windows differ",
    "unsure": "of which the model is not sure",
}


def extract(
    task: TaskName,
    given: Annotated[
        list[str],
        typer.Argument(metavar="FILES", help="Files, folders, globs in quotes, zip archives.", show_default=False),
    ],
    html: Annotated[
        Path | None, typer.Option(help="Write a page that shows the values in their documents.", show_default=False)
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option(
            help="Ask nobody; write documents with their truths as rows for `journeyman import`.", show_default=False
        ),
    ] = None,
    keep_ungrounded: Annotated[
        bool, typer.Option("--keep-ungrounded", help="Keep values that the document does not say, instead of null.")
    ] = False,
    window: Annotated[
        int,
        typer.Option(
            min=50, help="Tokens of a window; a longer document is asked about in several, and they are merged."
        ),
    ] = 1500,
    below: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Values of a smaller confidence are doubted; `journeyman label TASK --extracted` shows them.",
        ),
    ] = BELOW,
    release: Annotated[str, typer.Option(help="Hash of a release; default: the live one.")] = "",
    ladder: Annotated[
        str,
        typer.Option(
            help="Tune on so many of these labelled documents each, such as 0,5,10,25,50, and score the held-out ones at every step."
        ),
    ] = "",
    held: Annotated[
        list[str] | None,
        typer.Option(
            help="With --ladder: labelled documents that are held out; default: one of three.", show_default=False
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="With --ladder: draw the curve into an SVG file.", show_default=False)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="With --ladder: passes over the rows.", show_default="derived")
    ] = None,
    is_teacher: Annotated[
        bool, typer.Option("--teacher", help="With --ladder: ask the teacher about the held-out documents, too.")
    ] = False,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> int:
    """Read documents and extract what the task's output names: each value with its page, its place and whether the document says it.

    Values that their document does not say, that its windows differ on or that the model is not sure of wait for `journeyman label TASK --extracted`, where a person's word makes them rows to learn from.

    The live release answers, or the teacher while there is none. Values that their document does not say become null. A JSON file of the same name beside a document is its truth:
    then precision, recall and F1 of each field are shown too, and a document without an answer counts as one that says nothing. A file that cannot be read is listed with the reason; exit status 1 when there is one.

    Example: journeyman extract invoices inbox/ --html inbox.html

    Example: journeyman extract invoices labelled/ --ladder 0,5,10,25,50 --plot curve.svg
    """
    from journeyman.flows.extracting import extract as extract_documents
    from journeyman.flows.extracting import write_rows
    from journeyman.knowledge.extract.page import open_page

    steps = read_steps(ladder) if ladder else []
    if not steps and (held or plot is not None or epochs is not None or is_teacher):
        raise typer.BadParameter("--held, --plot, --epochs and --teacher belong to --ladder")
    if steps and (rows is not None or html is not None or release):
        raise typer.BadParameter("--rows, --html and --release do not belong to --ladder")
    with working(project, is_json) as workspace:
        if steps:
            from journeyman.flows.extract_ladder import climb_documents

            show_ladder(
                climb_documents(
                    workspace,
                    task,
                    given,
                    held or (),
                    steps=steps,
                    epochs=epochs,
                    is_teacher=is_teacher,
                    most=window,
                ),
                task,
                plot,
                is_json,
            )
            return 0
        if rows is not None:
            done = write_rows(workspace, task, given, rows, window)
            _show_rows(done, task, rows, is_json)
            return 1 if done.unread else 0
        with ExitStack() as stack:
            page = stack.enter_context(open_page(html)) if html is not None else None
            shown = _Shown(is_json)

            def hear(outcome: Outcome) -> None:
                shown.add(outcome)
                if page is not None:
                    _put(page, outcome)

            ungrounded: Ungrounded = "keep" if keep_ungrounded else "null"
            extract_documents(
                workspace, task, given, hear, release=release, ungrounded=ungrounded, most=window, below=below
            )
    shown.end(html, task)
    return 1 if shown.unread else 0


class _Shown:
    """Each document as it comes; with ``--json`` all of them at the end."""

    def __init__(self, is_json: bool) -> None:
        self._is_json = is_json
        self._documents: list[Extracted] = []
        self._doubted: Counter[DoubtReason] = Counter()
        self._waiting = 0
        self.unread: list[Unread] = []

    def add(self, outcome: Outcome) -> None:
        from journeyman.flows.extracting import Unread

        if isinstance(outcome, Unread):
            self.unread.append(outcome)
            return
        if outcome.truth is None and outcome.doubts:
            self._waiting += 1
            self._doubted.update(doubt.reason for doubt in outcome.doubts)
        if not self._is_json:
            _print_document(outcome)
        if self._is_json or outcome.truth is not None:
            self._documents.append(outcome)

    def end(self, html: Path | None, task: str) -> None:
        scores = self._score()
        if self._is_json:
            documents: list[Json] = [_document_json(one) for one in self._documents]
            refused: list[Json] = [_unread_json(one) for one in self.unread]
            print_json(
                {
                    "documents": documents,
                    "unread": refused,
                    "scores": scores_json(scores) if scores else None,
                    "doubted": {"documents": self._waiting, **self._doubted},
                }
            )
            return
        if scores is not None:
            print_scores(scores)
        print_lines(*(f"not read: {one.name}: {one.code} {one.reason}" for one in self.unread))
        if self._waiting:
            said = ", ".join(f"{count:,} {WORDS[reason]}" for reason, count in self._doubted.items())
            print_lines(
                f"values that somebody should look at, in {self._waiting:,} documents: {said}",
                f"next: {f'open {html}; then ' if html else ''}journeyman label {task} --extracted",
            )
            return
        print_lines(
            f"next: open {html}"
            if html
            else f"next: journeyman extract {task} FILES --html page.html shows the values in place"
        )

    def _score(self) -> Scores | None:
        from journeyman.knowledge.extract.scores import Extraction, score_extractions

        known = [Extraction(one.answer, one.truth, one.placed) for one in self._documents if one.truth is not None]
        known += [Extraction({}, one.truth) for one in self.unread if one.truth is not None]  # they say nothing
        return score_extractions(known) if known else None


def _put(page: Page, outcome: Outcome) -> None:
    from journeyman.flows.extracting import Unread

    if isinstance(outcome, Unread):
        page.refuse(outcome.name, f"{outcome.code} {outcome.reason}")
    else:
        page.add(outcome.document, outcome.placed, outcome.conflicts)


def _print_document(one: Extracted) -> None:
    from rich.table import Table

    from journeyman.knowledge.extract.leaves import write_path

    table = Table("field", "value", "page", "status", title=show_plainly(one.document.name), title_justify="left")
    for value in one.placed:
        table.add_row(write_path(value.path), _short(value.value), str(value.page or ""), value.status)
    print_table(table)
    for conflict in one.conflicts:
        others = ", ".join(_short(other.value) for other in conflict.others)
        print_lines(f"  {write_path(conflict.path)}: {_short(conflict.value)}; other windows say {others}")


def _short(value: Json) -> str:
    said = show_plainly(str(value)).replace("\n", " ")
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"


def _show_rows(done: Rows, task: str, path: Path, is_json: bool) -> None:
    if is_json:
        unread: list[Json] = [_unread_json(one) for one in done.unread]
        print_json({"rows": done.count, "documents": done.documents, "unread": unread})
        return
    print_lines(*(f"not read: {one.name}: {one.code} {one.reason}" for one in done.unread))
    print_lines(
        f"{path}: {done.count:,} rows of {done.documents:,} documents", f"next: journeyman import {path} --task {task}"
    )


def _document_json(one: Extracted) -> dict[str, Json]:
    return {
        "name": one.document.name,
        "answer": one.answer,
        "values": [_value_json(value) for value in one.placed],
        "conflicts": [_conflict_json(conflict) for conflict in one.conflicts],
        "windows": one.windows,
        "models": list(one.models),
        "releases": list(one.releases),
        "traces": list(one.traces),
        "truth": one.truth,
        "doubts": [_doubt_json(doubt) for doubt in one.doubts],
        "notes": list(one.document.notes),
    }


def _value_json(value: Placed) -> dict[str, Json]:
    """``boxes``: page, left, top, right, bottom in points from the page's upper left corner."""
    return {
        "path": list(value.path),
        "value": value.value,
        "status": value.status,
        "score": value.score,
        "start": value.start,
        "end": value.end,
        "page": value.page,
        "boxes": [
            [box.page, *(round(edge, 2) for edge in (box.left, box.top, box.right, box.bottom))] for box in value.boxes
        ],
        "confidence": value.confidence,
    }


def _doubt_json(doubt: Doubt) -> dict[str, Json]:
    """``path`` in the answer of the window that says it."""
    return {"path": list(doubt.path), "reason": doubt.reason, "confidence": doubt.confidence}


def _conflict_json(conflict: Conflict) -> dict[str, Json]:
    others: list[Json] = [_value_json(other) for other in conflict.others]
    return {"path": list(conflict.path), "value": conflict.value, "others": others}


def _unread_json(one: Unread) -> dict[str, Json]:
    return {"name": one.name, "code": one.code, "reason": one.reason}
