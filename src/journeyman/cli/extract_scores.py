"""Scores of extractions, as a table and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from journeyman.cli.terminal import print_lines, print_table
from journeyman.core.canonical import Json

if TYPE_CHECKING:
    from journeyman.knowledge.extract.scores import Figure, Scores


def print_scores(scores: Scores) -> None:
    from rich.table import Table

    table = Table("field", "precision", "recall", "F1", "documents right")
    for one in scores.fields:
        name = "all" if one.field == "*" else one.field
        table.add_row(name, *(write_figure(each) for each in (one.precision, one.recall, one.f1, one.whole)))
    print_table(table)
    print_lines(
        f"All right: {write_figure(scores.whole)} documents, n = {scores.whole.n}; values that their document says: {write_figure(scores.grounded)}; 95 % intervals."
    )


def write_figure(figure: Figure | None) -> str:
    return f"{figure.value:.3f} ({figure.interval.low:.3f} to {figure.interval.high:.3f})" if figure else ""


def scores_json(scores: Scores) -> dict[str, Json]:
    fields: dict[str, Json] = {
        one.field: {
            "precision": figure_json(one.precision),
            "recall": figure_json(one.recall),
            "f1": figure_json(one.f1),
            "documents_right": figure_json(one.whole),
        }
        for one in scores.fields
    }
    return {"all_right": figure_json(scores.whole), "grounded": figure_json(scores.grounded), "fields": fields}


def figure_json(figure: Figure | None) -> Json:
    if figure is None:
        return None
    return {"value": figure.value, "low": figure.interval.low, "high": figure.interval.high, "n": figure.n}
