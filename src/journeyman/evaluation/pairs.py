"""Rows and what was said to them, as the pairs that metrics score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from journeyman.core.errors import GateError
from journeyman.core.example import Target
from journeyman.evaluation.run import Prediction, Predictions, Row
from journeyman.measure.metrics import Call, Pair


def refuse_others(rows: Sequence[Row], answered: Predictions) -> None:
    """Raises: GateError: JM-603 predictions of other rows, or in another order."""
    if [row.hash for row in rows] != [item.row for item in answered.items]:
        raise GateError(
            "JM-603",
            "the predictions are not those of these rows",
            expected=f"one for each of {len(rows)} rows, in their order",
            got=f"{len(answered.items)} of {answered.model}",
        )


def make_pairs(answered: Iterable[tuple[Row, Prediction]]) -> list[Pair]:
    """Of the rows that expect something."""
    return [make_pair(row.expected, row, item) for row, item in answered if row.expected is not None]


def make_pair(wanted: Target, row: Row, item: Prediction) -> Pair:
    """An answer beside ``wanted``, with what it took."""
    call = Call(item.latency_ms, item.input_tokens, item.output_tokens, item.is_paid)
    return Pair(wanted, item.target, row.count, row.input, call)
