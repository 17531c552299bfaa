"""Matrices in 4 bits, for tuning adapters beside a base that would not fit otherwise: NF4 (QLoRA, arXiv:2305.14314) by bitsandbytes.

A matrix is made dense again for each product, and forgotten. Of bitsandbytes only the two functions are used: its linear layer re-packs
weights in place at the first forward pass without gradients on some processors, and later backward passes are wrong.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from journeyman.core.errors import ModelError

BLOCK = 64  # numbers that share a scale


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """[out, in] in half a byte and 1/16 a number: 16 levels, a scale in fp32 for each 64 along the rows."""

    codes: Tensor
    state: Any  # bitsandbytes' QuantState

    @property
    def shape(self) -> torch.Size:
        return torch.Size(self.state.shape)

    @property
    def bytes(self) -> int:
        return self.codes.nbytes + int(self.state.absmax.nbytes)

    def dense(self) -> Tensor:
        """In the number type that was packed. A row at a time is a block: bitsandbytes 0.50 reads rows of other lengths wrong where it uses AVX-512."""
        state, shape = self.state, self.shape
        if shape[-1] % BLOCK and shape.numel() % BLOCK == 0:
            state = copy(state)
            state.shape = torch.Size((shape.numel() // BLOCK, BLOCK))
        result: Tensor = _bitsandbytes().dequantize_4bit(self.codes, state)
        return result.reshape(shape)

    def to(self, device: torch.device) -> Packed:
        state = copy(self.state)
        state.to(device)
        return Packed(self.codes.to(device), state)


Weight = Tensor | Packed


def pack(weight: Tensor) -> Packed:
    """Round each number to the nearest level of its block.

    Raises:
        ModelError: JM-440 bitsandbytes is not installed.
    """
    codes, state = _bitsandbytes().quantize_4bit(weight.contiguous(), blocksize=BLOCK, quant_type="nf4")
    return Packed(codes, state)


def dense(weight: Weight) -> Tensor:
    """Itself where it is dense."""
    return weight.dense() if isinstance(weight, Packed) else weight


def _bitsandbytes() -> ModuleType:
    try:
        from bitsandbytes import functional
    except ImportError as error:
        raise ModelError(
            "JM-440",
            "a base in 4 bits needs bitsandbytes",
            got=str(error)[:200],
            hint="pip install 'journeyman[qlora]', or tune with --kind lora",
        ) from error
    module: ModuleType = functional
    return module
