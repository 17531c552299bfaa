"""The decoder families that can be tuned, and a model's configuration, read from a GGUF or a Hugging Face folder. No torch here.

A family is a set of traits of one decoder: which norms there are, which projections have a bias, how far a layer sees. What is not
in ``FAMILIES`` is refused by name, because a trait that is missed gives a model that runs and answers nonsense.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn, cast

from journeyman.core.errors import ModelError
from journeyman.models.gguf_header import read_fields

Activation = Literal["silu", "gelu_tanh"]
LOCAL_ROPE_BASE = 10_000.0
# Hugging Face's names of our activations.
ACTIVATIONS: Mapping[Activation, tuple[str, ...]] = {
    "silu": ("silu", "swish"),
    "gelu_tanh": ("gelu_pytorch_tanh", "gelu_new"),
}
UNKNOWN_TRAITS = (
    "attention_bias",
    "mlp_bias",
    "use_sliding_window",
    "use_bidirectional_attention",
    "attn_logit_softcapping",
    "final_logit_softcapping",
)


@dataclass(frozen=True, slots=True)
class Family:
    """``architecture`` is GGUF's name, ``model_types`` are Hugging Face's; ``has_permuted_rows``: GGUF keeps q and k in ggml's order.

    ``norm_offset`` is what Hugging Face's files leave out of each norm's weight (GGUF stores the whole).
    """

    architecture: str
    model_types: tuple[str, ...]
    activation: Activation = "silu"
    has_qkv_bias: bool = False
    has_qk_norm: bool = False
    has_post_norms: bool = False
    has_scaled_embedding: bool = False
    has_permuted_rows: bool = False
    window_period: int = 0
    norm_offset: float = 0.0


FAMILIES = {
    family.architecture: family
    for family in (
        Family("llama", ("llama",), has_permuted_rows=True),
        Family("qwen2", ("qwen2",), has_qkv_bias=True),
        Family("qwen3", ("qwen3",), has_qk_norm=True),
        Family(
            "gemma3",
            ("gemma3_text",),
            activation="gelu_tanh",
            has_qk_norm=True,
            has_post_norms=True,
            has_scaled_embedding=True,
            window_period=6,
            norm_offset=1.0,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """``window`` is how many positions a sliding layer sees (0: none slides); ``query_scale`` multiplies q·k."""

    family: Family
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    feed_forward: int
    vocabulary: int
    rope_base: float
    epsilon: float
    context: int
    query_scale: float
    window: int = 0

    @property
    def body_parameters(self) -> int:
        return self.layers * sum(out * size for out, size in self.shapes().values())

    def shapes(self) -> dict[str, tuple[int, int]]:
        """Rows and columns [out, in] of each projection of a layer, by PEFT's names."""
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        return {
            "self_attn.q_proj": (queries, self.hidden),
            "self_attn.k_proj": (keys, self.hidden),
            "self_attn.v_proj": (keys, self.hidden),
            "self_attn.o_proj": (self.hidden, queries),
            "mlp.gate_proj": (self.feed_forward, self.hidden),
            "mlp.up_proj": (self.feed_forward, self.hidden),
            "mlp.down_proj": (self.hidden, self.feed_forward),
        }

    def is_sliding(self, layer: int) -> bool:
        return self.window > 0 and bool((layer + 1) % self.family.window_period)


def read_config(path: Path) -> DecoderConfig:
    """The configuration of a GGUF file, or of a folder with Hugging Face's ``config.json``.

    Raises:
        ModelError: JM-405 unreadable, JM-408 a family that cannot be tuned.
    """
    return _from_folder(path) if path.is_dir() else _from_gguf(path)


def _from_gguf(path: Path) -> DecoderConfig:
    fields = read_fields(path)
    name = str(fields.get("general.architecture"))
    if name not in FAMILIES:
        refuse_architecture(path, name)
    if f"{name}.rope.scaling.type" in fields and fields[f"{name}.rope.scaling.type"] != "none":
        refuse_architecture(path, f"{name} with scaled rotary positions ({fields[f'{name}.rope.scaling.type']})")

    def number(key: str, default: float | None = None) -> float:
        value = fields.get(f"{name}.{key}", default)
        if not isinstance(value, int | float):
            raise _damaged(path, f"{name}.{key} is {value!r}")
        return value

    heads, hidden = int(number("attention.head_count")), int(number("embedding_length"))
    head_size = int(number("attention.key_length", hidden // heads))
    family = FAMILIES[name]
    return DecoderConfig(
        family=family,
        layers=int(number("block_count")),
        hidden=hidden,
        heads=heads,
        kv_heads=int(number("attention.head_count_kv", heads)),
        head_size=head_size,
        feed_forward=int(number("feed_forward_length")),
        vocabulary=len(cast(list[str], fields.get("tokenizer.ggml.tokens", []))),
        rope_base=number("rope.freq_base", 1_000_000.0 if family.window_period else 10_000.0),
        epsilon=number("attention.layer_norm_rms_epsilon"),
        context=int(number("context_length")),
        query_scale=1 / math.sqrt(head_size),
        window=int(number("attention.sliding_window", 0)) if family.window_period else 0,
    )


def _from_folder(folder: Path) -> DecoderConfig:
    path = folder / "config.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        kind = str(raw.get("model_type"))
        family = next((item for item in FAMILIES.values() if kind in item.model_types), None)
        if family is None:
            refuse_architecture(path, kind)
        return _from_json(path, raw, family)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def _from_json(path: Path, raw: Mapping[str, object], family: Family) -> DecoderConfig:
    def number(key: str, default: float | None = None) -> float:
        value = raw.get(key)
        value = default if value is None else value
        if not isinstance(value, int | float):
            raise KeyError(key)
        return value

    _refuse_other_traits(path, raw, family)
    heads, hidden = int(number("num_attention_heads")), int(number("hidden_size"))
    head_size = int(number("head_dim", hidden // heads))
    scalar = number("query_pre_attn_scalar", head_size) if family.has_post_norms else head_size
    config = DecoderConfig(
        family=family,
        layers=int(number("num_hidden_layers")),
        hidden=hidden,
        heads=heads,
        kv_heads=int(number("num_key_value_heads", heads)),
        head_size=head_size,
        feed_forward=int(number("intermediate_size")),
        vocabulary=int(number("vocab_size")),
        rope_base=_rope_base(path, raw, 1_000_000.0 if family.window_period else 10_000.0),
        epsilon=number("rms_norm_eps", 1e-6),
        context=int(number("max_position_embeddings")),
        query_scale=1 / math.sqrt(scalar),
        window=int(number("sliding_window", 0)) if family.window_period else 0,
    )
    expected = ["sliding_attention" if config.is_sliding(index) else "full_attention" for index in range(config.layers)]
    if raw.get("layer_types") not in (None, expected):
        refuse_architecture(path, f"{raw.get('model_type')} with other layer_types")
    return config


def _refuse_other_traits(path: Path, raw: Mapping[str, object], family: Family) -> None:
    """Settings that our decoder and llama.cpp take as given for the family must be what they take."""
    kind = raw.get("model_type")
    for trait in UNKNOWN_TRAITS:
        if raw.get(trait):
            refuse_architecture(path, f"{kind} with {trait}")
    activation = raw.get("hidden_activation") or raw.get("hidden_act")
    if activation not in (None, *ACTIVATIONS[family.activation]):
        refuse_architecture(path, f"{kind} with the activation {activation}")
    ropes = cast(Mapping[str, object], raw.get("rope_parameters") or {})
    sliding = cast(Mapping[str, object], ropes.get("sliding_attention") or {})
    local = raw.get("rope_local_base_freq", sliding.get("rope_theta", LOCAL_ROPE_BASE))
    if family.window_period and local != LOCAL_ROPE_BASE:
        refuse_architecture(path, f"{kind} with rope_local_base_freq {local}")


def _rope_base(path: Path, raw: Mapping[str, object], default: float) -> float:
    """transformers 5 writes ``rope_parameters`` (by layer type for gemma3), earlier ones ``rope_theta`` and ``rope_scaling``."""
    found = raw.get("rope_parameters") or raw.get("rope_scaling") or {}
    parameters = cast(Mapping[str, object], found)
    parameters = cast(Mapping[str, object], parameters.get("full_attention", parameters))
    kind = parameters.get("rope_type", parameters.get("type", "default"))
    if kind != "default":
        refuse_architecture(path, f"{raw.get('model_type')} with scaled rotary positions ({kind})")
    if parameters.get("partial_rotary_factor", raw.get("partial_rotary_factor")) not in (None, 1):
        refuse_architecture(path, f"{raw.get('model_type')} with partial_rotary_factor")
    return float(cast(float, parameters.get("rope_theta", raw.get("rope_theta", default))))


def refuse_architecture(path: Path, got: str) -> NoReturn:
    """Raises: ModelError JM-408, with the families that work."""
    raise ModelError(
        "JM-408",
        "this architecture cannot be tuned yet",
        where=str(path),
        expected=" | ".join(FAMILIES),
        got=got,
        hint="use a base of one of these families, such as smollm2-135m-instruct",
    )


def _damaged(path: Path, got: str) -> ModelError:
    return ModelError(
        "JM-405", "this model's configuration cannot be read", where=str(path), got=got, hint="pull or copy it again"
    )
