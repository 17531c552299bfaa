"""Tensors in blocks: a merge reads and writes a few rows at a time, so that what it works on stays in the processor's cache.

Every tensor is a matrix [rows, width] here; a vector is one row. Arithmetic is in fp32, whatever the files hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from journeyman.models.safetensors_file import NUMBERS

Array = NDArray[np.float32]
NumberType = Literal["float32", "float16", "bfloat16"]
# What safetensors calls them.
NAMES: dict[NumberType, str] = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
ELEMENTS = 1 << 16  # of one block: 256 KiB, so that those of a few models fit into the second cache


@dataclass(frozen=True, slots=True)
class Block:
    """Rows ``[start, stop)``."""

    start: int
    stop: int


Read = Callable[[Block], Array]
"""A block of a tensor as a new fp32 array [rows, width], which the caller may overwrite."""


def as_matrix(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and width of a tensor seen as a matrix."""
    width = shape[-1] if shape else 1
    return (prod(shape) // width if width else 0), width


def cut(shape: Sequence[int]) -> list[Block]:
    """All rows in blocks, first to last."""
    rows, width = as_matrix(shape)
    step = max(1, ELEMENTS // max(1, width))
    return [Block(start, min(start + step, rows)) for start in range(0, rows, step)]


def from_fp32(values: Array, kind: NumberType) -> NDArray[np.generic]:
    """To the nearest number of the type, ties to even."""
    if kind != "bfloat16":
        return values.astype(NUMBERS[NAMES[kind]], copy=False)
    bits = np.ascontiguousarray(values).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded.astype(np.uint16))
