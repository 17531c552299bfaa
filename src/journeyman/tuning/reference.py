"""What torch in fp32 would have answered: the reference that an exported student is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from journeyman.models.torch_decoder import Decoder
from journeyman.tuning.batching import TuneRow, make_batch, order_rows
from journeyman.tuning.trainable import Trainable

# Of a batch of prompts that are answered side by side: the places that it attends to at once, a quarter of a gigabyte of distances, and those
# whose keys and values are held, 0.75 GB of SmolLM2-135M's.
MOST_CELLS, MOST_PLACES = 2**25, 2**14


@dataclass(frozen=True, slots=True)
class Difference:
    """The first position of the served answer where torch's argmax is another token; ``gap`` is top-1 minus top-2 logit there.

    ``place`` counts from the answer's first token; None when every token agrees.
    """

    place: int | None
    gap: float = 0.0


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer without its end token; ``is_whole``: the model ended it, the most tokens did not."""

    ids: list[int]
    is_whole: bool


@torch.no_grad()
def compare_served(
    decoder: Decoder, adapters: Trainable | None, rows: Sequence[TuneRow], batch_tokens: int = 1024
) -> list[Difference]:
    """One teacher-forced pass over served answers (``ids[start:]``, with their end-of-turn token where they ended)."""
    result = [Difference(None)] * len(rows)
    project = adapters.project if adapters else None
    for indices in order_rows(rows, batch_tokens, 0, 0):
        batch = make_batch([rows[index] for index in indices])
        states = decoder.states(batch.ids, batch.layout, project)[batch.positions]
        top = (states @ decoder.head.T).float().topk(2, dim=1)
        differs = top.indices[:, 0] != batch.targets
        for place, index in enumerate(indices):
            mine = (batch.owners == place).nonzero()[:, 0]
            wrong = differs[mine].nonzero()[:, 0]
            if len(wrong):
                first = int(wrong[0])
                values = top.values[mine[first]]
                result[index] = Difference(first, float(values[0] - values[1]))
    return result


@torch.no_grad()
def generate(
    decoder: Decoder,
    adapters: Trainable | None,
    prompts: Sequence[Sequence[int]],
    end: int,
    max_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
    batch_rows: int = 64,
) -> list[Generated]:
    """Answers, up to ``batch_rows`` prompts side by side, fewer where they are long; greedy at temperature 0, else drawn."""
    generator = torch.Generator(device=decoder.embedding.device).manual_seed(seed)
    answers: list[Generated] = []
    while len(answers) < len(prompts):
        part = _fit(prompts[len(answers) : len(answers) + batch_rows], max_tokens)
        answers += _generate_batch(decoder, adapters, part, end, max_tokens, temperature, generator)
    return answers


def _fit(prompts: Sequence[Sequence[int]], max_tokens: int) -> Sequence[Sequence[int]]:
    """As many of the first prompts as hold ``MOST_PLACES`` keys, and attend to ``MOST_CELLS`` of them, together at the most; at least one."""
    longest = 0
    for count, prompt in enumerate(prompts):
        longest = max(longest, len(prompt))
        places = (count + 1) * (longest + max_tokens)
        if count and (places > MOST_PLACES or longest * places > MOST_CELLS):
            return prompts[:count]
    return prompts


def _generate_batch(
    decoder: Decoder,
    adapters: Trainable | None,
    prompts: Sequence[Sequence[int]],
    end: int,
    max_tokens: int,
    temperature: float,
    generator: torch.Generator,
) -> list[Generated]:
    project = adapters.project if adapters else None
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    ids = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(prompt)
    past = decoder.empty_past(len(prompts), ids.shape[1] + max_tokens)
    states = decoder.hidden(ids, project, past)[torch.arange(len(prompts)), lengths - 1]
    past.lengths.copy_(lengths)
    answers: list[list[int]] = [[] for _ in prompts]
    rows = list(range(len(prompts)))  # which prompt each row of the batch goes on from
    open_rows = set(rows)
    for _ in range(max_tokens):
        logits = (states @ decoder.head.T).float()
        if temperature > 0:
            tokens = torch.multinomial((logits / temperature).softmax(1), 1, generator=generator)[:, 0]
        else:
            tokens = logits.argmax(1)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            if token == end:
                open_rows.discard(row)
            elif row in open_rows:
                answers[row].append(token)
        if not open_rows:
            break
        if 2 * len(open_rows) <= len(rows):
            places = torch.tensor([place for place, row in enumerate(rows) if row in open_rows])
            rows, tokens, past = [rows[place] for place in places.tolist()], tokens[places], past.of(places)
        states = decoder.hidden(tokens[:, None], project, past)[:, 0]
        past.lengths.add_(1)
    return [Generated(ids, row not in open_rows) for row, ids in enumerate(answers)]
