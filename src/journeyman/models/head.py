"""Heads: from a text's vector to the probability of every value of a closed field. numpy only; ``tuning.heads`` trains them.

Legend: ``n`` rows, ``d`` numbers of a vector, ``k`` classes that were trained, ``K`` all classes, ``h`` hidden units.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeVar, cast

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from safetensors import SafetensorError
from safetensors.numpy import load, save

from journeyman.core.canonical import Json, bytes_hash
from journeyman.core.errors import ModelError
from journeyman.core.files import write_atomic
from journeyman.models.damaged import refuse_damaged
from journeyman.models.embedder import Vectors

WEIGHTS, DESCRIPTION = "heads.safetensors", "heads.json"
EDITION = 1
HeadKind = Literal["linear", "mlp"]

Weights = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]
Real = TypeVar("Real", np.float32, np.float64)


@dataclass(frozen=True, slots=True)
class ClosedField:
    """``name`` is the field's path in an answer, empty where the answer is the value itself; ``values`` in the schema's order."""

    name: str
    values: tuple[Json, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """``weight`` [out, in], ``bias`` [out]; float32 in files."""

    weight: Weights
    bias: Weights


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """One layer, or two with a GELU between them, over the classes that had training rows.

    ``trained`` are their numbers among ``field.values``. Each other class has the probability ``untrained_share``: no row ever
    showed it, which is not the same as impossible.
    """

    field: ClosedField
    layers: tuple[Layer, ...]
    trained: tuple[int, ...]
    temperature: float
    untrained_share: float

    @property
    def kind(self) -> HeadKind:
        return "linear" if len(self.layers) == 1 else "mlp"

    @property
    def untrained(self) -> tuple[Json, ...]:
        """Values that no training row had."""
        return tuple(value for number, value in enumerate(self.field.values) if number not in self.trained)

    def logits(self, vectors: npt.ArrayLike | Vectors) -> Floats:
        """Before temperature, of the trained classes, [n, k]."""
        states = cast(Floats, vectors) if hasattr(vectors, "tocsr") else np.asarray(vectors, dtype=np.float64)
        for place, layer in enumerate(self.layers):
            states = (gelu(states) if place else states) @ layer.weight.T.astype(np.float64, copy=False) + layer.bias
        return states

    def probabilities(self, vectors: npt.ArrayLike | Vectors) -> Floats:
        """[n, d] to [n, K]; columns in the order of ``field.values``, rows sum to one."""
        known = np.exp(log_softmax(self.logits(vectors) / self.temperature))
        result = np.full((len(known), len(self.field.values)), self.untrained_share)
        result[:, self.trained] = known * (1 - self.untrained_share * len(self.untrained))
        return result


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """One head per closed field over the vectors of one embedder, named by its id."""

    embedder: str
    heads: tuple[Head, ...]

    def widened(self) -> Heads:
        """The same in float64, as ``Head.logits`` computes: for many calls, so that each does not convert all weights again."""
        return replace(self, heads=tuple(replace(head, layers=tuple(map(_widen, head.layers))) for head in self.heads))

    def probabilities(self, vectors: npt.ArrayLike | Vectors) -> dict[str, Floats]:
        """By field name, each [n, K]."""
        return {head.field.name: head.probabilities(vectors) for head in self.heads}


def _widen(layer: Layer) -> Layer:
    return Layer(layer.weight.astype(np.float64), layer.bias.astype(np.float64))


def gelu(values: Floats) -> Floats:
    """The tanh form of Hendrycks and Gimpel, arXiv:1606.08415."""
    cubic = values + 0.044715 * values**3
    result: Floats = 0.5 * values * (1 + np.tanh(np.sqrt(2 / np.pi) * cubic))
    return result


def log_softmax(logits: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """Over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: npt.NDArray[Real] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


class _HeadText(BaseModel):
    """A head in ``heads.json``; its tensors are ``<number>.<layer>.weight`` and ``.bias``."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    field: str
    values: list[JsonValue] = Field(min_length=2)
    layers: int = Field(ge=1, le=2)
    trained: list[int] = Field(min_length=2)
    temperature: float = Field(gt=0)
    untrained_share: float = Field(ge=0, lt=1)


class _Text(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    edition: Literal[1]
    embedder: str
    weights_sha256: str
    heads: list[_HeadText]


def save_heads(folder: Path, heads: Heads) -> None:
    """Write ``heads.safetensors`` and ``heads.json``; equal heads give equal bytes.

    Raises:
        StoreError: JM-801 disk full, JM-802 not writable.
    """
    tensors = {
        f"{number}.{place}.{name}": np.ascontiguousarray(tensor)
        for number, head in enumerate(heads.heads)
        for place, layer in enumerate(head.layers)
        for name, tensor in (("weight", layer.weight), ("bias", layer.bias))
    }
    data = save(tensors)
    text = {
        "edition": EDITION,
        "embedder": heads.embedder,
        "weights_sha256": bytes_hash(data),
        "heads": [_describe(head) for head in heads.heads],
    }
    write_atomic(folder / WEIGHTS, data)
    write_atomic(folder / DESCRIPTION, json.dumps(text, indent=1, ensure_ascii=False) + "\n")


def load_heads(folder: Path, embedder: str = "") -> Heads:
    """Read a folder of ``save_heads``; ``embedder`` is the id of the one whose vectors will come, where it is known.

    Raises:
        ModelError: JM-436 missing, damaged or of another edition, JM-437 trained on another embedder's vectors.
    """
    path = folder / DESCRIPTION
    expected = f"{DESCRIPTION} of edition {EDITION} and {WEIGHTS}, as they were written"
    with refuse_damaged("heads", path, expected, (SafetensorError,)):
        text = _Text.model_validate_json(path.read_bytes())
        data = (folder / WEIGHTS).read_bytes()
        if bytes_hash(data) != text.weights_sha256:
            raise ValueError(f"{WEIGHTS} is not the file that {DESCRIPTION} names")
        tensors = load(data)
        heads = tuple(_read(number, item, tensors) for number, item in enumerate(text.heads))
    if embedder and text.embedder != embedder:
        raise ModelError(
            "JM-437",
            "these heads were trained on the vectors of another embedder",
            where=str(path),
            expected=text.embedder,
            got=embedder,
            hint="use the embedder that they were trained with, or tune again",
        )
    return Heads(text.embedder, heads)


def _describe(head: Head) -> dict[str, object]:
    return {
        "field": head.field.name,
        "values": list(head.field.values),
        "layers": len(head.layers),
        "trained": list(head.trained),
        "temperature": head.temperature,
        "untrained_share": head.untrained_share,
    }


def _read(number: int, text: _HeadText, tensors: Mapping[str, npt.NDArray[np.generic]]) -> Head:
    layers = tuple(_read_layer(f"{number}.{place}", tensors) for place in range(text.layers))
    widths = [layers[0].weight.shape[1], *(len(layer.bias) for layer in layers)]
    if any(layer.weight.shape != (out, size) for layer, (size, out) in zip(layers, pairwise(widths), strict=True)):
        raise ValueError(f"head {number}: the layers' shapes do not follow each other")
    if widths[-1] != len(text.trained) or len(set(text.trained) & set(range(len(text.values)))) != widths[-1]:
        raise ValueError(f"head {number}: {widths[-1]} outputs for the classes {text.trained} of {len(text.values)}")
    field = ClosedField(text.field, tuple(text.values))
    return Head(field, layers, tuple(text.trained), text.temperature, text.untrained_share)


def _read_layer(name: str, tensors: Mapping[str, npt.NDArray[np.generic]]) -> Layer:
    weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    if weight.dtype != np.float32 or bias.dtype != np.float32 or weight.ndim != 2 or bias.ndim != 1:
        raise ValueError(
            f"{name}: expected float32 [out, in] and [out], got {weight.dtype} {weight.shape}, {bias.shape}"
        )
    return Layer(weight.astype(np.float32), bias.astype(np.float32))
