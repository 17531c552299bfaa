"""What a merge method is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from journeyman.tuning.merge.blocks import Array, Block, Read

Numbers = Mapping[str, float]
Blend = Callable[[Block], Array]
"""A block of the result in fp32. It is called once for every block, first to last."""


@dataclass(frozen=True, slots=True)
class Part:
    """One model's tensor, read by blocks, and its parameters."""

    read: Read
    numbers: Numbers


@dataclass(frozen=True, slots=True)
class Job:
    """One tensor to make. ``base`` is None where the method has none; ``numbers`` are the parameters of the whole; ``seed`` is this
    tensor's own. Methods note what they saw in ``report``."""

    parts: Sequence[Part]
    base: Read | None
    numbers: Numbers
    seed: int
    blocks: Sequence[Block]
    size: int
    report: dict[str, float] = field(default_factory=dict)

    def note(self, name: str, value: float) -> None:
        """Add to a figure of the report."""
        self.report[name] = self.report.get(name, 0.0) + value


@dataclass(frozen=True, slots=True)
class Method:
    """``begin`` looks at a tensor as a whole where the method has to, and gives what makes its blocks.

    ``of_part`` and ``of_whole`` are the parameters with their defaults; None means that a value must be given.
    ``models`` is (fewest, most) models besides the base.
    """

    begin: Callable[[Job], Blend]
    needs_base: bool = False
    models: tuple[int, int] = (1, 10_000)
    of_part: Mapping[str, float | None] = field(default_factory=dict)
    of_whole: Mapping[str, float | None] = field(default_factory=dict)
