"""Gradients and files of the merged-weight LoRA against plain autograd, PEFT and transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from peft import PeftModel
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, GgufConfig

from journeyman.core.errors import TuneError
from journeyman.models.torch_decoder import GROUPS, Decoder
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.batching import TuneRow, make_batch
from journeyman.tuning.full import make_weights
from journeyman.tuning.lora import Adapters, LoraConfig, make_adapters
from journeyman.tuning.losses import cross_entropy, token_logprobs
from journeyman.tuning.machine import count_flops
from journeyman.tuning.peft_layout import PREFIX, load_config, load_peft, open_peft, save_peft
from journeyman.tuning.plan import ALL_LINEAR, make_plan


def _adapters(
    decoder: Decoder,
    seed: int = 0,
    targets: tuple[str, ...] = ALL_LINEAR,
    *,
    is_decomposed: bool = False,
    first_layer: int = 0,
    is_merged: bool = True,
) -> Adapters:
    generator = torch.Generator().manual_seed(seed)
    config = LoraConfig(4, 8.0, targets, is_decomposed=is_decomposed, first_layer=first_layer)
    adapters = make_adapters(decoder, config, seed, is_merged=is_merged)
    with torch.no_grad():
        for name, tensor in adapters.parameters():
            if name.endswith("lora_B"):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)
            if name.endswith("magnitude_vector"):
                tensor.mul_(1 + 0.1 * torch.randn(tensor.shape, generator=generator))
    adapters.merge(decoder)
    return adapters


def _reference_project(adapters: Adapters):
    """W·x + s·B·A·x, the textbook form, by autograd."""

    def project(layer: int, group: str, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        y = F.linear(x, weight)
        for _name, pair in adapters.pairs.get((layer, group), ()):
            delta = F.linear(F.linear(x, pair.a), pair.b) * adapters.config.scale
            y = y + F.pad(delta, (pair.start, y.shape[-1] - pair.start - pair.b.shape[0]))
        if (layer, group) in adapters.factors:
            magnitudes, norms = [], []
            for _name, pair in adapters.pairs[(layer, group)]:
                rows = weight[pair.start : pair.start + pair.b.shape[0]]
                norms.append((rows + adapters.config.scale * pair.b @ pair.a).norm(dim=1).detach())
                magnitudes.append(pair.magnitude)
            y = y * (torch.cat(magnitudes) / torch.cat(norms))
        return y

    return project


@pytest.mark.parametrize(
    ("is_decomposed", "first_layer", "is_merged"),
    [(False, 0, True), (True, 0, True), (False, 1, True), (False, 0, False), (False, 1, False)],
)
def test_gradients_equal_autograd_of_the_textbook_form(
    tiny_gguf: Path, is_decomposed: bool, first_layer: int, is_merged: bool
) -> None:
    decoder = load_decoder(tiny_gguf)
    adapters = _adapters(decoder, is_decomposed=is_decomposed, first_layer=first_layer, is_merged=is_merged)
    assert bool(adapters.merged) == is_merged
    ids = torch.randint(3, 250, (2, 11), generator=torch.Generator().manual_seed(3))
    positions, targets = torch.tensor([3, 4, 15, 20]), torch.tensor([7, 9, 30, 2])
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4])
    names = dict(adapters.parameters())

    states = decoder.hidden(ids, adapters.project).flatten(0, 1)[positions]
    loss = cross_entropy(token_logprobs(states, decoder.head, targets), weights)
    ours = torch.autograd.grad(loss, list(names.values()))

    states = decoder.hidden(ids, _reference_project(adapters)).flatten(0, 1)[positions]
    reference = (F.cross_entropy(states @ decoder.head.T, targets, reduction="none") * weights).sum()
    theirs = torch.autograd.grad(reference, list(names.values()))

    torch.testing.assert_close(loss, reference, atol=1e-5, rtol=1e-5)
    for name, mine, other in zip(names, ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4, msg=name)


def test_the_count_of_operations_is_what_a_step_multiplies(tiny_gguf: Path) -> None:
    """Counted by torch, without attention; the gradient for the first projection's input is not needed and not formed."""
    decoder = load_decoder(tiny_gguf)
    adapters = _adapters(decoder)
    rows = [TuneRow(tuple(range(20 + row, 40 + row)), 5) for row in range(3)]
    batch = make_batch(rows)
    with FlopCounterMode(display=False) as counter:
        states = decoder.states(batch.ids, batch.layout, adapters.project)[batch.positions]
        cross_entropy(token_logprobs(states, decoder.head, batch.targets), batch.weights).backward()
    counted = sum(flops for operation, flops in counter.get_flop_counts()["Global"].items() if "mm" in str(operation))
    first = 2 * 60 * decoder.layers[0].projections["qkv"].numel()
    assert counted == count_flops(decoder.config, make_plan(rows, {"rank": 4}), 60, 45) - first


def test_adapters_on_some_projections_leave_the_others(tiny_gguf: Path) -> None:
    decoder = load_decoder(tiny_gguf)
    adapters = _adapters(decoder, targets=("self_attn.v_proj", "mlp.down_proj"))
    assert {group for _layer, group in adapters.pairs} == {"qkv", "down"}
    ids = torch.randint(3, 250, (1, 5), generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(decoder.hidden(ids, adapters.project), decoder.hidden(ids, _reference_project(adapters)))


@pytest.mark.parametrize(("is_decomposed", "first_layer"), [(False, 0), (True, 0), (False, 1)])
def test_peft_loads_our_folder_and_gives_our_logits(
    tiny_gguf: Path, tmp_path: Path, is_decomposed: bool, first_layer: int
) -> None:
    decoder = load_decoder(tiny_gguf)
    adapters = _adapters(decoder, is_decomposed=is_decomposed, first_layer=first_layer)
    save_peft(tmp_path / "adapter", adapters, "tiny")
    base = AutoModelForCausalLM.from_pretrained(
        str(tiny_gguf.parent),
        gguf_file=tiny_gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    model = PeftModel.from_pretrained(base, str(tmp_path / "adapter"))
    ids = torch.randint(3, 250, (2, 13), generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        ours = decoder.hidden(ids, adapters.project) @ decoder.head.T
        torch.testing.assert_close(ours, model(ids).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("is_decomposed", "first_layer"), [(False, 0), (True, 1)])
def test_a_peft_folder_round_trips(tiny_gguf: Path, tmp_path: Path, is_decomposed: bool, first_layer: int) -> None:
    decoder = load_decoder(tiny_gguf)
    adapters = _adapters(decoder, is_decomposed=is_decomposed, first_layer=first_layer)
    save_peft(tmp_path, adapters, "tiny")
    config = load_config(tmp_path)
    assert config == adapters.config
    other = make_adapters(decoder, config, 9)
    load_peft(tmp_path, other)
    for (name, mine), (_name, read) in zip(adapters.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, read), name


def test_the_same_adapter_is_the_same_file_in_every_process(tiny_gguf: Path, tmp_path: Path) -> None:
    """Its hash names the student; the library's own order of keys is that of a hash table with a random seed."""
    decoder = load_decoder(tiny_gguf)
    adapters = _adapters(decoder)
    found = set()
    for place in range(8):
        save_peft(tmp_path / str(place), adapters, "tiny", "a" * 64)
        found.add((tmp_path / str(place) / "adapter_model.safetensors").read_bytes())
    assert len(found) == 1
    assert set(load_file(str(tmp_path / "0/adapter_model.safetensors"))) == {
        f"{PREFIX}{name}.weight" for name, _tensor in adapters.parameters()
    }


def test_an_adapter_of_another_base_is_refused_by_its_hash(tiny_gguf: Path, tmp_path: Path) -> None:
    decoder = load_decoder(tiny_gguf)
    save_peft(tmp_path, _adapters(decoder), "tiny", "a" * 64)
    open_peft(decoder, tmp_path, "a" * 64)
    with pytest.raises(TuneError, match="JM-523"):
        open_peft(decoder, tmp_path, "b" * 64)


def test_all_weights_have_the_gradients_of_plain_autograd(tiny_gguf: Path) -> None:
    decoder = load_decoder(tiny_gguf)
    weights = make_weights(decoder, 1)
    ids = torch.randint(3, 250, (2, 9), generator=torch.Generator().manual_seed(3))
    assert torch.equal(decoder.hidden(ids, weights.project), decoder.hidden(ids))
    names = dict(weights.parameters())
    assert set(names) == {f"layers.1.{group}" for group in GROUPS}
    ours = torch.autograd.grad(decoder.hidden(ids, weights.project).square().sum(), list(names.values()))
    free = {key: tensor.detach().clone().requires_grad_() for key, tensor in weights.masters.items()}

    def project(layer: int, group: str, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.linear(x, free.get((layer, group), weight))

    theirs = torch.autograd.grad(decoder.hidden(ids, project).square().sum(), list(free.values()))
    for name, mine, other in zip(names, ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4, msg=name)
