"""Preference objectives on log-probabilities of whole answers: DPO, IPO, ORPO on pairs, KTO on single verdicts.

A pair is one unit of two rows, chosen then rejected, whose common beginning is computed once. The reference is the model that tuning
starts from; its log-probabilities are computed once and kept in a file by the rows' content, so a second run asks nothing of it.
Shapes: M supervised positions, B rows (chosen and rejected in turn), P pairs = B / 2.
Sources: DPO arXiv:2305.18290, IPO arXiv:2310.12036 (per-token means, as TRL does), ORPO arXiv:2403.07691, KTO arXiv:2402.01306.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from journeyman.core.errors import TuneError
from journeyman.core.kept import keep_answers
from journeyman.core.progress import Progress
from journeyman.models.torch_decoder import Decoder
from journeyman.tuning.batching import LEAST_SHARED_OF_PAIR, Batch, TuneRow, Unit, make_batch, order_rows
from journeyman.tuning.losses import token_logprobs
from journeyman.tuning.objective import Loss
from journeyman.tuning.trainable import Trainable

PairMethod = Literal["dpo", "ipo", "orpo"]
Reference = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt."""

    chosen: TuneRow
    rejected: TuneRow


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer and whether people wanted it."""

    row: TuneRow
    is_desirable: bool


def make_units(pairs: Sequence[Pair]) -> list[Unit]:
    """Each pair's rows, with the beginning that they share marked.

    Raises:
        TuneError: JM-530 a pair whose answers are the same tokens: there is nothing to prefer.
    """
    units: list[Unit] = []
    for pair in pairs:
        if pair.chosen.ids == pair.rejected.ids:
            raise TuneError(
                "JM-530",
                "the two answers of a pair are the same tokens",
                where=f"row {pair.chosen.key[:12]}",
                hint="drop the pair; filter with `different_pairs`",
            )
        shared = min(pair.chosen.start, pair.rejected.start)
        is_same = pair.chosen.ids[:shared] == pair.rejected.ids[:shared] and shared >= LEAST_SHARED_OF_PAIR
        units.append(tuple(replace(row, shared=shared if is_same else 0) for row in (pair.chosen, pair.rejected)))
    return units


def different_pairs(pairs: Sequence[Pair]) -> tuple[list[Pair], int]:
    """Pairs that say different things, and how many do not."""
    kept = [pair for pair in pairs if pair.chosen.ids != pair.rejected.ids]
    return kept, len(pairs) - len(kept)


def answer_logprobs(logprobs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Sum of each answer's token log-probabilities, and how many tokens it has: [M] -> [B], [B]."""
    counted = batch.is_answer.to(logprobs.dtype)
    zeros = torch.zeros(len(batch.rows), dtype=logprobs.dtype, device=logprobs.device)
    return zeros.index_add(0, batch.owners, logprobs * counted), zeros.index_add(0, batch.owners, counted)


def pair_loss(method: PairMethod, reference: Reference, beta: float, sft_weight: float = 0.0) -> Loss:
    """Mean loss over the pairs of a batch, weighted by the chosen rows' weights.

    ``beta`` is DPO's and IPO's temperature and ORPO's lambda; ``sft_weight`` adds the chosen answers' mean token loss (ORPO has it
    built in, at one).
    """

    def loss(states: Tensor, head: Tensor, batch: Batch) -> Tensor:
        logprobs = token_logprobs(states, head, batch.targets)
        sums, counts = answer_logprobs(logprobs, batch)
        if method == "orpo":
            per_pair, chosen_weight = beta * _orpo(sums / counts), 1.0
        else:
            ratios = sums - torch.tensor([reference[row_key(row)] for row in batch.rows])
            per_pair, chosen_weight = (_dpo if method == "dpo" else _ipo)(ratios, counts, beta), sft_weight
        weights = torch.tensor([row.weight for row in batch.rows[0::2]])
        total = (per_pair * weights).sum() / weights.sum()
        return total + chosen_weight * _chosen_loss(logprobs, batch) if chosen_weight else total

    return loss


def kto_loss(
    decoder: Decoder,
    adapters: Trainable,
    mismatched: Mapping[str, TuneRow],
    desirable: Mapping[str, bool],
    reference: Reference,
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Loss:
    """1 - sigmoid(±beta·(log-ratio - KL)), where KL is the mean log-ratio of the batch's prompts with other rows' answers, at least 0.

    ``mismatched`` names for each row the row of its prompt with another's answer; ``reference`` holds both kinds.
    """

    def loss(states: Tensor, head: Tensor, batch: Batch) -> Tensor:
        sums, _ = answer_logprobs(token_logprobs(states, head, batch.targets), batch)
        ratios = sums - torch.tensor([reference[row_key(row)] for row in batch.rows])
        others = [mismatched[row_key(row)] for row in batch.rows]
        others_reference = torch.tensor([reference[row_key(row)] for row in others])
        divergence = (score_answers(decoder, adapters, others) - others_reference).mean().clamp(min=0)
        wanted = torch.tensor([desirable[row_key(row)] for row in batch.rows])
        sign = torch.where(wanted, 1.0, -1.0)
        weight = torch.where(wanted, desirable_weight, undesirable_weight)
        return (weight * (1 - torch.sigmoid(beta * sign * (ratios - divergence)))).mean()

    return loss


def mismatch(verdicts: Sequence[Verdict]) -> dict[str, TuneRow]:
    """Each row's prompt with the answer of the next row that has another prompt; where all have one, of the next row."""
    rows = [verdict.row for verdict in verdicts]
    prompts = [row.ids[: row.start] for row in rows]
    is_one = len(set(prompts)) == 1

    def other(place: int) -> TuneRow:
        later = ((place + step) % len(rows) for step in range(1, len(rows)))
        return rows[next((index for index in later if is_one or prompts[index] != prompts[place]), place)]

    following = [other(place) for place in range(len(rows))]
    return {
        row_key(row): TuneRow((*row.ids[: row.start], *other.ids[other.start :]), row.start)
        for row, other in zip(rows, following, strict=True)
    }


def row_key(row: TuneRow) -> str:
    """What a stored log-probability depends on besides the model: the tokens and where the answer starts."""
    return hashlib.sha256(f"{row.start}:{','.join(map(str, row.ids))}".encode()).hexdigest()


@torch.no_grad()
def score_answers(decoder: Decoder, adapters: Trainable | None, rows: Sequence[TuneRow]) -> Tensor:
    """Sum of the answer's log-probabilities of each row, [B], in one batch."""
    batch = make_batch([replace(row, input_weight=0.0) for row in rows])
    project = adapters.project if adapters else None
    states = decoder.states(batch.ids, batch.layout, project)[batch.positions]
    return answer_logprobs(token_logprobs(states, decoder.head, batch.targets), batch)[0]


def reference_logprobs(
    decoder: Decoder,
    adapters: Trainable | None,
    rows: Sequence[TuneRow],
    path: Path,
    progress: Progress,
    batch_tokens: int = 2048,
) -> dict[str, float]:
    """Each row's answer under the model that tuning starts from, by ``row_key``; ``path`` keeps them, a line per row.

    ``path`` must be named by what the model is (base and adapter); a killed run goes on after its last whole line.

    Raises:
        StoreError: JM-801 disk full, JM-802 not writable.
    """
    distinct = list({row_key(row): row for row in rows}.values())
    parts = [[distinct[index] for index in indices] for indices in order_rows(distinct, batch_tokens, 0, 0)]
    known = keep_answers(
        path, parts, row_key, lambda part: score_answers(decoder, adapters, part).tolist(), progress, "reference"
    )
    return cast(dict[str, float], known)


def _dpo(ratios: Tensor, _counts: Tensor, beta: float) -> Tensor:
    return -F.logsigmoid(beta * (ratios[0::2] - ratios[1::2]))


def _ipo(ratios: Tensor, counts: Tensor, beta: float) -> Tensor:
    means = ratios / counts
    result: Tensor = (means[0::2] - means[1::2] - 1 / (2 * beta)) ** 2
    return result


def _orpo(means: Tensor) -> Tensor:
    """-log sigmoid of the log odds ratio, from mean token log-probabilities: [B] -> [P]."""
    odds = means - torch.log1p(-torch.exp(means))
    return -F.logsigmoid(odds[0::2] - odds[1::2])


def _chosen_loss(logprobs: Tensor, batch: Batch) -> Tensor:
    """Weighted mean loss over the chosen rows' supervised tokens."""
    weights = batch.weights * (batch.owners % 2 == 0)
    return -(logprobs * weights).sum() / weights.sum()
