"""Our loop on the same rows: `python ours_sft.py JOB.json` prints one JSON document with the time of every look at dev.

The job: model (GGUF), rows and dev ([{ids, start}]), out (folder), given (for the plan), threads, and `score` (PEFT folders to score on dev).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from journeyman.core.progress import Silent
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning import loop
from journeyman.tuning.batching import TuneRow, share_beginning
from journeyman.tuning.machine import probe_machine, use_machine
from journeyman.tuning.objective import score_rows
from journeyman.tuning.peft_layout import open_peft
from journeyman.tuning.plan import make_plan

STARTED = time.perf_counter()


class TimedLog(loop.EventLog):
    """Notes when each look at dev was over, in seconds since tuning began."""

    looks: ClassVar[list[dict[str, float]]] = []
    began = 0.0

    def write(self, **event: Any) -> None:
        super().write(**event)
        if "dev_loss" in event:
            self.looks.append(event | {"seconds": time.perf_counter() - TimedLog.began})


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    machine = probe_machine(job.get("number"), job["threads"])
    use_machine(machine)
    decoder = load_decoder(Path(job["model"]), machine.number)
    rows = share_beginning([TuneRow(tuple(row["ids"]), row["start"]) for row in job["rows"]])
    dev = share_beginning([TuneRow(tuple(row["ids"]), row["start"]) for row in job["dev"]])
    scores = {}
    for folder in job.get("score", []):
        score = score_rows(decoder, open_peft(decoder, Path(folder)), dev)
        scores[folder] = {"loss": score.loss, "exact": score.exact}
    document: dict[str, Any] = {"scores": scores, "machine": machine.to_json()}
    if "given" in job:
        plan = make_plan(rows, job["given"], weight_size=decoder.weight_size())
        loop.EventLog = TimedLog  # type: ignore[misc]
        TimedLog.began = time.perf_counter()
        tuned = loop.tune_rows(decoder, rows, dev, plan, Path(job["out"]), Silent())
        document |= {
            "seconds": time.perf_counter() - TimedLog.began,
            "tokens": tuned.cursor.tokens,
            "steps": tuned.cursor.step,
            "looks": TimedLog.looks,
            "plan": plan.to_json(),
        }
    sys.stdout.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
