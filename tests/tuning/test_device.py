"""A step on another device: nothing of it may be left on the CPU. The meta device has no numbers, and refuses to mix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.align import Position
from journeyman.tuning.batching import TuneRow, make_batch
from journeyman.tuning.distill import distill_loss
from journeyman.tuning.lora import LoraConfig, make_adapters
from journeyman.tuning.objective import Loss, supervised_loss
from journeyman.tuning.plan import ALL_LINEAR
from journeyman.tuning.preference import pair_loss, row_key
from tests.models.families import FAMILIES, save_model

PROMPT = tuple(range(5, 35))
ROWS = [TuneRow((*PROMPT, 40 + place, 50, 51), len(PROMPT)) for place in range(4)]


@contextmanager
def elsewhere() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device("cpu")


LOSSES: dict[str, Loss] = {
    "sft": supervised_loss,
    "dpo": pair_loss("dpo", {row_key(row): -1.0 for row in ROWS}, 0.1, 0.2),
    "distill": distill_loss(
        {row_key(row): [Position({7: 0.5}), Position({}), Position({9: 1.0})] for row in ROWS}, 0.5
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("shared", "is_held"), [(0, False), (len(PROMPT), False), (len(PROMPT) - 1, True)])
@pytest.mark.parametrize("is_merged", [True, False])
def test_a_step_stays_where_the_weights_are(
    tmp_path: Path, family: str, shared: int, is_held: bool, is_merged: bool
) -> None:
    save_model(family, tmp_path / "model", 0)
    with elsewhere():
        decoder = load_decoder(tmp_path / "model")
        assert decoder.embedding.device.type == "meta"
        adapters = make_adapters(
            decoder, LoraConfig(4, 4.0, ALL_LINEAR, is_decomposed=shared == 0), is_merged=is_merged
        )
        adapters.merge(decoder)
        past = decoder.read(torch.tensor(PROMPT[:shared]), adapters.project) if is_held else None
        batch = make_batch([replace(row, shared=shared) for row in ROWS], past)
        for name, loss in LOSSES.items():
            states = decoder.states(batch.ids, batch.layout, adapters.project)[batch.positions]
            loss(states, decoder.head, batch).backward()  # type: ignore[no-untyped-call]
            for key, tensor in adapters.parameters():
                assert tensor.grad is not None, (name, key)
                assert tensor.grad.device.type == "meta", (name, key)
