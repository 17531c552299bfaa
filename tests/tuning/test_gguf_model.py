"""Whole models as GGUF: what we, transformers and llama.cpp read from them is what was written."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, dequantize, quants
from transformers import AutoModelForCausalLM, GgufConfig

from journeyman.models.gguf_header import read_fields
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.llamacpp_quants import quantize
from journeyman.models.protocol import Decoding
from journeyman.models.torch_decoder import Decoder
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.gguf_model import PRESETS, Preset, choose_kind, save_model
from tests.models.families import FAMILIES
from tests.models.families import save_model as save_folder

VOCABULARY = 260  # of the tiny tokenizer
IDS = torch.randint(5, 250, (1, 21), generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module", params=FAMILIES)
def written(
    request: pytest.FixtureRequest, tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Decoder, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    save_folder(request.param, folder, vocab_size=VOCABULARY)
    decoder = load_decoder(folder)
    save_model(folder / "model.gguf", decoder, tiny_gguf, "F32", "tiny")
    return decoder, folder / "model.gguf"


def _logits(decoder: Decoder) -> torch.Tensor:
    with torch.no_grad():
        return decoder.hidden(IDS) @ decoder.head.T


def test_we_read_back_what_we_wrote(written: tuple[Decoder, Path]) -> None:
    decoder, path = written
    again = load_decoder(path)
    epsilon = pytest.approx(decoder.config.epsilon)  # a GGUF holds it in fp32
    assert again.config.epsilon == epsilon
    assert replace(again.config, epsilon=decoder.config.epsilon) == decoder.config
    torch.testing.assert_close(_logits(again), _logits(decoder), atol=1e-5, rtol=1e-5)


def test_transformers_reads_the_same_model(written: tuple[Decoder, Path]) -> None:
    decoder, path = written
    if decoder.config.family.has_qk_norm:
        pytest.skip("transformers reads neither the head size of a qwen3 GGUF nor the window of a gemma3 one")
    theirs = AutoModelForCausalLM.from_pretrained(
        str(path.parent), gguf_file=path.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    with torch.no_grad():
        torch.testing.assert_close(theirs(IDS).logits, _logits(decoder), atol=1e-4, rtol=1e-4)


def test_llama_cpp_answers_what_torch_answers(written: tuple[Decoder, Path]) -> None:
    decoder, path = written
    for gap in _gaps(path, decoder):
        assert gap < 0.05


def _gaps(path: Path, decoder: Decoder) -> list[float]:
    """How far each token of the engine's greedy answer is below torch's most likely one."""
    ids = IDS[0].tolist()

    async def ask() -> list[int]:
        engine = await LlamaCpp.start(path, {})
        try:
            return list((await engine.generate(ids, Decoding(max_tokens=12))).token_ids)
        finally:
            await engine.close()

    answer = asyncio.run(ask())
    assert len(answer) >= 3
    with torch.no_grad():
        logits = (decoder.hidden(torch.tensor([[*ids, *answer]])) @ decoder.head.T)[0, len(ids) - 1 : -1]
    return [float(row.max() - row[token]) for row, token in zip(logits, answer, strict=True)]


@pytest.fixture(scope="module")
def wide(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Decoder:
    """Rows of 256 and 512, which every block type divides."""
    folder = tmp_path_factory.mktemp("wide")
    save_folder("llama", folder, vocab_size=VOCABULARY, hidden_size=256, intermediate_size=512)
    return load_decoder(folder)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_quantized_files_load_in_transformers_and_in_the_engine(
    preset: Preset, wide: Decoder, tiny_gguf: Path, tmp_path: Path
) -> None:
    written = save_model(tmp_path / "m.gguf", wide, tiny_gguf, preset, "wide")
    assert written.fell_back == 0
    ours = load_decoder(written.path)
    theirs = AutoModelForCausalLM.from_pretrained(
        str(tmp_path), gguf_file="m.gguf", quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    logits = _logits(ours)
    with torch.no_grad():
        torch.testing.assert_close(theirs(IDS).logits, logits, atol=1e-4, rtol=1e-4)
    # The engine rounds activations too; of a file that it read wrongly the answers would be two deviations away.
    assert max(_gaps(written.path, ours)) < 0.4 * float(logits.std())


@pytest.mark.parametrize("kind", [GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q5_0, GGMLQuantizationType.Q4_0])
def test_blocks_are_those_of_ggufs_own_quantizer(kind: GGMLQuantizationType) -> None:
    weight = np.random.default_rng(0).normal(size=(6, 256)).astype(np.float32)
    assert np.array_equal(quantize(weight, kind), quants.quantize(weight, kind))


@pytest.mark.parametrize("kind", [GGMLQuantizationType.Q4_K, GGMLQuantizationType.Q5_K, GGMLQuantizationType.Q6_K])
def test_k_types_lose_little_and_importance_moves_the_error(kind: GGMLQuantizationType) -> None:
    weight = np.random.default_rng(0).normal(size=(64, 512)).astype(np.float32)
    importance = np.where(np.arange(512) % 4 == 0, 100.0, 1.0).astype(np.float32)
    plain = dequantize(quantize(weight, kind), kind) - weight
    weighted = dequantize(quantize(weight, kind, importance), kind) - weight
    assert np.sqrt((plain**2).mean()) < 0.1
    assert (weighted[:, ::4] ** 2).mean() < (plain[:, ::4] ** 2).mean()


@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_preset_loads_and_says_what_it_holds(preset: Preset, tiny_gguf: Path, tmp_path: Path) -> None:
    decoder = load_decoder(tiny_gguf)
    written = save_model(tmp_path / "m.gguf", decoder, tiny_gguf, preset, "tiny", template="{{ messages }}")
    again = load_decoder(written.path)
    error = (again.layers[0].projections["down"] - decoder.layers[0].projections["down"]).square().mean().sqrt()
    assert float(error / decoder.layers[0].projections["down"].std()) < 0.12
    assert sum(written.kinds.values()) == 1 + 1 * 7 * 2
    assert (written.fell_back > 0) == (preset in ("Q6_K", "Q5_0", "Q5_K_M", "Q4_0", "Q4_K_M"))
    assert read_fields(written.path)["tokenizer.chat_template"] == "{{ messages }}"
    assert written.bytes == written.path.stat().st_size


def test_the_mixture_of_q4_k_m_is_llama_cpps() -> None:
    """Of 30 layers, 14 get more bits for values and down projections."""
    kinds = [choose_kind("Q4_K_M", f"blk.{layer}.attn_v.weight", 30).name for layer in range(30)]
    assert kinds.count("Q6_K") == 14
    assert kinds.count("Q4_K") == 16
    assert choose_kind("Q4_K_M", "blk.3.attn_q.weight", 30).name == "Q4_K"
    assert choose_kind("Q4_K_M", "token_embd.weight", 30).name == "Q6_K"
