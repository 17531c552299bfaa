"""Merges against the formulas written out, and what a user's file can get wrong. The comparison with mergekit is a benchmark's."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from journeyman.core.errors import TuneError
from journeyman.core.progress import Silent
from journeyman.models.safetensors_file import to_fp32
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.lora import LoraConfig, make_adapters
from journeyman.tuning.merge.blocks import NAMES as STORED_NAMES
from journeyman.tuning.merge.blocks import from_fp32
from journeyman.tuning.merge.config import load_merge, value_at
from journeyman.tuning.merge.engine import Merged, merge_models
from journeyman.tuning.merge.methods.select import Largest, find_edge
from journeyman.tuning.peft_layout import save_peft
from journeyman.tuning.plan import ALL_LINEAR
from tests.models.families import save_model

NAMES = ("base", "one", "two", "three")
Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Weights]]:
    root = tmp_path_factory.mktemp("merge")
    for seed, name in enumerate(NAMES):
        save_model("llama", root / name, seed)
    return root, {name: load_file(str(root / name / "model.safetensors")) for name in NAMES}


def merge(root: Path, out: Path, **config: object) -> tuple[Merged, Weights]:
    path = root / f"{out.name}.yaml"
    path.write_text(yaml.safe_dump(config))
    merged = merge_models(load_merge(path), root, out, Silent())
    return merged, load_file(str(out / "model.safetensors"))


def listed(*names: str, **parameters: object) -> list[dict[str, object]]:
    return [{"model": name, "parameters": parameters} for name in names]


def test_linear_is_the_weighted_mean_and_a_gradient_runs_over_the_layers(
    models: tuple[Path, dict[str, Weights]], tmp_path: Path
) -> None:
    root, weights = models
    config = [
        {"model": "one", "parameters": {"weight": [{"filter": "mlp", "value": 3.0}, {"value": [0.0, 1.0]}]}},
        {"model": "two", "parameters": {"weight": 1.0}},
    ]
    merged, got = merge(root, tmp_path / "out", merge_method="linear", models=config)
    assert merged.layers == 3
    assert got.keys() == weights["one"].keys()
    for name, tensor in got.items():
        layer = int(name.split(".")[2]) if ".layers." in name else 0
        share = 3.0 if "mlp" in name else layer / 2
        expected = (weights["one"][name] * share + weights["two"][name]) / (share + 1)
        torch.testing.assert_close(tensor, expected, atol=1e-6, rtol=1e-6)


def test_slerp_keeps_the_angle(models: tuple[Path, dict[str, Weights]], tmp_path: Path) -> None:
    root, weights = models
    _, got = merge(
        root,
        tmp_path / "out",
        merge_method="slerp",
        base_model="base",
        models=[{"model": "one"}],
        parameters={"t": 0.3},
    )
    for name, tensor in got.items():
        a, b = weights["base"][name].double().flatten(), weights["one"][name].double().flatten()
        angle = torch.acos((a @ b) / (a.norm() * b.norm()))
        expected = (torch.sin(0.7 * angle) * a + torch.sin(0.3 * angle) * b) / torch.sin(angle)
        torch.testing.assert_close(tensor.double().flatten(), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("method", ["task_arithmetic", "ties"])
@pytest.mark.parametrize("normalize", [True, False])
def test_arithmetic_methods_equal_the_papers(
    method: str, normalize: bool, models: tuple[Path, dict[str, Weights]], tmp_path: Path
) -> None:
    root, weights = models
    shares = {"one": 0.5, "two": 0.3, "three": 0.9}
    _, got = merge(
        root,
        tmp_path / "out",
        merge_method=method,
        base_model="base",
        models=[{"model": name, "parameters": {"weight": share}} for name, share in shares.items()],
        parameters={"density": 0.4, "normalize": normalize, "lambda": 0.8},
    )
    for name, tensor in got.items():
        base = weights["base"][name].numpy()
        parts = []
        for model, share in shares.items():
            delta = weights[model][name].numpy() - base
            kept = 0.4 if method == "ties" else 1.0  # task arithmetic trims nothing, whatever the file says
            cut = np.sort(np.abs(delta).ravel())[::-1][max(int(kept * delta.size) - 1, 0)]
            parts.append((np.where(np.abs(delta) >= cut, delta, 0) * np.float32(share), share))
        total = sum(part for part, _ in parts)
        divisor = np.full_like(base, sum(shares.values()))
        if method == "ties":
            sign = np.where(total >= 0, 1, -1)
            agrees = [np.sign(part) == sign for part, _ in parts]
            total = sum(part * agree for (part, _), agree in zip(parts, agrees, strict=True))
            divisor = sum(agree * share for (_, share), agree in zip(parts, agrees, strict=True))
            divisor = np.where(divisor == 0, 1, divisor)
        expected = base + np.float32(0.8) * (total / divisor if normalize else total)
        torch.testing.assert_close(tensor, torch.from_numpy(expected.astype(np.float32)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties"])
def test_dare_keeps_the_density_and_the_magnitude_and_repeats(
    method: str, models: tuple[Path, dict[str, Weights]], tmp_path: Path
) -> None:
    root, weights = models
    config = {
        "merge_method": method,
        "base_model": "base",
        "models": listed("one", weight=1.0, density=0.3),
        "random_seed": 7,
    }
    merged, got = merge(root, tmp_path / "out", **config)
    _, again = merge(root, tmp_path / "again", **config)
    _, other = merge(root, tmp_path / "other", **config | {"random_seed": 8})
    name = "model.embed_tokens.weight"
    assert torch.equal(got[name], again[name])
    assert not torch.equal(got[name], other[name])
    before, after = weights["one"][name] - weights["base"][name], got[name] - weights["base"][name]
    assert abs(float((after != 0).float().mean()) - 0.3) < 0.05
    assert abs(float(after.abs().sum() / before.abs().sum()) - 1) < 1e-3
    kept = {entry["tensor"]: entry["kept"] for entry in merged.report}
    assert abs(float(str(kept[name])) - 0.3) < 0.05


@pytest.mark.parametrize("by_row", [False, True])
def test_model_stock_goes_as_far_as_the_angle_says(
    by_row: bool, models: tuple[Path, dict[str, Weights]], tmp_path: Path
) -> None:
    root, weights = models
    _, got = merge(
        root,
        tmp_path / "out",
        merge_method="model_stock",
        base_model="base",
        models=[{"model": name} for name in NAMES[1:]],
        parameters={"filter_wise": by_row},
    )
    name = "model.layers.1.mlp.up_proj.weight"
    base = weights["base"][name]
    deltas = [weights[model][name] - base for model in NAMES[1:]]
    rows = [delta if by_row else delta.reshape(1, -1) for delta in deltas]
    pairs = list(combinations(range(3), 2))
    cosine = sum(torch.cosine_similarity(rows[i], rows[j], dim=1) for i, j in pairs) / len(pairs)
    t = (3 * cosine / (1 + 2 * cosine))[:, None]
    mean = sum(deltas) / 3
    torch.testing.assert_close(got[name], base + t * mean, atol=1e-5, rtol=1e-4)


def test_a_base_that_is_listed_is_a_model_like_the_others(
    models: tuple[Path, dict[str, Weights]], tmp_path: Path
) -> None:
    root, weights = models
    config: dict[str, object] = {"merge_method": "linear", "parameters": {"weight": 0.5}}
    _, both = merge(root, tmp_path / "both", base_model="one", models=[{"model": "one"}, {"model": "two"}], **config)
    _, alone = merge(root, tmp_path / "alone", base_model="one", models=[{"model": "two"}], **config)
    for name, tensor in both.items():
        torch.testing.assert_close(tensor, (weights["one"][name] + weights["two"][name]) / 2, atol=1e-6, rtol=1e-6)
        assert torch.equal(alone[name], weights["two"][name])


def test_a_tensor_that_only_one_model_has_is_not_left_out(tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "two")):
        save_model("qwen3", tmp_path / name, seed)
    tied = load_file(str(tmp_path / "two/model.safetensors"))
    assert "lm_head.weight" not in tied
    embedding = tied["model.embed_tokens.weight"]
    for name, head in (("untied", embedding + 1), ("written", embedding)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_bytes((tmp_path / "two/config.json").read_bytes())
        save_file(tied | {"lm_head.weight": head.clone()}, tmp_path / name / "model.safetensors")
    config: dict[str, object] = {"merge_method": "linear", "parameters": {"weight": 0.5}}
    with pytest.raises(TuneError, match="untied has a tensor that others lack"):
        merge(tmp_path, tmp_path / "out", models=[{"model": "one"}, {"model": "untied"}], **config)
    for order in (["one", "written"], ["written", "one"]):
        merged, got = merge(
            tmp_path, tmp_path / f"out-{order[0]}", models=[{"model": name} for name in order], **config
        )
        assert merged.is_tied
        assert "lm_head.weight" not in got


def test_passthrough_stacks_layers_and_the_result_runs(models: tuple[Path, dict[str, Weights]], tmp_path: Path) -> None:
    root, weights = models
    slices = [
        {"sources": [{"model": "one", "layer_range": [0, 2]}]},
        {"sources": [{"model": "two", "layer_range": [1, 3], "parameters": {"scale": 0.5}}]},
    ]
    merged, got = merge(root, tmp_path / "out", merge_method="passthrough", slices=slices)
    assert merged.layers == 4
    up = "model.layers.{}.mlp.up_proj.weight"
    assert torch.equal(got[up.format(1)], weights["one"][up.format(1)])
    assert torch.equal(got[up.format(3)], weights["two"][up.format(2)] * 0.5)
    assert torch.equal(got["model.embed_tokens.weight"], weights["one"]["model.embed_tokens.weight"])
    config = json.loads((root / "one/config.json").read_text()) | {"num_hidden_layers": 4}
    (tmp_path / "out/config.json").write_text(json.dumps(config))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    assert torch.isfinite(model(torch.tensor([[1, 2, 3]])).logits).all()


def test_an_adapter_joins_its_model_as_it_is_read(models: tuple[Path, dict[str, Weights]], tmp_path: Path) -> None:
    root, _ = models
    decoder = load_decoder(root / "one")
    adapters = make_adapters(decoder, LoraConfig(4, 8.0, ALL_LINEAR))
    with torch.no_grad():
        for name, tensor in adapters.parameters():
            if name.endswith("lora_B"):
                tensor.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
        adapters.merge(decoder)
    save_peft(root / "adapter", adapters, "one")
    _, got = merge(root, tmp_path / "out", merge_method="passthrough", models=[{"model": "one+adapter"}])
    down = adapters.merged[(1, "down")]
    torch.testing.assert_close(got["model.layers.1.mlp.down_proj.weight"], down, atol=1e-6, rtol=1e-6)


def _keep(values: list[float], count: int, split: int) -> list[float]:
    """As a tensor that comes in two blocks."""
    parts = [np.array(values[:split], np.float32), np.array(values[split:], np.float32)]
    largest = Largest(find_edge(lambda: (part.copy() for part in parts), len(values), count))
    return [float(value) for part in parts for value in largest.keep(part)]


@given(
    st.lists(
        st.one_of(st.floats(-1e3, 1e3, width=32), st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0])), min_size=1, max_size=99
    ),
    st.integers(0, 99),
    st.integers(0, 99),
)
def test_exactly_so_many_are_kept_the_first_of_equals(values: list[float], count: int, split: int) -> None:
    order = sorted(range(len(values)), key=lambda index: (-abs(values[index]), index))[:count]
    expected = [value if index in order else 0.0 for index, value in enumerate(values)]
    assert _keep(values, count, split) == expected


@settings(deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=True), min_size=1, max_size=50))
def test_numbers_are_rounded_as_torch_rounds_them(values: list[float]) -> None:
    array = np.array(values, np.float32)
    for kind, dtype in (("bfloat16", torch.bfloat16), ("float16", torch.float16), ("float32", torch.float32)):
        with np.errstate(over="ignore"):
            stored = from_fp32(array, kind)  # type: ignore[arg-type]
        expected = torch.from_numpy(array).to(dtype).float()
        torch.testing.assert_close(
            torch.from_numpy(to_fp32(stored, STORED_NAMES[kind])), expected, equal_nan=True, atol=0, rtol=0
        )  # type: ignore[arg-type]


@pytest.mark.parametrize("blocks", [1, 40])
def test_a_result_does_not_depend_on_the_blocks(
    blocks: int, models: tuple[Path, dict[str, Weights]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = models
    monkeypatch.setattr("journeyman.tuning.merge.blocks.ELEMENTS", blocks)
    for method in ("ties", "dare_ties", "model_stock"):
        config: dict[str, object] = {"merge_method": method, "base_model": "base"}
        config["models"] = (
            listed("one", "two") if method == "model_stock" else listed("one", "two", weight=0.5, density=0.4)
        )
        _, got = merge(root, tmp_path / f"{method}-{blocks}", **config)
        monkeypatch.undo()
        _, whole = merge(root, tmp_path / f"{method}-whole", **config)
        for name, tensor in got.items():
            torch.testing.assert_close(tensor, whole[name], atol=1e-6, rtol=1e-5)
        monkeypatch.setattr("journeyman.tuning.merge.blocks.ELEMENTS", blocks)


def test_parameters_are_read_as_users_write_them() -> None:
    assert value_at([0.0, 1.0, 0.0], "x", 0.25) == 0.5
    assert value_at(0.4, "x", 1.0) == 0.4


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"merge_method": "magic"}, "JM-540", "merge_method"),
        ({"models": None}, "JM-540", "exactly one of"),
        ({"colour": "blue"}, "JM-540", "colour"),
        ({"tokenizer_source": "union"}, "JM-540", "union is not supported"),
        ({"base_model": None}, "JM-543", "needs a base_model"),
        ({"models": listed("one", density=0.5)}, "JM-543", "weight has no value"),
        ({"models": listed("nobody", weight=1)}, "JM-541", "nobody"),
        ({"models": listed("small", weight=1)}, "JM-542", "small has a tensor that others lack"),
        ({"models": listed("one", weight=1, desnity=0.5)}, "JM-543", "no method has a parameter desnity"),
        ({"parameters": {"weight": []}}, "JM-540", "at least 1 item"),
    ],
)
def test_a_wrong_file_is_one_clear_error(
    change: dict[str, object], code: str, text: str, models: tuple[Path, dict[str, Weights]], tmp_path: Path
) -> None:
    root, _ = models
    save_model("qwen3", root / "small")
    good: dict[str, object] = {"merge_method": "ties", "base_model": "base", "models": listed("one", weight=1.0)}
    config = {key: value for key, value in (good | change).items() if value is not None}
    with pytest.raises(TuneError) as caught:
        merge(root, tmp_path / "out", **config)
    assert code in str(caught.value)
    assert text in str(caught.value)
    assert not (tmp_path / "out/model.safetensors").exists()
