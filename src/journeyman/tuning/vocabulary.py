"""The output head over the tokens that a run can meet, for bases whose vocabulary is most of their work.

Projecting a token of Gemma-3-270M onto its 262,144 rows takes more than the whole model below. Nearly all of them are words of other
languages and scripts, to which an answer's position gives next to nothing: a supervised run takes its softmax over the tokens of its rows
and the first ``common`` of the vocabulary, which tables made by merging hold in order of frequency. What is left out is neither pushed
down nor up. Looks at dev have the whole head, so what they report does not depend on this.
Shapes: V vocabulary, K held tokens, H hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from journeyman.tuning.batching import TuneRow

LEAST_GAIN = 4  # a head that shrinks by less is left whole


@dataclass(frozen=True, slots=True)
class ShortHead:
    """``head`` [K, H]; ``places`` [V] are the tokens' rows in it, -1 for those that are left out."""

    head: Tensor
    places: Tensor


def held_tokens(rows: Sequence[TuneRow], vocabulary: int, common: int) -> list[int]:
    """The tokens of a short head, in order; all of them where ``common`` is 0 or a short head would gain little."""
    if not common or vocabulary < LEAST_GAIN * common:
        return list(range(vocabulary))
    return sorted(set(range(common)).union(*(row.ids for row in rows)))


def shorten(head: Tensor, rows: Sequence[TuneRow], common: int) -> ShortHead | None:
    """The head of these rows; None: it is the whole one."""
    held = held_tokens(rows, head.shape[0], common)
    if len(held) == head.shape[0]:
        return None
    tokens = torch.tensor(held, device=head.device)
    places = torch.full((head.shape[0],), -1, device=head.device)
    places[tokens] = torch.arange(len(held), device=head.device)
    return ShortHead(head[tokens], places)
