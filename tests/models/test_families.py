"""Every family against transformers: logits, gradients, and beginnings that are computed once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from journeyman.core.errors import ModelError
from journeyman.models.families import read_config
from journeyman.models.torch_decoder import Branches, Continuations, Decoder
from journeyman.models.torch_weights import load_decoder
from tests.models.families import FAMILIES, save_model


def _ids(*shape: int, seed: int = 1) -> Tensor:
    return torch.randint(3, 97, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_equal_those_of_transformers(family: str, tmp_path: Path) -> None:
    theirs = save_model(family, tmp_path)
    ours = load_decoder(tmp_path)
    assert ours.config.family.architecture == family
    ids = _ids(3, 23)
    with torch.no_grad():
        torch.testing.assert_close(ours.hidden(ids) @ ours.head.T, theirs(ids).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_reading_on_from_a_past_is_exact(family: str, tmp_path: Path) -> None:
    save_model(family, tmp_path)
    ours = load_decoder(tmp_path)
    ids = _ids(2, 15)
    past = ours.empty_past(2, 15)
    with torch.no_grad():
        whole = ours.hidden(ids)
        ours.hidden(ids[:, :9], None, past)
        past.lengths.add_(9)
        torch.testing.assert_close(ours.hidden(ids[:, 9:], None, past), whole[:, 9:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shared_beginning_gives_the_states_and_gradients_of_separate_rows(family: str, tmp_path: Path) -> None:
    save_model(family, tmp_path)
    decoder = load_decoder(tmp_path)
    trunks, branches = _ids(2, 9), _ids(5, 7, seed=2)
    lengths, parents = torch.tensor([9, 4]), torch.tensor([0, 1, 0, 1, 0])
    layout = Branches(lengths, 9, parents, 7)
    weight = torch.randn(5, 7, 64, generator=torch.Generator().manual_seed(3))

    def shared() -> Tensor:
        states = decoder.states(torch.cat([trunks.flatten(), branches.flatten()]), layout, project)
        return states[18:].view(5, 7, -1)

    def separate() -> Tensor:
        rows = [torch.cat([trunks[p, : lengths[p]], branch]) for p, branch in zip(parents, branches, strict=True)]
        return torch.cat([decoder.hidden(row[None], project)[:, -7:] for row in rows])

    scale = torch.ones(decoder.config.layers, requires_grad=True)

    def project(layer: int, _group: str, x: Tensor, matrix: Tensor) -> Tensor:
        return x @ matrix.T * scale[layer]

    results = []
    for function in (shared, separate):
        states = function()
        (gradient,) = torch.autograd.grad((states * weight).sum(), scale)
        results.append((states.detach(), gradient))
    torch.testing.assert_close(results[0][0], results[1][0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_held_beginning_gives_the_states_of_whole_rows_and_gradients_without_it(family: str, tmp_path: Path) -> None:
    save_model(family, tmp_path)
    decoder = load_decoder(tmp_path)
    trunk, branches = _ids(9), _ids(5, 7, seed=2)
    weight = torch.randn(35, 64, generator=torch.Generator().manual_seed(3))
    scale = torch.full((decoder.config.layers,), 1.1, requires_grad=True)

    def project(layer: int, _group: str, x: Tensor, matrix: Tensor) -> Tensor:
        return x @ matrix.T * scale[layer]

    def project_with_constants(layer: int, group: str, x: Tensor, matrix: Tensor) -> Tensor:
        y = project(layer, group, x, matrix)
        return torch.cat([y[:9].detach(), y[9:]])

    past = decoder.read(trunk, project)
    assert not past.keys.requires_grad
    held = decoder.states(branches.flatten(), Continuations(past, 5, 7), project)
    layout = Branches(torch.tensor([9]), 9, torch.zeros(5, dtype=torch.long), 7)
    whole = decoder.states(torch.cat([trunk, branches.flatten()]), layout, project_with_constants)[9:]
    torch.testing.assert_close(held, whole, atol=1e-5, rtol=1e-5)
    gradients = [torch.autograd.grad((states * weight).sum(), scale)[0] for states in (held, whole)]
    torch.testing.assert_close(*gradients, atol=1e-3, rtol=1e-4)


def test_shards_are_read_through_their_index(tmp_path: Path) -> None:
    model = save_model("llama", tmp_path / "one")
    model.save_pretrained(tmp_path / "many", max_shard_size="40KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 1
    one, many = load_decoder(tmp_path / "one"), load_decoder(tmp_path / "many")
    assert torch.equal(one.head, many.head)
    assert _sum(one) == _sum(many)


def _sum(decoder: Decoder) -> float:
    return sum(float(weight.double().sum()) for layer in decoder.layers for weight in layer.projections.values())


@pytest.mark.parametrize(
    ("change", "got"),
    [
        ({"model_type": "mamba"}, "mamba"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "yarn"),
        ({"attention_bias": True}, "attention_bias"),
        ({"layer_types": ["sliding_attention"] * 3}, "layer_types"),
    ],
)
def test_what_cannot_be_tuned_is_refused_by_name(tmp_path: Path, change: dict[str, object], got: str) -> None:
    save_model("llama", tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match="JM-408") as caught:
        read_config(tmp_path)
    assert got in str(caught.value)
    assert "llama | qwen2 | qwen3 | gemma3" in str(caught.value)


def test_a_folder_without_a_tensor_is_one_clear_error(tmp_path: Path) -> None:
    save_model("qwen3", tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": 4, "layer_types": None}))
    with pytest.raises(ModelError, match="layer 3: input_layernorm"):
        load_decoder(tmp_path)
    path.write_text("{")
    with pytest.raises(ModelError, match="JM-405"):
        load_decoder(tmp_path)
