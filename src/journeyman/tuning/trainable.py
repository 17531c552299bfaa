"""What a run changes: adapters on the projections, or the projections themselves. The loop knows no more of it than this."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Protocol, cast

import torch
from torch import Tensor

from journeyman.models.torch_decoder import Decoder
from journeyman.models.torch_packed import Weight
from journeyman.tuning.full import make_weights
from journeyman.tuning.lora import make_adapters
from journeyman.tuning.plan import Plan
from journeyman.tuning.rounding import Rounded, round_weights

# Positions of a step from which forming merged weights costs less than the thin products beside them (docs/notebook.md).
MERGED_FROM = 256


class Trainable(Protocol):
    """``merged`` are the weights that answer now, by (layer, group) of the fused projections that are changed; empty where what is tuned
    is added beside the weights. ``onto`` always merges."""

    @property
    def merged(self) -> Mapping[tuple[int, str], Tensor]: ...

    def onto(self, decoder: Decoder) -> Trainable:
        """The same parameters on another copy of the base (in another number type, say), merged."""
        ...

    def parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(name, fp32 tensor) in a fixed order."""
        ...

    def merge(self, decoder: Decoder) -> None:
        """Bring ``merged`` up to date; once after each change of the parameters."""
        ...

    def project(self, layer: int, group: str, x: Tensor, weight: Weight) -> Tensor:
        """[N, in] -> [N, out], as ``torch_decoder.Project``."""
        ...


def make_trainable(decoder: Decoder, plan: Plan) -> Trainable:
    """What the plan's ``kind`` and ``layers`` say, before any step: it answers as the base does."""
    layers = plan.whole("layers")
    first = max(0, decoder.config.layers - layers) if layers else 0
    if plan.text("kind") == "full":
        return make_weights(decoder, first, is_rounded=bool(plan.text("finish")))
    config = replace(plan.lora(), first_layer=first)
    is_merged = plan.text("kind") != "qlora" and (
        plan.whole("batch_tokens") >= MERGED_FROM or bool(plan.text("finish"))
    )
    return make_adapters(decoder, config, plan.whole("seed"), is_merged=is_merged)


@torch.no_grad()
def adopt(weights: Trainable, values: Mapping[str, Tensor]) -> None:
    """Copy tensors into the parameters of these names; ``merge`` is the caller's."""
    names = dict(weights.parameters())
    for name, value in values.items():
        names[name].copy_(value)


def settle(decoder: Decoder, weights: Trainable, plan: Plan, *, is_finishing: bool = True) -> None:
    """Merge; where the plan has a finish, and it has begun, as the type that is served holds the weights."""
    weights.merge(decoder)
    if is_finishing and plan.text("finish"):
        round_weights(weights.merged, cast(Rounded, plan.text("finish")))


def merge_weights(decoder: Decoder, tuned: Trainable) -> Decoder:
    """The decoder with the merged weights in place of its own, in the weights' number type."""
    layers = tuple(
        replace(
            layer,
            projections={
                group: tuned.merged.get((index, group), weight) for group, weight in layer.projections.items()
            },
        )
        for index, layer in enumerate(decoder.layers)
    )
    return replace(decoder, layers=layers)
