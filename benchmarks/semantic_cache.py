"""What a semantic cache gives and what it costs in right answers: Banking77's train rows, asked one after the other in a random order.

    python benchmarks/semantic_cache.py [--data FOLDER] [--rows N] [--json]

A row is a hit where an earlier one is as near (cosine on all-MiniLM-L6-v2) and has the same words with a digit, as `route.cache.semantic` has it; its answer would be the earlier one's label. A hit
whose own label is another is a wrong answer that a call would not have had. An upper bound of both: nothing is ever dropped from the cache. Results go to
benchmarks/results/semantic_cache.json and docs/results/semantic-cache.md.
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

from journeyman.gateway.response_cache import find_names
from journeyman.measure.intervals import clopper_pearson
from journeyman.models.embedder import open_embedder

Document = dict[str, Any]
RESULT, PAGE = ROOT / "benchmarks/results/semantic_cache.json", ROOT / "docs/results/semantic-cache.md"
LEAST = (0.85, 0.9, 0.92, 0.94, 0.96, 0.98, 0.99)
BLOCK = 500


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    given = parser.parse_args()
    rows = read_banking77(given.data)
    random.Random(0).shuffle(rows)
    rows = rows[: given.rows]
    texts = [text for text, _label in rows]
    started = time.perf_counter()
    vectors = np.asarray(open_embedder(threads=1).embed(texts).vectors)
    seconds = time.perf_counter() - started
    nearest = find_nearest(vectors, [tuple(find_names(text)) for text in texts])
    document = {
        "rows": len(rows),
        "ms_a_text": round(1000 * seconds / len(rows), 2),
        "levels": [count(least, nearest, [label for _text, label in rows]) for least in LEAST],
        "commit": describe_commit(),
        "machine": describe_machine(),
    }
    write_result(RESULT, document)
    PAGE.write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if given.json else describe(document))
    return 0


def find_nearest(vectors: np.ndarray, names: list[tuple[str, ...]]) -> list[tuple[int, float]]:
    """For each row the earlier one with the same such words that is nearest, and the cosine; -1 where there is none."""
    kinds = {found: place for place, found in enumerate(dict.fromkeys(names))}
    kind = np.array([kinds[found] for found in names])
    nearest: list[tuple[int, float]] = []
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK] @ vectors[: start + BLOCK].T
        for row, likenesses in enumerate(block, start):
            allowed = np.where(kind[:row] == kind[row], likenesses[:row], -1.0)
            place = int(allowed.argmax()) if row else -1
            nearest.append((place, float(allowed[place]) if row else -1.0))
    return nearest


def count(least: float, nearest: list[tuple[int, float]], labels: list[str]) -> Document:
    hits = [(row, place) for row, (place, likeness) in enumerate(nearest) if likeness >= least]
    wrong = sum(labels[row] != labels[place] for row, place in hits)
    exact = clopper_pearson(wrong, len(hits))
    return {
        "least": least,
        "hits": len(hits),
        "share": len(hits) / len(nearest),
        "wrong": wrong,
        "wrong_low": exact.low,
        "wrong_high": exact.high,
    }


def describe(document: Document) -> str:
    lines = [
        "# A semantic cache",
        "",
        "`python benchmarks/semantic_cache.py --data FOLDER`",
        "",
        f"{document['rows']:,} train rows of Banking77 (77 intents), asked one after the other: which would be given an earlier one's answer, and how many of those have another label.",
        "",
        "| `semantic` | calls answered from memory | of these wrong (exact 95 % interval) |",
        "|---|---|---|",
    ]
    lines += [
        f"| {item['least']} | {100 * item['share']:.1f} % | {100 * item['wrong'] / max(1, item['hits']):.1f} % ({100 * item['wrong_low']:.1f} to {100 * item['wrong_high']:.1f}), n = {item['hits']:,} |"
        for item in document["levels"]
    ]
    machine = document["machine"]
    lines += [
        "",
        f"Words with a digit, `@`, `/` or `_` must be the same. Reading a text takes {document['ms_a_text']:.1f} ms on one core (in batches). Hence it is off unless a task says so.",
        "",
        f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}. Commit `{document['commit']}`.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
