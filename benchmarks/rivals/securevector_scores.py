"""Scores of SecureVector Guardian for texts, as its package computes them; runs in the rival's environment. Job: {"texts"}."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from svguardian import resolve_runtime
from svguardian.model.pure_infer import PureGuardian
from svguardian.window import _spans, predict_windowed


def main() -> None:
    texts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["texts"]
    guardian = PureGuardian.load(resolve_runtime(download=False))
    rows = []
    for text in texts:
        started = time.perf_counter()
        said = predict_windowed(guardian, text)
        ms = 1000 * (time.perf_counter() - started)
        highest = max(guardian.predict(part)["malicious_score"] for part in [text, *_spans(text)])
        rows.append([said["malicious_score"], said["verdict"] == "malicious", highest, ms])
    sys.stdout.write(json.dumps({"rows": rows}) + "\n")


if __name__ == "__main__":
    main()
