"""Labels that are planted wrong: how many of those that `prepare --quality` suspects are, and how many of them it finds.

    python benchmarks/noise.py [--data FOLDER] [--rows N] [--json]

Banking77's train rows (77 intents), of which a share gets another label: any at random, or the one that is confused most (by a head's own probabilities on the true labels).
Suspects on the rows as they came are listed apart: some of them are wrong in the set itself. Results go to benchmarks/results/noise.json and docs/results/noise.md.
"""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

import numpy as np
from machine import ROOT, describe_commit, describe_machine, make_parser, write_result
from rows.banking77 import read_banking77

from journeyman.flows.quality import FOLDS, cross_validate
from journeyman.measure.intervals import clopper_pearson
from journeyman.measure.noise import find_suspects
from journeyman.models.embedder import open_embedder
from journeyman.models.head import ClosedField

Document = dict[str, Any]
RESULT, PAGE = ROOT / "benchmarks/results/noise.json", ROOT / "docs/results/noise.md"
SHARES = (0.02, 0.05, 0.1)
FIRST = (20, 100)


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--rows", type=int, default=3000)
    given = parser.parse_args()
    rows = read_banking77(given.data)
    random.Random(0).shuffle(rows)
    rows = rows[: given.rows]
    names = sorted({label for _text, label in rows})
    truth = np.array([names.index(label) for _text, label in rows])
    vectors = np.asarray(open_embedder().embed([text for text, _label in rows]).vectors)
    field, folds = ClosedField("", tuple(names)), np.arange(len(rows)) % FOLDS
    started = time.perf_counter()
    clean = cross_validate(field, vectors, truth, folds)
    seconds = time.perf_counter() - started
    own = {item.row for item in find_suspects(clean, truth)}
    cells = [
        plant(kind, share, clean, truth, own, (field, vectors, folds))
        for kind in ("any", "nearest")
        for share in SHARES
    ]
    document = {
        "rows": len(rows),
        "suspected_as_they_came": len(own),
        "seconds": round(seconds, 1),
        "cells": cells,
        "commit": describe_commit(),
        "machine": describe_machine(),
    }
    write_result(RESULT, document)
    PAGE.write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if given.json else describe(document))
    return 0


def plant(kind: str, share: float, clean: np.ndarray, truth: np.ndarray, own: set[int], ground: Any) -> Document:
    draw = np.random.default_rng(7)
    field, vectors, folds = ground
    count = round(share * len(truth))
    rows = draw.choice(len(truth), count, replace=False)
    labels = truth.copy()
    for row in rows:
        others = clean[row].copy()
        others[truth[row]] = -1
        labels[row] = (
            int(others.argmax())
            if kind == "nearest"
            else int((truth[row] + draw.integers(1, len(field.values))) % len(field.values))
        )
    suspects = [item.row for item in find_suspects(cross_validate(field, vectors, labels, folds), labels)]
    planted = set(rows.tolist())
    right = sum(row in planted for row in suspects)
    return {
        "kind": kind,
        "share": share,
        "planted": count,
        "suspected": len(suspects),
        "precision": ends(right, len(suspects)),
        "precision_without_own": ends(right, sum(row in planted or row not in own for row in suspects)),
        "recall": ends(right, count),
        "first": {
            str(most): ends(sum(row in planted for row in suspects[:most]), min(most, len(suspects))) for most in FIRST
        },
    }


def ends(right: int, count: int) -> Document:
    exact = clopper_pearson(right, count)
    return {"value": right / max(1, count), "low": exact.low, "high": exact.high, "n": count}


def describe(document: Document) -> str:
    lines = [
        "# Labels that are likely wrong",
        "",
        "`python benchmarks/noise.py`",
        "",
        f"{document['rows']:,} train rows of Banking77, of which some got another of the 77 labels: any, or the one that is nearest to the text besides its own. Precision: of the suspects, how many were planted; "
        f"{document['suspected_as_they_came']:,} rows are suspected as they came, some of them rightly, and the second precision leaves these out. Exact 95 % intervals.",
        "",
        "| planted | share | found (recall) | precision | without those suspected as they came | of the first 20 | of the first 100 |",
        "|---|---|---|---|---|---|---|",
    ]
    for cell in document["cells"]:
        figures = [cell["recall"], cell["precision"], cell["precision_without_own"], *cell["first"].values()]
        shown = " | ".join(
            f"{item['value']:.2f} ({item['low']:.2f} to {item['high']:.2f}), n = {item['n']:,}" for item in figures
        )
        lines.append(f"| {cell['kind']} label | {100 * cell['share']:.0f} % | {shown} |")
    machine = document["machine"]
    lines += [
        "",
        f"Five folds of heads on all-MiniLM-L6-v2 take {document['seconds']:.0f} s after the texts are embedded. {machine['cores']} cores of {machine['processor']}, Python {machine['python']}. Commit `{document['commit']}`.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
