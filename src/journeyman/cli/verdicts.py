"""An evaluation in a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from journeyman.evaluation.document import Document, LadderPart, RungPart


def describe_assessed(document: Document) -> list[str]:
    """A line per candidate and metric, then the verdict."""
    from journeyman.evaluation.asides import describe_asides
    from journeyman.evaluation.document import (
        asks_judge,
        describe_behaviour,
        describe_interval,
        describe_judge,
        describe_promise,
        describe_verdict,
    )

    lines = []
    for candidate in document.candidates:
        for name, figure in candidate.metrics.items():
            lines.append(
                f"{candidate.name:<28} {candidate.split:<5} {name:<12} "
                f"{figure.value:.3f}  [{figure.low:.3f}, {figure.high:.3f}]  n={figure.n}"
            )
        if candidate.latency_ms is not None:
            latency = candidate.latency_ms
            lines.append(
                f"{'':<28} {'':<5} {'latency':<12} p50 {latency.p50:.0f} ms, p95 {latency.p95:.0f} ms  n={latency.n}"
            )
    lines += [describe_behaviour(test) for test in document.behaviours]
    lines += [describe_judge(judge) for judge in document.judges]
    if document.gate is not None:
        lines += [
            describe_verdict(document.gate, asks_judge(document.gate, document.judges)),
            describe_interval(document.gate),
        ]
    lines += describe_asides(document)
    if document.promise is not None:
        lines.append(describe_promise(document.promise))
    return lines


def print_ladder(ladder: LadderPart) -> None:
    """The rungs as a table, then what to do."""
    from rich.table import Table

    from journeyman.cli.terminal import print_lines, print_table

    priced: list[tuple[str, Callable[[RungPart], float | None], str]] = [
        ("$ per 1,000", lambda rung: rung.usd_per_1000, ".4f"),
        ("break-even, days", lambda rung: rung.break_even_days, ".3g"),
    ]
    shown = [item for item in priced if any(item[1](rung) is not None for rung in ladder.rungs)]
    table = Table("", "rung", "dev", "95 %", "p50 ms", *(name for name, _read, _form in shown))
    for rung in ladder.rungs:
        verdict = rung.verdict
        table.add_row(
            "→" if rung.run and rung.run == ladder.chosen else "",
            rung.name,
            f"{100 * verdict.difference:.1f}" if verdict else "",
            f"{100 * (verdict.low_95 or 0):.1f} to {100 * (verdict.high_95 or 0):.1f}" if verdict else rung.note,
            f"{rung.p50_ms:.1f}" if rung.p50_ms is not None else "",
            *("" if (value := read(rung)) is None else f"{value:{form}}" for _name, read, form in shown),
        )
    print_table(table)
    print_lines(ladder.advice)
