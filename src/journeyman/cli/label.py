"""`journeyman label`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journeyman.cli.options import AsJson, ProjectFolder, TaskName, working
from journeyman.cli.plain import show_plainly
from journeyman.cli.terminal import print_json, print_lines

if TYPE_CHECKING:
    from journeyman.flows.label_agreement import Agreement
    from journeyman.flows.label_view import View
    from journeyman.flows.labels import Drawn
    from journeyman.flows.read_labels import ReadBack
    from journeyman.flows.reviewing import ReviewSession
    from journeyman.measure.agreement import Alpha


def label(
    task: TaskName,
    draw: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Draw so many sealed rows on which student and teacher differ; rows that are still open are written again instead.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File for people, .csv or .jsonl.", show_default="TASK-labels.csv")
    ] = None,
    read: Annotated[
        Path | None,
        typer.Option(help="A file that somebody filled in; read again it adds nothing.", show_default=False),
    ] = None,
    by: Annotated[
        str, typer.Option(help="Who labels; with --read who filled it in.", show_default="the login name")
    ] = "",
    is_verdict: Annotated[
        bool, typer.Option("--verdict", help="Sealed rows of the draw, blind, key by key instead of in a file.")
    ] = False,
    wanted: Annotated[
        int | None, typer.Option("--n", min=1, help="With --verdict: so many rows drawn in all.", show_default="50")
    ] = None,
    is_weak: Annotated[
        bool, typer.Option("--weak", help="First the rows that have what the assessed student gets wrong on dev.")
    ] = False,
    again: Annotated[
        float, typer.Option(min=0, max=1, help="Share of rows that somebody else labelled already; not shown is what.")
    ] = 0.0,
    is_asking: Annotated[
        bool, typer.Option("--ask-student", help="Ask the student each train row, also where it is a language model.")
    ] = False,
    is_extracted: Annotated[
        bool,
        typer.Option("--extracted", help="Values that `extract` doubts, one by one, in their documents."),
    ] = False,
    is_agreement: Annotated[
        bool, typer.Option("--agreement", help="How far people agree on the rows that several labelled.")
    ] = False,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Labels by people, key by key in the terminal: train rows to learn from, or blind rows of the sealed split for a gate against the teacher.

    Train rows come in the order in which they are worth it: where the student says something else than the recorded answer, labels that are doubted, uncertain ones, then a random
    draw. What is accepted or mended is gold of the next `prepare`. Each key is kept at once; the same command goes on where it stopped.

    For the verdict rows are drawn from those on which student and teacher differ, and nothing says whose an answer is. `--draw` writes them to a file for people instead: fill in
    `right` (first, second, both or neither), or the right answer under `answer`, and `--read` it; then `assess` decides.

    With `--extracted` it is values that `extract` found in documents and that somebody should look at: they stand nowhere in their document, its windows differ, or the model is not sure.

    Example: journeyman label tickets

    Example: journeyman label invoices --extracted

    Example: journeyman label tickets --verdict --n 50 --by ada

    Example: journeyman label tickets --draw 50 --out labels.csv

    Example: journeyman label tickets --read labels.csv --by ada

    Example: journeyman label tickets --agreement
    """
    _check_options(draw, out, read, by, is_verdict, wanted, is_weak, again, is_asking, is_agreement, is_extracted)
    is_file = draw is not None or read is not None
    if not (is_file or is_agreement):
        if is_json:
            raise typer.BadParameter("--json belongs to --draw, --read or --agreement: a session is for people")
        if is_extracted:
            _review_by_keys(project, task, by)
        else:
            _label_by_keys(project, task, by, is_verdict, wanted, is_weak, again, is_asking)
        return
    with working(project, is_json) as workspace:
        if read is not None:
            from journeyman.flows.read_labels import read_labels

            found = read_labels(workspace, task, read, by)
            document, lines = asdict(found), _describe_read(task, found)
        elif is_agreement:
            from journeyman.flows.label_agreement import find_agreement

            agreement = find_agreement(workspace, task)
            document, lines = agreement.to_json(), _describe_agreement(task, agreement)
        else:
            from journeyman.flows.labels import draw_labels

            drawn = draw_labels(workspace, task, draw or 1, out or Path(f"{task}-labels.csv"))
            document, lines = asdict(drawn) | {"out": str(drawn.out)}, _describe_drawn(task, drawn)
    if is_json:
        print_json({"task": task} | document)
    else:
        print_lines(*lines)


def _check_options(
    draw: int | None,
    out: Path | None,
    read: Path | None,
    by: str,
    is_verdict: bool,
    wanted: int | None,
    is_weak: bool,
    again: float,
    is_asking: bool,
    is_agreement: bool,
    is_extracted: bool,
) -> None:
    """One thing at a time, and each option with what it belongs to."""
    ways = [draw is not None, read is not None, is_verdict, is_agreement, is_extracted]
    if sum(ways) > 1:
        raise typer.BadParameter("one of --draw N, --read FILE, --verdict, --extracted and --agreement")
    if (read is not None and not by) or (by and (draw is not None or is_agreement)) or (out and draw is None):
        raise typer.BadParameter("--by NAME belongs to --read FILE and to a session, --out FILE to --draw N")
    if wanted is not None and not is_verdict:
        raise typer.BadParameter("--n belongs to --verdict")
    if any(ways) and (is_weak or again or is_asking):
        raise typer.BadParameter("--weak, --again and --ask-student belong to a session over train rows")


def _label_by_keys(
    project: Path | None,
    task: str,
    by: str,
    is_verdict: bool,
    wanted: int | None,
    is_weak: bool,
    again: float,
    is_asking: bool,
) -> None:
    from journeyman.cli.at_terminal import check_terminal, find_person

    check_terminal(task)
    person = find_person(by)
    from journeyman.cli.labelling import run_session  # here: it needs a terminal of Unix

    with working(project, is_json=False) as workspace:
        if is_verdict:
            from journeyman.flows.verdict_labelling import open_verdict

            verdict = open_verdict(workspace, task, person, wanted)
            run_session(verdict)
            print_lines(*_describe_verdict(task, person, verdict.view, len(verdict.kept.open)))
            return
        from journeyman.flows.label_queue import make_queue
        from journeyman.flows.labelling import TrainLabelling

        queue = make_queue(workspace, task, person, is_weak=is_weak, again=again, is_asking=is_asking)
        for note in queue.notes:
            workspace.progress.note(note)
        session = TrainLabelling(workspace.store, queue, workspace.now)
        run_session(session)
        print_lines(*_describe_train(task, person, session.view))


def _review_by_keys(project: Path | None, task: str, by: str) -> None:
    from journeyman.cli.at_terminal import check_terminal, find_person

    check_terminal(task)
    person = find_person(by)
    from journeyman.cli.labelling import run_session
    from journeyman.flows.review_queue import make_review_queue
    from journeyman.flows.reviewing import ReviewSession

    with working(project, is_json=False) as workspace:
        reviewing = make_review_queue(workspace, task, person)
        session = ReviewSession(workspace.store, reviewing, workspace.now)
        run_session(session)
    print_lines(*_describe_review(task, person, session))


def _describe_review(task: str, by: str, session: ReviewSession) -> list[str]:
    view, made = session.view, session.made
    values = ", ".join(f"{count:,} {name}" for name, count in made.items()) or "none"
    lines = [
        f"values decided now: {values}",
        f"{view.done:,} windows of documents decided by {by}, {view.left + view.skipped:,} left; the same command goes on here",
    ]
    return [*lines, f"next: journeyman prepare {task}"] if view.done else lines


def _describe_train(task: str, by: str, view: View) -> list[str]:
    lines = [f"{view.done:,} rows labelled by {by}, {view.left + view.skipped:,} left; the same command goes on here"]
    return [*lines, f"next: journeyman prepare {task}"] if view.done else lines


def _describe_verdict(task: str, by: str, view: View, open_rows: int) -> list[str]:
    lines = [
        f"{view.done:,} drawn rows labelled by {by}, {view.left + view.skipped:,} left; who labels should not tune: these rows are sealed"
    ]
    if open_rows:
        return [*lines, f"{open_rows:,} rows are open: nobody labelled them, or people differ"]
    return [*lines, f"next: journeyman assess {task}"]


def _describe_agreement(task: str, found: Agreement) -> list[str]:
    people = ", ".join(f"{by} {count:,}" for by, count in found.labelled.items()) or "nobody yet"
    lines = [f"train rows labelled: {people}"]
    if found.train is None:
        lines.append("no train row has two people's labels: --again 0.2 mixes in what somebody else labelled")
    else:
        lines.append(_describe_alpha("train rows, whole answers", found.train))
        lines += [_describe_alpha(f"  {name}", item) for name, item in found.fields.items()]
    if found.sealed is not None:
        lines.append(_describe_alpha(f"sealed rows of the draw, by {', '.join(found.people)}", found.sealed))
    for item in found.apart:
        said = "; ".join(f"{by}: {answer}" for by, answer in item.said.items())
        lines += [f"* {show_plainly(' '.join(item.input.split()))[:100]}", f"    {show_plainly(said)}"]
    return (
        [
            *lines,
            f"next: journeyman label {task}, where people differ the majority's answer is gold, of equals the latest",
        ]
        if found.apart
        else lines
    )


def _describe_alpha(what: str, found: Alpha) -> str:
    low, high = found.interval.low, found.interval.high
    return f"{what}: Krippendorff's alpha {found.alpha:.3f} ({low:.3f} to {high:.3f}, n = {found.n:,}), {found.apart:,} rows differ"


def _describe_drawn(task: str, drawn: Drawn) -> list[str]:
    if not drawn.written:
        return [f"no sealed row needs a label: journeyman assess {task}"]
    what = f"{drawn.written:,} rows drawn" if drawn.is_new else f"{drawn.written:,} rows were open, so none was drawn"
    return [
        f"{what}: {drawn.out}",
        f"fill in right or answer, then: journeyman label {task} --read {drawn.out} --by NAME",
        "who labels should not tune: these rows are sealed",
    ]


def _describe_read(task: str, found: ReadBack) -> list[str]:
    lines = [
        f"{found.labels:,} labels, {found.changed:,} of them new; {found.open:,} of {found.drawn:,} drawn rows are open"
    ]
    if found.apart:
        lines.append(
            f"on {found.apart:,} of these people differ: let one more person label them, or settle it and read again"
        )
    if found.agreement is not None:
        share = found.agreement
        lines.append(
            f"two people say the same on {100 * share.value:.1f} % ({100 * share.low:.0f} to {100 * share.high:.0f}, n = {share.n:,})"
        )
    return lines if found.open else [*lines, f"next: journeyman assess {task}"]
