"""The state of a run on disk: enough to continue to bit-identical weights after `kill -9`.

One safetensors file holds tensors and, in its metadata, the cursor; it is replaced by rename, so it is always whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from journeyman.core.canonical import Json
from journeyman.core.errors import TuneError
from journeyman.core.files import write_atomic


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """``tensors``: parameters and optimizer moments by name; ``cursor``: where the run stands (JSON)."""

    tensors: Mapping[str, Tensor]
    cursor: Mapping[str, Json]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write atomically.

    Raises:
        StoreError: JM-801 disk full, JM-802 not writable; the last checkpoint stays.
    """
    tensors = {name: tensor.detach().contiguous() for name, tensor in checkpoint.tensors.items()}
    write_atomic(path, save(tensors, metadata={"cursor": json.dumps(checkpoint.cursor)}))


def load_checkpoint(path: Path) -> Checkpoint | None:
    """None when there is none.

    Raises:
        TuneError: JM-510 damaged.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), framework="pt") as file:
            cursor = json.loads((file.metadata() or {})["cursor"])
            return Checkpoint({name: file.get_tensor(name) for name in file.keys()}, cursor)  # noqa: SIM118
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise TuneError(
            "JM-510",
            "this checkpoint is damaged",
            where=str(path),
            got=str(error),
            hint="delete it; tuning then begins again",
        ) from error


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """AdamW's moments and step counts by parameter name."""
    result = {}
    for name, parameter in names.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            result[f"adam.{key}/{name}"] = value if isinstance(value, Tensor) else torch.tensor(float(value))
    return result


def restore_optimizer(
    optimizer: torch.optim.Optimizer, names: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    for name, parameter in names.items():
        state = {
            key.split("/", 1)[0].removeprefix("adam."): value.to(parameter.device)
            for key, value in tensors.items()
            if key.startswith("adam.") and key.split("/", 1)[1] == name
        }
        if state:
            optimizer.state[parameter] = state
