"""Rows to batches: grouped by length inside shuffled pools, right-padded, no mask; the order follows from seed and epoch alone.

Rows that say that they share a beginning become branches of one trunk, which is then computed once for all of them.
Shapes: B rows, T positions, G trunks, P their positions, N all positions, M supervised positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from journeyman.models.torch_decoder import Branches, Layout, Rows

POOL_BATCHES = 24
# A shared beginning costs a mask and a copy of its keys in every layer; shorter ones are cheaper to compute again (docs/notebook.md).
LEAST_SHARED = 24


@dataclass(frozen=True, slots=True)
class TuneRow:
    """Token ids of prompt and answer; the loss is on ``ids[start:]`` with ``weight``. ``key`` is the row's content hash.

    ``shared`` leading ids, at most ``start``, are computed once for all rows of a batch that begin with the same ones.
    """

    ids: tuple[int, ...]
    start: int
    weight: float = 1.0
    key: str = ""
    shared: int = 0

    @property
    def supervised(self) -> int:
        return len(self.ids) - self.start

    @property
    def own(self) -> int:
        """Tokens that are computed for this row alone."""
        return len(self.ids) - self.shared


@dataclass(frozen=True, slots=True)
class Batch:
    """``ids`` [N] in ``layout``; ``positions`` [M] index the states that predict ``targets`` [M]; ``owners`` [M] rows.

    ``weights`` [M] sum to one over the batch. ``tokens`` counts the rows' tokens, without padding.
    """

    ids: Tensor
    layout: Layout
    positions: Tensor
    targets: Tensor
    weights: Tensor
    owners: Tensor
    tokens: int
    keys: tuple[str, ...]


def share_beginning(rows: Sequence[TuneRow]) -> list[TuneRow]:
    """Mark what all rows begin with, when it is long enough to pay; it always ends before the first loss."""
    if len(rows) < 2:
        return list(rows)
    low, high = min(row.ids for row in rows), max(row.ids for row in rows)
    most = min(row.start for row in rows)
    shared = next((place for place in range(most) if low[place] != high[place]), most)
    return [replace(row, shared=shared if shared >= LEAST_SHARED else 0) for row in rows]


def order_rows(rows: Sequence[TuneRow], batch_tokens: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices of each batch of one epoch: shuffle, cut into pools, sort a pool by length, fill batches, shuffle batches.

    A batch holds at most ``batch_tokens`` padded positions besides shared beginnings, at least one row.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    shuffled = torch.randperm(len(rows), generator=generator).tolist()
    mean = max(1, sum(row.own for row in rows) // max(1, len(rows)))
    pool = max(1, POOL_BATCHES * batch_tokens // mean)
    batches: list[list[int]] = []
    for start in range(0, len(shuffled), pool):
        part = sorted(shuffled[start : start + pool], key=lambda index: (rows[index].own, index))
        batches.extend(_fill(rows, part, batch_tokens))
    return [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]


def _fill(rows: Sequence[TuneRow], indices: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    batch: list[int] = []
    for index in indices:
        if batch and rows[index].own * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def make_batch(rows: Sequence[TuneRow], input_weight: float = 0.0) -> Batch:
    """Pad to the longest row; padding carries no loss, and a causal model never sees it from earlier positions.

    With ``input_weight`` the tokens before ``start`` that a row does not share are supervised too, at that share of its weight.
    """
    trunks = {beginning: place for place, beginning in enumerate(dict.fromkeys(row.ids[: row.shared] for row in rows))}
    longest, trunk = max(row.own for row in rows), max(len(beginning) for beginning in trunks)
    first = len(trunks) * trunk
    ids = torch.zeros(first + len(rows) * longest, dtype=torch.long)
    for beginning, place in trunks.items():
        ids[place * trunk : place * trunk + len(beginning)] = torch.tensor(beginning, dtype=torch.long)
    positions: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    owners: list[int] = []
    for index, row in enumerate(rows):
        offset = first + index * longest - row.shared
        ids[offset + row.shared : offset + len(row.ids)] = torch.tensor(row.ids[row.shared :])
        start = max(1, row.shared) if input_weight else row.start
        last_of_trunk = trunks[row.ids[: row.shared]] * trunk + row.shared - 1
        positions += [
            last_of_trunk if place == row.shared else offset + place - 1 for place in range(start, len(row.ids))
        ]
        targets += row.ids[start:]
        weights += [row.weight * input_weight] * (row.start - start) + [row.weight] * row.supervised
        owners += [index] * (len(row.ids) - start)
    scale = torch.tensor(weights, dtype=torch.float32)
    answer = sum(row.weight * row.supervised for row in rows)
    return Batch(
        ids=ids,
        layout=_layout(rows, trunks, trunk, longest),
        positions=torch.tensor(positions),
        targets=torch.tensor(targets),
        weights=scale / answer,
        owners=torch.tensor(owners),
        tokens=sum(len(row.ids) for row in rows),
        keys=tuple(row.key for row in rows),
    )


def _layout(rows: Sequence[TuneRow], trunks: dict[tuple[int, ...], int], trunk: int, longest: int) -> Layout:
    if not trunk:
        return Rows(len(rows), longest)
    lengths = torch.tensor([len(beginning) for beginning in trunks])
    return Branches(lengths, trunk, torch.tensor([trunks[row.ids[: row.shared]] for row in rows]), longest)
