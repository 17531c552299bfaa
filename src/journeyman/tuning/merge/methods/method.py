"""What a merge method is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

Numbers = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Part:
    """One model's tensor and its parameters. ``tensor`` is fp32 and may be overwritten."""

    tensor: Tensor
    numbers: Numbers


@dataclass(frozen=True, slots=True)
class Job:
    """One tensor to make. ``base`` is None where the method has none; ``numbers`` are the parameters of the whole; ``seed`` is this
    tensor's own. Methods note what they saw in ``report``."""

    parts: Sequence[Part]
    base: Tensor | None
    numbers: Numbers
    seed: int
    report: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Method:
    """``of_part`` and ``of_whole`` are the parameters with their defaults; None means that a value must be given.

    ``models`` is (fewest, most) models besides the base.
    """

    merge: Callable[[Job], Tensor]
    needs_base: bool = False
    models: tuple[int, int] = (1, 10_000)
    of_part: Mapping[str, float | None] = field(default_factory=dict)
    of_whole: Mapping[str, float | None] = field(default_factory=dict)
