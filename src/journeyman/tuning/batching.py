"""Rows to batches: grouped by length inside shuffled pools, right-padded, no mask; the order follows from seed and epoch alone.

Shapes: B rows, T positions, M supervised positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

POOL_BATCHES = 24


@dataclass(frozen=True, slots=True)
class TuneRow:
    """Token ids of prompt and answer; the loss is on ``ids[start:]`` with ``weight``. ``key`` is the row's content hash."""

    ids: tuple[int, ...]
    start: int
    weight: float = 1.0
    key: str = ""

    @property
    def supervised(self) -> int:
        return len(self.ids) - self.start


@dataclass(frozen=True, slots=True)
class Batch:
    """``ids`` [B, T]; ``positions`` [M] index the flattened [B*T] states that predict ``targets`` [M]; ``owners`` [M] rows."""

    ids: Tensor
    positions: Tensor
    targets: Tensor
    weights: Tensor
    owners: Tensor
    tokens: int
    keys: tuple[str, ...]


def order_rows(rows: Sequence[TuneRow], batch_tokens: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices of each batch of one epoch: shuffle, cut into pools, sort a pool by length, fill batches, shuffle batches.

    A batch holds at most ``batch_tokens`` padded positions, at least one row.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    shuffled = torch.randperm(len(rows), generator=generator).tolist()
    mean = max(1, sum(len(row.ids) for row in rows) // max(1, len(rows)))
    pool = max(1, POOL_BATCHES * batch_tokens // mean)
    batches: list[list[int]] = []
    for start in range(0, len(shuffled), pool):
        part = sorted(shuffled[start : start + pool], key=lambda index: (len(rows[index].ids), index))
        batches.extend(_fill(rows, part, batch_tokens))
    return [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]


def _fill(rows: Sequence[TuneRow], indices: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    batch: list[int] = []
    for index in indices:
        if batch and len(rows[index].ids) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def make_batch(rows: Sequence[TuneRow]) -> Batch:
    """Pad to the longest row; padding carries no loss, and a causal model never sees it from earlier positions."""
    longest = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    positions: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    owners: list[int] = []
    for index, row in enumerate(rows):
        ids[index, : len(row.ids)] = torch.tensor(row.ids)
        positions += [index * longest + place - 1 for place in range(row.start, len(row.ids))]
        targets += row.ids[row.start :]
        weights += [row.weight] * row.supervised
        owners += [index] * row.supervised
    scale = torch.tensor(weights, dtype=torch.float32)
    return Batch(
        ids=ids,
        positions=torch.tensor(positions),
        targets=torch.tensor(targets),
        weights=scale / scale.sum(),
        owners=torch.tensor(owners),
        tokens=sum(len(row.ids) for row in rows),
        keys=tuple(row.key for row in rows),
    )
