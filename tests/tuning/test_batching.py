from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from journeyman.tuning.batching import TuneRow, make_batch, order_rows

ROWS = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 20)).map(lambda pair: TuneRow(tuple(range(sum(pair))), pair[0])),
    min_size=1,
    max_size=60,
)


@given(ROWS, st.integers(1, 200), st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_holds_every_row_once_and_batches_keep_to_the_budget(
    rows: list[TuneRow], budget: int, seed: int, epoch: int
) -> None:
    batches = order_rows(rows, budget, seed, epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(rows)))
    for batch in batches:
        longest = max(len(rows[index].ids) for index in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget
    assert batches == order_rows(rows, budget, seed, epoch)


@given(ROWS)
def test_targets_are_the_answers_and_positions_point_before_them(rows: list[TuneRow]) -> None:
    batch = make_batch(rows)
    flat = batch.ids.flatten()
    assert batch.targets.tolist() == [token for row in rows for token in row.ids[row.start :]]
    assert torch.equal(flat[batch.positions + 1], batch.targets)
    assert abs(float(batch.weights.sum()) - 1) < 1e-4
    assert batch.tokens == sum(len(row.ids) for row in rows)
