"""Tiny whole models as folders in Hugging Face's layout: random weights by transformers, a tokenizer trained here."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tests.models.families import make_model
from tests.tiny import CHAT

CORPUS = [
    "The quick brown fox jumps over the lazy dog, and the other 12 dogs don't mind.",
    "Say which colour the line asks for: red, green, or blue; one or two.",
    "def f(x):\n    return x + 1\n\nnaïve Straße Привет 中文字符 the the other other",
    '{"colour": "red", "many": true} {"colour": "blue", "many": false}',
] * 3
# The engine ends an answer at any token that is called <|endoftext|>, which random weights like to write.
SPECIAL = ["<|nothing|>", "<|im_start|>", "<|im_end|>"]
GEMMA = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
GEMMA_CHAT = (
    "{{ bos_token }}{% for message in messages %}{{'<start_of_turn>' + message['role'] + '\n' + message['content']"
    " + '<end_of_turn>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def write_folder(
    family: str, folder: Path, pre: str = "smollm", dtype: torch.dtype = torch.float32, **sizes: int
) -> PreTrainedModel:
    """A model and its tokenizer, each written by transformers; the model computes in fp32 with the weights that were written."""
    tokenizer = make_gemma_tokenizer() if family == "gemma3" else make_byte_tokenizer(pre)
    tokenizer.save_pretrained(folder)
    # Two rows more than there are tokens, as families have that pad their embedding.
    model = make_model(family, **sizes | {"vocab_size": len(tokenizer) + 2}).to(dtype)
    model.config.eos_token_id = tokenizer.eos_token_id
    model.config.bos_token_id = tokenizer.bos_token_id
    model.save_pretrained(folder)
    return model.to(torch.float32)


def make_byte_tokenizer(pre: str) -> PreTrainedTokenizerFast:
    """Byte-level BPE whose words are cut as smollm, qwen2 or llama-bpe do; a tag that is no control token is found in any text."""
    engine = Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
    first: pre_tokenizers.PreTokenizer = pre_tokenizers.Digits(individual_digits=True)
    if pre != "smollm":
        first = pre_tokenizers.Split(Regex(SPLIT % ("{1,3}" if pre == "llama-bpe" else "")), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pre == "smollm")
    engine.pre_tokenizer = pre_tokenizers.Sequence([first, byte_level])
    if pre == "qwen2":
        engine.normalizer = normalizers.NFC()
    engine.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    engine.train_from_iterator(CORPUS, trainer)
    engine.add_tokens([AddedToken("<think>", normalized=False)])
    return PreTrainedTokenizerFast(
        tokenizer_object=engine,
        eos_token="<|im_end|>",
        bos_token="<|im_start|>",
        pad_token="<|nothing|>",
        chat_template=CHAT,
    )


def make_gemma_tokenizer() -> PreTrainedTokenizerFast:
    """Byte fallback, spaces as U+2581, runs of them and of line ends as tokens, every merge that the vocabulary allows."""
    wholes = [
        "▁t",
        "he",
        "▁the",
        "er",
        "▁o",
        "th",
        "▁oth",
        "▁other",
        "re",
        "red",
        "▁red",
        "in",
        "ing",
        "==",
        "===",
        "====",
        "aa",
        "aaa",
    ]
    characters = sorted(set("".join(wholes) + "abcdefghijklmnopqrstuvwxyzABC0123456789.,:'\"{}é中▁"))
    runs = ["\n", "\n\n", "\n\n\n", "▁▁", "▁▁▁", "▁▁▁▁"]
    tokens = [*GEMMA, *runs, *(f"<0x{byte:02X}>" for byte in range(256)), *wholes, *characters]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    merges = [
        [whole[:cut], whole[cut:]]
        for whole in [*runs, *wholes]
        for cut in range(1, len(whole))
        if whole[:cut] in vocabulary and whole[cut:] in vocabulary
    ]
    model = {
        "type": "BPE",
        "unk_token": "<unk>",
        "fuse_unk": True,
        "byte_fallback": True,
        "vocab": vocabulary,
        "merges": merges,
    }
    raw = {"version": "1.0", "added_tokens": [], "model": model}
    engine = Tokenizer.from_str(json.dumps(raw))
    engine.normalizer = normalizers.Replace(" ", "▁")
    engine.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    engine.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    engine.add_special_tokens([AddedToken(token, normalized=False) for token in GEMMA])
    engine.add_tokens([AddedToken(token, normalized=False) for token in runs])
    return PreTrainedTokenizerFast(
        tokenizer_object=engine,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        add_bos_token=True,
        chat_template=GEMMA_CHAT,
    )
