"""What a similarity takes for the right answer: right answers in other words, and wrong ones in nearly the same words.

    python benchmarks/similarity.py [--data FOLDER] [--most N] [--json]

facts: sentences of StrategyQA's train rows (MIT), each beside itself negated by a rule, beside itself with other numbers, and beside another row's. answers:
the pairs of benchmarks/similarity.jsonl, written for this. Each pair is scored by the metric of kind embedding and by token_f1 and edit_similarity, and counted
where the score is over 0.8, a number that nothing here was chosen by. Results go to benchmarks/results/similarity.json and docs/results/similarity.md.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import ROOT, describe_commit, describe_machine, write_result

from journeyman.core.example import text_target
from journeyman.measure.declared import make_metric
from journeyman.measure.embedded import Texts, make_embedding_metric
from journeyman.measure.intervals import clopper_pearson
from journeyman.measure.metrics import Metric, Pair
from journeyman.models.embedder import DEFAULT, open_embedder
from journeyman.models.long_texts import embed_whole
from journeyman.task.task import MetricSpec

Document = dict[str, Any]
RESULT = ROOT / "benchmarks/results/similarity.json"
ANSWERS = ROOT / "benchmarks/similarity.jsonl"
OVER, SEED = 0.8, 12
VERB = re.compile(r" (is|are|was|were|can|could|will|would|may|must|should) (?!not\b|never\b|no\b)")
SAID = re.compile(r"n't\b|\b(not|never|no|none|nor|cannot)\b", re.IGNORECASE)
NUMBER = re.compile(r"\d+")
KINDS = {
    "same": "right, in other words",
    "opposite": "wrong: the opposite",
    "another_number": "wrong: another number",
    "another_row": "wrong: another row's",
}


def main() -> int:
    arguments = _parse()
    sets = {"answers": read_answers(), "facts": make_facts(arguments.data / "strategyqa", arguments.most)}
    metrics = make_metrics()
    rows = [
        measure(name, kind, pairs, metrics) for name, kinds in sets.items() for kind, pairs in kinds.items() if pairs
    ]
    document: Document = {
        "command": f"python benchmarks/similarity.py --most {arguments.most}",
        "commit": describe_commit(),
        "machine": describe_machine(),
        "model": DEFAULT,
        "over": OVER,
        "rows": rows,
    }
    write_result(RESULT, document)
    (ROOT / "docs/results/similarity.md").write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if arguments.json else describe(document))
    return 0


def read_answers() -> dict[str, list[Texts]]:
    lines = [json.loads(line) for line in ANSWERS.read_text(encoding="utf-8").splitlines()]
    pairs = {kind: [(line["answer"], line[kind]) for line in lines] for kind in list(KINDS)[:3]}
    return pairs | {"another_row": other_rows([line["answer"] for line in lines])}


def make_facts(folder: Path, most: int) -> dict[str, list[Texts]]:
    """At most ``most`` pairs of each kind, drawn before anything is scored."""
    lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()
    facts = sorted({" ".join(fact.split()) for line in lines for fact in json.loads(line)["facts"]})
    random.Random(SEED).shuffle(facts)
    changed: dict[str, Callable[[str], str]] = {"opposite": negate, "another_number": renumber}
    pairs = {
        kind: [(fact, change(fact)) for fact in facts if change(fact) != fact][:most]
        for kind, change in changed.items()
    }
    return pairs | {"another_row": other_rows(facts[:most])}


def negate(fact: str) -> str:
    """With "not" behind its only verb that takes one; as it is where it has none or several, or is negated already."""
    return VERB.sub(r" \1 not ", fact) if len(VERB.findall(fact)) == 1 and not SAID.search(fact) else fact


def renumber(fact: str) -> str:
    """Every number another one of as many digits, the same for a fact every time."""
    draw = random.Random(f"{SEED} {fact}")

    def other(found: re.Match[str]) -> str:
        size = len(found[0])
        numbers = [
            number
            for number in (draw.randrange(10 ** (size - 1), 10**size) for _ in range(9))
            if str(number) != found[0]
        ]
        return str(numbers[0])

    return NUMBER.sub(other, fact)


def other_rows(texts: Sequence[str]) -> list[Texts]:
    """Each text and the next, in an order that was drawn."""
    shuffled = random.Random(SEED).sample(texts, len(texts))
    return list(zip(shuffled, [*shuffled[1:], shuffled[0]], strict=True))


def make_metrics() -> dict[str, Metric]:
    embedder = open_embedder(threads=1)

    def similarities(pairs: Sequence[Texts]) -> list[float]:
        left, right = (embed_whole(embedder, [pair[side] for pair in pairs]) for side in (0, 1))
        return [float(value) for value in np.clip((left * right).sum(axis=1), 0, 1)]

    plain = {name: make_metric(name, MetricSpec(name)) for name in ("token_f1", "edit_similarity")}  # type: ignore[arg-type]
    return {"embedding": make_embedding_metric("embedding", "", similarities)} | plain


def measure(name: str, kind: str, pairs: Sequence[Texts], metrics: Mapping[str, Metric]) -> Document:
    row: Document = {"row": f"{name}: {KINDS[kind]}", "set": name, "kind": kind, "n": len(pairs)}
    for metric in metrics.values():
        scored = metric.score([Pair(text_target(one), text_target(other)) for one, other in pairs])
        scores = [top for top, _bottom in scored]
        over = sum(score > OVER for score in scores)
        interval = clopper_pearson(over, len(scores))
        row[metric.name] = {
            "over": round(over / len(scores), 4),
            "low": round(interval.low, 4),
            "high": round(interval.high, 4),
            "median": round(statistics.median(scores), 3),
        }
    return row


def describe(document: Document) -> str:
    machine = document["machine"]
    names = ("embedding", "token_f1", "edit_similarity")
    lines = [
        "# What a similarity takes for the right answer",
        "",
        f"`{document['command']}` at commit {document['commit']}, {machine['cores']} cores of {machine['processor']}, Python {machine['python']}.",
        "",
        f"The share of pairs with a score over {document['over']:g} (95 %, Clopper-Pearson), and the median score. `embedding` is the cosine of {document['model']}. Right",
        "answers should be over it, wrong ones should not. *answers*: pairs written for this (benchmarks/similarity.jsonl). *facts*: sentences of StrategyQA's train rows, with",
        '"not" behind the verb, with every number another one of as many digits, and beside another row\'s.',
        "",
        f"| pairs | n | {' | '.join(f'{name}, %' for name in names)} |",
        "|---|---|---|---|---|",
    ]
    for row in document["rows"]:
        lines.append(f"| {row['row']} | {row['n']} | {' | '.join(_shown(row[name]) for name in names)} |")
    return "\n".join([*lines, ""])


def _shown(figure: Document) -> str:
    over, low, high = (100 * figure[key] for key in ("over", "low", "high"))
    return f"{over:.1f} ({low:.1f} to {high:.1f}), median {figure['median']:.2f}"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data", help="the folder of public sets")
    parser.add_argument("--most", type=int, default=500, help="pairs of each kind of facts")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
