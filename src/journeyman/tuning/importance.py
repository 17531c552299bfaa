"""How much an error in each column of a matrix matters: the mean square of what the column is multiplied with, over given rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from journeyman.core.progress import Progress
from journeyman.models.gguf_layout import GGUF_NAMES
from journeyman.models.torch_decoder import GROUPS, Decoder, Rows
from journeyman.models.torch_packed import Weight, dense
from journeyman.tuning.batching import TuneRow


@torch.no_grad()
def measure_importance(decoder: Decoder, rows: Sequence[TuneRow], progress: Progress) -> dict[str, NDArray[np.float32]]:
    """By GGUF tensor name, [columns]. Rows go one at a time, so that no padding is counted.

    The same numbers as llama.cpp's importance matrix, from our own forward pass.
    """
    sums: dict[tuple[int, str], Tensor] = {}
    count = 0

    def project(layer: int, group: str, x: Tensor, weight: Weight) -> Tensor:
        squares = x.float().square().sum(0)
        sums[(layer, group)] = sums[(layer, group)] + squares if (layer, group) in sums else squares
        return F.linear(x, dense(weight))

    progress.start("importance", len(rows), "rows")
    for row in rows:
        decoder.states(torch.tensor(row.ids), Rows(1, len(row.ids)), project)
        count += len(row.ids)
        progress.advance()
    progress.finish()
    return {
        f"blk.{layer}.{GGUF_NAMES[name]}.weight": (total / max(1, count)).cpu().numpy()
        for (layer, group), total in sums.items()
        for name in GROUPS[group]
    }
