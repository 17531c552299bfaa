"""Text to token ids and back, built from a GGUF's own metadata, without torch.

Control tokens are never parsed out of plain text: ``encode`` treats ``<|im_end|>`` in a user's message as characters.
Only ``models.template`` inserts their ids. Families that are not known here are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Engine

from journeyman.core.errors import ModelError
from journeyman.models.gguf_header import read_fields

if TYPE_CHECKING:
    from llguidance import LLTokenizer

# ggml's types of tokens.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
SPACE = "\u2581"  # how SentencePiece writes a space
# What a word is for these models' byte-pair merges: contractions, letters, one digit (up to three), signs, line ends, spaces.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _bytes(*before: pre_tokenizers.PreTokenizer, use_regex: bool = True) -> pre_tokenizers.PreTokenizer:
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)
    return pre_tokenizers.Sequence([*before, byte_level])


def _words(digits: str) -> pre_tokenizers.PreTokenizer:
    return _bytes(pre_tokenizers.Split(Regex(WORDS % digits), behavior="isolated"), use_regex=False)


def _byte_characters() -> dict[str, int]:
    """GPT-2's visible stand-in for each byte: itself where it prints, else the next free code point from 256 on."""
    printing = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [byte for byte in range(256) if byte not in printing]
    return {chr(byte): byte for byte in printing} | {chr(256 + place): byte for place, byte in enumerate(rest)}


BYTE_OF = _byte_characters()
# llama.cpp's name of a byte-level pre-tokenizer -> the same rule in `tokenizers`.
PRE_TOKENIZERS: Mapping[str, Callable[[], pre_tokenizers.PreTokenizer]] = {
    "smollm": lambda: _bytes(pre_tokenizers.Digits(individual_digits=True)),
    "gpt-2": _bytes,
    "default": _bytes,
    "qwen2": lambda: _words(""),
    "llama-bpe": lambda: _words("{1,3}"),
}
# Where a word that is a token as a whole is taken as it is.
IGNORES_MERGES = ("llama-bpe",)


@dataclass(frozen=True)
class Tokenizer:
    """``special`` maps the text of control tokens to their ids; ``end`` is the id that ends an answer."""

    engine: Engine
    special: Mapping[str, int]
    end: int
    bos: int | None
    vocabulary: int

    @cached_property
    def _control(self) -> frozenset[int]:
        return frozenset(self.special.values())

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; special tokens inside it are not parsed."""
        return self.engine.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; special tokens are left out."""
        return self.engine.decode([token for token in ids if token not in self._control], skip_special_tokens=False)

    def token_bytes(self, token: int) -> bytes:
        """What one token writes; control tokens write nothing."""
        if token in self._control:
            return b""
        piece = self.engine.id_to_token(token)
        if piece is None:
            return b""
        if isinstance(self.engine.decoder, decoders.ByteLevel):
            return bytes(BYTE_OF[character] for character in piece if character in BYTE_OF)
        if len(piece) == 6 and piece.startswith("<0x"):
            return bytes.fromhex(piece[3:5])
        return piece.replace(SPACE, " ").encode()

    @cached_property
    def guide(self) -> LLTokenizer:
        """The same vocabulary as llguidance takes it: what a grammar admits can then be asked in tokens."""
        from llguidance import LLTokenizer, TokenizerWrapper

        return LLTokenizer(TokenizerWrapper(_Words(self)), n_vocab=self.vocabulary, eos_token=self.end)

    def to_json(self) -> str:
        """The tokenizer as Hugging Face's ``tokenizer.json``, where control tokens are parsed and a BOS is put first."""
        engine = Engine.from_str(self.engine.to_str())
        engine.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in self.special])
        if self.bos is not None:
            name = next(text for text, token in self.special.items() if token == self.bos)
            engine.post_processor = processors.TemplateProcessing(
                single=f"{name} $A", pair=f"{name} $A {name} $B", special_tokens=[(name, self.bos)]
            )
        return engine.to_str()


class _Words:
    """A tokenizer in the form that llguidance asks for."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        named = {token: text for text, token in tokenizer.special.items()}
        # A byte of 0xFF marks a special token there.
        self.tokens = [
            b"\xff" + named[token].encode() if token in named else tokenizer.token_bytes(token)
            for token in range(tokenizer.vocabulary)
        ]
        self.special_token_ids = list(named)
        self.eos_token_id, self.bos_token_id = tokenizer.end, tokenizer.bos
        self._encode = tokenizer.encode

    def __call__(self, text: str | bytes) -> list[int]:
        return self._encode(text if isinstance(text, str) else text.decode())


@lru_cache(maxsize=4)
def load_tokenizer(path: Path) -> Tokenizer:
    """Read the tokenizer of a GGUF file.

    Raises:
        ModelError: JM-405 not a readable GGUF, JM-406 a tokenizer family that is not supported.
    """
    return make_tokenizer(read_fields(path), path)


def make_tokenizer(fields: Mapping[str, object], where: Path) -> Tokenizer:
    """The tokenizer that a GGUF's fields describe; ``where`` is named in errors.

    Raises:
        ModelError: JM-405 damaged, JM-406 a tokenizer family that is not supported.
    """
    family, pre = str(fields.get("tokenizer.ggml.model")), str(fields.get("tokenizer.ggml.pre", "default"))
    if family == "gpt2" and pre in PRE_TOKENIZERS:
        make: Callable[[Mapping[str, object]], Engine] = _byte_level_engine
    elif family == "llama" and not fields.get("tokenizer.ggml.add_space_prefix", True):
        make = _sentencepiece_engine
    else:
        raise unsupported(where, f"{family} with pre-tokenizer {pre}")
    try:
        engine = make(fields)
    except Exception as error:  # the Rust side raises nothing narrower
        raise ModelError(
            "JM-405", "this GGUF's tokenizer is damaged", where=str(where), got=str(error), hint="pull the model again"
        ) from error
    tokens = cast(list[str], fields["tokenizer.ggml.tokens"])
    types = cast(list[int], fields["tokenizer.ggml.token_type"])
    # llama.cpp finds user-defined tokens in any text, before everything else.
    defined = [token for token, kind in zip(tokens, types, strict=True) if kind == USER_DEFINED]
    engine.add_tokens([AddedToken(token, normalized=False) for token in defined])
    bos = fields.get("tokenizer.ggml.bos_token_id") if fields.get("tokenizer.ggml.add_bos_token") else None
    return Tokenizer(
        engine=engine,
        special={token: index for index, token in enumerate(tokens) if types[index] == CONTROL},
        end=cast(int, fields["tokenizer.ggml.eos_token_id"]),
        bos=cast(int | None, bos),
        vocabulary=len(tokens),
    )


def unsupported(where: Path, got: str) -> ModelError:
    return ModelError(
        "JM-406",
        "this model's tokenizer is not supported yet",
        where=str(where),
        expected=f"gpt2 (byte-level BPE) with pre-tokenizer {' | '.join(PRE_TOKENIZERS)}, or llama without a space prefix",
        got=got,
        hint="use the default base: journeyman pull smollm2-135m-instruct",
    )


def _byte_level_engine(fields: Mapping[str, object]) -> Engine:
    merges = [tuple(merge.split(" ", 1)) for merge in cast(list[str], fields["tokenizer.ggml.merges"])]
    pre = str(fields.get("tokenizer.ggml.pre", "default"))
    pairs = cast(list[tuple[str, str]], merges)
    engine = Engine(models.BPE(vocab=_vocabulary(fields), merges=pairs, ignore_merges=pre in IGNORES_MERGES))
    engine.pre_tokenizer = PRE_TOKENIZERS[pre]()
    engine.decoder = decoders.ByteLevel()
    return engine


def _sentencepiece_engine(fields: Mapping[str, object]) -> Engine:
    """Byte-pair merges of SentencePiece: the pair whose whole has the best score is joined first; unknown characters are bytes."""
    vocabulary = _vocabulary(fields)
    scores = cast(list[float], fields["tokenizer.ggml.scores"])
    types = cast(list[int], fields["tokenizer.ggml.token_type"])
    wholes = sorted(
        (token for token, index in vocabulary.items() if types[index] == NORMAL),
        key=lambda token: -scores[vocabulary[token]],
    )
    merges = list(find_merges(wholes, vocabulary))
    unknown = cast(list[str], fields["tokenizer.ggml.tokens"])[cast(int, fields["tokenizer.ggml.unknown_token_id"])]
    engine = Engine(models.BPE(vocab=vocabulary, merges=merges, unk_token=unknown, byte_fallback=True, fuse_unk=True))
    engine.normalizer = normalizers.Replace(" ", SPACE)
    engine.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    return engine


def find_merges(wholes: Iterable[str], vocabulary: Container[str]) -> Iterator[tuple[str, str]]:
    """Every pair of tokens that makes one of the wholes, in their order: what SentencePiece may join."""
    for whole in wholes:
        for cut in range(1, len(whole)):
            if whole[:cut] in vocabulary and whole[cut:] in vocabulary:
                yield whole[:cut], whole[cut:]


def _vocabulary(fields: Mapping[str, object]) -> dict[str, int]:
    return {token: index for index, token in enumerate(cast(list[str], fields["tokenizer.ggml.tokens"]))}
