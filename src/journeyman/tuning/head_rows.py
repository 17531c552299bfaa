"""What the trainers of heads are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from journeyman.models.embedder import Vectors


@dataclass(frozen=True, slots=True, eq=False)
class ScaledRows:
    """``vectors`` [n, d], centred on the train rows and of unit variance over all their numbers where they are dense; ``labels`` [n], 0 to
    ``classes`` - 1; ``weights`` [n] of mean one."""

    vectors: Vectors
    labels: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    classes: int
