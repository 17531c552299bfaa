"""A base in 4 bits: the same numbers as transformers and PEFT over bitsandbytes' own layers, a seventh of the bytes, a clear refusal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from peft import PeftModel
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from journeyman.core.errors import ModelError, TuneError
from journeyman.models.torch_decoder import Decoder
from journeyman.models.torch_packed import BLOCK, Packed, dense
from journeyman.models.torch_weights import load_decoder, name_projections
from journeyman.tuning.batching import TuneRow, make_batch
from journeyman.tuning.lora import Adapters
from journeyman.tuning.losses import cross_entropy, token_logprobs
from journeyman.tuning.machine import estimate_bytes
from journeyman.tuning.peft_layout import PREFIX, save_peft
from journeyman.tuning.plan import make_plan
from journeyman.tuning.trainable import make_trainable
from tests.models.families import FAMILIES, save_model

ROWS = [TuneRow(tuple(range(3 + row, 20 + row)), 5) for row in range(3)]
# Where a normal distribution has its 16 levels: QLoRA, arXiv:2305.14314, appendix E.
LEVELS = [-1.0, -0.6962, -0.5251, -0.3949, -0.2844, -0.1848, -0.0911, 0.0]
LEVELS += [0.0796, 0.1609, 0.2461, 0.3379, 0.4407, 0.5626, 0.7230, 1.0]


def _packed(family: str, folder: Path, **sizes: int) -> Decoder:
    save_model(family, folder, **sizes)
    return load_decoder(folder, is_packed=True)


def _adapters(decoder: Decoder, rows: list[TuneRow] = ROWS) -> Adapters:
    adapters = make_trainable(decoder, make_plan(rows, {"kind": "qlora", "rank": 4, "batch_tokens": 2000}))
    assert isinstance(adapters, Adapters)
    assert not adapters.merged
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in adapters.parameters():
            if name.endswith("lora_B"):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)
    return adapters


def test_a_number_becomes_the_nearest_level_of_its_block(tmp_path: Path) -> None:
    packed, whole = _packed("llama", tmp_path), load_decoder(tmp_path)
    for group in ("qkv", "down"):
        weight = packed.layers[1].projections[group]
        assert isinstance(weight, Packed)
        blocks = dense(whole.layers[1].projections[group]).reshape(-1, 64)
        scale = blocks.abs().amax(dim=1, keepdim=True)
        levels = torch.tensor(LEVELS)
        held = dense(weight).reshape(-1, 64) / scale
        least = ((blocks / scale)[..., None] - levels).abs().amin(dim=-1)
        torch.testing.assert_close((held - blocks / scale).abs(), least, atol=1e-4, rtol=0)
        assert weight.bytes == blocks.numel() // 2 + 4 * len(blocks)


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_and_gradients_equal_those_of_peft_over_4_bits(family: str, tmp_path: Path) -> None:
    # Rows of whole blocks: where it uses AVX-512, bitsandbytes 0.50 reads others wrong, and the reference with it.
    decoder = _packed(family, tmp_path / "base", intermediate_size=2 * BLOCK)
    assert not decoder.is_exact
    adapters = _adapters(decoder)
    names = dict(adapters.parameters())
    batch = make_batch(ROWS)
    states = decoder.states(batch.ids, batch.layout, adapters.project)[batch.positions]
    loss = cross_entropy(token_logprobs(states, decoder.head, batch.targets), batch.weights)
    ours = torch.autograd.grad(loss, list(names.values()))

    save_peft(tmp_path / "adapter", adapters, "tiny")
    quantized = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    base = AutoModelForCausalLM.from_pretrained(
        str(tmp_path / "base"),
        quantization_config=quantized,
        dtype=torch.float32,
        device_map={"": "cpu"},
        attn_implementation="eager",
    )
    theirs = PeftModel.from_pretrained(base, str(tmp_path / "adapter"), is_trainable=True).train()
    ids = torch.tensor([row.ids for row in ROWS])
    logits = theirs(ids).logits[:, 4:-1].flatten(0, 1)
    reference = F.cross_entropy(logits, ids[:, 5:].flatten())
    reference.backward()
    torch.testing.assert_close(loss, reference, atol=1e-5, rtol=1e-5)
    slopes = {name: tensor.grad for name, tensor in theirs.named_parameters() if tensor.grad is not None}
    assert len(slopes) == len(ours)
    for name, mine in zip(names, ours, strict=True):
        torch.testing.assert_close(mine, slopes[f"{PREFIX}{name}.default.weight"], atol=1e-4, rtol=1e-4, msg=name)


def test_every_use_of_a_packed_base_gives_what_its_dense_form_gives(tmp_path: Path) -> None:
    packed = _packed("qwen3", tmp_path)
    adapters = _adapters(packed)
    ids = torch.randint(3, 90, (2, 9), generator=torch.Generator().manual_seed(1))
    named = {
        f"{index}.{name}": weight
        for index, layer in enumerate(packed.layers)
        for name, weight in name_projections(packed.config, layer)
    }
    assert named["0.mlp.up_proj.weight"].shape == (96, 64)
    with torch.no_grad():
        apart = packed.hidden(ids, adapters.project)
        joined = packed.hidden(ids, adapters.onto(packed).project)
        moved = packed.to(torch.device("cpu")).hidden(ids, adapters.project)
    torch.testing.assert_close(apart, joined, atol=1e-4, rtol=1e-4)
    assert torch.equal(apart, moved)


def test_the_estimate_counts_the_bytes_that_are_held(tmp_path: Path) -> None:
    decoder = _packed("llama", tmp_path)
    plain, packed = (
        estimate_bytes(decoder.config, make_plan(ROWS, {"kind": kind}), 20, "float32")["weights"]
        for kind in ("lora", "qlora")
    )
    outer = 4 * decoder.config.vocabulary * decoder.config.hidden
    held = sum(
        weight.bytes for layer in decoder.layers for weight in layer.projections.values() if isinstance(weight, Packed)
    )
    assert packed - outer == held
    assert (plain - outer) / held == pytest.approx(8 / 0.5625)


def test_without_bitsandbytes_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model("llama", tmp_path)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ModelError, match=r"JM-440 [^~]*journeyman\[qlora\]"):
        load_decoder(tmp_path, is_packed=True)


def test_a_finish_is_refused() -> None:
    with pytest.raises(TuneError, match="JM-502 a finish"):
        make_plan(ROWS, {"kind": "qlora", "finish": "Q4_0"})
