"""How fast rows become a dataset, in how much memory, and how many near copies the grouping finds of those that there are.

    python benchmarks/data.py [--rows N] [--near N] [--only throughput|near] [--json]

throughput: `journeyman import` and `journeyman prepare` of N generated rows (a million), each in a process of its own: wall seconds, and the most memory that the process ever had. Rows are
lines of 5 to 40 made-up words with a label; a fifth are near copies of others. near: `find_pairs` on N generated texts (20,000) against every pair there is, whose shingles are counted by
sparse products: families of copies with 1 to 8 changed words, long lines of a few templates, short texts, and texts like no other. Results go to benchmarks/results/data.json and
docs/results/data.md; a part that was not run keeps its earlier figures.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import ROOT, describe_commit, describe_machine, write_result
from scipy.sparse import csr_matrix

from journeyman.data.near import Groups, find_pairs, make_shingles

Document = dict[str, Any]
Pair = tuple[int, int]
RESULT, PAGE = ROOT / "benchmarks/results/data.json", ROOT / "docs/results/data.md"
THRESHOLD, BAR, BLOCK, FEW = 0.8, 0.95, 200, 100
LABELS = ("refund", "card_lost", "transfer", "opening_hours", "other")
TASK = """edition: 1
name: lines
instruction: Sort the line.
input: {text: string}
output:
  label: {enum: [refund, card_lost, transfer, opening_hours, other]}
"""


@dataclass(frozen=True, slots=True)
class Ran:
    seconds: float
    cpu_s: float
    peak_bytes: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--near", type=int, default=20_000)
    parser.add_argument("--only", choices=["throughput", "near"])
    parser.add_argument("--json", action="store_true", help="one document on stdout")
    arguments = parser.parse_args()
    document = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    if arguments.only != "near":
        document["throughput"] = measure_throughput(arguments.rows) | {"commit": describe_commit()}
    if arguments.only != "throughput":
        document["near"] = measure_near(arguments.near) | {"commit": describe_commit()}
    document["machine"] = describe_machine()
    write_result(RESULT, document)
    PAGE.write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if arguments.json else describe(document))
    return 0


def measure_throughput(rows: int) -> Document:
    few, (many, size) = run_steps(FEW)[0], run_steps(rows)
    return {
        "rows": rows,
        "file_bytes": size,
        "few": FEW,
        "steps": [
            {
                "step": step,
                "seconds": round(ran.seconds, 2),
                "cpu_s": round(ran.cpu_s, 2),
                "rows_per_s": round(rows / ran.seconds),
                "peak_bytes": ran.peak_bytes,
                "peak_bytes_of_few": few[step].peak_bytes,
                "bytes_per_row": round((ran.peak_bytes - few[step].peak_bytes) / (rows - FEW)),
            }
            for step, ran in many.items()
        ],
    }


def run_steps(rows: int) -> tuple[dict[str, Ran], int]:
    """What each command took, and the size of the file of rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tasks").mkdir()
        (folder / "tasks/lines.yaml").write_text(TASK, encoding="utf-8")
        (folder / "journeyman.toml").write_text("", encoding="utf-8")
        with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in make_rows(rows))
        size = (folder / "rows.jsonl").stat().st_size
        ran = {
            "import": run(folder, "import", "rows.jsonl", "--task", "lines", "--json"),
            "prepare": run(folder, "prepare", "lines", "--json"),
        }
    return ran, size


def run(folder: Path, *arguments: str) -> Ran:
    """One command; its peak is the kernel's own figure for that process."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "journeyman", *arguments], cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"journeyman {' '.join(arguments)} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    cpu_s = usage.ru_utime + usage.ru_stime
    return Ran(time.monotonic() - started, cpu_s, usage.ru_maxrss * unit)


def make_rows(count: int) -> Iterator[Document]:
    """Every fifth row is one of the thousand before it with a word changed."""
    draw, words = random.Random(1), make_words(20_000)
    recent: deque[list[str]] = deque(maxlen=1000)
    for index in range(count):
        if index % 5 == 4:
            line = list(draw.choice(recent))
            line[draw.randrange(len(line))] = draw.choice(words)
        else:
            line = draw.choices(words, k=draw.randint(5, 40))
        recent.append(line)
        yield {"input": {"text": " ".join(line)}, "output": {"label": LABELS[index % len(LABELS)]}}


def make_words(count: int) -> list[str]:
    draw = random.Random(0)
    syllables = [
        first + vowel + last for first in "bdfgklmnprstvz" for vowel in "aeiou" for last in ("", "n", "r", "st")
    ]
    return sorted({"".join(draw.choices(syllables, k=draw.randint(1, 3))) for _ in range(2 * count)})[:count]


def measure_near(count: int) -> Document:
    kinds, texts = make_texts(count)
    started = time.process_time()
    found = set(find_pairs(texts, THRESHOLD))
    ours_s = time.process_time() - started
    started = time.process_time()
    true = find_all_pairs(texts)
    rival_s = time.process_time() - started
    assert found <= true, "a pair that is none"
    groups = Groups(len(texts))
    for pair in found:
        groups.join(*pair)
    grouped = {pair for pair in true if groups.find(pair[0]) == groups.find(pair[1])}
    direct, whole = Counter(kinds[pair[1]] for pair in found), Counter(kinds[pair[1]] for pair in true)
    joined = Counter(kinds[pair[1]] for pair in grouped)
    return {
        "texts": dict(Counter(kinds)),
        "characters": sum(map(len, texts)),
        "ours_s": round(ours_s, 2),
        "rival_s": round(rival_s, 2),
        "kinds": [
            {"kind": kind, "pairs": n, "found": direct[kind], "in_one_group": joined[kind]}
            for kind, n in sorted(whole.items())
        ],
        "pairs": len(true),
        "found": len(found),
        "in_one_group": len(grouped),
        "bar": BAR,
        "met": len(grouped) >= BAR * len(true)
        and sum(n for kind, n in direct.items() if kind == "family")
        >= BAR * sum(n for kind, n in whole.items() if kind == "family"),
    }


def make_texts(count: int) -> tuple[list[str], list[str]]:
    """Kinds and texts, in a random order."""
    draw, words = random.Random(2), make_words(20_000)
    made: list[tuple[str, str]] = []
    while len(made) < count // 2:
        made += [("family", text) for text in make_family(draw, words)]
    for template in range(20):
        lines = [draw.choices(words, k=40) for _ in range(2)]
        for _ in range(count // 80):
            order = f"{draw.randrange(10**6):06d}"
            made.append(
                ("template", f"{' '.join(lines[0])} {order} {draw.choice(words)} {' '.join(lines[1])} {template}")
            )
    made += [("short", " ".join(draw.choices(words[:300], k=draw.randint(1, 3)))) for _ in range(count // 10)]
    made += [("alone", " ".join(draw.choices(words, k=draw.randint(4, 60)))) for _ in range(count - len(made))]
    draw.shuffle(made)
    return [kind for kind, _ in made], [text for _, text in made]


def make_family(draw: random.Random, words: Sequence[str]) -> Iterator[str]:
    """A text and up to nine copies of it with 1 to 8 words changed, left out or put in, or letters of them."""
    base = draw.choices(words, k=draw.randint(8, 60))
    yield " ".join(base)
    for _ in range(draw.randint(1, 9)):
        copy = list(base)
        for _ in range(draw.randint(1, 8)):
            place = draw.randrange(len(copy))
            change = draw.randrange(4)
            if change == 0:
                copy[place] = draw.choice(words)
            elif change == 1 and len(copy) > 4:
                del copy[place]
            elif change == 2:
                copy.insert(place, draw.choice(words))
            else:
                copy[place] = copy[place][:-1] + draw.choice("aeiou")
        yield " ".join(copy)


def find_all_pairs(texts: Sequence[str]) -> set[Pair]:
    """Every pair of at least ``THRESHOLD``, by the same shingles: how many two texts share, for all texts at once."""
    shingles = [make_shingles(text) for text in texts]
    sizes = np.array([len(item) for item in shingles])
    _, columns = np.unique(np.concatenate(shingles), return_inverse=True)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    table = csr_matrix((np.ones(len(columns), dtype=np.int32), columns, starts))
    turned = table.T.tocsr()
    found: set[Pair] = set()
    for first in range(0, len(texts), BLOCK):
        common = (table[first : first + BLOCK] @ turned).tocoo()
        rows, others = common.row + first, common.col
        likeness = common.data / (sizes[rows] + sizes[others] - common.data)
        chosen = (likeness >= THRESHOLD) & (others < rows)
        found.update(zip(others[chosen].tolist(), rows[chosen].tolist(), strict=True))
    return found


def describe(document: Document) -> str:
    machine = document["machine"]
    lines = ["# Rows to a dataset", "", "`python benchmarks/data.py`", ""]
    if speed := document.get("throughput"):
        lines += [
            f"{speed['rows']:,} generated rows ({speed['file_bytes'] / 1e6:,.0f} MB of JSONL), each command in a process of its own, at commit `{speed['commit']}`.",
            f"Bytes a row: what the peak is above that of {speed['few']} rows.",
            "",
            "| command | seconds | of the processor | rows/s | peak memory | bytes a row |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| `{step['step']}` | {step['seconds']:,.1f} | {step['cpu_s']:,.1f} | {step['rows_per_s']:,} | {step['peak_bytes'] / 1e6:,.0f} MB | {step['bytes_per_row']:,} |"
            for step in speed["steps"]
        ]
        lines += [
            "",
            "`import` streams: what grows with the rows are the names that tell a repeated one. `prepare` holds every row, its shingles and its hash values while it groups them,"
            " so that its memory is that many bytes for each row of this length.",
            "",
        ]
    if near := document.get("near"):
        texts = ", ".join(f"{n:,} {kind}" for kind, n in sorted(near["texts"].items()))
        lines += [
            "## Near copies",
            "",
            f"{sum(near['texts'].values()):,} texts ({texts}; {near['characters'] / 1e6:.1f} million characters), pairs with a Jaccard similarity of {THRESHOLD} or more, at commit `{near['commit']}`."
            f" `find_pairs`: {near['ours_s']:.1f} s of the processor. Every pair, by sparse products: {near['rival_s']:.1f} s. No pair is found that is none: each is compared exactly.",
            "",
            "| kind of the later text | pairs there are | found | in one group |",
            "|---|---|---|---|",
        ]
        total = {"kind": "all", **{key: near[key] for key in ("pairs", "found", "in_one_group")}}
        lines += [
            f"| {row['kind']} | {row['pairs']:,} | {row['found'] / row['pairs']:.4f} | {row['in_one_group'] / row['pairs']:.4f} |"
            for row in [*near["kinds"], total]
        ]
        lines += [
            "",
            f"Bar: {BAR:g} of the pairs of families found, and {BAR:g} of all pairs in one group: {'met' if near['met'] else 'missed'}."
            " Of hundreds of lines of one template each is compared with the most alike only, which is why most of their pairs are not found; they are in one group all the same,"
            " and the group is what a split goes by.",
            "",
        ]
    lines.append(f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
