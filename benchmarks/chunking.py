"""Chunkers compared on questions whose answers are spans (Smith and Troynikov, "Evaluating Chunking Strategies for Retrieval", 2024: 472 questions, 5 corpora).

    python benchmarks/chunking.py [--data FOLDER] [--folder FOLDER] [--json]

Every corpus is cut by each chunker; the chunks of all five together are ranked for each question by the catalog's MiniLM (cosine). Tokens are its tokens. Of a question with
reference tokens R, and the tokens T of the union of its first k chunks:

    token recall       |R and T| / |R|
    token precision    |R and T| / |T|
    IoU                |R and T| / |R or T|
    precision omega    |R| / |R or T| for T all chunks that hold some of R: a perfect retriever's IoU

each the mean over questions. The published evaluation counts a token twice where two chunks hold it; here it counts once, which favours chunks that overlap. Chunkers cut to different lengths, so k says
nothing across them: they are compared along the curve over k, linearly interpolated between two k, at equal recall and at equal tokens in T. Intervals are percentile bootstraps over questions, the same
draws for all, so that differences are paired.

Sizes and shares were chosen on the questions of three corpora (state_of_the_union, wikitexts, chatlogs); finance and pubmed are held out. Vectors are kept in --folder.
Where langchain-text-splitters can be imported, its RecursiveCharacterTextSplitter must give the texts that ours gives. Results go to benchmarks/results/chunking.json and docs/results/chunking.md.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from machine import ROOT, describe_commit, describe_machine, make_parser, write_result
from tokenizers import Tokenizer

from journeyman.core.canonical import content_hash
from journeyman.knowledge.chunk.blend import blend_neighbours
from journeyman.knowledge.chunk.chunk import Chunk, Chunker, Tokens
from journeyman.knowledge.chunk.context import write_context
from journeyman.knowledge.chunk.fixed import chunk_fixed
from journeyman.knowledge.chunk.headed import chunk_headed
from journeyman.knowledge.chunk.recursive import MARKS, chunk_recursive
from journeyman.knowledge.chunk.sentences import split_sentences
from journeyman.knowledge.chunk.tokens import find_tokens
from journeyman.knowledge.document import Document
from journeyman.models.embedder import DEFAULT, Embedder, open_embedder

Numbers = npt.NDArray[np.float64]
Sheet = dict[str, Any]
Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
RESULT, PAGE = ROOT / "benchmarks/results/chunking.json", ROOT / "docs/results/chunking.md"
TUNED = ("state_of_the_union", "wikitexts", "chatlogs")
HELD_OUT = ("finance", "pubmed")
PARTS: Mapping[str, Sequence[str]] = {"held out": HELD_OUT, "tuned on": TUNED, "all five": (*TUNED, *HELD_OUT)}
RECALLS, BUDGETS = (0.5, 0.6, 0.7, 0.8), (200, 400, 800, 1600)
MOST = 4800  # tokens up to which chunks are retrieved
DRAWS, SEED = 2000, 0
PLAIN, OURS = "headed", "headed, blended"


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    corpus: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Way:
    """One row: how texts are cut, whether a corpus's vectors are blended, and how many chunks on each side are read with one that is found."""

    name: str
    chunker: Chunker
    blend: bool = False
    rival: bool = True
    around: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Of each question after each of its first k chunks, [questions, k]; ``wanted`` tokens and ``omega`` [questions]."""

    recall: Numbers
    iou: Numbers
    tokens: Numbers
    wanted: Numbers
    omega: Numbers


WAYS = (
    Way("fixed 200", partial(chunk_fixed, size=200)),
    Way("fixed 200, overlap 100", partial(chunk_fixed, size=200, overlap=100)),
    Way("fixed 400", partial(chunk_fixed, size=400)),
    Way("fixed 400, overlap 200", partial(chunk_fixed, size=400, overlap=200)),
    Way("recursive 200", partial(chunk_recursive, size=200)),
    Way("recursive 400", partial(chunk_recursive, size=400)),
    Way(PLAIN, chunk_headed, rival=False),
    Way(OURS, chunk_headed, blend=True, rival=False),
    Way("fixed 200, overlap 100, blended", partial(chunk_fixed, size=200, overlap=100), blend=True, rival=False),
    Way("recursive 200, blended", partial(chunk_recursive, size=200), blend=True, rival=False),
)


def chunk_sentences(document: Document, tokens: Tokens) -> list[Chunk]:
    return [Chunk(start, end) for start, end in split_sentences(document.text)]


def make_semantic(embed: Embed, size: int = 96) -> Chunker:
    """Cuts what is longer than ``size`` tokens where neighbouring sentences are least alike, until all fits."""

    def chunk(document: Document, tokens: Tokens) -> list[Chunk]:
        sentences = split_sentences(document.text)
        vectors = blend_neighbours(embed([document.text[start:end] for start, end in sentences]))
        alike = (vectors[1:] * vectors[:-1]).sum(axis=1)
        chunks, waiting = [], [(0, len(sentences))]
        while waiting:
            first, beyond = waiting.pop()
            start, end = sentences[first][0], sentences[beyond - 1][1]
            if beyond - first == 1 or tokens.count(start, end) <= size:
                chunks.append(Chunk(start, end))
                continue
            cut = first + 1 + int(alike[first : beyond - 1].argmin())
            waiting += [(cut, beyond), (first, cut)]
        return chunks

    return chunk


TRIED = (
    Way("recursive 64", partial(chunk_recursive, size=64)),
    Way("recursive 64, blended", partial(chunk_recursive, size=64), blend=True),
    Way("sentences", chunk_sentences),
    Way("sentences, blended", chunk_sentences, blend=True),
    Way("sentences, blended, read with one on each side", chunk_sentences, blend=True, around=1),
    Way("headed 80, blended", partial(chunk_headed, size=80), blend=True, rival=False),
    Way("headed 112, blended", partial(chunk_headed, size=112), blend=True, rival=False),
    Way("headed 96, tiny below 16, blended", partial(chunk_headed, tiny=16), blend=True, rival=False),
    Way(PLAIN, chunk_headed, rival=False),
    Way(OURS, chunk_headed, blend=True, rival=False),
    Way("headed, blended, read with one on each side", chunk_headed, blend=True, rival=False, around=1),
)
"""On the three corpora alone, also as what is searched."""


def main() -> int:
    given = make_parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        embedder = open_embedder(threads=1)
        embed = make_embed(embedder, given.folder or Path(scratch))
        found = Corpora.read(given.data / "chunking_evaluation", (*TUNED, *HELD_OUT), embedder.tokenizer)
        curves = {way.name: measure(way, found, embed) for way in WAYS}
        few = Corpora.read(given.data / "chunking_evaluation", TUNED, embedder.tokenizer)
        semantic = (Way("cut where sentences are least alike, blended", make_semantic(embed), blend=True),)
        tried = {way.name: measure(way, few, embed) for way in (*TRIED, *semantic)}
    document = {
        "command": "python benchmarks/chunking.py",
        "commit": describe_commit(),
        "machine": describe_machine(),
        "model": DEFAULT,
        "langchain": compare_with_langchain(found, embedder.tokenizer),
        "questions": {name: int(found.of(corpora).sum()) for name, corpora in PARTS.items()},
        "tokens": {name: len(tokens.starts) for name, tokens in found.tokens.items()},
        "parts": {name: compare(curves, found.of(corpora)) for name, corpora in PARTS.items()},
        "tried": compare(tried, few.of(TUNED)),
    }
    document["rows"] = make_rows(document)
    write_result(RESULT, document)
    PAGE.write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if given.json else describe(document))
    return 0


@dataclass(frozen=True, slots=True)
class Corpora:
    documents: Mapping[str, Document]
    tokens: Mapping[str, Tokens]
    questions: Sequence[Question]

    @staticmethod
    def read(folder: Path, names: Sequence[str], tokenizer: Tokenizer) -> Corpora:
        texts = {name: (folder / f"corpora/{name}.md").read_text(encoding="utf-8") for name in names}
        documents = {name: Document(name, "text/plain", text, ()) for name, text in texts.items()}
        tokens = {name: find_tokens(text, tokenizer) for name, text in texts.items()}
        with (folder / "questions_df.csv").open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["corpus_id"] in names]
        questions = [Question(row["question"], row["corpus_id"], _spans(row["references"])) for row in rows]
        return Corpora(documents, tokens, questions)

    def of(self, names: Sequence[str]) -> npt.NDArray[np.bool_]:
        return np.array([question.corpus in names for question in self.questions])

    @property
    def offsets(self) -> dict[str, int]:
        """Where each corpus's tokens begin among those of all."""
        lengths = np.cumsum([0, *(len(tokens.starts) for tokens in self.tokens.values())])
        return dict(zip(self.tokens, lengths.tolist(), strict=False))

    def place(self, name: str, spans: Sequence[tuple[int, int]]) -> npt.NDArray[np.int64]:
        """Spans of characters as spans of tokens among those of all, [n, 2]."""
        edges = np.array(spans, np.int32).reshape(-1, 2)
        return np.searchsorted(self.tokens[name].starts, edges) + self.offsets[name]


def make_embed(embedder: Embedder, folder: Path) -> Embed:
    """Vectors of texts, kept in ``folder`` under what they say."""
    folder.mkdir(parents=True, exist_ok=True)

    def embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        path = folder / f"{content_hash((embedder.id, *texts))[:32].replace(':', '-')}.npy"
        if not path.exists():
            np.save(path, np.asarray(embedder.embed(texts).vectors, np.float32))
        return np.asarray(np.load(path))

    return embed


def measure(way: Way, corpora: Corpora, embed: Embed) -> Curves:
    places, vectors = [], []
    for name, document in corpora.documents.items():
        tokens = corpora.tokens[name]
        chunks = way.chunker(document, tokens)
        found = embed([write_context(document, chunk, tokens) for chunk in chunks])
        vectors.append(blend_neighbours(found) if way.blend else found)
        last = len(chunks) - 1
        read = [
            (chunks[max(0, row - way.around)].start, chunks[min(last, row + way.around)].end)
            for row in range(len(chunks))
        ]
        places.append(corpora.place(name, read))
    asked = embed([question.text for question in corpora.questions])
    return draw_curves(corpora, np.concatenate(places), asked @ np.concatenate(vectors).T)


def draw_curves(corpora: Corpora, places: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]) -> Curves:
    most = min(len(places), int(np.ceil(MOST / (places[:, 1] - places[:, 0]).mean())) + 5)
    count = len(corpora.questions)
    hits, total = np.zeros((count, most)), np.zeros((count, most))
    wanted, omega = np.zeros(count), np.zeros(count)
    size = sum(len(tokens.starts) for tokens in corpora.tokens.values())
    for row, question in enumerate(corpora.questions):
        right, seen = np.zeros(size, bool), np.zeros(size, bool)
        for start, end in corpora.place(question.corpus, question.spans):
            right[start:end] = True
        wanted[row] = right.sum()
        for k, chunk in enumerate(np.argsort(-scores[row], kind="stable")[:most]):
            start, end = places[chunk]
            new = ~seen[start:end]
            hits[row, k], total[row, k] = (new & right[start:end]).sum(), new.sum()
            seen[start:end] = True
        omega[row] = wanted[row] / _perfect(right, places)
    hits, total = hits.cumsum(axis=1), total.cumsum(axis=1)
    return Curves(hits / wanted[:, None], hits / (wanted[:, None] + total - hits), total, wanted, omega)


def _perfect(right: npt.NDArray[np.bool_], places: npt.NDArray[np.int64]) -> int:
    """Tokens of the union of the right ones and of all chunks that hold some of them."""
    before = np.concatenate([[0], right.cumsum()])
    union = right.copy()
    for start, end in places[before[places[:, 1]] > before[places[:, 0]]]:
        union[start:end] = True
    return int(union.sum())


def compare(curves: Mapping[str, Curves], rows: npt.NDArray[np.bool_]) -> list[Sheet]:
    """Each way's means over these questions, and how much more ours has than each, in the same draws."""
    count = int(rows.sum())
    draws = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), DRAWS) / count
    weights = np.concatenate([np.full((1, count), 1 / count), draws])
    found = {name: _levels(curve, rows, weights) for name, curve in curves.items()}
    sheets = []
    for name, curve in curves.items():
        recall, iou, tokens = (part[rows].mean(axis=0) for part in (curve.recall, curve.iou, curve.tokens))
        k = min(5, len(recall)) - 1
        sheet: Sheet = {"name": name, "n": count, "precision_omega": float(curve.omega[rows].mean())}
        hits = curve.recall[rows, k] * curve.wanted[rows]
        sheet["first_5"] = {
            "recall": float(recall[k]),
            "iou": float(iou[k]),
            "tokens": float(tokens[k]),
            "precision": float((hits / curve.tokens[rows, k]).mean()),
        }
        for key, values in found[name].items():
            sheet[key] = _figure(values) | {
                "less": {ours: _figure(found[ours][key] - values) for ours in (PLAIN, OURS)}
            }
        sheets.append(sheet)
    return sheets


def _levels(curve: Curves, rows: npt.NDArray[np.bool_], weights: Numbers) -> dict[str, Numbers]:
    """IoU at each recall and recall at each number of tokens, for each row of weights; NaN where a curve ends before."""
    recall, iou, tokens = (weights @ part[rows] for part in (curve.recall, curve.iou, curve.tokens))
    at = {f"iou at recall {level}": _interpolate(level, recall, iou) for level in RECALLS}
    return at | {f"recall at {budget} tokens": _interpolate(budget, tokens, recall) for budget in BUDGETS}


def _interpolate(level: float, across: Numbers, values: Numbers) -> Numbers:
    return np.array(
        [np.interp(level, one, other, left=other[0], right=np.nan) for one, other in zip(across, values, strict=True)]
    )


def _figure(values: Numbers) -> Sheet:
    if np.isnan(values[0]) or np.isnan(values[1:]).mean() > 0.01:
        return {"value": None, "low": None, "high": None}
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return {"value": round(float(values[0]), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def compare_with_langchain(corpora: Corpora, tokenizer: Tokenizer) -> Sheet | None:
    """How many lists of chunks are the same, of corpora times sizes; None where it is not installed."""
    try:
        from langchain_text_splitters import RecursiveCharacterTextSplitter
    except ImportError:
        return None

    def length(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    same = []
    for size, overlap in ((200, 0), (400, 0), (200, 100)):
        theirs = RecursiveCharacterTextSplitter(
            separators=[*MARKS, ""], chunk_size=size, chunk_overlap=overlap, length_function=length, keep_separator=True
        )
        for name, document in corpora.documents.items():
            chunks = chunk_recursive(document, corpora.tokens[name], size, overlap)
            same.append(theirs.split_text(document.text) == [document.text[one.start : one.end] for one in chunks])
    return {"version": version("langchain-text-splitters"), "same": sum(same), "of": len(same)}


def make_rows(document: Sheet) -> list[Sheet]:
    """Ours, with the vectors as they are and blended, against the best rival at each recall."""
    return [
        _make_row(part, {sheet["name"]: sheet for sheet in sheets}, ours, level)
        for part, sheets in document["parts"].items()
        for ours in (PLAIN, OURS)
        for level in RECALLS
    ]


def _make_row(part: str, sheets: Mapping[str, Sheet], ours: str, level: float) -> Sheet:
    key = f"iou at recall {level}"
    reached = [way.name for way in WAYS if way.rival and sheets[way.name][key]["value"] is not None]
    row: Sheet = {"row": f"{part}: {ours}, {key}", "part": part, "way": ours, "recall": level, "unit": "IoU"}
    row |= {"n": sheets[ours]["n"], "ours": sheets[ours][key]["value"], "bar": "above the best rival at 95 %"}
    if not reached:
        return row | {"rival": f"none reaches it with {MOST} tokens", "ratio": None, "met": None}
    best = max(reached, key=lambda name: float(sheets[name][key]["value"]))
    rival, less = sheets[best][key]["value"], sheets[best][key]["less"][ours]
    return row | {
        "rival": rival,
        "rival_name": best,
        "ratio": None if row["ours"] is None else round(row["ours"] / rival, 3),
        "difference": less,
        "met": less["low"] is not None and less["low"] > 0,
    }


def describe(document: Sheet) -> str:
    machine = document["machine"]
    lines = [
        "# Chunking",
        "",
        f"`{document['command']}` at commit {document['commit']}, {machine['cores']} cores of {machine['processor']}, Python {machine['python']}.",
        "",
        "What a retriever brings for a question: how much of the right text (recall), and how much else (IoU = right tokens over the union of right and retrieved ones). Questions and their",
        "exact spans are those of Smith and Troynikov (2024) in five corpora; all chunks of all five are searched with all-MiniLM-L6-v2, and tokens are its tokens. A small k of large chunks and",
        "a large k of small ones bring the same recall, so ways are compared at equal recall and at equal retrieved tokens, along the curve over k. Sizes and shares were chosen on three",
        f"corpora; finance and pubmed are **held out** (n = {document['questions']['held out']}). Intervals are 95 %, paired bootstrap over questions. The corpora have no headings that a",
        "reader could know, so this measures sentences, lines and paragraphs, and says nothing on headings and tables.",
        "",
        "**Bar: ahead on IoU at equal recall of the best rival at that recall.**",
        "",
        "| questions | way | recall | IoU | best rival | more than the rival | ahead |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_line(row) for row in document["rows"]]
    for part, sheets in document["parts"].items():
        lines += ["", f"## {part.capitalize()} (n = {document['questions'][part]})", "", *_table(sheets)]
    lines += ["", "## Is the rival the real one?", "", _oracle(document["langchain"])]
    lines += ["", "## Tried", "", *TRIED_TEXT, "", *_table(document["tried"])]
    return "\n".join([*lines, ""])


def _oracle(found: Sheet | None) -> str:
    if found is None:
        return "Not compared in this run: langchain-text-splitters is not installed."
    return (
        f"*recursive* gave the same texts as RecursiveCharacterTextSplitter of langchain-text-splitters {found['version']} (blank lines, lines, full stops, blanks; lengths in tokens) "
        f"for {found['same']} of {found['of']} pairs of a corpus and a size (200, 400, 200 with overlap 100)."
    )


def _line(row: Sheet) -> str:
    cells = [f"{row['part']}, n = {row['n']}", row["way"], f"{row['recall']:g}", _number(row["ours"])]
    if "rival_name" not in row:
        return f"| {' | '.join(cells)} | {row['rival']} | | |"
    difference, met = _shown_difference(row["difference"]), "yes" if row["met"] else "no"
    return f"| {' | '.join(cells)} | {row['rival']:.3f} ({row['rival_name']}) | {difference} | {met} |"


TRIED_TEXT = (
    "On the three corpora alone, also as what is searched. *Blended*: each chunk's vector plus 0.4, 0.3 and 0.2 of its neighbours' at distance 1, 2, 3, so that a small chunk is found by what is",
    "said around it too. It helps small chunks, costs those of 200 tokens (tables above), and its gain over plain vectors is shown on all five corpora, not on the held-out ones alone. Lost: single",
    "sentences (found less often, blended or not), a window of neighbours read with each chunk (nearly twice the tokens for little recall: what needs more context should be widened after ranking),",
    "and cuts where neighbouring sentences are least alike. Recursive cuts to 64 tokens with blended vectors come near, and break sentences in two. Sizes of 80 and 112 tokens differ little from 96.",
)


def _table(sheets: Sequence[Sheet]) -> list[str]:
    levels = [f"IoU at recall {level}" for level in RECALLS] + [f"recall at {budget} tokens" for budget in BUDGETS]
    names = ["", "recall, IoU, precision, tokens of the first 5", "precision omega", *levels]
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for sheet in sheets:
        first = sheet["first_5"]
        cells = [
            sheet["name"],
            f"{first['recall']:.3f}, {first['iou']:.3f}, {first['precision']:.3f}, {first['tokens']:.0f}",
            f"{sheet['precision_omega']:.3f}",
            *(_number(sheet[level.replace("IoU", "iou")]["value"]) for level in levels),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _number(value: float | None) -> str:
    return "not reached" if value is None else f"{value:.3f}"


def _shown_difference(figure: Sheet) -> str:
    if figure["value"] is None:
        return "not reached"
    return f"{figure['value']:+.3f} ({figure['low']:+.3f} to {figure['high']:+.3f})"


def _spans(written: str) -> tuple[tuple[int, int], ...]:
    return tuple((item["start_index"], item["end_index"]) for item in json.loads(written))


if __name__ == "__main__":
    raise SystemExit(main())
