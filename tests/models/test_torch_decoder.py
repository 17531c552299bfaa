"""The decoder against transformers, on a tiny random GGUF."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, GgufConfig

from journeyman.core.errors import ModelError
from journeyman.models.gguf_layout import permute_rows, unpermute_rows
from journeyman.models.torch_weights import load_decoder
from tests.tiny import write_tiny_llama


def test_logits_equal_those_of_transformers(tiny_gguf: Path) -> None:
    ours = load_decoder(tiny_gguf)
    theirs = AutoModelForCausalLM.from_pretrained(
        str(tiny_gguf.parent),
        gguf_file=tiny_gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    ids = torch.randint(3, 250, (3, 17), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(ours.hidden(ids) @ ours.head.T, theirs(ids).logits, atol=1e-5, rtol=1e-5)


def test_right_padding_without_a_mask_is_exact(tiny_gguf: Path) -> None:
    decoder = load_decoder(tiny_gguf)
    row = torch.randint(3, 250, (1, 9), generator=torch.Generator().manual_seed(2))
    padded = torch.cat([row, torch.zeros(1, 7, dtype=torch.long)], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(decoder.hidden(padded)[:, :9], decoder.hidden(row), atol=1e-5, rtol=1e-5)


def test_reading_on_from_a_past_is_exact_for_rows_of_unequal_length(tiny_gguf: Path) -> None:
    decoder = load_decoder(tiny_gguf)
    ids = torch.randint(3, 250, (2, 12), generator=torch.Generator().manual_seed(3))
    lengths = torch.tensor([5, 8])
    past = decoder.empty_past(2, 12)
    with torch.no_grad():
        whole = decoder.hidden(ids)
        first = decoder.hidden(ids[:, :8], None, past)
        torch.testing.assert_close(first, whole[:, :8], atol=1e-5, rtol=1e-5)
        past.lengths.copy_(lengths)
        for step in range(4):
            place = lengths + step
            states = decoder.hidden(ids[[0, 1], place][:, None], None, past)[:, 0]
            torch.testing.assert_close(states, whole[[0, 1], place], atol=1e-5, rtol=1e-5)
            past.lengths.add_(1)


def test_row_permutation_round_trips() -> None:
    weight = torch.randn(32, 5)
    assert torch.equal(unpermute_rows(permute_rows(weight, 4), 4), weight)
    assert not torch.equal(permute_rows(weight, 4), weight)


def test_a_file_that_is_no_gguf_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"JM-405 .*x\.gguf: this is not a readable GGUF file"):
        load_decoder(path)


def test_a_tensor_that_would_not_be_read_is_refused_by_name(tmp_path: Path) -> None:
    path = write_tiny_llama(tmp_path / "biased.gguf", more=("blk.0.attn_q.bias",))
    with pytest.raises(ModelError, match=r"(?s)JM-408 .*blk\.0\.attn_q\.bias"):
        load_decoder(path)


def test_a_truncated_gguf_is_one_clear_error(tmp_path: Path, tiny_gguf: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_gguf.read_bytes()[: tiny_gguf.stat().st_size // 2])
    with pytest.raises(ModelError, match="JM-405"):
        load_decoder(path)
