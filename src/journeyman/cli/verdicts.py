"""An evaluation in a few lines for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from journeyman.evaluation.document import Document


def describe_assessed(document: Document) -> list[str]:
    """A line per candidate and metric, then the verdict."""
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
    if document.promise is not None:
        lines.append(describe_promise(document.promise))
    return lines
