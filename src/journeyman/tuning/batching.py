"""Rows to batches: grouped by length inside shuffled pools, right-padded, no mask; the order follows from seed and epoch alone.

Rows that say that they share a beginning become branches of one trunk, which is then computed once for all of them. A beginning that
every row of a run has may also be held: read once for many steps, its keys and values constants of these steps.
Shapes: B rows, T positions, G trunks, P their positions, N all positions, M supervised positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from journeyman.models.torch_decoder import Branches, Continuations, Layout, Past, Rows

POOL_BATCHES = 24
# A shared beginning costs a mask and a copy of its keys in every layer; shorter ones are computed again. Both bounds are guesses so far.
LEAST_SHARED = 24
LEAST_SHARED_OF_PAIR = 8


@dataclass(frozen=True, slots=True)
class TuneRow:
    """Token ids of prompt and answer; the loss is on ``ids[start:]`` with ``weight``. ``key`` is the row's content hash.

    ``shared`` leading ids, at most ``start``, are computed once for all rows of a batch that begin with the same ones.
    With ``input_weight`` the prompt's other tokens carry a loss too, at that share of the row's weight.
    """

    ids: tuple[int, ...]
    start: int
    weight: float = 1.0
    key: str = ""
    shared: int = 0
    input_weight: float = 0.0

    @property
    def supervised(self) -> int:
        return len(self.ids) - self.start

    @property
    def first_loss(self) -> int:
        """Place of the first token with a loss; of an input none is on what is shared, nor on the first token of its own."""
        return min(self.start, self.shared + 1) if self.input_weight else self.start

    @property
    def own(self) -> int:
        """Tokens that are computed for this row alone."""
        return len(self.ids) - self.shared


@dataclass(frozen=True, slots=True)
class Batch:
    """``ids`` [N] in ``layout``; ``positions`` [M] index the states that predict ``targets`` [M]; ``owners`` [M] rows.

    ``is_answer`` [M] tells answers from supervised input; ``weights`` [M] sum to one over answers. ``tokens`` counts the rows'
    tokens, without padding.
    """

    rows: tuple[TuneRow, ...]
    ids: Tensor
    layout: Layout
    positions: Tensor
    targets: Tensor
    weights: Tensor
    is_answer: Tensor
    owners: Tensor
    tokens: int


def share_beginning(rows: Sequence[TuneRow]) -> list[TuneRow]:
    """Mark what all rows begin with, when it is long enough to pay; it always ends before the token that predicts the first answer's."""
    if len(rows) < 2:
        return list(rows)
    low, high = min(row.ids for row in rows), max(row.ids for row in rows)
    most = min(row.start for row in rows) - 1
    shared = next((place for place in range(most) if low[place] != high[place]), most)
    return [replace(row, shared=shared if shared >= LEAST_SHARED else 0) for row in rows]


def common_beginning(rows: Sequence[TuneRow]) -> tuple[int, ...]:
    """The ids that every row shares with every other one; none when they do not."""
    beginnings = {row.ids[: row.shared] for row in rows}
    return beginnings.pop() if len(beginnings) == 1 else ()


Unit = tuple[TuneRow, ...]
"""Rows that one step needs together: one row, or the two answers of a pair."""


def order_units(units: Sequence[Unit], batch_tokens: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices of each batch of one epoch: shuffle, cut into pools, sort a pool by length, fill batches, shuffle batches.

    A batch holds at most ``batch_tokens`` padded positions besides shared beginnings, at least one unit.
    """
    generator = torch.Generator("cpu").manual_seed(seed * 1_000_003 + epoch)
    shuffled = torch.randperm(len(units), generator=generator, device="cpu").tolist()
    sizes = [(len(unit), max(row.own for row in unit)) for unit in units]
    mean = max(1, sum(sum(row.own for row in unit) for unit in units) // max(1, len(units)))
    pool = max(1, POOL_BATCHES * batch_tokens // mean)
    batches: list[list[int]] = []
    for start in range(0, len(shuffled), pool):
        part = sorted(shuffled[start : start + pool], key=lambda index: (sizes[index][1], index))
        batches.extend(_fill(sizes, part, batch_tokens))
    return [batches[index] for index in torch.randperm(len(batches), generator=generator, device="cpu").tolist()]


def order_rows(rows: Sequence[TuneRow], batch_tokens: int, seed: int, epoch: int) -> list[list[int]]:
    """``order_units`` of single rows."""
    return order_units([(row,) for row in rows], batch_tokens, seed, epoch)


def _fill(sizes: Sequence[tuple[int, int]], indices: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """``indices`` in order of length; a batch is padded to its last unit's."""
    batch: list[int] = []
    rows = 0
    for index in indices:
        count, longest = sizes[index]
        if batch and longest * (rows + count) > batch_tokens:
            yield batch
            batch, rows = [], 0
        batch.append(index)
        rows += count
    if batch:
        yield batch


def make_batch(rows: Sequence[TuneRow], past: Past | None = None) -> Batch:
    """Pad to the longest row; padding carries no loss, and a causal model never sees it from earlier positions.

    With ``past`` every row goes on from it: what they share is in it, and not in the batch.
    """
    beginnings = dict.fromkeys(row.ids[: row.shared] for row in rows) if past is None else {}
    trunks = {beginning: place for place, beginning in enumerate(beginnings)}
    longest, trunk = max(row.own for row in rows), max((len(beginning) for beginning in trunks), default=0)
    first = len(trunks) * trunk
    ids = torch.zeros(first + len(rows) * longest, dtype=torch.long)
    for beginning, place in trunks.items():
        ids[place * trunk : place * trunk + len(beginning)] = torch.tensor(beginning, dtype=torch.long)
    positions: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    owners: list[int] = []
    inputs: list[bool] = []
    for index, row in enumerate(rows):
        offset = first + index * longest - row.shared
        ids[offset + row.shared : offset + len(row.ids)] = torch.tensor(row.ids[row.shared :])
        start = row.first_loss
        before = row.start - start
        end_of_trunk = trunks.get(row.ids[: row.shared], 0) * trunk + row.shared - 1
        places = range(start, len(row.ids))
        positions += [end_of_trunk if place == row.shared else offset + place - 1 for place in places]
        targets += row.ids[start:]
        weights += [row.weight * row.input_weight] * before + [row.weight] * row.supervised
        inputs += [True] * before + [False] * row.supervised
        owners += [index] * len(places)
    answers = sum(row.weight * row.supervised for row in rows)
    return Batch(
        rows=tuple(rows),
        ids=ids,
        layout=_layout(rows, trunks, trunk, longest) if past is None else Continuations(past, len(rows), longest),
        positions=torch.tensor(positions),
        targets=torch.tensor(targets),
        weights=torch.tensor(weights, dtype=torch.float32) / answers,
        is_answer=~torch.tensor(inputs),
        owners=torch.tensor(owners),
        tokens=sum(len(row.ids) for row in rows),
    )


def _layout(rows: Sequence[TuneRow], trunks: dict[tuple[int, ...], int], trunk: int, longest: int) -> Layout:
    if not trunk:
        return Rows(len(rows), longest)
    lengths = torch.tensor([len(beginning) for beginning in trunks])
    return Branches(lengths, trunk, torch.tensor([trunks[row.ids[: row.shared]] for row in rows]), longest)
