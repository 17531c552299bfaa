"""Our DPO on pairs of ids: `python ours_dpo.py JOB.json` prints one JSON document with the seconds of the reference and of tuning.

The job: model (GGUF), rows ([{prompt, chosen, rejected}]), out (folder), rank, threads.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from journeyman.core.progress import Silent
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.batching import TuneRow
from journeyman.tuning.loop import tune
from journeyman.tuning.lora import make_adapters
from journeyman.tuning.machine import probe_machine, use_machine
from journeyman.tuning.objective import Objective
from journeyman.tuning.plan import make_plan
from journeyman.tuning.preference import Pair, make_units, pair_loss, reference_logprobs

BATCH = 8  # pairs


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    machine = probe_machine(None, job["threads"])
    use_machine(machine)
    decoder = load_decoder(Path(job["model"]), machine.number)
    pairs = [
        Pair(
            TuneRow((*row["prompt"], *row["chosen"]), len(row["prompt"])),
            TuneRow((*row["prompt"], *row["rejected"]), len(row["prompt"])),
        )
        for row in job["rows"]
    ]
    units = make_units(pairs)
    rows = [row for unit in units for row in unit]
    own = sum(row.own for row in rows)
    given = {"rank": job["rank"], "epochs": 1.0, "rate": 1e-5, "batch_tokens": BATCH * own // len(units)}
    plan = make_plan(rows, given)
    adapters = make_adapters(decoder, plan.lora(), plan.whole("seed"))
    out = Path(job["out"])
    began = time.perf_counter()
    reference = reference_logprobs(decoder, None, rows, out / "reference.jsonl", Silent())
    between = time.perf_counter()
    objective = Objective(units, pair_loss("dpo", reference, 0.1), None)
    tuned = tune(decoder, adapters, objective, plan, out, Silent())
    document = {
        "reference_seconds": between - began,
        "seconds": time.perf_counter() - between,
        "steps": tuned.cursor.step,
        "tokens": tuned.cursor.tokens,
        "machine": machine.to_json(),
    }
    sys.stdout.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
