"""Weak spots of a head on banking77: what weighing their rows, and more rows of them, do to the errors there, on rows that nobody looked at.

    python benchmarks/weak.py [--data FOLDER] [--deals 6] [--json]

Only `train.csv` is read; of near copies one is taken. Each deal has 800 rows to train on, 1,000 as dev, where the ten most frequent spots of the first head are found, 2,000 fresh ones,
which choose nothing, and 1,200 as a pool of further rows. Linear heads on all-minilm-l6-v2. Arms: the spots' rows at two and at four times their weight, as many other rows at two times
(a control), and 100 rows of the pool besides: of the spots' values, as a teacher that makes no mistakes would write them, or any. Results go to benchmarks/results/weak.json and
docs/results/weak.md.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from machine import ROOT, describe_commit, describe_machine, make_parser, write_result
from rows.banking77 import read_banking77

from journeyman.core.example import Example, object_target
from journeyman.data.near import Groups, find_pairs
from journeyman.evaluation.grid import ERROR, compare_scores
from journeyman.evaluation.helped import EXACT
from journeyman.evaluation.run import Prediction, Row
from journeyman.evaluation.weak import WeakSpot, find_weak_spots
from journeyman.flows.earlier import Aimed
from journeyman.flows.weighting import weigh_rows
from journeyman.models.embedder import open_embedder
from journeyman.models.head import ClosedField
from journeyman.task.task import Task
from journeyman.tuning.heads import HeadRows, number_values, train_head

Document = dict[str, Any]
Vectors = npt.NDArray[np.float32]
TRAIN, DEV, FRESH, POOL, MORE = 800, 1000, 2000, 1200, 100
VECTOR = 384
ARMS = (
    "weight 2 on the spots' rows",
    "weight 4 on the spots' rows",
    "weight 2 on as many other rows",
    f"{MORE} more rows of the spots' values",
    f"{MORE} more rows of any values",
)


@dataclass(frozen=True, slots=True)
class Deal:
    """Examples and the places of their vectors."""

    train: list[int]
    dev: list[int]
    fresh: list[int]
    pool: list[int]


class Bench:
    def __init__(self, folder: Path) -> None:
        lines = read_banking77(folder)
        self.texts = [text.strip() for text, _intent in lines]
        values = sorted({intent for _text, intent in lines})
        self.field = ClosedField("intent", tuple(values))
        schema = {"type": "object", "properties": {"intent": {"enum": values}}, "required": ["intent"]}
        self.task = Task("bank", "Sort.", {"text": {"type": "string"}}, schema)  # type: ignore[arg-type]
        self.examples = [
            Example({"text": text}, None, object_target({"intent": intent}))
            for text, (_text, intent) in zip(self.texts, lines, strict=True)
        ]
        self.labels = number_values(self.field, [intent for _text, intent in lines])
        groups = Groups(len(lines))
        for pair in find_pairs(self.texts, 0.8):
            groups.join(*pair)
        self.leaders = [place for place in range(len(lines)) if groups.find(place) == place]
        random.Random("weak").shuffle(self.leaders)
        self.leaders = sorted(self.leaders[: TRAIN + DEV + FRESH + POOL])
        self.vectors = np.zeros((len(lines), VECTOR), dtype=np.float32)
        self.vectors[self.leaders] = open_embedder().embed([self.texts[place] for place in self.leaders]).vectors

    def deal(self, seed: int) -> Deal:
        """One row of each group of near copies, in a drawn order, to one part after the other."""
        every = list(self.leaders)
        random.Random(f"weak {seed}").shuffle(every)
        ends = [TRAIN, TRAIN + DEV, TRAIN + DEV + FRESH]
        return Deal(every[: ends[0]], every[ends[0] : ends[1]], every[ends[1] : ends[2]], every[ends[2] :])

    def fit(self, places: Sequence[int], weights: Sequence[float], dev: Sequence[int]) -> Any:
        train = HeadRows(self.vectors[places], self.labels[places], np.array(weights))
        return train_head(self.field, train, HeadRows(self.vectors[dev], self.labels[dev]), kinds=("linear",))[0]

    def say(self, head: Any, places: Sequence[int]) -> list[Prediction]:
        best = head.probabilities(self.vectors[places]).argmax(axis=1)
        return [
            Prediction(str(place), "", object_target({"intent": self.field.values[number]}))
            for place, number in zip(places, best, strict=True)
        ]

    def rows(self, places: Sequence[int]) -> list[Row]:
        return [replace(Row.from_example(self.examples[place]), hash=str(place)) for place in places]


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--deals", type=int, default=6)
    given = parser.parse_args()
    started, cpu = time.monotonic(), time.process_time()
    bench = Bench(given.data)
    deals = [measure(bench, seed) for seed in range(given.deals)]
    document: Document = {
        "command": f"python benchmarks/weak.py --deals {given.deals}",
        "rows": {"train": TRAIN, "dev": DEV, "fresh": FRESH},
        "deals": deals,
        "seconds": round(time.monotonic() - started),
        "cpu_seconds": round(time.process_time() - cpu),
        "commit": describe_commit(),
        "machine": describe_machine(),
    }
    write_result(ROOT / "benchmarks/results/weak.json", document)
    (ROOT / "docs/results/weak.md").write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if given.json else describe(document))
    return 0


def measure(bench: Bench, seed: int) -> Document:
    deal = bench.deal(seed)
    draw = random.Random(seed)
    first = bench.fit(deal.train, [1.0] * TRAIN, deal.dev)
    before = {name: bench.say(first, getattr(deal, name)) for name in ("dev", "fresh")}
    spots = find_weak_spots(bench.task, list(zip(bench.rows(deal.dev), before["dev"], strict=True)))
    aimed = Aimed("first", "first", tuple(spots))
    examples = [bench.examples[place] for place in deal.train]
    twice, weighting = weigh_rows(examples, aimed, 2.0)
    four, _weighting = weigh_rows(examples, aimed, 4.0)
    others = [place for place, row in enumerate(twice) if row.weight == 1.0]
    control = set(draw.sample(others, weighting.rows))
    of_spots = [place for place in deal.pool if any(spot.is_part_of(bench.examples[place].gold) for spot in spots)]  # type: ignore[arg-type]
    kinds: list[tuple[list[int], list[float]]] = [
        (deal.train, [row.weight for row in twice]),
        (deal.train, [row.weight for row in four]),
        (deal.train, [2.0 if place in control else 1.0 for place in range(TRAIN)]),
        (deal.train + draw.sample(of_spots, MORE), [1.0] * (TRAIN + MORE)),
        (deal.train + draw.sample(deal.pool, MORE), [1.0] * (TRAIN + MORE)),
    ]
    arms = []
    for name, (places, weights) in zip(ARMS, kinds, strict=True):
        head = bench.fit(places, weights, deal.dev)
        parts = {
            part: compare(bench, getattr(deal, part), spots, before[part], bench.say(head, getattr(deal, part)))
            for part in ("dev", "fresh")
        }
        arms.append({"arm": name, **parts})
    return {
        "seed": seed,
        "spots": [spot.to_json() for spot in spots],
        "weighed": {"rows": weighting.rows, "of": weighting.of, "spots": len(weighting.spots)},
        "arms": arms,
    }


def compare(
    bench: Bench, places: Sequence[int], spots: Sequence[WeakSpot], before: list[Prediction], after: list[Prediction]
) -> Document:
    """Errors of the spots together, on the rows that could have one of them, and all errors on all rows."""
    rows = bench.rows(places)
    every = list(range(len(rows)))
    could = [place for place in every if any(spot.is_open_to(rows[place].expected) for spot in spots)]  # type: ignore[arg-type]

    def is_spot(row: Row, said: Prediction) -> bool:
        return any(spot.is_in(row.expected, said.target) for spot in spots)  # type: ignore[arg-type]

    def is_wrong(row: Row, said: Prediction) -> bool:
        return said.target != row.expected

    told: Document = {}
    for name, chosen, is_error in (("spots", could, is_spot), ("all", every, is_wrong)):
        some = [rows[place] for place in chosen]
        was, now = ([float(is_error(rows[place], said[place])) for place in chosen] for said in (before, after))
        found = compare_scores(EXACT, some, now, was, ERROR, 1.0)
        told[name] = {
            "before": int(sum(was)),
            "after": int(sum(now)),
            "n": len(chosen),
            "difference": found.value,
            "low": found.low,
            "high": found.high,
        }
    return told


def describe(document: Document) -> str:
    lines = [
        "# Weak spots: rows that weigh more, and more rows",
        "",
        f"`{document['command']}`",
        "",
        "banking77's train rows alone, 77 intents, linear heads on all-minilm-l6-v2; each deal is of 800 train, 1,000 dev and 2,000 fresh rows. The ten most frequent errors of a "
        "first head on dev are its weak spots. Each arm is trained anew and compared with the first head row by row: errors of these ten spots on the rows that could have "
        "them, and all errors. Fresh rows chose nothing; on dev the spots were picked, and the penalty too. The control says how far errors on dev fall without any aim.",
        "",
        "Intervals are of 95 %, each by itself, and are about these heads: another draw of train rows is another deal. Deals are drawn from the same 5,000 rows, so they overlap.",
        "",
        "| arm | deal | spots, dev | spots, fresh | points | all errors, dev | all errors, fresh | points |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for place, arm in enumerate(ARMS):
        for deal in document["deals"]:
            found = deal["arms"][place]
            dev, fresh = found["dev"], found["fresh"]
            cells = [
                count(dev["spots"]),
                count(fresh["spots"]),
                points(fresh["spots"]),
                count(dev["all"]),
                count(fresh["all"]),
                points(fresh["all"]),
            ]
            lines.append(f"| {arm} | {deal['seed']} | {' | '.join(cells)} |")
    lines += [
        "",
        "Of all deals together, errors per 1,000 fresh rows that could have one, and the points by which they changed from deal to deal:",
        "",
    ]
    lines += [
        "| arm | spots: before → after | points, least to most | all: before → after | points, least to most |",
        "|---|---|---|---|---|",
    ]
    for place, arm in enumerate(ARMS):
        found = [deal["arms"][place]["fresh"] for deal in document["deals"]]
        cells = [cell for part in ("spots", "all") for cell in over_deals([item[part] for item in found])]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    machine = document["machine"]
    weighed = ", ".join(
        f"{deal['weighed']['rows']} of {deal['weighed']['of']} rows, {deal['weighed']['spots']} spots"
        for deal in document["deals"]
    )
    return "\n".join(
        [
            *lines,
            "",
            f"Weighed: {weighed}. {document['cpu_seconds']} s of CPU.",
            "",
            f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}. Commit `{document['commit']}`.",
            "",
        ]
    )


def over_deals(found: Sequence[Document]) -> tuple[str, str]:
    rows = sum(item["n"] for item in found)
    before, after = (1000 * sum(item[side] for item in found) / rows for side in ("before", "after"))
    changes = [100 * item["difference"] for item in found]
    return f"{before:.0f} → {after:.0f}", f"{min(changes):+.1f} to {max(changes):+.1f}"


def count(found: Document) -> str:
    return f"{found['before']} → {found['after']} of {found['n']:,}"


def points(found: Document) -> str:
    return f"{100 * found['difference']:+.1f} ({100 * found['low']:+.1f} to {100 * found['high']:+.1f})"


if __name__ == "__main__":
    sys.exit(main())
