"""Rounding while tuning equals what is written afterwards, bit by bit."""

from __future__ import annotations

import pytest
import torch
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize
from hypothesis import given
from hypothesis import strategies as st

from journeyman.tuning.rounding import Rounded, round_half_away, round_weights


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([1e-3, 0.05, 3.0]))
def test_a_matrix_is_what_the_file_would_hold(kind: Rounded, seed: int, scale: float) -> None:
    weight = torch.randn(7, 96, generator=torch.Generator().manual_seed(seed)) * scale
    weight[2] = 0
    weight[3, :32] = scale
    number = GGMLQuantizationType[kind]
    expected = torch.from_numpy(dequantize(quantize(weight.numpy(), number), number))
    round_weights({(0, "o"): weight}, kind)
    assert torch.equal(weight, expected)


def test_halves_go_away_from_zero() -> None:
    assert round_half_away(torch.tensor([0.5, -0.5, 1.5, 2.5, -2.5, 0.2])).tolist() == [1, -1, 2, 3, -3, 0]
