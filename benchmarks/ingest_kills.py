"""`kill -9` of `journeyman knowledge add` and `remove`, again and again: an index is whole after each, and in the end what an undisturbed run makes.

    python benchmarks/ingest_kills.py [--kills 200] [--documents 300] [--seed 0] [--small] [--json]

Rounds of ten kills on a folder of generated files: one or two processes add it, or one removes a part of it while another adds, and each is killed at a random moment, as a rule while readers ask. Files change between
the kills. After each kill: SQLite's and FTS5's own checks, every document's text, chunks, vectors and words against each other, and all documents that were there before the kill, but for those that were being
removed. After each round the same command runs to its end, and documents, chunks and vectors are compared byte for byte with those that one undisturbed run makes of the same files. The processes are forked from
one that has loaded the command, so that a kill falls into its work. ``--small`` takes 10 kills and 40 documents and writes no result. Results go to benchmarks/results/ingest_kills.json and docs/results/ingest_kills.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from machine import ROOT, describe_commit, describe_machine, write_result

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # threads do not survive a fork

import journeyman.flows.knowledge
import journeyman.knowledge.parse.html
import journeyman.knowledge.parse.obsidian  # noqa: F401 - loaded once, before processes are forked
from journeyman.cli.main import run
from journeyman.core.errors import KnowledgeError, StoreError
from journeyman.knowledge.index.file import Index, open_index
from journeyman.knowledge.retrieve.recipe import Recipe
from journeyman.knowledge.retrieve.search import Search

KILLS_A_ROUND = 10
READERS = 2
ADD, REMOVE = ["knowledge", "add", "docs"], ["knowledge", "remove", "docs/part0"]
WORDS = [
    "amber",
    "basil",
    "cedar",
    "delta",
    "ember",
    "fennel",
    "garnet",
    "hazel",
    "indigo",
    "juniper",
    "kelp",
    "lupin",
    "maple",
    "nettle",
    "olive",
    "poppy",
    "quartz",
    "russet",
    "sorrel",
    "thyme",
]
RESULT, PAGE = ROOT / "benchmarks/results/ingest_kills.json", ROOT / "docs/results/ingest_kills.md"
Outcome = dict[str, Any]


def main() -> int:
    arguments = parse()
    draw = random.Random(arguments.seed)
    started = time.monotonic()
    tally: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        template = Path(scratch) / "template"
        make_project(template, arguments.documents)
        calm_s = run_to_end(template, ADD)
        while tally["kills"] < arguments.kills:
            disturb(
                template,
                Path(scratch) / "round",
                min(KILLS_A_ROUND, arguments.kills - tally["kills"]),
                calm_s,
                draw,
                tally,
            )
            say(f"round {tally['rounds']}: {dict(tally)}")
    document = {
        "command": f"python benchmarks/ingest_kills.py --kills {arguments.kills} --documents {arguments.documents} --seed {arguments.seed}",
        "documents": arguments.documents,
        "undisturbed_s": round(calm_s, 2),
        "seconds": round(time.monotonic() - started),
        "commit": describe_commit(),
        "machine": describe_machine(),
        **tally,
    }
    if not arguments.small:
        write_result(RESULT, document)
        PAGE.write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if arguments.json else describe(document))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--documents", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--json", action="store_true", help="one document on stdout")
    given = parser.parse_args()
    given.kills = given.kills or (10 if given.small else 200)
    given.documents = given.documents or (40 if given.small else 300)
    return given


# files


def make_project(project: Path, documents: int) -> None:
    project.mkdir(parents=True)
    (project / "journeyman.toml").touch()
    for number in range(documents):
        write_file(project, number, 0)


def write_file(project: Path, number: int, version: int) -> None:
    """One of four formats, one to three chunks; a third of the words is those of other files too."""
    draw = random.Random(f"{number}:{version}")
    said = [f"Entry {number} tells of {' '.join(draw.choices(WORDS, k=12))}." for _ in range(1 + number % 3)]
    said.append(f"The {WORDS[number % len(WORDS)]} stands in every hall of this house.")
    kind = ("txt", "md", "html", "csv")[number % 4]
    text = {
        "txt": "\n\n".join(said),
        "md": f"---\nyear: {2000 + number}\n---\n# Entry {number}\n\n## Part\n\n" + "\n\n".join(said),
        "html": f"<title>Entry {number}</title>" + "".join(f"<p>{line}</p>" for line in said),
        "csv": "number,said\n" + "".join(f'{row},"{line}"\n' for row, line in enumerate(said)),
    }[kind]
    path = project / f"docs/part{number % 5}/{number:04}.{kind}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


# rounds


def disturb(template: Path, project: Path, kills: int, calm_s: float, draw: random.Random, tally: Counter[str]) -> None:
    """One project: killed so often, then run to its end. The first begins with nothing, the others with the vectors of the template's texts, as an index has whose documents have left."""
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(template, project, ignore=shutil.ignore_patterns(".journeyman"))
    if tally["rounds"]:
        shutil.copytree(template / ".journeyman", project / ".journeyman")
        with open_index(index_path(project), is_writer=True) as index, index.writing() as connection:
            connection.execute("DELETE FROM documents")
    documents = sum(1 for path in (project / "docs").rglob("*.*"))
    for turn in range(kills):
        kind = draw.choice(("add", "add", "two", "remove", "remove"))
        is_read = draw.random() < 0.7
        kill(project, kind, is_read, draw.uniform(0, calm_s if kind != "two" else 1.5 * calm_s), tally)
        if turn % 3 == 2:
            for number in draw.sample(range(documents), 3):
                write_file(project, number, draw.randrange(1_000))
    run_to_end(project, ADD)
    whole(index_path(project), tally)
    got = read_outcome(index_path(project))
    if got != calm_outcome(template, project):
        raise SystemExit(f"round {tally['rounds']} ended with another index than an undisturbed run makes")
    tally["rounds"] += 1
    tally["compared_chunks"] += sum(len(chunks) for _, chunks in got.values())


def calm_outcome(template: Path, project: Path) -> Outcome:
    """What one run makes of the project's files; it may use the template's vectors, not the round's."""
    calm = project.with_name("calm")
    shutil.rmtree(calm, ignore_errors=True)
    shutil.copytree(project, calm, ignore=shutil.ignore_patterns(".journeyman"))
    shutil.copytree(template / ".journeyman", calm / ".journeyman")
    with open_index(index_path(calm), is_writer=True) as index, index.writing() as connection:
        connection.execute("DELETE FROM documents")
    run_to_end(calm, ADD)
    return read_outcome(index_path(calm))


def kill(project: Path, kind: str, is_read: bool, after_s: float, tally: Counter[str]) -> None:
    """Start what ``kind`` says, kill all of it after so many seconds, and look at the index. What had been finished by then is no kill."""
    path = index_path(project)
    if kind == "remove" and not any(name.startswith("docs/part0/") for name in names(path)):
        run_to_end(project, ADD)
    stop = project / "stop"
    stop.unlink(missing_ok=True)
    readers = [fork(lambda: ask(path, stop)) for _ in range(READERS)] if is_read else []
    commands = {"add": [ADD], "two": [ADD, ADD], "remove": [REMOVE, ADD] if is_read else [REMOVE]}[kind]
    writers = [fork(lambda words=words: work(project, words)) for words in commands]
    time.sleep(after_s)
    before = names(path)
    children = [child for writer in writers for child in offspring(writer)]
    killed = [end(writer) for writer in writers]
    tally["kills"] += sum(killed)
    tally[f"kills_{kind}"] += sum(killed)
    tally["processes_that_ended_before"] += len(killed) - sum(killed)
    lost = {name for name in before - names(path) if kind != "remove" or not name.startswith("docs/part0/")}
    if lost:
        raise SystemExit(f"{kind}: {len(lost)} acknowledged documents are gone, such as {min(lost)}")
    whole(path, tally)
    stop.touch()
    if any(os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1]) for reader in readers):
        raise SystemExit(f"{kind}: a reader failed")
    _gone, alive = psutil.wait_procs(children, timeout=20)
    if alive:
        raise SystemExit(f"{kind}: {len(alive)} reading processes outlived the killed one")


# processes


def fork(act: Any) -> int:
    """A process that does this and no more; its status is 1 where it raised."""
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return pid
    status = 1
    try:
        status = int(act() or 0)
    except BaseException:  # noqa: BLE001 - told by the status
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def work(project: Path, words: list[str]) -> int:
    os.chdir(project)
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    return run([*words, "--json"])


def run_to_end(project: Path, words: list[str]) -> float:
    """Its seconds."""
    started = time.monotonic()
    status = os.waitstatus_to_exitcode(os.waitpid(fork(lambda: work(project, words)), 0)[1])
    if status:
        raise SystemExit(f"{' '.join(words)} ended with status {status}")
    return time.monotonic() - started


def end(pid: int) -> bool:
    """Whether it still ran."""
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def offspring(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def ask(path: Path, stop: Path) -> int:
    """Questions by words and by vectors until told to stop; each passage must be a part of its document, and have a vector."""
    draw = np.random.default_rng(os.getpid())
    while not stop.exists():
        try:
            with open_index(path) as index:
                search = Search(index, lambda texts: draw.standard_normal((len(texts), 384)).astype(np.float32))
                while not stop.exists():
                    look(index, search, WORDS[int(draw.integers(len(WORDS)))])
        except KnowledgeError as error:
            if error.code not in ("JM-950", "JM-951"):  # nobody has made it yet, or its tables
                raise
            time.sleep(0.01)
    return 0


def look(index: Index, search: Search, word: str) -> None:
    for found in search.find(word, Recipe(top=5)):
        with suppress(KnowledgeError):  # it has left since
            document = index.document(found.piece.document)
            if document.text[found.start : found.end] != found.text:
                raise AssertionError(f"{document.name}: a passage is not its document's")
    time.sleep(0.002)


# what an index holds


def index_path(project: Path) -> Path:
    return project / ".journeyman/knowledge/documents.db"


def names(path: Path) -> set[str]:
    try:
        with open_index(path) as index:
            return {item.origin.name for item in index.documents()}
    except (KnowledgeError, StoreError):  # not there yet
        return set()


def whole(path: Path, tally: Counter[str]) -> None:
    """Every check of an index that nobody has to be asked for."""
    if not path.is_file():
        return
    try:
        index = open_index(path, is_writer=True)
    except KnowledgeError as error:
        raise SystemExit(f"the index cannot be opened: {error}") from error
    with index:
        if (said := index.rows("PRAGMA integrity_check")) != [("ok",)]:
            raise SystemExit(f"integrity_check: {said[:3]}")
        index.rows(
            "INSERT INTO words (words, rank) VALUES ('integrity-check', 1)"
        )  # against the chunks, not itself alone
        if lacking := index.rows("SELECT count(*) FROM chunks WHERE vector NOT IN (SELECT hash FROM vectors)")[0][0]:
            raise SystemExit(f"{lacking} chunks have no vector")
        if strays := index.rows("SELECT count(*) FROM chunks WHERE document NOT IN (SELECT id FROM documents)")[0][0]:
            raise SystemExit(f"{strays} chunks have no document")
        for item in index.documents():
            text = index.document(item.id).text
            pieces = index.neighbours(item.id, 0, 1 << 40)
            if [piece.number for piece in pieces] != list(range(item.chunks)) or not pieces:
                raise SystemExit(f"{item.origin.name} has not all of its chunks")
            if any(text[piece.start : piece.end] != piece.text for piece in pieces):
                raise SystemExit(f"{item.origin.name}: a chunk is not its document's")
        tally["checks"] += 1


def read_outcome(path: Path) -> Outcome:
    """Documents by name: hash of the text, then the chunks with their vectors."""
    with open_index(path) as index:
        found: Outcome = {}
        for item in index.documents():
            rows = index.rows(
                'SELECT number, start, "end", page, headings, above, c.text, hex(v.vector) FROM chunks c JOIN vectors v ON v.hash = c.vector WHERE document = ? ORDER BY number',
                (item.id,),
            )
            text = index.document(item.id).text
            found[item.origin.name] = (sha256(text.encode()).hexdigest() + item.origin.hash + item.title, rows)
        return found


def describe(document: dict[str, Any]) -> str:
    machine = document["machine"]
    return "\n".join(
        [
            "# Killed while it reads documents",
            "",
            f"`{document['command']}`",
            "",
            f"{document['kills']} `kill -9` of `journeyman knowledge add` and `remove` on {document['documents']} files, {document['rounds']} rounds: {document.get('kills_add', 0)} of one process that adds,"
            f" {document.get('kills_two', 0)} of two that add the same folder, {document.get('kills_remove', 0)} while a part is removed and the file compacted, most of them beside another process that adds. In seven of ten turns two"
            " processes asked questions all the while.",
            "",
            f"After each kill ({document['checks']} checks): SQLite's `integrity_check`, FTS5's against the chunks, every document with its text, all of its chunks and their vectors, every document that was there before. After each"
            f" round the same `add` ran to its end, and {document['compared_chunks']:,} chunks with their texts, headings and vectors were those of an undisturbed run, byte for byte. No reading process outlived the killed one, no question failed.",
            "",
            f"An undisturbed run takes {document['undisturbed_s']} s, all of it {document['seconds']} s. {machine['cores']} cores of {machine['processor']}, Python {machine['python']}. Commit `{document['commit']}`.",
            "",
        ]
    )


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
