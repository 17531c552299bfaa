"""Whole models as folders: transformers loads what we write and gives our logits and our token ids."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from journeyman.core.messages import make_message
from journeyman.models.template import make_student_template
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.hf_layout import save_folder
from journeyman.tuning.lora import LoraConfig, make_adapters
from journeyman.tuning.plan import ALL_LINEAR
from journeyman.tuning.trainable import merge_weights
from tests.models.families import FAMILIES, save_model

IDS = torch.randint(3, 90, (2, 19), generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_written_folder_gives_the_same_logits_in_transformers_and_here(
    family: str, tmp_path: Path, tiny_gguf: Path
) -> None:
    """The tokenizer is another model's: only the weights are looked at."""
    original = save_model(family, tmp_path / "theirs")
    save_folder(tmp_path / "ours", load_decoder(tmp_path / "theirs"), make_student_template(tiny_gguf))
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "ours", dtype=torch.float32)
    with torch.no_grad():
        expected = original(IDS).logits
        torch.testing.assert_close(again(IDS).logits, expected, atol=1e-5, rtol=1e-5)
        decoder = load_decoder(tmp_path / "ours")
        torch.testing.assert_close(decoder.hidden(IDS) @ decoder.head.T, expected, atol=1e-5, rtol=1e-5)


def test_merged_adapters_are_in_the_written_weights(tmp_path: Path, tiny_gguf: Path) -> None:
    decoder, template = load_decoder(tiny_gguf), make_student_template(tiny_gguf)
    adapters = make_adapters(decoder, LoraConfig(4, 8.0, ALL_LINEAR))
    with torch.no_grad():
        for name, tensor in adapters.parameters():
            if name.endswith("lora_B"):
                tensor.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
        adapters.merge(decoder)
        save_folder(tmp_path, merge_weights(decoder, adapters), template)
        model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
        ours = decoder.hidden(IDS, adapters.project) @ decoder.head.T
        torch.testing.assert_close(model(IDS).logits, ours, atol=1e-5, rtol=1e-5)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    message = make_message("user", "Zwei  Eier, naïve 🙂 <|im_end|>?")
    text = template.render([make_message("user", "Two eggs")])
    assert tokenizer(text).input_ids == template.prompt_ids([make_message("user", "Two eggs")])
    assert tokenizer.decode(template.tokenizer.encode(message.text)) == message.text
    chat = [{"role": "user", "content": "Two eggs"}]
    assert tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) == text
