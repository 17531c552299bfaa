"""Model FLOPs utilisation of a tuning step: operations that the model needs, over what products at the machine's measured peak would do.

Needed: two per weight forward and two for the gradients of inputs, the adapters' own products, the head on positions with a loss. Padding,
attention's products, norms, the optimizer and merging count as time, not as work.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import torch
from machine import describe_commit, describe_machine

from journeyman.core.cores import count_cores
from journeyman.models.catalog import resolve
from journeyman.models.template import make_student_template
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning import loop
from journeyman.tuning.batching import TuneRow, share_beginning
from journeyman.tuning.machine import count_flops, probe_machine, use_machine
from journeyman.tuning.objective import supervised
from journeyman.tuning.plan import make_plan
from journeyman.tuning.trainable import make_trainable, settle
from rows.snips import read_rows, to_ids

Document = dict[str, Any]
ROWS_A_STEP = (16, 8, 2)
STEPS = 16
BAR, TARGET = 0.5, 0.6


def measure(data: Path, _folder: Path) -> list[Document]:
    """A row per size of step; the peak is probed before and after, and the better one counts."""
    base = resolve("smollm2-135m-instruct")
    template = make_student_template(base.path)
    raw = [to_ids(row, template) for row in read_rows(data, slice(0, 75))]
    rows = share_beginning([TuneRow(tuple(item["ids"]), item["start"]) for item in raw])
    machine = probe_machine(None, count_cores())
    use_machine(machine)
    decoder = load_decoder(base.path, machine.number)
    found = {count: _time_steps(decoder, rows, count) for count in ROWS_A_STEP}
    peak = max(machine.peak_gflops, probe_machine(machine.number, machine.threads).peak_gflops)
    return [
        {
            "name": "utilization",
            "title": f"model FLOPs utilisation of an SFT step of SmolLM2-135M, rank 16, {machine.number}",
            "row": f"{count} rows a step, against the measured peak of {peak:.0f} GF/s",
            "ours": round(flops / 1e9 / peak, 3),
            "rival": "",
            "unit": "",
            "ratio": "",
            "bar": BAR if count >= 8 else None,
            "target": TARGET,
            "met": flops / 1e9 / peak >= BAR if count >= 8 else None,
            "n": STEPS,
            "commit": describe_commit(),
            "machine": describe_machine(),
        }
        for count, flops in found.items()
    ]


def _time_steps(decoder: Any, rows: list[TuneRow], count: int) -> float:
    """Median operations per second over steps of about ``count`` rows."""
    mean = sum(len(row.ids) for row in rows) // len(rows)
    plan = make_plan(rows, {"rank": 16, "batch_tokens": count * mean})
    weights = make_trainable(decoder, plan)
    settle(decoder, weights, plan)
    objective = supervised(decoder, weights, rows, [], plan)
    optimizer = torch.optim.AdamW([tensor for _name, tensor in weights.parameters()], lr=1e-3, fused=True)
    batches, rates = loop.Batches(objective.units, plan), []
    for place in range(STEPS + 2):
        batch, _is_last = batches.at(0, place)
        started = time.perf_counter()
        loop._step(decoder, weights, optimizer, objective, batch, plan, loop.Cursor(tokens=1000))
        settle(decoder, weights, plan)
        seconds = time.perf_counter() - started
        flops = count_flops(decoder.config, plan, batch.tokens, len(batch.targets))
        rates.append(flops / seconds)
    return statistics.median(rates[2:])
