"""Whether the answers of two sets of calls are of one kind: what tells another task from another wording of the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from journeyman.data.mining.call import Answer

FEW = 12
"""So many different short answers at the most are a choice ..."""
OFTEN = 0.9
"""... where they are this share of all."""
LEAST = 8


@dataclass(slots=True)
class Answers:
    """Counts of what answers look like."""

    kinds: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)

    @staticmethod
    def of(answers: Sequence[Answer]) -> Answers:
        found = Answers()
        for answer in answers:
            if answer.kind:
                found.kinds[answer.kind] += 1
                found.keys.update(answer.keys)
                found.labels.update([answer.label] if answer.label else ())
        return found

    @property
    def size(self) -> int:
        return self.kinds.total()

    @property
    def choices(self) -> frozenset[str]:
        """The short texts that nearly all answers are; none where there are too many different ones."""
        common = self.labels.most_common(FEW)
        is_choice = self.size >= LEAST and sum(count for _, count in common) >= OFTEN * self.size
        return frozenset(label for label, _ in common) if is_choice and len(common) <= self.size / 3 else frozenset()


def are_alike(one: Answers, other: Answers) -> bool:
    """False where they are of two kinds, are objects with mostly other keys, or choices among other values."""
    if not one.size or not other.size:
        return True
    kinds = one.kinds.keys() | other.kinds.keys()
    if sum(abs(one.kinds[kind] / one.size - other.kinds[kind] / other.size) for kind in kinds) > 0.6:
        return False
    if one.keys and other.keys and _overlap(one.keys, one.size, other.keys, other.size) < 0.5:
        return False
    first, second = one.choices, other.choices
    if bool(first) != bool(second):
        return not _is_plain(one) or not _is_plain(other)
    return not first or 2 * len(first & second) >= min(len(first), len(second))


def _is_plain(found: Answers) -> bool:
    return found.kinds["text"] > OFTEN * found.size and found.size >= LEAST


def _overlap(one: Counter[str], one_size: int, other: Counter[str], other_size: int) -> float:
    """Of the keys, by how often they come, the share that both have."""
    names = one.keys() | other.keys()
    both = sum(min(one[name] / one_size, other[name] / other_size) for name in names)
    either = sum(max(one[name] / one_size, other[name] / other_size) for name in names)
    return both / either if either else 1.0
