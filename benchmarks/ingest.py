"""Markdown and HTML files until they can be searched: ours beside Chroma and LlamaIndex with the same sentence encoder, on the same files, in the same run.

    python benchmarks/ingest.py --folder FOLDER [--data FOLDER] [--documents 500] [--rounds 5] [--threads N] [--json]

Files are made of the gold passages of nq_open (shared/data), one or two under a heading each, every other one HTML. Each contestant is a process of its own in an environment of its own (rivals/chroma.txt,
rivals/llamaindex.txt) that makes a fresh index: `journeyman knowledge add`, rivals/chroma_ingest.py, rivals/llamaindex_ingest.py. A round runs each on all files and on one file, every round in another order;
the difference of both is the time without start. All are held to the same ``--threads`` cores. Peak memory is of a contestant's processes together. Afterwards 20 questions show that each index works.

FOLDER keeps environments, weights, files and finished runs: the same command goes on where it was ended, and a later one with more rounds adds them; runs of another commit are not counted. Results go to
benchmarks/results/ingest.json and docs/results/ingest.md.
"""

from __future__ import annotations

import gzip
import html
import json
import math
import os
import random
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import ROOT, describe_commit, describe_machine, make_parser, run_command, write_result
from rivals import QUIET, NoRival, rival_python, run_script
from scipy import stats

from journeyman.core.cores import count_cores
from journeyman.flows.knowledge import open_library
from journeyman.flows.workspace import open_workspace
from journeyman.models.embedder import MOST_TOKENS, make_batches, open_embedder

Document = dict[str, Any]
Rivals = dict[str, tuple[Path, Path, Document]]  # interpreter, script, job
RESULT, PAGE = ROOT / "benchmarks/results/ingest.json", ROOT / "docs/results/ingest.md"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SEED, QUESTIONS, TOP = 6, 20, 5
MOST_DOCUMENTS = 1300
TOKENS, WORDS, LONG_WORDS = 96, 70, 150  # of a chunk: LlamaIndex, Chroma, Chroma with long chunks
SENTENCE = "The parcel that was promised for Monday has not come."
OURS, CHROMA, LONG, LLAMAINDEX = "journeyman", "Chroma", "Chroma, long chunks", "LlamaIndex"
BARS = {CHROMA: 3.0, LLAMAINDEX: 1.5}
MEMORY_BAR = 0.5
LAYERS, WIDTH = 6, 384  # of MiniLM: attention 4 WIDTH^2, feed-forward 8 WIDTH^2 numbers a layer


@dataclass(frozen=True, slots=True)
class Files:
    """``all`` and ``one`` are folders of documents; ``asked`` has questions with the name of the file that answers."""

    all: Path
    one: Path
    asked: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Run:
    """One contestant's seconds on the clock and of processors, and peak bytes, over all files; its seconds over one file."""

    key: str
    round: int
    contestant: str
    seconds: float
    processor_s: float
    peak_bytes: int
    start_s: float
    start_processor_s: float


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=count_cores())
    given = parser.parse_args()
    if given.folder is None:
        parser.error("--folder is needed: it keeps environments of some gigabytes, and finished runs")
    if given.documents > MOST_DOCUMENTS:
        parser.error(f"--documents: at most {MOST_DOCUMENTS:,}, there are no more passages")
    hold(given.threads)
    folder = given.folder.resolve()
    files = make_files(folder / f"files-{given.documents}", given.data, given.documents)
    rivals = prepare(folder)
    key = f"{describe_commit()} {given.documents} {given.threads}"
    runs = measure(folder, key, files, rivals, given.rounds)
    document = {
        "command": f"python benchmarks/ingest.py --folder FOLDER --documents {given.documents} --rounds {given.rounds} --threads {given.threads}",
        "machine": describe_machine(),
        "commit": describe_commit(),
        "documents": given.documents,
        "threads": given.threads,
        "rounds": given.rounds,
        "contestants": {name: describe_runs(runs, name, given.documents) for name in (OURS, *rivals)},
        "rows": make_rows(runs, list(rivals), given.documents),
        "searched": search_all(folder, files, rivals),
        "floor": measure_floor(folder),
    }
    write_result(RESULT, document)
    PAGE.write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if given.json else describe(document))
    return 0


def hold(threads: int) -> None:
    """This process and all that it starts, to as many cores."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    os.environ |= QUIET | {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true"}


def make_files(folder: Path, data: Path, count: int) -> Files:
    """Documents of one or two passages of nq_open, each under its title; the same ones whenever they are made."""
    passages: dict[tuple[str, str], str] = {}
    with gzip.open(data / "nq_open/nq_open_oracle.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            passages.setdefault((row["gold"][0]["title"], row["gold"][0]["text"]), row["question"])
    draw = random.Random(SEED)
    kept = sorted(passages.items())
    draw.shuffle(kept)
    shutil.rmtree(folder, ignore_errors=True)
    files = Files(folder / "all", folder / "one", [])
    for part in (files.all, files.one):
        part.mkdir(parents=True)
    for number in range(count):
        some = [kept.pop() for _ in range(draw.choice((1, 2)))]
        write = write_html if number % 2 else write_markdown
        name = f"{number}.{'html' if number % 2 else 'md'}"
        (files.all / name).write_text(write([passage for passage, _ in some]), encoding="utf-8")
        files.asked.append((some[0][1], name))
    shutil.copy(files.all / "0.md", files.one)
    return Files(files.all, files.one, draw.sample(files.asked, min(QUESTIONS, count)))


def write_markdown(passages: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"## {title}\n\n{text}\n" for title, text in passages)


def write_html(passages: Sequence[tuple[str, str]]) -> str:
    sections = "\n".join(f"<h2>{html.escape(title)}</h2>\n<p>{html.escape(text)}</p>" for title, text in passages)
    return f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title></title></head>\n<body>\n{sections}\n</body>\n</html>\n'


def prepare(folder: Path) -> Rivals:
    try:
        chroma = rival_python("chroma", folder / "rivals")
        llamaindex = rival_python("llamaindex", folder / "rivals")
        script = ROOT / "benchmarks/rivals/minilm.py"
        made = run_script(llamaindex, script, {"folder": str(folder / "weights"), "sha256": SHA256}, folder / "jobs")
    except NoRival as reason:
        raise SystemExit(str(reason)) from reason
    theirs = ROOT / "benchmarks/rivals/chroma_ingest.py"
    return {
        CHROMA: (chroma, theirs, {"model": made["chroma"], "words": WORDS}),
        LONG: (chroma, theirs, {"model": made["chroma"], "words": LONG_WORDS}),
        LLAMAINDEX: (
            llamaindex,
            ROOT / "benchmarks/rivals/llamaindex_ingest.py",
            {"model": made["weights"], "tokens": TOKENS},
        ),
    }


def measure(folder: Path, key: str, files: Files, rivals: Rivals, rounds: int) -> list[Run]:
    kept = folder / "runs.jsonl"
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.is_file() else []
    runs = [run for run in (Run(**json.loads(line)) for line in lines) if run.key == key and run.round < rounds]
    names = (OURS, *rivals)
    for number in range(rounds):
        order = random.Random(number).sample(names, len(names))
        for name in order:
            if any((run.round, run.contestant) == (number, name) for run in runs):
                continue
            start_s, start_processor_s, _ = add(folder, name, rivals, files.one)
            whole = add(folder, name, rivals, files.all)
            runs.append(Run(key, number, name, *whole, start_s, start_processor_s))
            sys.stderr.write(f"round {number + 1}: {name} {whole[0]:.1f} s, {start_s:.1f} s for one file\n")
            with kept.open("a", encoding="utf-8") as out:
                out.write(json.dumps(asdict(runs[-1])) + "\n")
    return runs


def add(folder: Path, name: str, rivals: Rivals, documents: Path) -> tuple[float, float, int]:
    """Seconds on the clock and of processors, and peak bytes, of a fresh index."""
    place = place_of(folder, name)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    if name == OURS:
        (place / "journeyman.toml").touch()
        command = [sys.executable, "-m", "journeyman", "knowledge", "add", str(documents), "--json"]
    else:
        python, script, job = rivals[name]
        asked = place / "job.json"
        job |= {"do": "add", "documents": str(documents), "index": str(place / "index")}
        asked.write_text(json.dumps(job), encoding="utf-8")
        command = [str(python), str(script), str(asked)]
    before = spent()
    ran = run_command(command, place)
    if ran.status:
        raise SystemExit(f"{name}: {ran.output}")
    return ran.seconds, spent() - before, ran.peak_bytes


def spent() -> float:
    """Processor seconds of the processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def place_of(folder: Path, name: str) -> Path:
    return folder / "indexes" / name.lower().replace(", ", "-").replace(" ", "-")


def search_all(folder: Path, files: Files, rivals: Rivals) -> Document:
    """For each contestant: of how many questions the right file is among the first chunks, how many chunks there are and how long, and how near its vector of a sentence is to ours."""
    questions = [question for question, _ in files.asked]
    embedder = open_embedder(threads=1)
    own = embedder.embed([SENTENCE]).vectors[0]
    said = {OURS: search_ours(folder, questions)}
    for name, (python, script, job) in rivals.items():
        place = place_of(folder, name)
        asked = job | {"do": "search", "index": str(place / "index"), "questions": questions, "sentence": SENTENCE}
        said[name] = run_script(python, script, asked, place)
    return {
        name: {
            "right": sum(wanted in found for (_, wanted), found in zip(files.asked, item["found"], strict=True)),
            "n": len(questions),
            "chunks": len(item["texts"]),
            "tokens": sum(len(encoding.ids) for encoding in embedder.tokenizer.encode_batch(item["texts"])),
            "cosine": float(own @ np.array(item.get("vector", own), np.float32)),
        }
        for name, item in said.items()
    }


def search_ours(folder: Path, questions: Sequence[str]) -> Document:
    with open_workspace(place_of(folder, OURS)) as workspace, open_library(workspace) as library:
        names = {item.id: Path(item.origin.name).name for item in library.index.documents()}
        found = [[names[hit.piece.document] for hit in library.find(question)[:TOP]] for question in questions]
        rows = library.index.rows("SELECT above, text FROM chunks")
    return {"found": found, "texts": [f"{above}\n{text}" if above else text for above, text in rows]}


def measure_floor(folder: Path) -> Document:
    """What the encoder alone takes for the texts of our index, on one thread: processor seconds, and operations of its matrix products."""
    embedder = open_embedder(threads=1)
    ids = [encoding.ids[:MOST_TOKENS] for encoding in embedder.tokenizer.encode_batch(search_ours(folder, [])["texts"])]
    began = time.process_time()
    for rows in make_batches(ids):
        batch = np.array([ids[row] for row in rows], np.int64)
        feeds = {"input_ids": batch, "attention_mask": np.ones_like(batch), "token_type_ids": np.zeros_like(batch)}
        embedder.session.run(None, feeds)
    seconds = time.process_time() - began
    operations = sum(2 * LAYERS * (12 * WIDTH**2 * len(item) + 2 * WIDTH * len(item) ** 2) for item in ids)
    return {"tokens": sum(map(len, ids)), "seconds": seconds, "operations": operations}


def describe_runs(runs: Sequence[Run], name: str, documents: int) -> Document:
    """Medians over the rounds."""
    own = [run for run in runs if run.contestant == name]
    return {
        "seconds": statistics.median(run.seconds for run in own),
        "processor_s": statistics.median(run.processor_s for run in own),
        "start_s": statistics.median(run.start_s for run in own),
        "start_processor_s": statistics.median(run.start_processor_s for run in own),
        "per_second": statistics.median(documents / run.seconds for run in own),
        "per_second_without_start": statistics.median((documents - 1) / (run.seconds - run.start_s) for run in own),
        "peak_bytes": statistics.median(run.peak_bytes for run in own),
    }


def make_rows(runs: Sequence[Run], rivals: Sequence[str], documents: int) -> list[Document]:
    rows = []
    for rival in rivals:
        pairs = [
            (ours, theirs)
            for ours in runs
            for theirs in runs
            if (ours.contestant, theirs.contestant) == (OURS, rival) and ours.round == theirs.round
        ]
        speed, memory = BARS.get(rival), MEMORY_BAR if rival in BARS else None
        whole = [theirs.seconds / ours.seconds for ours, theirs in pairs]
        rest = [(theirs.seconds - theirs.start_s) / (ours.seconds - ours.start_s) for ours, theirs in pairs]
        work = [theirs.processor_s / ours.processor_s for ours, theirs in pairs]
        bytes_ = [ours.peak_bytes / theirs.peak_bytes for ours, theirs in pairs]
        rows += [
            make_row(f"documents/s, {rival}", whole, "times as many", speed, is_least=True),
            make_row(f"documents/s without start, {rival}", rest, "times as many", None, is_least=True),
            make_row(f"documents per second of a processor, {rival}", work, "times as many", None, is_least=True),
            make_row(f"peak memory, {rival}", bytes_, "of its memory", memory, is_least=False),
        ]
    return rows


def make_row(name: str, ratios: Sequence[float], unit: str, bar: float | None, *, is_least: bool) -> Document:
    """Geometric mean of the rounds' ratios with a 95 % interval (Student's t on logarithms); a bar is met by the interval's end that is nearer to it."""
    value, low, high = find_mean(ratios)
    met = None if bar is None else (low >= bar if is_least else high <= bar)
    return {
        "row": name,
        "unit": unit,
        "ratio": value,
        "low": low,
        "high": high,
        "bar": bar,
        "met": met,
        "n": len(ratios),
    }


def find_mean(ratios: Sequence[float]) -> tuple[float, float, float]:
    logs = [math.log(ratio) for ratio in ratios]
    mean = statistics.mean(logs)
    if len(logs) < 2:
        return math.exp(mean), 0.0, math.inf
    reach = float(stats.t.ppf(0.975, len(logs) - 1)) * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - reach), math.exp(mean + reach)


def describe(document: Document) -> str:
    searched, machine, floor = document["searched"], document["machine"], document["floor"]
    ours = document["contestants"][OURS]
    lines = [
        "# Files until they can be searched",
        "",
        f"`{document['command']}`",
        "",
        f"{document['documents']:,} files of one or two passages of Natural Questions under headings, every other one HTML, the others Markdown; a fresh index each time, each contestant a process of its own held to"
        f" {document['threads']} core(s), {document['rounds']} rounds in changing order. All embed with all-MiniLM-L6-v2: ours with int8 weights (cosines below), the others with the float32 weights that these were made from.",
        "",
        "| | documents/s | without start | per second of a processor | start s | peak MB | chunks | tokens a chunk | right file in the first 5 | cosine with ours |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in document["contestants"].items():
        found = searched[name]
        lines.append(
            f"| {name} | {figures['per_second']:.1f} | {figures['per_second_without_start']:.1f} | {document['documents'] / figures['processor_s']:.1f} | {figures['start_s']:.1f} | {figures['peak_bytes'] / 1e6:,.0f} | {found['chunks']:,} "
            f"| {found['tokens'] / found['chunks']:.0f} | {found['right']} of {found['n']} | {found['cosine']:.4f} |"
        )
    lines += [
        "",
        "Medians of the rounds. *Start*: the same command on one file; *without start*: what is left, for the other files. Memory is resident, of all processes of a contestant together: pages that ours share are counted twice.",
        "",
        "| | ours against it | bar |",
        "|---|---|---|",
    ]
    for row in document["rows"]:
        mark = {None: "", True: f"{row['bar']}: met", False: f"{row['bar']}: **missed**"}[row["met"]]
        lines.append(
            f"| {row['row']} | {row['ratio']:.2f} {row['unit']} ({row['low']:.2f} to {row['high']:.2f}), n = {row['n']} | {mark} |"
        )
    lines += [
        "",
        "Geometric means of the rounds' ratios with 95 % intervals (Student's t on logarithms); a bar counts as met when the whole interval meets it.",
        "",
        "What each does. *journeyman*: `knowledge add`, as it is: reads in processes of their own with limits, cuts along headings and sentences, puts the headings above each chunk, embeds texts of one length"
        " together, writes BM25, vectors, texts and places into one SQLite file. *Chroma*: has no readers and no splitter, so BeautifulSoup and sentences joined up to"
        f" {WORDS} words; its default embedding function, which pads each text to 256 tokens, so long chunks ({LONG_WORDS} words) suit it better: the second row. *LlamaIndex*: its readers, SentenceSplitter of {TOKENS} tokens"
        " without overlap, local HuggingFaceEmbedding in batches of 32 (its default of 10 is not used), vectors in memory, written as JSON at the end; no BM25. Neither puts headings above later chunks of a section.",
        "",
        f"The floor: the encoder alone takes {floor['seconds']:.1f} s of one processor for our {floor['tokens']:,} tokens ({floor['operations'] / floor['seconds'] / 1e9:.0f} billion operations of its matrix products a"
        f" second). The whole command took {ours['processor_s']:.1f} s of processors, {ours['processor_s'] / floor['seconds']:.2f} times that, {ours['start_processor_s']:.1f} s of it for one file.",
        "",
        f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}. Commit `{document['commit']}`.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
