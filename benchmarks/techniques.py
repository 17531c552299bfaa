"""Techniques of retrieval beside rankings and chunks, a row each: which are worth their switch.

    python benchmarks/techniques.py [--data FOLDER] [--only named|versions|xquad|nq] [--json]
    python benchmarks/techniques.py --only rewriting --model MODEL [--n 100] [--most-s 140]

named: the 2,600 gold passages of nq_open, their articles' titles as a fact in the front matter, and once more as headings; the 2,655 questions. R@k: the share of questions whose passage is among
the first k documents, and the difference to the same recipe without the switch, paired.

versions: XQuAD's paragraphs once, and in three versions of each (as it is, and without its first or its last sentence where that answers no question). Its questions alone, two in one, after a sentence
about something else, and politely: are the answers in the five passages? Searched whole and a sentence at a time, with and without diversity (MMR). The share of a sentence (0.7) and the least evidence (half) were
chosen on these; two questions of nq_open in one show what they are worth elsewhere.

abstention: from which evidence on a question is answered, by vectors, by words and by both. xquad: the paragraphs of every other article are indexed, and all questions asked: those about the other
articles cannot be answered. The bound is chosen on one half of the questions and shown on the other; once more, it is chosen without any unanswerable question, by asking the answerable ones a second
time without their documents, as `journeyman knowledge eval` does. nq: the 2,600 gold passages of nq_open with titles; each question with and without its passage, which is harder, as other passages
are about the same things. rewriting (benchmarks/rewriting.py): questions drawn with seed 1, a model that runs here, one thread. What was tried and is not shipped stands in docs/notebook.md. Results go to benchmarks/results/techniques.json and docs/results/techniques.md, a part at a time.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from knowledge import Question, read_nq
from machine import ROOT, describe_commit, describe_machine, make_parser, run_journeyman, write_figure, write_result
from rewriting import measure_rewriting

from journeyman.flows.knowledge import Library, open_library
from journeyman.flows.workspace import open_workspace
from journeyman.knowledge.retrieve.abstain import Abstention, Share, choose_least, judge_evidence
from journeyman.knowledge.retrieve.inferred import Named
from journeyman.knowledge.retrieve.recipe import Recipe
from journeyman.knowledge.retrieve.search import Search
from journeyman.measure.bootstrap import bootstrap_ratio
from journeyman.measure.intervals import clopper_pearson
from journeyman.models.embedder import open_embedder

Result = dict[str, Any]
RESULT, PAGE = ROOT / "benchmarks/results/techniques.json", ROOT / "docs/results/techniques.md"
RECIPES = {
    "words": Recipe(ranker="lexical"),
    "vectors": Recipe(ranker="dense"),
    "both": Recipe(),
    "both, equal shares": Recipe(dense_weight=0.5),
}
SHIPPED = "both"
HEADS = {"facts": "---\narticle: {fact}\n---\n\n", "titles": "# {title}\n\n"}
CUTS = (1, 5)
PLAIN = "whole"
SENTENCES = {
    PLAIN: Recipe(is_split=False),
    "whole, diversity 0.1": Recipe(is_split=False, diversity=0.1),
    "whole, diversity 0.3": Recipe(is_split=False, diversity=0.3),
    "whole, diversity 0.5": Recipe(is_split=False, diversity=0.5),
    "by sentences (shipped)": Recipe(),
    "by sentences, diversity 0.3": Recipe(diversity=0.3),
}
KINDS = {
    "two": "two in one",
    "after": "after a sentence about something else",
    "polite": "between greeting and thanks",
    "alone": "alone",
}
POLITE = "Hello, I have a question for you. {} Thank you very much for your help."
PAIRS = 300
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--only", choices=["named", "versions", "xquad", "nq", "rewriting"])
    parser.add_argument("--model", default="smollm2-135m-instruct", help="of the catalog, or a GGUF file")
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--most-s", type=float, default=140.0, help="seconds for each way of rewriting")
    given = parser.parse_args()
    done: Result = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        if given.only in (None, "named"):
            done["named"] = {kind: measure_named(folder / kind, given.data, head) for kind, head in HEADS.items()}
        if given.only in (None, "versions"):
            done["versions"] = {
                str(count): measure_versions(folder / f"versions-{count}", given.data, count) for count in (1, 3)
            }
            done["two"] = measure_two(folder / "titles", given.data)
        if given.only in (None, "xquad"):
            done["xquad"] = measure_xquad(folder / "half", given.data)
        if given.only in (None, "nq"):
            done["nq"] = measure_nq(folder / "titles", given.data)
        if given.only == "rewriting":
            told = measure_rewritten(folder / "facts", given)
            done["rewriting"] = {**done.get("rewriting", {}), told["model"]: told["rows"]}
    done |= {"command": "python benchmarks/techniques.py", "commit": describe_commit(), "machine": describe_machine()}
    write_result(RESULT, done)
    PAGE.write_text(describe(done), encoding="utf-8")
    sys.stdout.write(json.dumps(done, indent=2) + "\n" if given.json else describe(done))
    return 0


def measure_named(folder: Path, data: Path, head: str) -> Result:
    passages, questions = read_nq(data)
    index_files(folder, write_passages(passages, head))
    with open_workspace(folder) as workspace, open_library(workspace) as library:
        search, ids = make_search(library, [question.text for question in questions])
        named = Named(library.index)
        found = [named.find(question.text) for question in questions]
        wanted = [ids[f"documents/{question.passage}.md"] for question in questions]
        ranks = {
            name: np.array(
                [rank(search, question.text, own, recipe) for question, own in zip(questions, wanted, strict=True)]
            )
            for name, recipe in (("plain", Recipe()), ("named", Recipe(is_named=True)))
        }
    return {
        "documents": len(passages),
        "naming": sum(map(bool, found)),
        "naming_right": sum(own in ids for own, ids in zip(wanted, found, strict=True)),
        "rows": {name: {str(cut): share(places < cut) for cut in CUTS} for name, places in ranks.items()},
        "difference": {
            str(cut): difference((ranks["named"] < cut).astype(float) - (ranks["plain"] < cut)) for cut in CUTS
        },
    }


@dataclass(frozen=True, slots=True)
class Asked:
    text: str
    answer: str
    article: int
    paragraph: str


def measure_versions(folder: Path, data: Path, versions: int) -> Result:
    articles = json.loads((data / "xquad_en/xquad.en.json").read_text(encoding="utf-8"))["data"]
    files: dict[str, str] = {}
    questions: list[Asked] = []
    said: list[str] = []
    for number, article in enumerate(articles):
        for place, paragraph in enumerate(article["paragraphs"]):
            asked = [
                Asked(row["question"], row["answers"][0]["text"], number, f"{number:02}-{place}")
                for row in paragraph["qas"]
            ]
            questions += asked
            said += [paragraph["context"]] * len(asked)
            for version, text in enumerate(
                make_versions(paragraph["context"], {one.answer for one in asked}, versions)
            ):
                files[f"{number:02}-{place}-{version}.md"] = f"# {article['title'].replace('_', ' ')}\n\n{text}\n"
    index_files(folder, files)
    texts = ask_in_sentences(questions, {one.paragraph: text for one, text in zip(questions, said, strict=True)})
    with open_workspace(folder) as workspace, open_library(workspace) as library:
        search, _ = make_search(library, [text for rows in texts.values() for text, _ in rows])
        names = {item.id: item.origin.name for item in library.index.documents()}

        def has_all(text: str, wanted: Sequence[Asked], recipe: Recipe) -> bool:
            said = [(names[item.piece.document], item.text) for item in search.find(text, recipe)]
            return all(any(is_from(name, one) and one.answer in part for name, part in said) for one in wanted)

        found = {
            kind: {name: [has_all(*row, recipe) for row in rows] for name, recipe in SENTENCES.items()}
            for kind, rows in texts.items()
        }
    return {"files": len(files), **{kind: compare(values) for kind, values in found.items()}}


def measure_two(folder: Path, data: Path) -> Result:
    """On other documents than those that the rules were made with."""
    passages, questions = read_nq(data)
    index_files(folder, write_passages(passages, HEADS["titles"]))
    draw = np.random.default_rng(3)
    pairs = [[questions[row] for row in draw.choice(len(questions), 2, replace=False)] for _ in range(2 * PAIRS)]
    pairs = [pair for pair in pairs if pair[0].passage != pair[1].passage][: 2 * PAIRS]
    texts = ["? ".join(one.text.rstrip("?").capitalize() for one in pair) + "?" for pair in pairs]
    with open_workspace(folder) as workspace, open_library(workspace) as library:
        search, ids = make_search(library, texts)

        def has_both(text: str, pair: Sequence[Question], recipe: Recipe) -> bool:
            found = {item.piece.document for item in search.find(text, recipe)}
            return all(ids[f"documents/{one.passage}.md"] in found for one in pair)

        return compare(
            {
                name: [has_both(text, pair, recipe) for text, pair in zip(texts, pairs, strict=True)]
                for name, recipe in SENTENCES.items()
            }
        )


def ask_in_sentences(
    questions: Sequence[Asked], paragraphs: dict[str, str]
) -> dict[str, list[tuple[str, Sequence[Asked]]]]:
    """Texts with the questions in them."""
    draw = np.random.default_rng(2)
    pairs = [[questions[row] for row in draw.choice(len(questions), 2, replace=False)] for _ in range(2 * PAIRS)]
    pairs = [pair for pair in pairs if pair[0].article != pair[1].article][:PAIRS]
    names = list(paragraphs)
    after: list[tuple[str, Sequence[Asked]]] = []
    for one in questions[::3]:
        others = [name for name in names if not name.startswith(f"{one.article:02}-")]
        other = SENTENCE_END.split(paragraphs[others[draw.integers(len(others))]])[0]
        after.append((f"{other} {one.text}", [one]))
    return {
        "two": [(f"{one.text} {other.text}", [one, other]) for one, other in pairs],
        "after": after,
        "polite": [(POLITE.format(one.text), [one]) for one in questions[1::3]],
        "alone": [(one.text, [one]) for one in questions],
    }


def make_versions(text: str, answers: set[str], count: int) -> list[str]:
    """The text, and without an end of it that no question needs."""
    sentences = SENTENCE_END.split(text)
    shorter = [" ".join(sentences[1:]), " ".join(sentences[:-1])]
    return [text, *(one for one in shorter if all(answer in one for answer in answers))][:count]


def is_from(name: str, asked: Asked) -> bool:
    return name.startswith(f"documents/{asked.paragraph}-")


def compare(values: dict[str, list[bool]]) -> Result:
    plain = np.array(values[PLAIN])
    return {
        key: share(np.array(row)) | ({} if key == PLAIN else {"difference": difference(np.array(row) * 1.0 - plain)})
        for key, row in values.items()
    }


def measure_rewritten(folder: Path, given: Any) -> Result:
    """On the passages without their titles, where there is most to find."""
    passages, questions = read_nq(given.data)
    index_files(folder, write_passages(passages, HEADS["facts"]))
    drawn = np.random.default_rng(1).permutation(len(questions))[: given.n]
    with open_workspace(folder) as workspace, open_library(workspace) as library:
        return measure_rewriting(library, [questions[row] for row in drawn], given.model, given.most_s)


def write_passages(passages: Sequence[tuple[str, str]], head: str) -> dict[str, str]:
    return {
        f"{number}.md": head.format(fact=json.dumps(title), title=title) + text + "\n"
        for number, (title, text) in enumerate(passages)
    }


def rank(search: Search, question: str, wanted: int, recipe: Recipe) -> int:
    """The place of the right document among those of the passages; beyond all where it is not there."""
    order = [item.piece.document for item in search.find(question, recipe)]
    return order.index(wanted) if wanted in order else len(order) + max(CUTS)


def difference(values: Any) -> Result:
    interval = bootstrap_ratio(values)
    return {"value": float(values.mean()), "low": interval.low, "high": interval.high, "n": len(values)}


def measure_xquad(folder: Path, data: Path) -> Result:
    articles = json.loads((data / "xquad_en/xquad.en.json").read_text(encoding="utf-8"))["data"]
    files: dict[str, str] = {}
    inside: list[tuple[str, str]] = []
    outside: list[str] = []
    for number, article in enumerate(articles):
        for place, paragraph in enumerate(article["paragraphs"]):
            name, asked = f"{number:02}-{place}.md", [row["question"] for row in paragraph["qas"]]
            if number % 2:
                outside += asked
            else:
                files[name] = f"# {article['title'].replace('_', ' ')}\n\n{paragraph['context']}\n"
                inside += [(question, f"documents/{name}") for question in asked]
    index_files(folder, files)
    with open_workspace(folder) as workspace, open_library(workspace) as library:
        search, ids = make_search(library, [question for question, _ in inside] + outside)
        rows: Result = {}
        for name, recipe in RECIPES.items():
            answered = np.array([search.weigh(question, recipe) for question, _ in inside])
            refused = np.array([search.weigh(question, recipe) for question in outside])
            left_out = np.array([search.weigh(question, recipe, None, {ids[own]}) for question, own in inside])
            rows[name] = {
                **describe_bound(judge_evidence(answered, refused, is_left_out=False)),
                "area": area(answered, refused),
                "chosen_by_left_out": apply_left_out(answered, refused, left_out),
            }
    return {"documents": len(files), "inside": len(inside), "outside": len(outside), "rows": rows}


def measure_nq(folder: Path, data: Path) -> Result:
    passages, questions = read_nq(data)
    index_files(folder, write_passages(passages, HEADS["titles"]))
    with open_workspace(folder) as workspace, open_library(workspace) as library:
        search, ids = make_search(library, [question.text for question in questions])
        rows: Result = {}
        for name, recipe in RECIPES.items():
            inside = np.array([search.weigh(question.text, recipe) for question in questions])
            own = [{ids[f"documents/{question.passage}.md"]} for question in questions]
            outside = np.array(
                [search.weigh(question.text, recipe, None, left) for question, left in zip(questions, own, strict=True)]
            )
            told = judge_evidence(inside, outside, is_left_out=True)
            rows[name] = {**describe_bound(told), "area": area(inside, outside)}
    return {"documents": len(passages), "questions": len(questions), "rows": rows}


def index_files(folder: Path, files: dict[str, str]) -> None:
    (folder / "documents").mkdir(parents=True, exist_ok=True)
    (folder / "journeyman.toml").touch()
    for name, text in files.items():
        (folder / "documents" / name).write_text(text, encoding="utf-8")
    ran = run_journeyman(folder, "knowledge", "add", "documents", "--json")
    if ran.status:
        raise SystemExit(ran.output)


def make_search(library: Library, questions: Sequence[str]) -> tuple[Search, dict[str, int]]:
    """Each question is embedded once for all recipes; and the ids of documents by name."""
    encoder = open_embedder(threads=1)
    vectors = dict(zip(questions, encoder.embed(list(questions)).vectors, strict=True))

    def embed(texts: Sequence[str]) -> Any:
        for text in texts:
            if text not in vectors:  # part of a question
                vectors[text] = encoder.embed([text]).vectors[0]
        return np.stack([vectors[text] for text in texts])

    return Search(library.index, embed), {item.origin.name: item.id for item in library.index.documents()}


def apply_left_out(inside: Any, outside: Any, left_out: Any) -> Result:
    """A bound from one half of the answerable questions, with and without their documents, on their other half and on all unanswerable ones."""
    order = np.random.default_rng(0).permutation(len(inside))
    first, second = order[: len(order) // 2], order[len(order) // 2 :]
    least = choose_least(inside[first], left_out[first])
    return {"least": least, "answered": share(inside[second] >= least), "refused": share(outside < least)}


def area(inside: Any, outside: Any) -> float:
    """How often an answerable question has more evidence than an unanswerable one (the area under the ROC curve)."""
    ranks = np.searchsorted(np.sort(outside), inside, "left") + np.searchsorted(np.sort(outside), inside, "right")
    return float(ranks.mean() / (2 * len(outside)))


def describe_bound(told: Abstention | None) -> Result:
    assert told is not None, "there are questions of both kinds"
    return {
        "least": told.least,
        "accuracy": told.accuracy,
        "answered": from_share(told.answered),
        "refused": from_share(told.refused),
        "chosen_on": told.chosen_on,
    }


def from_share(said: Share) -> Result:
    return {"value": said.value, "low": said.interval.low, "high": said.interval.high, "n": said.n}


def share(hits: Any) -> Result:
    interval = clopper_pearson(int(hits.sum()), len(hits))
    return {"value": float(hits.mean()), "low": interval.low, "high": interval.high, "n": len(hits)}


def describe(done: Result) -> str:
    lines = ["# Techniques of retrieval", "", f"`{done['command']}`", ""]
    if "named" in done:
        lines += describe_named(done["named"])
    if "versions" in done:
        lines += describe_versions(done["versions"])
    if "two" in done:
        lines += describe_two(done["two"])
    if "xquad" in done:
        lines += describe_xquad(done["xquad"])
    if "nq" in done:
        lines += describe_nq(done["nq"])
    for model, rows in done.get("rewriting", {}).items():
        lines += describe_rewriting(model, rows)
    machine = done["machine"]
    return "\n".join(
        [
            *lines,
            "Tried and not shipped, with their figures in [the notebook](../notebook.md): sections in place of their chunks (auto-merging), what a question names as a filter, a second try by words alone.",
            "",
            f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}. Commit `{done['commit']}`.",
            "",
        ]
    )


def describe_named(named: Result) -> list[str]:
    lines = [
        "## Documents that the question names",
        "",
        f"{named['facts']['documents']:,} passages of nq_open. Of the questions {named['facts']['naming']:,} name a title, {named['facts']['naming_right']:,} of them that of their passage; two chunks of what is named follow the first hit (`--named`).",
        "",
        "| titles are | search | first 1 | first 5 | against hybrid, first 5 |",
        "|---|---|---|---|---|",
    ]
    for kind, label in (("facts", "facts in the front matter"), ("titles", "headings, embedded and searched")):
        for name, row in named[kind]["rows"].items():
            against = write_figure(named[kind]["difference"]["5"]) if name == "named" else ""
            lines.append(f"| {label} | {name} | {write_figure(row['1'])} | {write_figure(row['5'])} | {against} |")
    return [*lines, ""]


def describe_versions(versions: Result) -> list[str]:
    lines = [
        "## Several sentences in a question, several versions of a document",
        "",
        f"XQuAD's 240 paragraphs, and {versions['3']['files']} files with up to three versions of each. Questions alone; two about different articles in one; after the first sentence of another article's paragraph; between a greeting and thanks. Share whose answers are all in the five passages, and the paired difference to searching the whole text alone. `--diversity` is MMR.",
        "",
        "| asked | versions | searched | all answers | difference |",
        "|---|---|---|---|---|",
    ]
    for kind, label in KINDS.items():
        for count, told in versions.items():
            for name, row in told[kind].items():
                against = write_figure(row["difference"]) if name != PLAIN else ""
                lines.append(f"| {label} | {count} | {name} | {write_figure(row)} | {against} |")
    return [*lines, ""]


def describe_two(told: Result) -> list[str]:
    lines = [
        f"Two questions of nq_open in one, with which nothing was chosen: both passages, of 2,600 with titles, among those of the first five chunks, {told[PLAIN]['n']} pairs.",
        "",
        "| searched | both passages | difference |",
        "|---|---|---|",
    ]
    for name, row in told.items():
        lines.append(f"| {name} | {write_figure(row)} | {write_figure(row['difference']) if name != PLAIN else ''} |")
    return [*lines, ""]


def describe_xquad(xquad: Result) -> list[str]:
    left = xquad["rows"][SHIPPED]["chosen_by_left_out"]
    return [
        "## Not in the documents: questions about other articles",
        "",
        f"{xquad['documents']} paragraphs of every other article of XQuAD; {xquad['inside']:,} questions about them and {xquad['outside']:,} about the other articles. The bound was chosen on one half and is shown on the other.",
        "",
        *describe_rows(xquad["rows"]),
        "",
        f"Chosen without an unanswerable question, from answerable ones asked without their documents ({left['least']:.3f}): answered {write_figure(left['answered'])}, refused {write_figure(left['refused'])}.",
        "",
    ]


def describe_nq(nq: Result) -> list[str]:
    return [
        "## Not in the documents: each question without its passage",
        "",
        f"{nq['documents']:,} passages of nq_open, {nq['questions']:,} questions, each with all passages and without its own. Some are answered by another passage all the same, which counts against every row.",
        "",
        *describe_rows(nq["rows"]),
        "",
    ]


def describe_rewriting(model: str, rows: Result) -> list[str]:
    lines = [
        f"## Questions rewritten by {model}",
        "",
        "nq_open without titles in the text. The differences are paired, against the same ranking of the question as it was asked; tokens and milliseconds are those of one question on one thread, search not counted.",
        "",
        "| way | first 1 | difference | first 5 | difference | calls | tokens read, written | ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for way, row in rows.items():
        cells = [
            part for cut in ("1", "5") for part in (f"{row[cut]['value']:.3f}", write_figure(row[cut]["difference"]))
        ]
        cost = f"{row['calls']} | {row['tokens_read']:.0f}, {row['tokens_written']:.0f} | {row['ms']:,.0f}"
        lines.append(f"| {way} | {' | '.join(cells)} | {cost} |")
    return [*lines, ""]


def describe_rows(rows: Result) -> list[str]:
    lines = ["| evidence | at least | answered | refused | mean | area under ROC |", "|---|---|---|---|---|---|"]
    return lines + [
        f"| {name}{' (shipped)' if name == SHIPPED else ''} | {row['least']:.3f} | {write_figure(row['answered'])} | {write_figure(row['refused'])} | {row['accuracy']:.3f} | {row['area']:.3f} |"
        for name, row in rows.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
