"""Adapters merged and extracted, beside PEFT's combinations and the plain formula."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from journeyman.core.errors import TuneError
from journeyman.core.progress import Silent
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.lora import LoraConfig, make_adapters
from journeyman.tuning.merge.adapters import Report, merge_adapters
from journeyman.tuning.merge.config import is_adapter_merge
from journeyman.tuning.peft_layout import PREFIX, save_peft
from journeyman.tuning.plan import ALL_LINEAR
from tests.models.families import save_model

WEIGHTS = {"one": 0.7, "two": 0.4}
STEM = "layers.1.mlp.up_proj"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    save_model("llama", folder / "base", 0)
    save_model("llama", folder / "broad", 0, intermediate_size=128)
    made = {"one": (8.0, "base"), "two": (2.0, "base"), "elsewhere": (2.0, "base"), "wide": (2.0, "broad")}
    for seed, (name, (alpha, base)) in enumerate(made.items()):
        decoder = load_decoder(folder / base)
        adapters = make_adapters(decoder, LoraConfig(4, alpha, ALL_LINEAR), seed)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for key, tensor in adapters.parameters():
                if key.endswith("lora_B"):
                    tensor.normal_(0, 0.1, generator=generator)
        save_peft(folder / name, adapters, "base", "b2" if name == "elsewhere" else "b1")
    return folder


def run(root: Path, out: Path, **config: object) -> Report:
    path = root / f"{out.name}.yaml"
    path.write_text(yaml.safe_dump(config))
    assert is_adapter_merge(path)
    return merge_adapters(path, out, Silent())


def change(folder: Path, scale: float, stem: str = STEM) -> Tensor:
    tensors = load_file(str(folder / "adapter_model.safetensors"))
    product: Tensor = tensors[f"{PREFIX}{stem}.lora_B.weight"] @ tensors[f"{PREFIX}{stem}.lora_A.weight"]
    return scale * product


@pytest.mark.parametrize("method", ["cat", "svd", "linear"])
def test_a_merge_equals_pefts_combination(root: Path, tmp_path: Path, method: str) -> None:
    parts = [{"adapter": name, "weight": weight} for name, weight in WEIGHTS.items()]
    report = run(root, tmp_path / method, adapter_method=method, adapters=parts)
    assert report.rank == (8 if method == "cat" else 4)
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(root / "base", dtype=torch.float32), str(root / "one"), adapter_name="one"
    )
    model.load_adapter(str(root / "two"), adapter_name="two")
    model.add_weighted_adapter(list(WEIGHTS), list(WEIGHTS.values()), "both", combination_type=method)
    layer = model.base_model.model.model.layers[1].mlp.up_proj
    theirs = layer.get_delta_weight("both")
    torch.testing.assert_close(change(tmp_path / method, 1.0), theirs, atol=1e-5, rtol=1e-4)


def test_cat_is_the_sum_and_svd_says_how_much_of_it_it_holds(root: Path, tmp_path: Path) -> None:
    parts = [{"adapter": name, "weight": weight} for name, weight in WEIGHTS.items()]
    run(root, tmp_path / "cat", adapter_method="cat", adapters=parts)
    total = 0.7 * change(root / "one", 2.0) + 0.4 * change(root / "two", 0.5)
    torch.testing.assert_close(change(tmp_path / "cat", 1.0), total, atol=1e-6, rtol=1e-5)
    report = run(root, tmp_path / "svd", adapter_method="svd", adapters=parts, rank=2)
    rest = total - change(tmp_path / "svd", 1.0)
    assert report.held[STEM] == pytest.approx(1 - float(rest.square().sum() / total.square().sum()), abs=1e-5)


def test_what_was_merged_in_is_extracted_again(root: Path, tmp_path: Path) -> None:
    tuned = load_file(str(root / "base/model.safetensors"))
    tuned[f"model.{STEM}.weight"] += change(root / "one", 2.0)
    tuned["model.norm.weight"] += 0.5
    (tmp_path / "tuned").mkdir()
    save_file(tuned, str(tmp_path / "tuned/model.safetensors"))
    (tmp_path / "tuned/config.json").write_text((root / "base/config.json").read_text())
    report = run(
        root, tmp_path / "out", adapter_method="extract", model=str(tmp_path / "tuned"), base_model="base", rank=4
    )
    torch.testing.assert_close(change(tmp_path / "out", 1.0), change(root / "one", 2.0), atol=1e-5, rtol=1e-4)
    assert report.held[STEM] > 0.999
    assert report.left_out == ["model.norm.weight"]
    PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(root / "base"), str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"adapter_method": "cat"}, "JM-540"),
        ({"adapter_method": "extract", "model": "tuned"}, "JM-540"),
        ({"adapter_method": "cat", "adapters": [{"adapter": "one"}], "rank": 8}, "JM-540"),
        ({"adapter_method": "cat", "adapters": [{"adapter": "nobody"}]}, "JM-520"),
        ({"adapter_method": "cat", "adapters": [{"adapter": "one"}, {"adapter": "elsewhere"}]}, "JM-523"),
        ({"adapter_method": "cat", "adapters": [{"adapter": "one"}, {"adapter": "wide"}]}, "JM-544"),
        ({"adapter_method": "extract", "model": "broad", "base_model": "base", "rank": 4}, "JM-542"),
    ],
)
def test_a_file_that_says_too_little_is_refused(
    root: Path, tmp_path: Path, config: dict[str, object], code: str
) -> None:
    with pytest.raises(TuneError, match=code):
        run(root, tmp_path / "out", **config)
