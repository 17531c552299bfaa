"""The MLP of ``tuning.heads``: d numbers to GELU units to k classes, in torch. Knows nothing about fields or files.

Four are trained from different beginnings and their logits averaged: that is one MLP of four times the units (docs/notebook.md has what
it is worth).

Legend: ``n`` rows, ``d`` numbers of a vector, ``k`` classes, ``h`` hidden units, ``b`` rows of a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from journeyman.models.head import Layer
from journeyman.tuning.head_rows import ScaledRows

MEMBERS = 4
HIDDEN = 512  # of each member
DROPOUT = 0.5
RATE = 2e-3
WEIGHT_DECAY = 0.05
BATCH = 128
EPOCHS = 15
LEAST_STEPS = 300
LOOKS = 15
PATIENCE = 5  # looks without a smaller loss end it

Look = Callable[[tuple[Layer, ...]], float]


def fit_mlp(rows: ScaledRows, look: Look, seed: int, members: int = MEMBERS) -> tuple[tuple[Layer, ...], str]:
    """Train ``members``; return their mean as two layers, and how they came about."""
    seeds = range(seed * members, (seed + 1) * members)
    found = [fit_member(rows, look, each) for each in seeds]
    steps = ", ".join(str(step) for _, step in found)
    return join([layers for layers, _ in found]), f"{members} x {HIDDEN} units, kept after steps {steps}"


def join(members: Sequence[tuple[Layer, ...]]) -> tuple[Layer, ...]:
    """The MLP whose logits are the mean of the members' logits: their units side by side."""
    weight = np.concatenate([layers[1].weight for layers in members], axis=1) / len(members)
    bias = np.mean([layers[1].bias for layers in members], axis=0)
    first = Layer(
        np.concatenate([layers[0].weight for layers in members]), np.concatenate([layers[0].bias for layers in members])
    )
    second = Layer(weight.astype(np.float32), bias.astype(np.float32))
    return first, second


def fit_member(rows: ScaledRows, look: Look, seed: int) -> tuple[tuple[Layer, ...], int]:
    """The layers for which ``look`` gave the smallest loss, and the step they are from.

    ``look`` is asked ``LOOKS`` times at even distances. The global random state is neither read nor changed.
    """
    generator = torch.Generator().manual_seed(seed)
    parameters = _make_parameters(rows.vectors.shape[1], rows.classes, generator)
    vectors, labels, weights = (torch.from_numpy(array) for array in (rows.vectors, rows.labels, rows.weights))
    steps = max(EPOCHS * math.ceil(len(vectors) / BATCH), LEAST_STEPS)
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=WEIGHT_DECAY, foreach=True)
    looks = {math.ceil(steps * number / LOOKS) for number in range(1, LOOKS + 1)}
    best, kept, kept_at, worse = math.inf, _to_layers(parameters), 0, 0
    for step, batch in zip(range(1, steps + 1), _batches(len(vectors), generator), strict=False):
        optimizer.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * (step - 1) / steps)) / 2
        logits = forward(vectors[batch], parameters, generator)
        losses = functional.cross_entropy(logits, labels[batch], reduction="none")
        optimizer.zero_grad()
        (losses @ weights[batch] / len(batch)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step in looks:
            layers = _to_layers(parameters)
            loss = look(layers)
            best, kept, kept_at, worse = (loss, layers, step, 0) if loss < best else (best, kept, kept_at, worse + 1)
            if worse == PATIENCE:
                break
    return kept, kept_at


def forward(rows: Tensor, parameters: list[Tensor], generator: torch.Generator | None = None) -> Tensor:
    """Logits [b, k]; with a generator half of the hidden units are dropped."""
    hidden = functional.gelu(functional.linear(rows, parameters[0], parameters[1]), approximate="tanh")
    if generator is not None:
        kept = torch.rand(hidden.shape, generator=generator) >= DROPOUT
        hidden = hidden * kept / (1 - DROPOUT)
    return functional.linear(hidden, parameters[2], parameters[3])


def _make_parameters(size: int, classes: int, generator: torch.Generator) -> list[Tensor]:
    """Weights and biases, uniform within 1 / sqrt(inputs) as torch's own layers."""
    made = []
    for out, inputs in ((HIDDEN, size), (classes, HIDDEN)):
        for shape in ((out, inputs), (out,)):
            drawn = torch.rand(shape, generator=generator) * 2 - 1
            made.append((drawn / math.sqrt(inputs)).requires_grad_())
    return made


def _batches(rows: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Row numbers without end: every pass is a new order."""
    while True:
        order = torch.randperm(rows, generator=generator)
        yield from (order[start : start + BATCH] for start in range(0, rows, BATCH))


def _to_layers(parameters: list[Tensor]) -> tuple[Layer, ...]:
    arrays = [item.detach().clone().numpy() for item in parameters]
    return Layer(arrays[0], arrays[1]), Layer(arrays[2], arrays[3])
