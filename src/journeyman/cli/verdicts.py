"""An evaluation in a few lines for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from journeyman.evaluation.document import Document, LadderPart


def describe_assessed(document: Document) -> list[str]:
    """A line per candidate and metric, then the verdict."""
    from journeyman.evaluation.asides import describe_asides
    from journeyman.evaluation.document import describe_interval, describe_promise, describe_verdict

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
    if document.gate is not None:
        lines += [describe_verdict(document.gate), describe_interval(document.gate)]
    lines += describe_asides(document)
    if document.promise is not None:
        lines.append(describe_promise(document.promise))
    return lines


def print_ladder(ladder: LadderPart) -> None:
    """The rungs as a table, then what to do."""
    from rich.console import Console
    from rich.table import Table

    from journeyman.cli.terminal import print_lines

    table = Table("", "rung", "dev", "95 %", "p50 ms", "$ per 1,000")
    for rung in ladder.rungs:
        verdict = rung.verdict
        table.add_row(
            "→" if rung.run and rung.run == ladder.chosen else "",
            rung.name,
            f"{100 * verdict.difference:.1f}" if verdict else "",
            f"{100 * (verdict.low_95 or 0):.1f} to {100 * (verdict.high_95 or 0):.1f}" if verdict else rung.note,
            f"{rung.p50_ms:.1f}" if rung.p50_ms is not None else "",
            f"{rung.usd_per_1000:.4f}" if rung.usd_per_1000 is not None else "",
        )
    Console().print(table)
    print_lines(ladder.advice)
