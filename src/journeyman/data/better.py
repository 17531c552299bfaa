"""Which answer of a row is the best known one, and which are known to be worse."""

from __future__ import annotations

from journeyman.core.canonical import dump
from journeyman.core.example import Example, Target


def best_answer(example: Example) -> Target | None:
    if example.answer is not None:
        return example.answer
    return next((item.target for item in example.alternatives if item.verdict == "chosen"), None)


def unwanted(example: Example) -> list[Target]:
    """Answers that were rejected, or that the gold corrects."""
    best = best_answer(example)
    found = [item.target for item in example.alternatives if item.verdict == "rejected"]
    if example.gold is not None:
        found += [example.target] if example.target is not None else []
        found += [item.target for item in example.alternatives if item.verdict == ""]
    distinct = {dump(target.to_json()): target for target in found if target != best}
    return list(distinct.values())
