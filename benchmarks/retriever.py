"""A retriever tuned on questions: what `journeyman knowledge tune` makes of four sets, what its order of the first hits adds, and whether its gate keeps it.

    python benchmarks/retriever.py [--data FOLDER] [--folder FOLDER] [--only SET] [--json]

nq-titles, nq-text: 2,655 questions that people typed and the 2,600 passages that answer them (shared/data/nq_open), with titles as headings and without. xquad: 1,190 questions on 240 paragraphs of 48
articles (shared/data/xquad_en). spans: 472 questions on five long texts, with the exact spans that answer them (shared/data/chunking_evaluation). The command itself splits: what it reports are the
sealed half's figures, of questions whose documents (spans: passages) nothing was learned from. Results go to benchmarks/results/retriever.json and docs/results/retriever.md, a set at a time.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from machine import ROOT, describe_commit, describe_machine, make_parser, run_journeyman, write_result

Result = dict[str, Any]
Made = tuple[Mapping[str, str], list[Result]]
RESULT, PAGE = ROOT / "benchmarks/results/retriever.json", ROOT / "docs/results/retriever.md"


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--only", choices=[*SETS])
    given = parser.parse_args()
    done: Result = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    done.setdefault("sets", {})
    with tempfile.TemporaryDirectory() as scratch:
        for name, make in SETS.items():
            if given.only in (None, name):
                done["sets"][name] = measure((given.folder or Path(scratch)) / name, *make(given.data))
                done |= {"commit": describe_commit(), "machine": describe_machine()}
                write_result(RESULT, done)
                PAGE.write_text(describe(done), encoding="utf-8")
    sys.stdout.write(json.dumps(done, indent=2) + "\n" if given.json else describe(done))
    return 0


def measure(folder: Path, documents: Mapping[str, str], questions: list[Result]) -> Result:
    (folder / "documents").mkdir(parents=True, exist_ok=True)
    (folder / "journeyman.toml").touch()
    for name, text in documents.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions), encoding="utf-8")
    for words in (("add", "documents"), ("tune", "--undo")):
        ran = run_journeyman(folder, "knowledge", *words, "--json")
        if ran.status:
            raise SystemExit(ran.output)
    tuned = run_journeyman(folder, "knowledge", "tune", "questions.jsonl", "--json")
    if tuned.status > 1:
        raise SystemExit(tuned.output)
    return json.loads(tuned.output) | {
        "documents": len(documents),
        "questions": len(questions),
        "tune_s": tuned.seconds,
        "peak_bytes": tuned.peak_bytes,
    }


def make_nq(data: Path, *, is_titled: bool) -> Made:
    numbers: dict[tuple[str, str], int] = {}
    documents, questions = {}, []
    with gzip.open(data / "nq_open/nq_open_oracle.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            gold = (row["gold"][0]["title"], row["gold"][0]["text"])
            name = f"documents/{numbers.setdefault(gold, len(numbers))}.md"
            head = f"# {gold[0]}\n\n" if is_titled else ""
            documents[name] = f"{head}{gold[1]}\n"
            place = {"document": name, "start": len(head), "end": len(head) + len(gold[1])}
            questions.append({"question": row["question"], **place})
    return documents, questions


def make_xquad(data: Path) -> Made:
    documents, questions = {}, []
    articles = json.loads((data / "xquad_en/xquad.en.json").read_text(encoding="utf-8"))["data"]
    for number, article in enumerate(articles):
        for part, paragraph in enumerate(article["paragraphs"]):
            name, text = f"documents/{number}-{part}.txt", paragraph["context"]
            documents[name] = text
            for row in paragraph["qas"]:
                questions.append({"question": row["question"], "document": name, "start": 0, "end": len(text)})
    return documents, questions


def make_spans(data: Path) -> Made:
    folder = data / "chunking_evaluation"
    documents = {
        f"documents/{path.stem}.txt": path.read_text(encoding="utf-8") for path in sorted(folder.glob("corpora/*.md"))
    }
    questions = []
    with (folder / "questions_df.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            name = f"documents/{row['corpus_id']}.txt"
            gold = [
                {"document": name, "start": place["start_index"], "end": place["end_index"]}
                for place in json.loads(row["references"])
            ]
            questions.append({"question": row["question"], "gold": gold})
    return documents, questions


SETS: Mapping[str, Callable[[Path], Made]] = {
    "spans": make_spans,
    "xquad": make_xquad,
    "nq-titles": lambda data: make_nq(data, is_titled=True),
    "nq-text": lambda data: make_nq(data, is_titled=False),
}
SAID = {
    "spans": "five long texts, exact spans; made in 2024, which the encoder cannot have seen",
    "xquad": "240 paragraphs of Wikipedia",
    "nq-titles": "passages of Natural Questions under their titles",
    "nq-text": "the same without titles",
}


def describe(done: Result) -> str:
    lines = [
        "# A retriever tuned on questions",
        "",
        f"`python benchmarks/retriever.py` at commit {done['commit']}, {done['machine']['cores']} cores of {done['machine']['processor']}, Python {done['machine']['python']}.",
        "",
        "`knowledge tune` learns from half of the questions and asks the other half, which other documents answer (spans: other passages). All rows are of that sealed half, before and after, with the",
        "paired interval (95 %) that its gate draws; right first: R@1 over chunks; found: R@5. all-MiniLM-L6-v2 is believed to have seen Natural Questions in its training, so that there is little left to learn from",
        "them; the questions of *spans* are younger than the encoder.",
        "",
        "| questions | learned | right first: before, after | difference | found: before, after | difference | n | gate |",
        "|---|---|---|---|---|---|---|---|",
        *(describe_set(name, row) for name, row in done["sets"].items()),
        "",
        "## What the order of the first hits adds",
        "",
        "The same sealed questions with all that was learned, without its order of the first 30 hits and with it; ms: the median of a question, its embedding apart, before anything was learned and after.",
        "",
        "| questions | R@1: without, with | difference | R@5: without, with | difference | MRR: without, with | difference | n | ms: before, after |",
        "|---|---|---|---|---|---|---|---|---|",
        *(describe_order(name, row) for name, row in done["sets"].items()),
        "",
        *(f"* {name}: {SAID[name]}; {describe_cost(row)}" for name, row in done["sets"].items()),
        "",
    ]
    return "\n".join(lines)


def describe_set(name: str, row: Result) -> str:
    if not row["changes"]:
        return f"| {name} | nothing: no better on the questions to learn from | | | | | {row['sealed']:,} | not asked |"
    learned = (
        f"{'map, ' if row['has_map'] else ''}vectors' share {row['dense_weight']:g}{', order' if row['order'] else ''}"
    )
    cells = describe_changes(row["changes"], ("right_first", "right_found"))
    verdicts = row["gates"]["right_first"]["verdict"], row["gates"]["right_found"]["verdict"]
    kept = "kept" if row["kept"] else "not kept"
    return f"| {name} | {learned} | {cells} | {row['sealed']:,} | {kept} ({', '.join(verdicts)}) |"


def describe_order(name: str, row: Result) -> str:
    if not row["by_order"]:
        return f"| {name} | no order: none was clearly better on the questions to learn from | | | | | | {row['sealed']:,} | |"
    cells = describe_changes(row["by_order"], ("right_first", "right_found", "reciprocal_rank"))
    ms = row["median_ms"]
    return f"| {name} | {cells} | {row['sealed']:,} | {ms['before']:.1f}, {ms['after']:.1f} |"


def describe_changes(changes: Result, names: tuple[str, ...]) -> str:
    cells = []
    for name in names:
        change = changes[name]
        cells += [
            f"{change['before']:.3f}, {change['after']:.3f}",
            f"{change['difference']:+.3f} ({change['low']:+.3f} to {change['high']:+.3f})",
        ]
    return " | ".join(cells)


def describe_cost(row: Result) -> str:
    return f"{row['documents']:,} documents, {row['fitted']:,} questions to learn from, {row['tune_s']:.0f} s, peak {row['peak_bytes'] / 1e6:,.0f} MB."


if __name__ == "__main__":
    sys.exit(main())
