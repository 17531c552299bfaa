"""Whether the guard `grounded` catches answers that their passages do not support, and how often it is wrong about those that they do.

    python benchmarks/claims.py [--data FOLDER] [--json]

The paragraphs of XQuAD are indexed, each question asked as a task would ask it (five passages), and three answers are held against what was found: its own, the answer of another question about the same paragraph, and that of a
question about another article. Both wrong ones are drawn with seed 3, and hold no part of the right one. The threshold is the highest with no more than 5 % false alarms on the questions of every other article; figures
are of the others. `retrieved`: passages as they were found, the right one among them or not. Results go to benchmarks/results/claims.json and docs/results/claims.md.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import ROOT, describe_commit, describe_machine, make_parser, write_figure, write_result
from techniques import area, index_files, make_search, share

from journeyman.flows.knowledge import open_library
from journeyman.flows.workspace import open_workspace
from journeyman.knowledge.ground.claims import weigh_claim
from journeyman.knowledge.ground.passages import Passage
from journeyman.knowledge.retrieve.recipe import Recipe

Result = dict[str, Any]
RESULT, PAGE = ROOT / "benchmarks/results/claims.json", ROOT / "docs/results/claims.md"
SEED, FALSE_ALARMS = 3, 0.05
ANSWERS = ("right", "of the same paragraph", "of another article")


@dataclass(frozen=True)
class Asked:
    article: int
    paragraph: int
    question: str
    answer: str


def main() -> int:
    given = make_parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        done = measure(given.folder or Path(scratch), given.data)
    done |= {"command": "python benchmarks/claims.py", "commit": describe_commit(), "machine": describe_machine()}
    write_result(RESULT, done)
    PAGE.write_text(describe(done), encoding="utf-8")
    sys.stdout.write(json.dumps(done, indent=2) + "\n" if given.json else describe(done))
    return 0


def measure(folder: Path, data: Path) -> Result:
    files, asked = read_xquad(data)
    index_files(folder, files)
    answers = draw_answers(asked)
    weights: dict[str, list[float]] = {name: [] for name in ANSWERS}
    seconds = 0.0
    with open_workspace(folder) as workspace, open_library(workspace) as library:
        search, _ids = make_search(library, [row.question for row in asked])
        for row, said in zip(asked, answers, strict=True):
            found = search.find(row.question, Recipe())
            passages = [Passage(number, "", 0, item.text) for number, item in enumerate(found, 1)]
            began = time.perf_counter()
            for name, answer in zip(ANSWERS, said, strict=True):
                weights[name].append(weigh_claim(answer, row.question, passages) if answer else float("nan"))
            seconds += time.perf_counter() - began
    return judge(asked, {name: np.array(values) for name, values in weights.items()}, seconds)


def judge(asked: list[Asked], weights: dict[str, Any], seconds: float) -> Result:
    chosen_on = np.array([row.article % 2 == 0 for row in asked])
    threshold = float(np.quantile(weights["right"][chosen_on], FALSE_ALARMS, method="lower"))
    rows: Result = {}
    for name, values in weights.items():
        shown = values[~chosen_on & ~np.isnan(values)]
        known = {} if name == "right" else {"area": area(weights["right"][~chosen_on], shown)}
        rows[name] = {
            "caught": share(shown < threshold),
            "unfound": share(shown == 0),
            **known,
        }
    asked_of = sum(int((~np.isnan(values)).sum()) for values in weights.values())
    return {"threshold": threshold, "chosen_on": int(chosen_on.sum()), "rows": rows, "ms": 1000 * seconds / asked_of}


def read_xquad(data: Path) -> tuple[dict[str, str], list[Asked]]:
    articles = json.loads((data / "xquad_en/xquad.en.json").read_text(encoding="utf-8"))["data"]
    files, asked = dict[str, str](), list[Asked]()
    for number, article in enumerate(articles):
        for place, paragraph in enumerate(article["paragraphs"]):
            files[f"{number:02}-{place}.md"] = f"{paragraph['context']}\n"
            asked += [Asked(number, place, row["question"], row["answers"][0]["text"]) for row in paragraph["qas"]]
    return files, asked


def draw_answers(asked: list[Asked]) -> list[tuple[str, str, str]]:
    """For each question its own answer and the two wrong ones; empty where the paragraph has no other."""
    draw = random.Random(SEED)
    near: dict[tuple[int, int], list[Asked]] = defaultdict(list)
    for row in asked:
        near[row.article, row.paragraph].append(row)
    drawn = []
    for row in asked:
        same = [item for item in near[row.article, row.paragraph] if is_apart(item.answer, row.answer)]
        far = [item for item in asked if item.article != row.article and is_apart(item.answer, row.answer)]
        drawn.append((row.answer, draw.choice(same).answer if same else "", draw.choice(far).answer))
    return drawn


def is_apart(one: str, other: str) -> bool:
    one, other = one.casefold(), other.casefold()
    return one not in other and other not in one


def describe(done: Result) -> str:
    machine = done["machine"]
    lines = [
        "# Claims without support",
        "",
        f"`{done['command']}`",
        "",
        "The guard `grounded` with a threshold, on XQuAD: 240 paragraphs indexed, five passages found for each question as a task finds them, and short answers held against them: the question's own, that of another question about",
        f"the same paragraph, that of a question about another article. Threshold {done['threshold']:.2f}: at most {FALSE_ALARMS:.0%} false alarms on {done['chosen_on']} questions of every other article; the figures are of the others.",
        "",
        "| answer | caught | nothing of it in the passages | area under ROC |",
        "|---|---|---|---|",
    ]
    for name, row in done["rows"].items():
        known = f"{row['area']:.3f}" if "area" in row else ""
        lines.append(f"| {name} | {write_figure(row['caught'])} | {write_figure(row['unfound'])} | {known} |")
    return "\n".join(
        [
            *lines,
            "",
            f"What is caught of right answers are false alarms. {done['ms']:.1f} ms for an answer and its five passages. It compares words: a wrong answer of the right passage, near the question's words, passes.",
            "",
            f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}. Commit `{done['commit']}`.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
