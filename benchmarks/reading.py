"""What a student learns of answering from retrieved passages: the base and the tuned student, given the same ones.

    python benchmarks/reading.py [--data FOLDER] [--folder F] [--json]

xquad_en, 240 paragraphs of 48 Wikipedia articles, split by article. All articles are in one index; each question gets the three passages that a user's search would give it, so the wrong ones are what
retrieval brings, and where the right one is not among them the right answer is "none". The answer is a passage's number and words copied from the passages, letter by letter. `import`, `prepare`, `tune`,
`assess` are a user's commands; `--folder` keeps the project and goes on where it was. Results go to benchmarks/results/reading.json and docs/results/reading.md.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import (
    ROOT,
    describe_commit,
    describe_machine,
    make_parser,
    run_journeyman,
    write_figure,
    write_result,
)

from journeyman.core.canonical import Json
from journeyman.flows.retrieving import Asked, Shelves
from journeyman.flows.workspace import open_workspace

Document = dict[str, Any]
Row = dict[str, Json]
TASK, INDEX = "reading", "wikipedia"
ARTICLES = {"test": 14, "dev": 4}
"""How many of the 48 are sealed and how many are looked at while tuning; the others are learned from."""
SHOWN = ("exact_match", "cited", "grounded", "absent")
RESULT, PAGE = ROOT / "benchmarks/results/reading.json", ROOT / "docs/results/reading.md"


def main() -> int:
    given = make_parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        document = measure(given.folder or Path(scratch) / "reading", given.data)
    write_result(RESULT, document)
    PAGE.write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if given.json else describe(document))
    return 0


def measure(folder: Path, data: Path) -> Document:
    articles = json.loads((data / "xquad_en/xquad.en.json").read_text(encoding="utf-8"))["data"]
    random.Random(7).shuffle(articles)
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    (folder / "journeyman.toml").touch()
    (folder / f"tasks/{TASK}.yaml").write_text((ROOT / f"benchmarks/tasks/{TASK}.yaml").read_text("utf-8"), "utf-8")
    write_articles(folder / INDEX, articles)
    run(folder, "knowledge", "add", INDEX, "--name", INDEX)
    rows: dict[str, list[Row]] = {"test": [], "dev": [], "train": []}
    with open_workspace(folder) as workspace, Shelves(workspace) as shelves:
        task = workspace.task(TASK)
        for number, article in enumerate(articles):
            split = "test" if number < ARTICLES["test"] else "dev" if number < sum(ARTICLES.values()) else "train"
            for question, start, end in read_questions(article):
                asked = shelves.fill(task, {"question": question})
                gold = find_gold(asked, f"{INDEX}/{article['title']}.md", start, end, write_article(article)[start:end])
                rows[split].append({"input": dict(asked.fields), "gold": gold})
    for split, part in rows.items():
        path = folder / f"{split}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
        run(folder, "import", path.name, "--task", TASK, "--split", split)
    run(folder, "prepare", TASK)
    tuned = run(folder, "tune", TASK, "--answers", "lines")
    assessed = run(folder, "assess", TASK, "--base-rows", str(len(rows["test"])))
    sealed = {item["kind"]: item for item in assessed["candidates"] if item["split"] == "test"}
    return {
        "command": "python benchmarks/reading.py",
        "rows": {split: len(part) for split, part in rows.items()},
        "answerable": {split: sum(bool(row["gold"]["passage"]) for row in part) for split, part in rows.items()},  # type: ignore[index, call-overload]
        "sealed": {kind: {name: item["metrics"][name] for name in SHOWN} for kind, item in sealed.items()},
        "tuning_s": tuned["tuned"]["seconds"],
        "commit": describe_commit(),
        "machine": describe_machine(),
    }


def write_articles(folder: Path, articles: Sequence[Mapping[str, Any]]) -> None:
    folder.mkdir(exist_ok=True)
    for article in articles:
        path = folder / f"{article['title']}.md"
        if not path.is_file():
            path.write_text(write_article(article), encoding="utf-8")


def write_article(article: Mapping[str, Any]) -> str:
    title = str(article["title"]).replace("_", " ")
    return f"# {title}\n\n" + "\n\n".join(part["context"] for part in article["paragraphs"]) + "\n"


def read_questions(article: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Each with the place of its answer in the article's text."""
    text = write_article(article)
    for part in article["paragraphs"]:
        base = text.index(part["context"])
        for item in part["qas"]:
            answer = item["answers"][0]
            start = base + answer["answer_start"]
            yield item["question"], start, start + len(answer["text"])


def find_gold(asked: Asked, name: str, start: int, end: int, answer: str) -> dict[str, Json]:
    for number, item in enumerate(asked.found, 1):
        if item.name == name and item.start <= start and end <= item.end:
            return {"passage": number, "quote": answer}
    return {"passage": 0, "quote": ""}


def run(folder: Path, *arguments: str) -> Document:
    sys.stderr.write(f"== {' '.join(arguments)}\n")
    ran = run_journeyman(folder, *arguments, "--json")
    if ran.status not in (0, 1):
        raise SystemExit(f"{' '.join(arguments)} ended with status {ran.status}: {ran.output[:2000]}")
    done: Document = json.loads(ran.output)
    return done


def describe(document: Document) -> str:
    machine, rows, known = document["machine"], document["rows"], document["answerable"]
    base, tuned = document["sealed"]["base"], document["sealed"]["lora"]
    ratio = tuned["exact_match"]["value"] / base["exact_match"]["value"] if base["exact_match"]["value"] else None
    least = tuned["exact_match"]["low"] >= 2 * base["exact_match"]["high"]
    return "\n".join(
        [
            "# Answers from retrieved passages",
            "",
            f"`{document['command']}`",
            "",
            f"xquad_en, split by article: {rows['train']:,} questions to learn from, {rows['dev']} looked at, {rows['test']} sealed. Each with the three passages that search finds among all 48 articles; the answer stands in them for "
            f"{known['train']:,}, {known['dev']} and {known['test']}, for the others the right answer is none. SmolLM2-135M, `--answers lines`, {document['tuning_s'] / 60:.0f} minutes of tuning. The base has the instruction and the same grammar: "
            "its words can only be copied from the passages, too. XQuAD is a part of SQuAD's development set, which models may have seen.",
            "",
            "| | the base | tuned |",
            "|---|---|---|",
            f"| exact match: passage and words | {write_figure(base['exact_match'])} | {write_figure(tuned['exact_match'])} |",
            f"| citation precision (`cited`) | {write_figure(base['cited'])} | {write_figure(tuned['cited'])} |",
            f"| citations that stand where they say (`grounded`) | {write_figure(base['grounded'])} | {write_figure(tuned['grounded'])} |",
            f"| none, where it is none (`absent`) | {write_figure(base['absent'])} | {write_figure(tuned['absent'])} |",
            "",
            f"Bar: exact match at least twice the base's. {'No ratio: the base has none right' if ratio is None else f'{ratio:.1f} times'}; the lower bound is {'at least' if least else 'not'} twice the base's upper one.",
            "",
            f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}. Commit `{document['commit']}`.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
