"""`merge` from files to a folder that transformers loads."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from journeyman.models.torch_weights import load_decoder
from tests.flows.projects import journeyman
from tests.models.families import save_model
from tests.tiny import write_tiny_llama

IDS = torch.tensor([[5, 6, 7, 8]])


def test_gguf_models_become_a_folder_that_transformers_and_we_load(tmp_path: Path) -> None:
    for seed in range(3):
        write_tiny_llama(tmp_path / f"{seed}.gguf", seed=seed)
    models = [{"model": f"{seed}.gguf", "parameters": {"weight": 0.5}} for seed in (1, 2)]
    config = {"merge_method": "ties", "base_model": "0.gguf", "models": models, "dtype": "bfloat16"}
    (tmp_path / "ties.yaml").write_text(yaml.safe_dump(config))
    done = journeyman(tmp_path, "merge", "ties.yaml", "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["layers"] == 2
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    ours = load_decoder(tmp_path / "out")
    with torch.no_grad():
        torch.testing.assert_close(model(IDS).logits, ours.hidden(IDS) @ ours.head.T, atol=1e-5, rtol=1e-5)
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("eggs").input_ids
    assert "`0.gguf` (base)" in (tmp_path / "out/README.md").read_text()
    again = journeyman(tmp_path, "merge", "ties.yaml", "out")
    assert again.returncode == 2
    assert "JM-822" in again.stderr


def test_stacked_layers_are_in_the_configuration(tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "two")):
        save_model("gemma3", tmp_path / name, seed)
    slices = [
        {"sources": [{"model": "one", "layer_range": [0, 5]}]},
        {"sources": [{"model": "two", "layer_range": [5, 7]}]},
        {"sources": [{"model": "one", "layer_range": [6, 7]}]},
    ]
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump({"merge_method": "passthrough", "slices": slices}))
    done = journeyman(tmp_path, "merge", "stack.yaml", "out")
    assert done.returncode == 0, done.stderr
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    assert model.config.num_hidden_layers == 8
    ours = load_decoder(tmp_path / "out")
    with torch.no_grad():
        torch.testing.assert_close(model(IDS).logits, ours.hidden(IDS) @ ours.head.T, atol=1e-5, rtol=1e-5)


def test_vocabularies_are_cut_and_the_configuration_says_so(tmp_path: Path) -> None:
    for name, rows in (("one", 97), ("two", 90)):
        save_model("qwen3", tmp_path / name, vocab_size=rows)
    models = [{"model": name, "parameters": {"weight": 1.0}} for name in ("one", "two")]
    (tmp_path / "cut.yaml").write_text(yaml.safe_dump({"merge_method": "linear", "models": models}))
    done = journeyman(tmp_path, "merge", "cut.yaml", "out")
    assert done.returncode == 0, done.stderr
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    assert model.config.vocab_size == model.get_input_embeddings().weight.shape[0] == 90


def test_what_the_description_lacks_is_told_before_the_work(tmp_path: Path) -> None:
    save_model("qwen3", tmp_path / "one")
    save_model("qwen3", tmp_path / "bare")
    (tmp_path / "bare/config.json").unlink()
    for name, config, text in (
        ("bare", {"models": [{"model": "bare"}]}, "config.json"),
        ("teller", {"models": [{"model": "one"}], "tokenizer_source": "nobody"}, "tokenizer.json"),
    ):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"merge_method": "passthrough", **config}))
        done = journeyman(tmp_path, "merge", f"{name}.yaml", "out")
        assert (done.returncode, "JM-541" in done.stderr, text in done.stderr) == (2, True, True), done.stderr
        assert not (tmp_path / "out").exists()
