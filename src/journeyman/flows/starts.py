"""Runs that others begin at: their base, and their best weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import TuneError
from journeyman.flows.runs import CHECKPOINT, PLAN, RunFolder
from journeyman.models.catalog import ResolvedModel, resolve_exactly
from journeyman.models.torch_decoder import Decoder
from journeyman.tuning.checkpoint import load_checkpoint
from journeyman.tuning.plan import Plan
from journeyman.tuning.trainable import Trainable, adopt, make_trainable, settle


def open_start(run: RunFolder, decoder: Decoder) -> Trainable:
    """The best weights of a finished run, merged.

    Raises:
        TuneError: JM-533 the run has none.
    """
    plan, checkpoint = run.read(PLAN), load_checkpoint(run.path / CHECKPOINT)
    if plan is None or checkpoint is None:
        raise TuneError(
            "JM-533",
            "this run has no tuned weights to begin at",
            where=str(run.path),
            hint="let `journeyman tune TASK` finish, then name its run",
        )
    weights = make_trainable(decoder, Plan.from_json(plan))
    best = {name.removeprefix("best/"): t for name, t in checkpoint.tensors.items() if name.startswith("best/")}
    adopt(weights, best)
    settle(decoder, weights, Plan.from_json(plan))
    return weights


def base_of(material: Mapping[str, Json]) -> ResolvedModel:
    """The base that a run was tuned on.

    Raises:
        ModelError: JM-401 not pulled, JM-409 of another content.
    """
    wanted = cast(dict[str, str], material["base"])
    return resolve_exactly(wanted["name"], wanted["sha256"])
