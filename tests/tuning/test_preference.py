"""Preference losses and their gradients against the formulas of the papers on plain logits, and what is kept of the reference."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from journeyman.core.errors import TuneError
from journeyman.core.progress import Silent
from journeyman.models.torch_decoder import Decoder
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning import preference
from journeyman.tuning.batching import TuneRow, make_batch
from journeyman.tuning.lora import Adapters, LoraConfig, make_adapters
from journeyman.tuning.plan import ALL_LINEAR
from journeyman.tuning.preference import Pair, PairMethod, Verdict, make_units, mismatch, pair_loss, row_key

BETA = 0.3


@pytest.fixture
def decoder(tiny_gguf: Path) -> Decoder:
    return load_decoder(tiny_gguf)


@pytest.fixture
def adapters(decoder: Decoder) -> Adapters:
    made = make_adapters(decoder, LoraConfig(4, 8.0, ALL_LINEAR))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in made.parameters():
            if name.endswith("lora_B"):
                tensor.normal_(0, 0.1, generator=generator)
    made.merge(decoder)
    return made


def _pairs() -> list[Pair]:
    generator = torch.Generator().manual_seed(2)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(5, 250, (count,), generator=generator).tolist())

    pairs = []
    for prompt, chosen, rejected in ((12, 5, 7), (9, 6, 2), (3, 4, 4)):
        start = ids(prompt)
        pairs.append(Pair(TuneRow(start + ids(chosen), prompt), TuneRow(start + ids(rejected), prompt)))
    return pairs


def _logprob(decoder: Decoder, adapters: Adapters | None, row: TuneRow) -> tuple[Tensor, int]:
    """Sum over the answer, by the plain definition on one row."""
    states = decoder.hidden(torch.tensor([row.ids]), adapters.project if adapters else None)[0]
    picked = F.log_softmax(states @ decoder.head.T, -1)[torch.arange(len(row.ids) - 1), list(row.ids[1:])]
    return picked[row.start - 1 :].sum(), row.supervised


def _expected(method: str, decoder: Decoder, adapters: Adapters, pairs: list[Pair], sft_weight: float) -> Tensor:
    losses, chosen_sum, chosen_count = [], torch.zeros(()), 0
    for pair in pairs:
        (won, won_n), (lost, lost_n) = (_logprob(decoder, adapters, row) for row in (pair.chosen, pair.rejected))
        ref_won, ref_lost = (_logprob(decoder, None, row)[0].detach() for row in (pair.chosen, pair.rejected))
        chosen_sum, chosen_count = chosen_sum + won, chosen_count + won_n
        if method == "dpo":
            losses.append(-torch.log(torch.sigmoid(BETA * ((won - ref_won) - (lost - ref_lost)))))
        elif method == "ipo":
            losses.append(((won - ref_won) / won_n - (lost - ref_lost) / lost_n - 1 / (2 * BETA)) ** 2)
        else:
            p, q = torch.exp(won / won_n), torch.exp(lost / lost_n)
            losses.append(-BETA * torch.log(torch.sigmoid(torch.log(p / (1 - p)) - torch.log(q / (1 - q)))))
    return torch.stack(losses).mean() + sft_weight * -chosen_sum / chosen_count


def _references(decoder: Decoder, pairs: list[Pair]) -> dict[str, float]:
    rows = [row for pair in pairs for row in (pair.chosen, pair.rejected)]
    return {row_key(row): float(_logprob(decoder, None, row)[0].detach()) for row in rows}


@pytest.mark.parametrize(("method", "sft_weight"), [("dpo", 0.0), ("dpo", 0.5), ("ipo", 0.0), ("orpo", 1.0)])
def test_loss_and_gradients_equal_the_definition(
    method: PairMethod, sft_weight: float, decoder: Decoder, adapters: Adapters
) -> None:
    pairs = _pairs()
    names = dict(adapters.parameters())
    units = make_units(pairs)
    assert [unit[0].shared for unit in units] == [12, 9, 0]
    batch = make_batch([row for unit in units for row in unit])
    states = decoder.states(batch.ids, batch.layout, adapters.project)[batch.positions]
    loss = pair_loss(method, _references(decoder, pairs), BETA, sft_weight)(states, decoder.head, batch)
    expected = _expected(method, decoder, adapters, pairs, sft_weight)
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    ours = torch.autograd.grad(loss, list(names.values()))
    theirs = torch.autograd.grad(expected, list(names.values()))
    for name, mine, other in zip(names, ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4, msg=name)


def test_a_mismatched_answer_is_of_another_prompt() -> None:
    rows = [TuneRow((1, 2, 10 + index), 2) for index in range(3)] + [TuneRow((1, 3, 20), 2)]
    found = mismatch([Verdict(row, True) for row in rows])
    assert [found[row_key(row)].ids for row in rows] == [(1, 2, 20)] * 3 + [(1, 3, 10)]
    of_one = mismatch([Verdict(row, True) for row in rows[:3]])
    assert [of_one[row_key(row)].ids[2] for row in rows[:3]] == [11, 12, 10]
    assert mismatch([Verdict(rows[0], True)])[row_key(rows[0])] == rows[0]


def test_kto_equals_the_definition(decoder: Decoder, adapters: Adapters) -> None:
    rows = [row for pair in _pairs() for row in (pair.chosen, pair.rejected)]
    verdicts = [Verdict(row, index % 3 != 1) for index, row in enumerate(rows)]
    others = mismatch(verdicts)
    reference = {row_key(row): float(_logprob(decoder, None, row)[0].detach()) for row in [*rows, *others.values()]}
    wanted = {row_key(verdict.row): verdict.is_desirable for verdict in verdicts}
    objective = preference.kto_loss(decoder, adapters, others, wanted, reference, BETA, 1.0, 1.5)
    batch = make_batch(rows)
    states = decoder.states(batch.ids, batch.layout, adapters.project)[batch.positions]
    loss = objective(states, decoder.head, batch)

    gaps = [float(_logprob(decoder, adapters, row)[0].detach()) - reference[row_key(row)] for row in others.values()]
    divergence = max(0.0, sum(gaps) / len(gaps))
    parts = []
    for verdict in verdicts:
        ratio = _logprob(decoder, adapters, verdict.row)[0] - reference[row_key(verdict.row)]
        sign, weight = (1, 1.0) if verdict.is_desirable else (-1, 1.5)
        parts.append(weight * (1 - torch.sigmoid(sign * BETA * (ratio - divergence))))
    expected = torch.stack(parts).mean()
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    names = dict(adapters.parameters())
    for mine, other in zip(
        torch.autograd.grad(loss, list(names.values())),
        torch.autograd.grad(expected, list(names.values())),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


def test_at_the_start_the_margin_is_zero(decoder: Decoder) -> None:
    """Fresh adapters are the reference, so DPO's first loss is log 2."""
    pairs = _pairs()
    fresh = make_adapters(decoder, LoraConfig(4, 8.0, ALL_LINEAR))
    fresh.merge(decoder)
    batch = make_batch([row for unit in make_units(pairs) for row in unit])
    states = decoder.states(batch.ids, batch.layout, fresh.project)[batch.positions]
    loss = pair_loss("dpo", _references(decoder, pairs), BETA)(states, decoder.head, batch)
    assert abs(float(loss.detach()) - math.log(2)) < 1e-5


def test_the_reference_is_asked_once_and_survives_a_cut_line(decoder: Decoder, tmp_path: Path) -> None:
    rows = [row for pair in _pairs() for row in (pair.chosen, pair.rejected)]
    path = tmp_path / "reference.jsonl"
    first = preference.reference_logprobs(decoder, None, rows[:4], path, Silent())
    path.write_text(path.read_text() + '["cut')
    second = preference.reference_logprobs(decoder, None, rows, path, Silent())
    assert {key: second[key] for key in first} == first
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == len({row_key(row) for row in rows})
    for row in rows:
        assert abs(second[row_key(row)] - float(_logprob(decoder, None, row)[0].detach())) < 1e-4
    stamp = path.stat().st_mtime_ns
    assert preference.reference_logprobs(decoder, None, rows, path, Silent()) == second
    assert path.stat().st_mtime_ns == stamp or path.read_text().count("\n") == len(lines)


def test_a_pair_that_tokenises_alike_is_refused_or_counted() -> None:
    row = TuneRow((1, 2, 3), 2, key="abcdef0123456789")
    with pytest.raises(TuneError, match="JM-530 row abcdef012345: the two answers of a pair are the same tokens"):
        make_units([Pair(row, replace(row, key="other"))])
    kept, dropped = preference.different_pairs([Pair(row, row), *_pairs()])
    assert (len(kept), dropped) == (3, 1)
