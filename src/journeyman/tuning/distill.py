"""Distillation from a teacher's token log-probabilities: stored ones, or those of a local model, which are computed once and kept.

Shapes: M supervised positions, K the most tokens that the teacher named at one of them, H hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from journeyman.core.canonical import Json
from journeyman.core.kept import keep_answers
from journeyman.core.progress import Progress
from journeyman.models.tokenizer import Tokenizer
from journeyman.models.torch_decoder import Decoder
from journeyman.tuning.align import Position, TeacherToken, align
from journeyman.tuning.batching import Batch, TuneRow, make_batch, order_rows
from journeyman.tuning.losses import SoftTargets, soft_losses
from journeyman.tuning.objective import Loss
from journeyman.tuning.preference import row_key
from journeyman.tuning.trainable import Trainable

ALTERNATIVES = 20  # what OpenAI's API gives at most; the tail holds the rest
# row_key -> what the teacher gave at each of the row's supervised positions
Soft = Mapping[str, Sequence[Position]]
# (token id, log-probability) of the answer's token, then of the best ones
Scored = tuple[int, float, list[tuple[int, float]]]


def distill_loss(soft: Soft, share: float) -> Loss:
    """``share`` of KL(teacher || student) and the rest of cross-entropy where the teacher said something; cross-entropy elsewhere."""

    def loss(states: Tensor, head: Tensor, batch: Batch) -> Tensor:
        losses = soft_losses(states, head, batch.targets, soft_targets(batch, soft, share))
        return (losses * batch.weights).sum()

    return loss


def soft_targets(batch: Batch, soft: Soft, share: float) -> SoftTargets:
    """The teacher's masses at each of the batch's M positions; inputs and rows that it did not score have none."""
    empty = Position({})
    places: list[Position] = []
    for row in batch.rows:
        count = len(row.ids) - row.first_loss
        known = list(soft.get(row_key(row), ()))
        places += [empty] * (count - len(known)) + known
    width = max(1, *(len(place.masses) for place in places))
    ids = torch.zeros(len(places), width, dtype=torch.long)
    probabilities = torch.zeros(len(places), width)
    for index, place in enumerate(places):
        for column, (token, mass) in enumerate(place.masses.items()):
            ids[index, column], probabilities[index, column] = token, mass
    shares = torch.tensor([share if place.is_known else 0.0 for place in places])
    return SoftTargets(ids, probabilities, shares)


def align_row(
    row: TuneRow, teacher: Sequence[TeacherToken], tokenizer: Tokenizer, end: float | None = None
) -> list[Position] | None:
    """A teacher's tokens on the student's answer, ``ids[start:]``; ``end`` is the probability that it gave to ending there.

    Returns:
        None when the teacher wrote another text.
    """
    answer = row.ids[row.start : -1]

    def first_token(text: bytes) -> int | None:
        try:
            ids = tokenizer.encode(text.decode())
        except UnicodeDecodeError:
            return None
        return ids[0] if ids else None

    places = align(teacher, [(token, tokenizer.token_bytes(token)) for token in answer], first_token)
    if places is None:
        return None
    return [*places, Position({} if end is None else {tokenizer.end: end})]


def score_with_teacher(
    decoder: Decoder,
    adapters: Trainable | None,
    rows: Sequence[TuneRow],
    path: Path,
    progress: Progress,
    batch_tokens: int = 1024,
) -> dict[str, list[Scored]]:
    """The teacher's best tokens at each supervised position of its own rows, by ``row_key``; ``path`` keeps a line per row.

    ``path`` must be named by what the teacher is; a killed run goes on after its last whole line.

    Raises:
        StoreError: JM-801 disk full, JM-802 not writable.
    """
    distinct = list({row_key(row): row for row in rows}.values())
    parts = [[distinct[index] for index in indices] for indices in order_rows(distinct, batch_tokens, 0, 0)]
    known = keep_answers(
        path, parts, row_key, lambda part: cast(list[Json], _score(decoder, adapters, part)), progress, "teacher"
    )
    return cast(dict[str, list[Scored]], known)


@torch.no_grad()
def _score(decoder: Decoder, adapters: Trainable | None, rows: Sequence[TuneRow]) -> list[list[Scored]]:
    batch = make_batch(rows)
    states = decoder.states(batch.ids, batch.layout, adapters.project if adapters else None)[batch.positions]
    result: list[list[Scored]] = [[] for _ in rows]
    for start in range(0, len(states), 128):
        part = slice(start, start + 128)
        logprobs = (states[part] @ decoder.head.T).float().log_softmax(dim=1)
        own = logprobs.gather(1, batch.targets[part, None])[:, 0]
        best = logprobs.topk(ALTERNATIVES, dim=1)
        for place in range(len(own)):
            listed = zip(best.indices[place].tolist(), best.values[place].tolist(), strict=True)
            alternatives = [(token, round(value, 5)) for token, value in listed]
            owner = int(batch.owners[start + place])
            result[owner].append((int(batch.targets[start + place]), round(float(own[place]), 5), alternatives))
    return result


def to_teacher_tokens(scored: Sequence[Scored], tokenizer: Tokenizer) -> tuple[list[TeacherToken], float | None]:
    """The answer's tokens as bytes, and the probability that the teacher gave to its end, when the last one is that."""
    tokens = [
        TeacherToken(
            tokenizer.token_bytes(token),
            logprob,
            [(text, value) for other, value in alternatives if (text := tokenizer.token_bytes(other))],
        )
        for token, logprob, alternatives in scored
        if token != tokenizer.end
    ]
    end = float(torch.tensor(scored[-1][1]).exp()) if scored and scored[-1][0] == tokenizer.end else None
    return tokens, end
