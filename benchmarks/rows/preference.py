"""Preference tuning against TRL: equal losses and gradients on one batch, and pairs per second.

Both tune with a reference that was computed beforehand and kept; its own time stands in a row of its own. Pairs are SNIPS rows with a
spoiled answer (`snips.make_pairs`).
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from machine import describe_commit, describe_machine
from rivals import NoRival, rival_python, run_script
from safetensors.torch import load_file

from journeyman.core.cores import count_cores
from journeyman.models.catalog import resolve
from journeyman.models.template import make_student_template
from journeyman.models.torch_decoder import Decoder
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.batching import TuneRow, make_batch
from journeyman.tuning.hf_layout import save_folder
from journeyman.tuning.lora import Adapters, make_adapters
from journeyman.tuning.objective import Loss, supervised_loss
from journeyman.tuning.peft_layout import PREFIX, open_peft, save_peft
from journeyman.tuning.plan import make_plan
from journeyman.tuning.preference import Pair, Verdict, kto_loss, mismatch, pair_loss, row_key, score_answers
from rows.snips import make_pairs

Document = dict[str, Any]
HERE = Path(__file__).resolve().parent.parent
BASE = "smollm2-135m-instruct"
METHODS = ("sft", "dpo", "ipo", "orpo", "kto")
BETA = 0.1
LOSS_BAR, GRADIENT_BAR = 1e-5, 1e-4
PAIRS_OF_ONE_BATCH = 6
# 525 rows, of which a few cannot be spoiled
ROWS = slice(0, 75)
SETTINGS: dict[str, Document] = {
    "dpo": {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "precompute_ref_log_probs": True},
    "dpo-defaults": {"use_cpu": True, "bf16": False},
}
TITLES = {
    "dpo": "DPO of SmolLM2-135M, rank 16, batch 8, against TRL 1.16 in fp32 without recomputation, reference precomputed",
    "dpo-defaults": "the same against TRL 1.16 at its defaults but for fp32 (reference in every step, recomputation)",
}


def measure_losses(data: Path, folder: Path) -> list[Document]:
    """The largest differences of loss and gradient, a row of each per method."""
    folder = folder / "losses"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    base = resolve(BASE)
    template = make_student_template(base.path)
    decoder = load_decoder(base.path)
    save_folder(folder / "base", decoder, template)
    for seed, name in enumerate(("reference", "policy")):
        save_peft(folder / name, _spread(decoder, seed), BASE)
    pairs = make_pairs(data, ROWS, template)[::31][:PAIRS_OF_ONE_BATCH]
    common = {
        "name": "losses",
        "title": "losses and gradients of one batch, fp32, against TRL 1.16",
        "n": len(pairs),
        "commit": describe_commit(),
        "machine": describe_machine(),
    }
    job = {name: str(folder / name) for name in ("reference", "policy")} | {
        "model": str(folder / "base"),
        "out": str(folder),
        "rows": pairs,
        "methods": METHODS,
        "beta": BETA,
        "threads": count_cores(),
    }
    try:
        theirs = run_script(rival_python("trl"), HERE / "rivals/trl_losses.py", job, folder)
    except NoRival as reason:
        return [common | {"rival": None, "reason": str(reason)}]
    rows = []
    for method in METHODS:
        loss, gradients = _ours(method, decoder, folder, pairs)
        expected = load_file(folder / f"{method}.safetensors")
        largest = max(float((gradients[name] - expected[name]).abs().max()) for name in expected)
        scale = max(float(tensor.abs().max()) for tensor in expected.values())
        rows += [
            common | _difference(f"{method}: loss", loss, theirs[method], abs(loss - theirs[method]), LOSS_BAR),
            common
            | _difference(
                f"{method}: largest gradient difference, beside the largest gradient",
                largest,
                scale,
                largest,
                GRADIENT_BAR,
            ),
        ]
    return rows


def measure_speed(name: str, data: Path, folder: Path) -> list[Document]:
    """Pairs per second of one pass over all pairs."""
    folder = folder / name
    shutil.rmtree(folder, ignore_errors=True)
    base = resolve(BASE)
    template = make_student_template(base.path)
    save_folder(folder / "base", load_decoder(base.path), template)
    pairs = make_pairs(data, ROWS, template)
    common = {
        "name": name,
        "title": TITLES[name],
        "n": len(pairs),
        "commit": describe_commit(),
        "machine": describe_machine(),
    }
    job = {"rows": pairs, "threads": count_cores(), "rank": 16}
    try:
        theirs = run_script(
            rival_python("trl"),
            HERE / "rivals/trl_dpo.py",
            job
            | {"model": str(folder / "base"), "out": str(folder / "trl")}
            | {"settings": SETTINGS[name] | {"num_train_epochs": 1, "per_device_train_batch_size": 8}},
            folder,
        )
    except NoRival as reason:
        return [common | {"rival": None, "reason": str(reason)}]
    ours = run_script(
        Path(sys.executable),
        HERE / "rows/ours_dpo.py",
        job | {"model": str(base.path), "out": str(folder / "ours")},
        folder,
    )
    numbers = {"rival_ran_with": theirs, "ours_ran_with": ours}
    tuned = theirs["pairs"] / theirs["seconds"]
    rows = [common | numbers | _rate("tuning, reference known", len(pairs) / ours["seconds"], tuned, 2.0, 3.0)]
    if theirs["reference_seconds"]:
        rates = len(pairs) / ours["reference_seconds"], len(pairs) / theirs["reference_seconds"]
        rows.append(common | _rate("reference", *rates, None, None))
    return rows


def _spread(decoder: Decoder, seed: int) -> Adapters:
    """Adapters as after some tuning: neither matrix is zero."""
    config = make_plan([TuneRow((1, 2), 1)], {"rank": 8}).lora()
    adapters = make_adapters(decoder, config, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in adapters.parameters():
            if name.endswith("lora_B"):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.01)
    return adapters


def _ours(method: str, decoder: Decoder, folder: Path, raw: list[Document]) -> tuple[float, dict[str, torch.Tensor]]:
    """The loss of the batch, and its gradients by PEFT's names."""
    pairs = [_pair(item) for item in raw]
    rows = [row for pair in pairs for row in (pair.chosen, pair.rejected)]
    started = open_peft(decoder, folder / "reference")
    known = {
        row_key(row): value for row, value in zip(rows, score_answers(decoder, started, rows).tolist(), strict=True)
    }
    verdicts = [Verdict(row, place % 2 == 0) for place, row in enumerate(rows)]
    others = mismatch(verdicts)
    scores = score_answers(decoder, started, list(others.values())).tolist()
    adapters = open_peft(decoder, folder / "policy")
    loss: Loss
    if method == "sft":
        rows, loss = rows[0::2], supervised_loss
    elif method == "kto":
        known |= {row_key(row): value for row, value in zip(others.values(), scores, strict=True)}
        wanted = {row_key(verdict.row): verdict.is_desirable for verdict in verdicts}
        loss = kto_loss(decoder, adapters, others, wanted, known, BETA)
    else:
        loss = pair_loss(method, known, BETA)  # type: ignore[arg-type]
    if method == "orpo":  # TRL's has the chosen row's prompt in its likelihood too
        rows = [replace(row, input_weight=1.0) for row in rows]
    batch = make_batch(rows)
    value = loss(decoder.states(batch.ids, batch.layout, adapters.project)[batch.positions], decoder.head, batch)
    value.backward()  # type: ignore[no-untyped-call]
    grads = {f"{PREFIX}{name}.weight": tensor.grad for name, tensor in adapters.parameters()}
    return float(value.detach()), {name: grad for name, grad in grads.items() if grad is not None}


def _pair(raw: Document) -> Pair:
    start = len(raw["prompt"])
    chosen, rejected = (TuneRow((*raw["prompt"], *raw[kind]), start) for kind in ("chosen", "rejected"))
    return Pair(chosen, rejected)


def _difference(row: str, ours: float, rival: float, difference: float, bar: float) -> Document:
    """The ratio column holds the difference; a loss above one is compared by its share of the rival's."""
    difference /= max(1.0, abs(rival))
    return {
        "row": row,
        "ours": float(f"{ours:.6g}"),
        "rival": float(f"{rival:.6g}"),
        "unit": "",
        "ratio": float(f"{difference:.2g}"),
        "bar": bar,
        "target": bar,
        "is_most": True,
        "met": difference <= bar,
    }


def _rate(row: str, ours: float, rival: float, bar: float | None, target: float | None) -> Document:
    ratio = round(ours / rival, 2)
    return {
        "row": row,
        "ours": round(ours, 2),
        "rival": round(rival, 2),
        "unit": "pairs/s",
        "ratio": ratio,
        "bar": bar,
        "target": target,
        "met": None if bar is None else ours / rival >= bar,
    }
