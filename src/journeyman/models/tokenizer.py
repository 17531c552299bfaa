"""Text to token ids and back, built from a GGUF's own metadata, without torch.

Special tokens are never parsed out of plain text: ``encode`` treats ``<|im_end|>`` in a user's message as characters.
Only ``models.template`` inserts special ids. Families that are not in ``PRE_TOKENIZERS`` are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

from tokenizers import Tokenizer as Engine
from tokenizers import decoders, models, pre_tokenizers

from journeyman.core.errors import ModelError
from journeyman.models.gguf_header import read_fields

CONTROL, USER_DEFINED = 3, 4


def _byte_level(use_digits: bool) -> pre_tokenizers.PreTokenizer:
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if not use_digits:
        return byte_level
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])


# llama.cpp's name of the pre-tokenizer -> the same rule in `tokenizers`.
PRE_TOKENIZERS: Mapping[str, bool] = {"smollm": True, "gpt-2": False, "default": False}


@dataclass(frozen=True)
class Tokenizer:
    """``special`` maps the text of control tokens to their ids; ``end`` is the id that ends an answer."""

    engine: Engine
    special: Mapping[str, int]
    end: int
    bos: int | None
    vocabulary: int

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; special tokens inside it are not parsed."""
        return self.engine.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; special tokens are left out."""
        control = set(self.special.values())
        return self.engine.decode([token for token in ids if token not in control], skip_special_tokens=False)


@lru_cache(maxsize=4)
def load_tokenizer(path: Path) -> Tokenizer:
    """Read the tokenizer of a GGUF file.

    Raises:
        ModelError: JM-405 not a readable GGUF, JM-406 a tokenizer family that is not supported.
    """
    fields = read_fields(path)
    family, pre = str(fields.get("tokenizer.ggml.model")), str(fields.get("tokenizer.ggml.pre", "default"))
    if family != "gpt2" or pre not in PRE_TOKENIZERS:
        raise ModelError(
            "JM-406",
            "this model's tokenizer is not supported yet",
            where=str(path),
            expected="a gpt2 (byte-level BPE) tokenizer with pre-tokenizer " + " | ".join(PRE_TOKENIZERS),
            got=f"{family} with pre-tokenizer {pre}",
            hint="use the default base: journeyman pull smollm2-135m-instruct",
        )
    tokens = cast(list[str], fields["tokenizer.ggml.tokens"])
    types = cast(list[int], fields["tokenizer.ggml.token_type"])
    merges = [tuple(merge.split(" ", 1)) for merge in cast(list[str], fields["tokenizer.ggml.merges"])]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    engine = Engine(_make_bpe(path, vocabulary, cast(list[tuple[str, str]], merges)))
    engine.pre_tokenizer = _byte_level(PRE_TOKENIZERS[pre])
    engine.decoder = decoders.ByteLevel()
    special = {token: index for index, token in enumerate(tokens) if types[index] in (CONTROL, USER_DEFINED)}
    bos = fields.get("tokenizer.ggml.bos_token_id") if fields.get("tokenizer.ggml.add_bos_token") else None
    return Tokenizer(
        engine=engine,
        special=special,
        end=cast(int, fields["tokenizer.ggml.eos_token_id"]),
        bos=cast(int | None, bos),
        vocabulary=len(tokens),
    )


def _make_bpe(path: Path, vocabulary: Mapping[str, int], merges: list[tuple[str, str]]) -> models.BPE:
    try:
        return models.BPE(vocab=dict(vocabulary), merges=merges)
    except Exception as error:  # the Rust side raises nothing narrower
        raise ModelError(
            "JM-405", "this GGUF's tokenizer is damaged", where=str(path), got=str(error), hint="pull the model again"
        ) from error
