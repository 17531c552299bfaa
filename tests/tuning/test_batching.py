from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st

from journeyman.models.torch_decoder import Branches, Rows
from journeyman.tuning.batching import TuneRow, make_batch, order_rows, share_beginning

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
        longest = max(rows[index].own for index in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget
    assert batches == order_rows(rows, budget, seed, epoch)


@given(ROWS)
def test_targets_are_the_answers_and_positions_point_before_them(rows: list[TuneRow]) -> None:
    batch = make_batch(rows)
    assert isinstance(batch.layout, Rows)
    assert batch.targets.tolist() == [token for row in rows for token in row.ids[row.start :]]
    assert torch.equal(batch.ids[batch.positions + 1], batch.targets)
    assert abs(float(batch.weights.sum()) - 1) < 1e-4
    assert batch.tokens == sum(len(row.ids) for row in rows)


@given(ROWS, st.data())
def test_a_shared_beginning_is_laid_out_once(rows: list[TuneRow], data: st.DataObject) -> None:
    """Rows of two families of beginnings; every position still predicts the token that follows it in its own row."""
    marked = []
    for row in rows:
        beginning = data.draw(st.sampled_from([(1, 2, 3), (7,) * 5, ()]))
        marked.append(TuneRow(beginning + row.ids, len(beginning) + row.start, shared=len(beginning)))
    batch = make_batch(marked)
    beginnings = {row.ids[: row.shared] for row in marked}
    longest = max(row.own for row in marked)
    if beginnings == {()}:
        return
    assert isinstance(batch.layout, Branches)
    assert len(batch.ids) == len(beginnings) * max(map(len, beginnings)) + len(marked) * longest
    places = batch.layout.positions()
    for position, target, owner in zip(batch.positions, batch.targets, batch.owners, strict=True):
        row = marked[owner]
        place = int(places[position])
        assert row.ids[place + 1] == target
        assert row.ids[place] == batch.ids[position]


def test_with_an_input_weight_every_own_token_but_the_first_is_supervised() -> None:
    rows = [TuneRow((5, 6, 7, 8), 2, weight=2.0), TuneRow((5, 9, 4), 2)]
    batch = make_batch([replace(row, input_weight=0.5) for row in rows])
    assert batch.targets.tolist() == [6, 7, 8, 9, 4]
    assert torch.allclose(batch.weights, torch.tensor([1.0, 2.0, 2.0, 0.5, 1.0]) / 5)
    assert batch.is_answer.tolist() == [False, True, True, False, True]
    batch = make_batch([replace(row, shared=1, start=3, input_weight=0.5) for row in rows[:1]])
    assert batch.targets.tolist() == [7, 8]
    assert batch.ids[batch.positions].tolist() == [6, 7]


def test_only_long_beginnings_are_shared_and_none_reaches_into_an_answer() -> None:
    system = tuple(range(100, 140))
    rows = [TuneRow((*system, 1, 2, 3), 41), TuneRow((*system, 1, 5), 41), TuneRow((*system, 1, 2, 3), 41)]
    assert {row.shared for row in share_beginning(rows)} == {40}
    assert {row.shared for row in share_beginning(rows[:1])} == {0}
    assert {row.shared for row in share_beginning([TuneRow((1, 2, 3), 2), TuneRow((1, 2, 4), 2)])} == {0}
