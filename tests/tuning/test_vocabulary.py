"""A short head gives the loss and gradient of the softmax over the tokens that it holds, and is only there where it pays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from journeyman.core.progress import Silent
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.batching import TuneRow, make_batch
from journeyman.tuning.loop import tune_rows
from journeyman.tuning.objective import short_loss, supervised_loss
from journeyman.tuning.plan import TYPICAL_SIZE, make_plan
from journeyman.tuning.vocabulary import held_tokens, shorten

ROWS = [TuneRow((5, 6, 70, 71), 2), TuneRow((5, 8, 9, 98, 3), 3)]


def test_the_short_loss_is_the_softmax_over_held_tokens() -> None:
    torch.manual_seed(0)
    head, batch = torch.randn(99, 12), make_batch(ROWS)
    states = torch.randn(len(batch.targets), 12, requires_grad=True)
    short = shorten(head, ROWS, 10)
    assert short is not None
    held = [*range(10), 70, 71, 98]
    assert torch.equal(short.head, head[held])
    loss = short_loss(short)(states, head, batch)
    (ours,) = torch.autograd.grad(loss, states)
    places = torch.tensor([held.index(token) for token in batch.targets.tolist()])
    expected = (F.cross_entropy(states @ head[held].T, places, reduction="none") * batch.weights).sum()
    (theirs,) = torch.autograd.grad(expected, states)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(ours, theirs)
    assert loss < supervised_loss(states, head, batch), "fewer tokens to lose mass to"


def test_a_short_head_is_where_the_head_is() -> None:
    short = shorten(torch.empty(99, 12, device="meta"), ROWS, 10)
    assert short is not None
    assert {short.head.device.type, short.places.device.type} == {"meta"}


@pytest.mark.parametrize(("vocabulary", "common", "held"), [(99, 0, 99), (99, 25, 99), (100, 25, 28), (400, 1, 9)])
def test_small_vocabularies_stay_whole(vocabulary: int, common: int, held: int) -> None:
    assert len(held_tokens(ROWS, vocabulary, common)) == held


def test_a_run_with_a_short_head_learns_what_the_whole_head_is_scored_on(tiny_gguf: Path, tmp_path: Path) -> None:
    decoder = load_decoder(tiny_gguf)
    rows = [TuneRow((3 + row, 40 + row, 60 + row, 2), 2) for row in range(8)]
    losses = {}
    for common in (0, 4):
        plan = make_plan(rows, {"epochs": 30, "rate": 2e-2, "rank": 8, "head_tokens": common, "evaluations": 1})
        tuned = tune_rows(decoder, rows, rows, plan, tmp_path / str(common), Silent())
        assert tuned.score is not None
        losses[common] = tuned.score.loss
    assert losses[0] != losses[4], "a short head is another loss"
    before = make_plan(rows, {"epochs": 0.1, "rate": 1e-7, "head_tokens": 0})
    untouched = tune_rows(decoder, rows, rows, before, tmp_path / "before", Silent()).score
    assert untouched is not None
    assert max(losses.values()) < untouched.loss / 3


def test_rates_follow_the_size_of_the_weights(tiny_gguf: Path) -> None:
    size = load_decoder(tiny_gguf).weight_size()
    squares = [w.square().sum() for layer in load_decoder(tiny_gguf).layers for w in layer.projections.values()]
    counts = [w.numel() for layer in load_decoder(tiny_gguf).layers for w in layer.projections.values()]
    assert size == pytest.approx(float(sum(squares) / sum(counts)) ** 0.5, rel=1e-5)
    assert make_plan(ROWS, {}).number("rate") == 2e-3
    assert make_plan(ROWS, {}, weight_size=TYPICAL_SIZE / 5).number("rate") == pytest.approx(4e-4)
    assert make_plan(ROWS, {}, "dpo", TYPICAL_SIZE / 5).number("rate") == pytest.approx(1e-5)
    assert make_plan(ROWS, {"rate": 1e-3}, weight_size=1.0).number("rate") == 1e-3
