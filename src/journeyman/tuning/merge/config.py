"""mergekit's YAML, read and checked: what is merged, by which method, with which parameters for which tensor.

Semantics that users' files rely on: `models` is one slice over all layers; a parameter is a number, a list of numbers (a gradient over
the layers of a slice) or a list of {filter, value}, where a filter is a part of a tensor's name and the first that fits wins; a slice
source's value is asked for before the slice's, and that before the file's. Knows nothing about tensors' contents.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from journeyman.core.errors import TuneError
from journeyman.tuning.merge.blocks import NumberType

Method = Literal["linear", "slerp", "task_arithmetic", "ties", "dare_linear", "dare_ties", "model_stock", "passthrough"]
Scalar = float | bool
Gradient = Annotated[list[float], Field(min_length=1)]


class Conditional(BaseModel):
    """A value for the tensors whose name contains ``filter`` (``*`` or none: all)."""

    model_config = ConfigDict(extra="forbid")
    filter: str | None = None
    value: Scalar | Gradient

    def fits(self, tensor: str) -> bool:
        return self.filter in (None, "*") or str(self.filter) in tensor


Parameter = Scalar | Gradient | Annotated[list[Conditional], Field(min_length=1)]
Parameters = dict[str, Parameter]


class Input(BaseModel):
    """A whole model of a `models` list."""

    model_config = ConfigDict(extra="forbid")
    model: str
    parameters: Parameters = {}


class Source(BaseModel):
    """Layers ``[first, last)`` of a model."""

    model_config = ConfigDict(extra="forbid")
    model: str
    layer_range: tuple[Annotated[int, Field(ge=0)], int] | None = None
    parameters: Parameters = {}


class Added(Source):
    """The base, where `models` does not list it."""


class Slice(BaseModel):
    """Layers of the result, one after another, each merged from the same place of every source."""

    model_config = ConfigDict(extra="forbid")
    sources: Annotated[list[Source], Field(min_length=1)]
    parameters: Parameters = {}


class MergeConfig(BaseModel):
    """One merge. ``random_seed`` is the seed of the stochastic methods, per tensor."""

    model_config = ConfigDict(extra="forbid")
    merge_method: Method
    models: list[Input] | None = None
    slices: Annotated[list[Slice], Field(min_length=1)] | None = None
    base_model: str | None = None
    parameters: Parameters = {}
    dtype: NumberType | None = None
    out_dtype: NumberType | None = None
    tokenizer_source: str | None = None
    name: str | None = None
    random_seed: int = 0

    @model_validator(mode="after")
    def _is_whole(self) -> MergeConfig:
        if (self.models is None) == (self.slices is None):
            raise ValueError("give exactly one of `models` and `slices`")
        if self.tokenizer_source == "union":
            raise ValueError("tokenizer_source: union is not supported; name one model")
        return self

    def as_slices(self) -> list[Slice]:
        """`models` as one slice; the base joins it where it is missing, as what it is and not as a model."""
        if self.slices is not None:
            return self.slices
        sources = [Source(model=item.model, parameters=item.parameters) for item in self.models or []]
        if self.base_model and all(source.model != self.base_model for source in sources):
            sources.append(Added(model=self.base_model))
        return [Slice(sources=sources)]


def is_adapter_merge(path: Path) -> bool:
    """Whether the file merges adapters (``adapters.py``) rather than models."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return isinstance(raw, dict) and "adapter_method" in raw


def load_merge(path: Path) -> MergeConfig:
    """Raises: TuneError JM-540 unreadable or not a merge that is known here."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        _refuse(path, str(error))
    if not isinstance(raw, dict):
        _refuse(path, f"{type(raw).__name__} instead of a mapping")
    try:
        return MergeConfig.model_validate(raw)
    except ValidationError as error:
        first = min(
            error.errors(), key=lambda item: item["type"] != "too_short"
        )  # of a union's errors the one that says why
        place = ".".join(str(part) for part in first["loc"])
        _refuse(path, f"{place + ': ' if place else ''}{first['msg']}")


def value_at(parameter: Parameter, tensor: str, t: float) -> Scalar | None:
    """The value for a tensor at place ``t`` (0 to 1) of its slice; None when no filter fits."""
    if isinstance(parameter, list) and parameter and isinstance(parameter[0], Conditional):
        fitting = (item.value for item in parameter if isinstance(item, Conditional) and item.fits(tensor))
        found = next(fitting, None)
        return None if found is None else _at(found, t)
    return _at(parameter, t)  # type: ignore[arg-type]


def look_up(levels: tuple[Mapping[str, Parameter], ...], name: str, tensor: str, t: float) -> Scalar | None:
    """The first level that has a value for this tensor."""
    for level in levels:
        if name in level and (found := value_at(level[name], tensor, t)) is not None:
            return found
    return None


def _at(value: Scalar | list[float], t: float) -> Scalar:
    """A gradient is piecewise linear over evenly spaced values."""
    if not isinstance(value, list):
        return value
    place = t * (len(value) - 1)
    low = int(place)
    high = min(low + 1, len(value) - 1)
    return value[low] + (value[high] - value[low]) * (place - low)


def _refuse(path: Path, got: str) -> NoReturn:
    raise TuneError(
        "JM-540",
        "this merge cannot be read",
        where=str(path),
        expected="mergekit's YAML with one of " + ", ".join(Method.__args__),  # type: ignore[attr-defined]
        got=got,
        hint="see docs/merge.md for what is supported",
    )
