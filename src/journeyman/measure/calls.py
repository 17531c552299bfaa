"""Metrics of what an answer took, whatever it says: was it in time, was it cheap enough?"""

from __future__ import annotations

from collections.abc import Callable

from journeyman.measure.metrics import Call, Metric, Pair


def make_call_metric(name: str, taken: Callable[[Call], float | None], most: float) -> Metric:
    """1 where an answer took ``most`` or less. What was not measured is not within, and neither is an answer that is missing or unreadable."""

    def is_within(pair: Pair) -> bool:
        amount = taken(pair.call)
        return pair.got is not None and amount is not None and amount <= most

    return Metric(name, "binary", lambda pairs: [(float(is_within(pair)), 1.0) for pair in pairs])
