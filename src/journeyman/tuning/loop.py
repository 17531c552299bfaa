"""The tuning loop: a function with the objective as a parameter, straight-line, resumable.

What decides the result is in ``Plan``, the rows and the probes' decisions; time of day, kill and resume change nothing.
Sources: AdamW, arXiv:1711.05101; cosine schedule with warm-up, arXiv:1608.03983. Progress is counted in tokens, so that
batches of different size weigh what they hold.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from journeyman.core.canonical import Json
from journeyman.core.errors import TuneError
from journeyman.core.files import disk_errors, read_whole_lines
from journeyman.core.progress import Progress
from journeyman.models.torch_decoder import Decoder, Past
from journeyman.tuning.batching import Batch, TuneRow, Unit, common_beginning, make_batch, order_units
from journeyman.tuning.checkpoint import (
    Checkpoint,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from journeyman.tuning.objective import DevScore, Objective, supervised
from journeyman.tuning.plan import Plan
from journeyman.tuning.trainable import Trainable, adopt, make_trainable, settle

# A checkpoint every half minute, but no more than a twentieth of the time on writing them.
CHECKPOINT_S, WRITING_SHARE = 30.0, 0.05
FLOOR_OF_RATE = 0.02


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a run stands. ``best`` is the best dev score so far, ``stale`` the looks since then; ``seconds`` counts what was
    kept: work that a kill undid is not in it."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    tokens: int = 0
    looks: int = 0
    best_exact: float = -1.0
    best_loss: float = math.inf
    stale: int = 0
    seconds: float = 0.0
    is_done: bool = False

    def to_json(self) -> dict[str, Json]:
        raw = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return raw | {"best_loss": None if math.isinf(self.best_loss) else self.best_loss}

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> Cursor:
        values = dict(raw)
        if values.get("best_loss") is None:
            values["best_loss"] = math.inf
        return Cursor(**values)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Tuned:
    """The best adapters by dev, and where the run ended, which says what it took."""

    adapters: Trainable
    cursor: Cursor
    score: DevScore | None


def tune(
    decoder: Decoder,
    adapters: Trainable,
    objective: Objective,
    plan: Plan,
    folder: Path,
    progress: Progress,
    clock: Callable[[], float] = time.monotonic,
) -> Tuned:
    """Tune ``adapters`` towards the objective; state lives in ``folder`` and the same call continues a killed run.

    Raises:
        TuneError: JM-503 the loss is not a number (the last good checkpoint stays), JM-510 damaged checkpoint.
        StoreError: JM-801, JM-802 from the disk.
    """
    names = dict(adapters.parameters())
    optimizer = torch.optim.AdamW(
        names.values(), lr=plan.number("rate"), weight_decay=plan.number("weight_decay"), fused=True
    )
    cursor, best = _resume(folder, adapters, optimizer)
    log = EventLog(folder / "events.jsonl", cursor.step)
    progress.start("tune", plan.total_tokens, "tokens")
    progress.advance(cursor.tokens)
    started, saved_at, due_s = clock() - cursor.seconds, clock(), CHECKPOINT_S
    _merge(decoder, adapters, plan, cursor)
    batches = Batches(objective.units, plan, lambda ids: decoder.read(torch.tensor(ids), adapters.project))
    while not cursor.is_done:
        batch, is_last = batches.at(cursor)
        loss = _step(decoder, adapters, optimizer, objective, batch, plan, cursor)
        log.write(step=cursor.step + 1, tokens=cursor.tokens + batch.tokens, loss=loss, rate=_rate(plan, cursor.tokens))
        cursor = _begin_finish(_advance(cursor, batch, is_last, plan), cursor, plan)
        _merge(decoder, adapters, plan, cursor)
        progress.advance(batch.tokens, f"loss {loss:.3f}")
        if _is_look_due(cursor, plan):
            cursor = _look(objective, plan, cursor, log)
            if cursor.stale == 0:
                best = {name: tensor.detach().clone() for name, tensor in names.items()}
        if cursor.is_done or (clock() - saved_at > due_s and batches.can_begin(cursor)):
            before = clock()
            cursor = replace(cursor, seconds=before - started)
            _save(folder, names, optimizer, cursor, best)
            saved_at = clock()
            due_s = max(CHECKPOINT_S, (saved_at - before) / WRITING_SHARE)
    is_scored = cursor.best_exact >= 0
    progress.finish(f"dev loss {cursor.best_loss:.4f}, dev exact {cursor.best_exact:.3f}" if is_scored else "")
    adopt(adapters, best)
    _merge(decoder, adapters, plan, cursor)
    return Tuned(adapters, cursor, DevScore(cursor.best_loss, cursor.best_exact) if is_scored else None)


def tune_rows(
    decoder: Decoder, rows: Sequence[TuneRow], dev: Sequence[TuneRow], plan: Plan, folder: Path, progress: Progress
) -> Tuned:
    """Supervised tuning of fresh adapters on ``rows``, chosen by ``dev``; raises what ``tune`` raises."""
    adapters = make_trainable(decoder, plan)
    return tune(decoder, adapters, supervised(decoder, adapters, rows, dev, plan), plan, folder, progress)


class EventLog:
    """One JSON line per step and look; on resume, lines after the checkpoint are dropped, so the curve has no doubles."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [line for line in read_whole_lines(path) if json.loads(line)["step"] <= step] if step else []
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(line + "\n" for line in kept))

    def write(self, **values: Json) -> None:
        with disk_errors(self.path), self.path.open("a") as file:
            file.write(json.dumps(values) + "\n")


class Batches:
    """The batch of each step, from an order that is made once per epoch; a beginning that is held is read when it is due."""

    def __init__(self, units: Sequence[Unit], plan: Plan, read: Callable[[Sequence[int]], Past]) -> None:
        self.units, self.plan, self.read = units, plan, read
        self.epoch, self.order = -1, [[0]]
        self.held = common_beginning([row for unit in units for row in unit]) if plan.hold else ()
        self.past: Past | None = None

    def at(self, cursor: Cursor) -> tuple[Batch, bool]:
        """The batch, and whether it is the epoch's last."""
        if cursor.epoch != self.epoch:
            self.order = order_units(self.units, self.plan.whole("batch_tokens"), self.plan.whole("seed"), cursor.epoch)
            self.epoch = cursor.epoch
        if self.held and self.can_begin(cursor):
            self.past = self.read(self.held)
        rows = [row for index in self.order[cursor.batch] for row in self.units[index]]
        return make_batch(rows, self.past), cursor.batch + 1 == len(self.order)

    def can_begin(self, cursor: Cursor) -> bool:
        """Whether the weights of this step are all that the next ones need: those that read what is still held are gone."""
        return not self.held or cursor.step % self.plan.hold == 0


def _step(
    decoder: Decoder,
    adapters: Trainable,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    batch: Batch,
    plan: Plan,
    cursor: Cursor,
) -> float:
    """Forward, backward, clip, update; returns the loss."""
    optimizer.zero_grad(set_to_none=True)
    states = decoder.states(batch.ids, batch.layout, adapters.project)[batch.positions]
    loss = objective.loss(states, decoder.head, batch)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TuneError(
            "JM-503",
            "the loss is not a number; the last good checkpoint is kept",
            where=f"step {cursor.step + 1}",
            got=f"{value} on rows {', '.join(row.key[:12] for row in batch.rows)}",
            hint="lower the rate (for example --rate 3e-4) and start a new run",
        )
    loss.backward()  # type: ignore[no-untyped-call]
    (group,) = optimizer.param_groups
    torch.nn.utils.clip_grad_norm_(group["params"], plan.number("clip"))
    group["lr"] = _rate(plan, cursor.tokens)
    optimizer.step()
    return value


def _is_finishing(plan: Plan, tokens: int) -> bool:
    return bool(plan.text("finish")) and tokens >= (1 - plan.number("finish_share")) * plan.total_tokens


def _merge(decoder: Decoder, adapters: Trainable, plan: Plan, cursor: Cursor) -> None:
    """Bring the weights that answer up to date; in the finish, as the type that is served holds them."""
    settle(decoder, adapters, plan, is_finishing=_is_finishing(plan, cursor.tokens))


def _begin_finish(cursor: Cursor, before: Cursor, plan: Plan) -> Cursor:
    """What dev said of weights that were not rounded says nothing about rounded ones."""
    if _is_finishing(plan, cursor.tokens) and not _is_finishing(plan, before.tokens):
        return replace(cursor, best_exact=-1.0, best_loss=math.inf, stale=0)
    return cursor


def _rate(plan: Plan, tokens: int) -> float:
    """Linear warm-up, then a cosine to a floor, over the share of tokens done."""
    share = min(1.0, tokens / max(1, plan.total_tokens))
    warmup = plan.number("warmup_share")
    if share < warmup:
        return plan.number("rate") * max(share / warmup, 0.02)
    angle = math.pi * (share - warmup) / max(1e-9, 1 - warmup)
    return plan.number("rate") * (FLOOR_OF_RATE + (1 - FLOOR_OF_RATE) * 0.5 * (1 + math.cos(angle)))


def _advance(cursor: Cursor, batch: Batch, is_last: bool, plan: Plan) -> Cursor:
    tokens = cursor.tokens + batch.tokens
    return replace(
        cursor,
        step=cursor.step + 1,
        tokens=tokens,
        epoch=cursor.epoch + (1 if is_last else 0),
        batch=0 if is_last else cursor.batch + 1,
        is_done=tokens >= plan.total_tokens,
    )


def _is_look_due(cursor: Cursor, plan: Plan) -> bool:
    return cursor.is_done or cursor.tokens >= plan.total_tokens * (cursor.looks + 1) / plan.whole("evaluations")


def _look(objective: Objective, plan: Plan, cursor: Cursor, log: EventLog) -> Cursor:
    """Score dev; ``stale`` 0 says that this is the best so far. Without dev rows the last weights win."""
    if objective.look is None:
        return replace(cursor, looks=cursor.looks + 1, stale=0)
    score = objective.look()
    log.write(step=cursor.step, tokens=cursor.tokens, dev_loss=score.loss, dev_exact=score.exact)
    if score.rank > DevScore(cursor.best_loss, cursor.best_exact).rank:
        return replace(cursor, looks=cursor.looks + 1, best_exact=score.exact, best_loss=score.loss, stale=0)
    stale = cursor.stale + 1
    may_stop = not plan.text("finish") or _is_finishing(plan, cursor.tokens)
    is_done = cursor.is_done or (may_stop and stale >= plan.whole("patience"))
    return replace(cursor, looks=cursor.looks + 1, stale=stale, is_done=is_done)


def _save(
    folder: Path,
    names: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    cursor: Cursor,
    best: Mapping[str, Tensor],
) -> None:
    tensors = {f"now/{name}": tensor for name, tensor in names.items()}
    tensors |= {f"best/{name}": tensor for name, tensor in best.items()}
    tensors |= optimizer_tensors(optimizer, names)
    save_checkpoint(folder / "checkpoint.safetensors", Checkpoint(tensors, cursor.to_json()))


def _resume(folder: Path, weights: Trainable, optimizer: torch.optim.Optimizer) -> tuple[Cursor, dict[str, Tensor]]:
    checkpoint = load_checkpoint(folder / "checkpoint.safetensors")
    if checkpoint is None:
        return Cursor(), {}
    names = dict(weights.parameters())
    adopt(weights, {name: checkpoint.tensors[f"now/{name}"] for name in names})
    restore_optimizer(optimizer, names, checkpoint.tensors)
    best = {
        name.removeprefix("best/"): tensor for name, tensor in checkpoint.tensors.items() if name.startswith("best/")
    }
    return Cursor.from_json(checkpoint.cursor), best
