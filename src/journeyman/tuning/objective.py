"""What a run works towards: units of rows, a loss over their states, a look at dev. Supervised tuning is here; pairs are in ``preference``.

Shapes: M supervised positions, H hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from journeyman.models.torch_decoder import Decoder
from journeyman.tuning.batching import Batch, TuneRow, Unit, make_batch, order_rows
from journeyman.tuning.losses import cross_entropy, token_logprobs
from journeyman.tuning.plan import Plan
from journeyman.tuning.trainable import Trainable
from journeyman.tuning.vocabulary import ShortHead, shorten

# Scoring has no gradient and no step to make small: batches as large as products are fast in, logits in parts of this size.
SCORED_TOKENS, SCORED_BYTES = 1024, 1 << 28

# (states [M, H], head [V, H], batch) -> a scalar with a gradient for the states
Loss = Callable[[Tensor, Tensor, Batch], Tensor]


@dataclass(frozen=True, slots=True)
class DevScore:
    """``exact`` is the share of dev rows whose every answer token is the argmax, which is what greedy decoding would write."""

    loss: float
    exact: float

    @property
    def rank(self) -> tuple[float, float]:
        return (self.exact, -self.loss)


@dataclass(frozen=True, slots=True)
class Objective:
    """``look`` scores the present weights on dev; None when there is no dev row."""

    units: Sequence[Unit]
    loss: Loss
    look: Callable[[], DevScore] | None


def supervised(
    decoder: Decoder, adapters: Trainable, rows: Sequence[TuneRow], dev: Sequence[TuneRow], plan: Plan
) -> Objective:
    """The answers' tokens, and the inputs' own at the plan's ``input_weight`` (arXiv:2405.14394)."""
    units = [(replace(row, input_weight=plan.number("input_weight")),) for row in rows]
    short = shorten(decoder.head, rows, plan.head_tokens)
    loss = short_loss(short) if short else supervised_loss
    return Objective(units, loss, look_at(decoder, adapters, dev) if dev else None)


def supervised_loss(states: Tensor, head: Tensor, batch: Batch) -> Tensor:
    """Weighted mean over answer tokens."""
    return cross_entropy(token_logprobs(states, head, batch.targets), batch.weights)


def short_loss(short: ShortHead) -> Loss:
    """The same over the tokens of a short head."""

    def loss(states: Tensor, _head: Tensor, batch: Batch) -> Tensor:
        return cross_entropy(token_logprobs(states, short.head, short.places[batch.targets]), batch.weights)

    return loss


def look_at(decoder: Decoder, adapters: Trainable, dev: Sequence[TuneRow]) -> Callable[[], DevScore]:
    return lambda: score_rows(decoder, adapters, dev)


@torch.no_grad()
def score_rows(decoder: Decoder, adapters: Trainable | None, rows: Sequence[TuneRow]) -> DevScore:
    """Teacher-forced mean token loss and share of rows that greedy decoding would answer exactly."""
    total, tokens, exact = 0.0, 0, 0
    chunk = max(16, SCORED_BYTES // (4 * decoder.head.shape[0]))
    for indices in order_rows(rows, SCORED_TOKENS, 0, 0):
        batch = make_batch([rows[index] for index in indices])
        states = decoder.states(batch.ids, batch.layout, adapters.project if adapters else None)[batch.positions]
        wrong = torch.zeros(len(indices))
        for start in range(0, len(states), chunk):
            part = slice(start, start + chunk)
            logits, targets = (states[part] @ decoder.head.T).float(), batch.targets[part]
            total += float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))
            wrong.index_add_(0, batch.owners[part], (logits.argmax(1) != targets).float())
        tokens += len(batch.targets)
        exact += int((wrong == 0).sum())
    return DevScore(total / max(1, tokens), exact / max(1, len(rows)))
