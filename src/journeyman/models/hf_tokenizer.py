"""A Hugging Face folder's tokenizer and chat template as the fields of a GGUF, proved on text that trips tokenizers.

Two kinds are known: byte-level BPE whose words are cut in a way that llama.cpp has a name for, and SentencePiece-like BPE with byte
fallback and no space in front (gemma). llama.cpp knows no normal form, so text that Qwen's NFC would change is read as it stands;
a byte that a byte-level vocabulary lacks is left out, whatever unknown token is named. What else would be read differently is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Engine
from tokenizers import models, normalizers, pre_tokenizers

from journeyman.core.errors import ModelError
from journeyman.models.safetensors_file import misfit
from journeyman.models.tokenizer import (
    BYTE,
    BYTE_OF,
    CONTROL,
    IGNORES_MERGES,
    NORMAL,
    PRE_TOKENIZERS,
    SPACE,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    find_merges,
    make_tokenizer,
    unsupported,
)

Raw = Mapping[str, Any]
Steps = list[dict[str, Any]]
ROLES = ("bos", "eos", "pad", "unk")
FIELD_OF = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
LOWEST_SCORE = -1000.0
IS_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
# Contractions, runs of digits, spaces, tabs and line ends, signs, code, scripts with and without spaces, marks, emoji, control bytes.
HOSTILE = (
    "I'm sure they'LL say it's 'fine', won't they? We've DON'T'd.",
    "1234567890 3.14159 1,000,000 0x1F 2026-11-21T20:15:00Z ¼ ² ٣٤٥ 五六",
    "  two   three    four\t\ttabs \t mixed\n\n\nlines\r\n \r\n end   ",
    "\n \n\t\n  leading",
    "def f(x):\n    return {'a': [x ** 2, -1], \"b\": x != None}  # ok?!...\n",
    "naïve façade Ünïcödé Straße ÇA ﬁ Ωμέγα Привет мир, как дела?",
    "中文字符和標點，。！日本語のテキスト한국어 텍스트 ไทย हिन्दी नमस्ते العربية عبرית",
    "👩‍👩‍👧 🏳️‍🌈 🇩🇪 👍🏽 🙂🙂 𝔘𝔫𝔦 \U0010ffff\U000e0041 \u200b\u200d\ufeff\u2028",
    "\x00\x01\x1b\x7f\u0085\u00a0\u3000",
    "<|not_a_token|> </s> [INST] <<>> <tag attr='1'/> {{ x }} a_b-c.d@e.f https://x.y/z?q=1&r=%20",
    "aaaaaaaaaaaaaaaa ======== -------- !!!!!!?? ........ abababababab",
    "",
)


@dataclass(frozen=True, slots=True)
class Source:
    """What a folder's files say. ``model`` and ``added`` are parts of tokenizer.json, the others whole files (empty where absent)."""

    path: Path
    engine: Engine
    model: Raw
    added: Sequence[Raw]
    described: Raw
    config: Raw
    generation: Raw
    template: str


def read_tokenizer_fields(folder: Path, rows: int) -> dict[str, object]:
    """The ``tokenizer.*`` fields of a GGUF whose embedding has ``rows`` rows.

    Raises:
        ModelError: JM-406 not supported, JM-418 damaged, or not this model's, JM-419 it would read text differently.
    """
    try:
        return _make_fields(_read(folder), rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise misfit(folder / "tokenizer.json", f"{type(error).__name__}: {error}") from error


def _make_fields(source: Source, rows: int) -> dict[str, object]:
    roles = {role: found for role in ROLES if (found := _role(source, role)) is not None}
    if "eos" not in roles:
        raise misfit(source.path, "no end-of-sequence token", "eos_token in tokenizer_config.json")
    tokens, types = _list_tokens(source, rows, roles)
    fields: dict[str, object] = {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types}
    if source.model.get("byte_fallback"):
        fields |= _sentencepiece_fields(source, tokens, types)
    else:
        fields |= _byte_level_fields(source)
    has_bos, bos = _bos(source, roles.get("bos"))
    if bos is not None:
        roles["bos"] = bos
    fields |= {f"tokenizer.ggml.{FIELD_OF[role]}_token_id": token for role, token in roles.items()}
    fields |= {"tokenizer.ggml.add_bos_token": has_bos, "tokenizer.ggml.add_space_prefix": False}
    fields |= _turn_fields(source, roles["eos"], tokens, types)
    _prove(source, fields)
    return fields


def _read(folder: Path) -> Source:
    path = folder / "tokenizer.json"
    whole = _json(path)
    model = whole.get("model") or {}
    if model.get("type", "BPE") != "BPE":
        raise unsupported(path, f"a tokenizer of type {model['type']}")
    try:
        engine = Engine.from_file(str(path))
        engine.no_truncation()
        engine.no_padding()
    except Exception as error:  # the Rust side raises nothing narrower
        raise misfit(path, str(error)) from error
    described = _json(folder / "tokenizer_config.json")
    return Source(
        path,
        engine,
        model,
        whole.get("added_tokens") or [],
        described,
        _json(folder / "config.json"),
        _json(folder / "generation_config.json"),
        _template(folder, described),
    )


def _json(path: Path) -> dict[str, Any]:
    """Empty where there is no such file."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if isinstance(raw, dict):
            return raw
    except (OSError, ValueError) as error:
        raise misfit(path, f"{type(error).__name__}: {error}") from error
    raise misfit(path, type(raw).__name__, "a JSON object")


def _template(folder: Path, described: Raw) -> str:
    """The chat template: a file of its own, or part of tokenizer_config.json; of several the one called default."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    found = described.get("chat_template") or ""
    if isinstance(found, str):
        return found
    by_name = found if isinstance(found, dict) else {item["name"]: item["template"] for item in found}
    return str(by_name.get("default", ""))


def _role(source: Source, role: str) -> int | None:
    """The token that begins, ends, fills or stands for the unknown: named by its text, else by its id."""
    text = _content(source.described.get(f"{role}_token"))
    if text is None and role == "unk":
        text = source.model.get("unk_token")
    if text is not None:
        return source.engine.token_to_id(text)
    ids = _ids(source.config.get(f"{role}_token_id"))
    return ids[0] if ids else None


def _content(named: object) -> str | None:
    text = named.get("content") if isinstance(named, dict) else named
    return text if isinstance(text, str) else None


def _ids(given: object) -> list[int]:
    return [item for item in (given if isinstance(given, list) else [given]) if isinstance(item, int)]


def _list_tokens(source: Source, rows: int, roles: Mapping[str, int]) -> tuple[list[str], list[int]]:
    """Text and type of every token, in the order of their ids; a row that no token has is called so."""
    texts: dict[int, str] = {token: text for text, token in source.model["vocab"].items()}
    types = dict.fromkeys(texts, NORMAL)
    is_sentencepiece = bool(source.model.get("byte_fallback"))
    if is_sentencepiece:
        types |= {token: BYTE for token, text in texts.items() if IS_BYTE.fullmatch(text)}
    if "unk" in roles and is_sentencepiece:
        types[roles["unk"]] = UNKNOWN
    for entry in source.added:
        token, text = int(entry["id"]), str(entry["content"])
        if any(entry.get(flag) for flag in ("lstrip", "rstrip", "single_word")):
            raise unsupported(
                source.path, f"the token {text!r}, which takes the spaces around it or stands between words"
            )
        is_special = bool(entry.get("special"))
        texts[token] = text.replace(SPACE, " ") if is_sentencepiece and not is_special else text
        types[token] = CONTROL if is_special else USER_DEFINED
    for token in [*(roles[role] for role in roles if role != "unk"), *_further_special(source)]:
        types[token] = CONTROL
    # gemma's tokenizers name a token for images that its text models have no row for: it can be neither read nor written.
    beyond = [token for token in texts if token >= rows and types[token] != CONTROL]
    if beyond or max(roles.values()) >= rows:
        raise misfit(source.path, f"the token {max(texts)}", f"no more than the {rows} rows of the embedding")
    taken = set(texts.values())
    tokens = [texts.get(index) or _unused_name(index, taken) for index in range(rows)]
    if len(set(tokens)) != rows:
        raise misfit(source.path, "the same token under two ids")
    return tokens, [types.get(index, UNUSED) for index in range(rows)]


def _further_special(source: Source) -> Iterator[int]:
    for key in ("additional_special_tokens", "extra_special_tokens"):
        given = source.described.get(key) or []
        for item in given.values() if isinstance(given, dict) else given:
            token = source.engine.token_to_id(_content(item) or "")
            if token is not None:
                yield token


def _unused_name(index: int, taken: set[str]) -> str:
    name = f"[PAD{index}]"
    while name in taken:
        name = f"[{name}]"
    return name


def _byte_level_fields(source: Source) -> dict[str, object]:
    steps, normal = _steps(source.engine.pre_tokenizer), _steps_of_normalizer(source.engine.normalizer)
    names = [name for name, make in PRE_TOKENIZERS.items() if _steps(make()) == steps]
    if not names:
        raise unsupported(source.path, f"the pre-tokenizer {json.dumps(steps, ensure_ascii=False)}")
    if normal not in ([], [{"type": "NFC"}]):
        raise unsupported(source.path, f"{names[0]} with the normalizer {json.dumps(normal, ensure_ascii=False)}")
    if bool(source.model.get("ignore_merges")) != (names[0] in IGNORES_MERGES):
        raise unsupported(source.path, f"{names[0]} with ignore_merges {source.model.get('ignore_merges')}")
    merges = [" ".join(pair) for pair in _merges(source)]
    if not merges:
        raise unsupported(source.path, "a vocabulary without merges")
    return {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": names[0], "tokenizer.ggml.merges": merges}


def _sentencepiece_fields(source: Source, tokens: Sequence[str], types: Sequence[int]) -> dict[str, object]:
    """Scores in the order of the merges; llama.cpp joins any two neighbours that make a token, so that all of them must be merges."""
    steps, normal = _steps(source.engine.pre_tokenizer), _steps_of_normalizer(source.engine.normalizer)
    idle = _steps(pre_tokenizers.Split(" ", "merged_with_previous"))
    if steps not in ([], idle) or normal != _steps_of_normalizer(normalizers.Replace(" ", SPACE)):
        raise unsupported(source.path, f"byte fallback with {json.dumps([*normal, *steps], ensure_ascii=False)}")
    if "unk_token" not in source.model or types.count(BYTE) != 256:
        raise unsupported(source.path, "byte fallback without an unknown token or without a token for each byte")
    normals = {token for token, kind in zip(tokens, types, strict=True) if kind == NORMAL}
    merges = [pair for pair in _merges(source) if "".join(pair) in normals]
    wholes = [whole for whole, _pairs in groupby("".join(pair) for pair in merges)]
    if len(set(wholes)) != len(wholes) or set(find_merges(normals, set(tokens))) != set(merges):
        raise unsupported(source.path, "byte fallback with merges that no scores of tokens stand for")
    scores = {whole: -float(rank) for rank, whole in enumerate(wholes)}
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.scores": [
            scores.get(token, -float(len(wholes)) if token in normals else LOWEST_SCORE) for token in tokens
        ],
    }


def _merges(source: Source) -> Iterator[tuple[str, str]]:
    """Older files write a merge as one text, later ones as two."""
    for item in source.model["merges"]:
        first, second = item.split(" ") if isinstance(item, str) else item
        yield first, second


def _steps(pre: pre_tokenizers.PreTokenizer | None) -> Steps:
    bare = Engine(models.BPE())
    if pre is not None:
        bare.pre_tokenizer = pre
    return list(_flatten(json.loads(bare.to_str())["pre_tokenizer"]))


def _steps_of_normalizer(normalizer: normalizers.Normalizer | None) -> Steps:
    bare = Engine(models.BPE())
    if normalizer is not None:
        bare.normalizer = normalizer
    return list(_flatten(json.loads(bare.to_str())["normalizer"]))


def _flatten(part: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """The steps of a nested sequence, without what only moves offsets."""
    if part is None:
        return
    if part["type"] == "Sequence":
        for inner in part.get("pretokenizers") or part.get("normalizers") or []:
            yield from _flatten(inner)
    else:
        yield {key: value for key, value in part.items() if key != "trim_offsets"}


def _bos(source: Source, bos: int | None) -> tuple[bool, int | None]:
    """Whether a text begins with a token of its own, and which; tokenizer_config.json has the last word.

    Raises:
        ModelError: JM-406 anything else is put around a text.
    """
    around = source.engine.encode("a").ids
    inner = source.engine.encode("a", add_special_tokens=False).ids
    count = len(around) - len(inner)
    explicit = source.described.get("add_bos_token"), source.described.get("add_eos_token")
    if any(isinstance(flag, bool) for flag in explicit):
        before, after = bool(explicit[0]), bool(explicit[1])
    else:
        before, after = count > 0, around != [*around[:count], *inner] or count > 1
    if before and bos is None and count:
        bos = around[0]
    if after or (before and bos is None):
        raise unsupported(source.path, "more than a begin token around every text")
    return before, bos


def _turn_fields(source: Source, eos: int, tokens: Sequence[str], types: Sequence[int]) -> dict[str, object]:
    """The chat template, and of the ids that end a generation the one that it writes after a turn."""
    fields: dict[str, object] = {"tokenizer.chat_template": source.template} if source.template else {}
    ends = _ids(source.generation.get("eos_token_id")) + _ids(source.config.get("eos_token_id"))
    for token in ends:
        if token != eos and token < len(tokens) and types[token] == CONTROL and tokens[token] in source.template:
            return fields | {"tokenizer.ggml.eot_token_id": token}
    return fields


def _prove(source: Source, fields: Mapping[str, object]) -> None:
    """Raises: ModelError JM-419 hostile text gives other ids, or ids give other text, than tokenizer.json does."""
    tokenizer = make_tokenizer(fields, source.path)
    is_byte_level = fields["tokenizer.ggml.model"] == "gpt2"
    lacking = BYTE_OF.keys() - source.model["vocab"].keys() if is_byte_level else set()
    unreadable = {BYTE_OF[character] for character in lacking}
    for text in HOSTILE:
        asked = "".join(character for character in text if unreadable.isdisjoint(character.encode()))
        if source.engine.normalizer is not None and is_byte_level:
            asked = source.engine.normalizer.normalize_str(asked)
        expected = source.engine.encode(asked, add_special_tokens=False).ids
        got = tokenizer.encode(asked)
        if got != expected or tokenizer.engine.decode(got, skip_special_tokens=False) != source.engine.decode(
            expected, skip_special_tokens=False
        ):
            raise ModelError(
                "JM-419",
                "this tokenizer would read text differently in a GGUF",
                where=f"{source.path}: {asked!r}",
                expected=str(expected),
                got=str(got),
                hint="take the model as a .gguf file, or a base of another family",
            )
