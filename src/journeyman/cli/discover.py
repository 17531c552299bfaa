"""`journeyman discover`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from journeyman.cli.options import AsJson, ProjectFolder, working
from journeyman.cli.terminal import print_json, print_lines
from journeyman.core.canonical import Json

if TYPE_CHECKING:
    from pathlib import Path

    from journeyman.data.mining.tally import Tally
    from journeyman.flows.discover import Discovery, Found


def discover(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files of chat-completion logs, gzipped or not; model:NAME is recorded calls to that model. Default: all recorded calls.",
            show_default=False,
        ),
    ] = None,
    write: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=GROUP writes tasks/NAME.yaml for that group; all writes every group that a task file can read. May be repeated.",
            show_default=False,
        ),
    ] = None,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Find the narrow tasks in raw traffic: their prompts, fields and answers, what they cost, and which are worth a student.

    Example: journeyman discover calls.jsonl --write tickets=1
    """
    from journeyman.flows.discover import check_wishes, write_tasks
    from journeyman.flows.discover import discover as look

    with working(project, is_json) as workspace:
        check_wishes(workspace, write or [])
        found = look(workspace, sources or [])
        written = write_tasks(workspace, found, write or [])
    if is_json:
        print_json(_to_json(found, written))
        return
    for item in found.found:
        _print(item, found)
    _print_end(found, written)


def _print(item: Found, found: Discovery) -> None:
    from journeyman.flows.discover import redact_example

    group, tally, draft = item.group, item.group.tally, item.group.draft
    words = {"yes": "worth a student", "later": "not yet worth a student", "no": "no student"}
    print_lines(
        f"{group.number:>3}  {item.name}: {tally.calls:,} calls, {100 * item.share:.1f} % of {found.measure}: {words[item.verdict.worth]}",
        f"     {'; '.join(item.verdict.reasons)}",
        f"     instruction: {redact_example(draft.instruction)!r}",
    )
    if draft.fields:
        print_lines(f"     prompt: {redact_example(draft.prompt, 240)!r}")
    print_lines(f"     {_figures(tally)}")


def _figures(tally: Tally) -> str:
    """What is known of it."""
    figures = [f"${tally.cost_usd:,.2f}" if tally.cost_usd is not None else "cost not known"]
    figures += [f"{tally.tokens:,} tokens"] if tally.tokens is not None else []
    latency = tally.latency_ms.median
    figures += [f"median {latency:,.0f} ms"] if latency is not None else []
    figures += [f"{tally.first[:10]} to {tally.last[:10]}"] if tally.last else []
    return ", ".join(figures)


def _print_end(found: Discovery, written: list[Path]) -> None:
    worth = found.worth
    numbers = ", ".join(str(item.group.number) for item in worth)
    shares = f": {numbers}, {100 * sum(item.share for item in worth):.0f} % of {found.measure}" if worth else ""
    print_lines(
        f"{len(found.found)} prompts in {found.calls:,} calls; {len(worth)} worth a student{shares}. "
        f"{found.rest.calls:,} calls belong to none."
    )
    for reason, count in found.unread.items():
        print_lines(f"not read: {count:,} x {reason}")
    for path in written:
        print_lines(f"made {path}")
    if written:
        print_lines(f"next: journeyman import {' '.join(found.sources)} --task {written[0].stem}")
    elif worth:
        print_lines(
            f"next: journeyman discover {' '.join(found.sources)} --write {worth[0].name}={worth[0].group.number}"
        )


def _to_json(found: Discovery, written: list[Path]) -> dict[str, object]:
    return {
        "sources": list(found.sources),
        "calls": found.calls,
        "sampled": found.sampled,
        "measure": found.measure,
        "groups": [_group(item) for item in found.found],
        "worth": [item.group.number for item in found.worth],
        "worth_share": sum(item.share for item in found.worth),
        "rest": _tally(found.rest),
        "unread": dict(found.unread),
        "written": [str(path) for path in written],
    }


def _group(item: Found) -> dict[str, object]:
    from journeyman.flows.discover import describe_task, find_entropy, redact_example

    group, tally = item.group, item.group.tally
    return {
        "group": group.number,
        "name": item.name,
        "worth": item.verdict.worth,
        "reasons": list(item.verdict.reasons),
        "share": item.share,
        "tools": list(group.tools),
        "fields": list(group.draft.fields),
        "task": _redact(describe_task(item.name, group)) if group.draft.fields else None,
        "can_be_written": item.can_be_written,
        "obstacles": list(group.draft.obstacles),
        "constant_share": group.constant,
        "entropy_bits": find_entropy(group),
        "read": tally.read,
        "same_instruction": tally.instructed,
        "valid": tally.valid,
        "examples": [redact_example(call.body[1:]) for call in group.examples],
        **_tally(tally),
    }


def _redact(task: dict[str, Json]) -> dict[str, Json]:
    """Shown as a task file would say it, without personal data."""
    from journeyman.guards.redact import Redactor

    redactor = Redactor()
    shown = {key: redactor.text(task[key]) for key in ("instruction", "prompt") if isinstance(task.get(key), str)}  # type: ignore[arg-type]
    return task | shown


def _tally(tally: Tally) -> dict[str, object]:
    return {
        "calls": tally.calls,
        "failed": tally.failed,
        "single_turn": tally.single,
        "answered": tally.answered,
        "cost_usd": tally.cost_usd,
        "input_tokens": tally.input_tokens if tally.counted == tally.calls else None,
        "output_tokens": tally.output_tokens if tally.counted == tally.calls else None,
        "latency_ms": tally.latency_ms.median,
        "answer_characters": tally.answer_characters.median,
        "first": tally.first or None,
        "last": tally.last or None,
        "models": dict(tally.models),
    }
