"""The index file: documents come and go whole, whoever else reads or writes."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from journeyman.core.errors import KnowledgeError, StoreError
from journeyman.knowledge.chunk.blend import blend_neighbours
from journeyman.knowledge.chunk.chunk import Chunk
from journeyman.knowledge.document import Block, Document, Link, Places
from journeyman.knowledge.index.file import Index, Origin, Ready, Refusal, open_index
from journeyman.knowledge.index.matrix import Vectors
from journeyman.knowledge.retrieve.dense import rank_dense
from journeyman.knowledge.retrieve.lexical import Words


def make_document(name: str, text: str) -> Document:
    places = Places(
        np.array([[0, 3], [4, 7]], np.int32), np.array([1, 2], np.int32), np.arange(8, dtype=np.float32).reshape(2, 4)
    )
    return Document(
        name,
        "text/plain",
        text,
        (Block("paragraph", 0, len(text), page=1),),
        title=name.title(),
        facts={"year": 2020, "tags": ("a", "b"), "draft": False, "lang": "de"},
        links=(Link(0, 3, "other#x", "embed"),),
        places=places,
        pages=((612.0, 792.0), (612.0, 792.0)),
        notes=("page 3 has no text",),
    )


def put(index: Index, name: str, text: str, vector: list[float], root: str = "/docs") -> int:
    key = text.encode()[:16].ljust(16, b"\0")
    ready = [Ready(Chunk(0, len(text), ("Top", name)), f"Top > {name}", text, key)]
    return index.put(
        Origin(root, name, "stamp", "hash", "plain:1", len(text)),
        make_document(name, text),
        ready,
        {key: np.array(vector, np.float32)},
    )


def test_a_document_comes_back_as_it_went(tmp_path: Path) -> None:
    with open_index(tmp_path / "k/index.db", is_writer=True) as index:
        before = make_document("a.txt", "Dürfen 🐎 wir \ud800 das?")
        id = index.put(Origin("/docs", "a.txt", "s", "h", "plain:1"), before, [], {})
        after = index.document(id)
    for name in ("name", "media", "text", "blocks", "title", "links", "pages", "notes"):
        assert getattr(after, name) == getattr(before, name)
    assert dict(after.facts) == dict(before.facts)
    assert np.array_equal(after.places.spans, before.places.spans)
    assert np.array_equal(after.places.pages, before.places.pages)
    assert np.array_equal(after.places.boxes, before.places.boxes)


def test_a_name_is_there_once_and_its_words_leave_with_it(tmp_path: Path) -> None:
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        put(index, "a.txt", "zebras graze", [1, 0, 0, 0])
        put(index, "b.txt", "lions hunt", [0, 1, 0, 0])
        id = put(index, "a.txt", "giraffes reach", [0, 0, 1, 0])
        assert [item.origin.name for item in index.documents()] == ["a.txt", "b.txt"]
        assert Words(index).rank("zebra", 5) == []
        assert [piece.text for piece in index.pieces([hit.id for hit in Words(index).rank("giraffe", 5)])] == [
            "giraffes reach"
        ]
        matrix = Vectors(index).current()
        best = rank_dense(matrix, np.array([0, 0, 1, 0], np.float32), 1)[0]
        assert index.pieces([best.id])[0].document == id
        assert len(matrix.ids) == 2
        index.refuse(Refusal("/docs", "a.txt", "s", "plain:1", "JM-901", "broken"))
        assert [item.origin.name for item in index.documents()] == ["b.txt"]
        assert [item.reason for item in index.refusals("/docs")] == ["broken"]
        assert index.compact() == 2
        index.remove("/docs", ["b.txt"])
        assert index.documents() == []
        with pytest.raises(KnowledgeError, match="JM-954"):
            index.document(id)


def test_a_reader_sees_what_another_connection_writes(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    with open_index(path, is_writer=True) as writer:
        put(writer, "a.txt", "one", [1, 0, 0, 0])
        with open_index(path) as reader:
            vectors = Vectors(reader)
            first = vectors.current()
            assert len(first.ids) == 1
            assert vectors.current() is first
            put(writer, "b.txt", "two", [0, 1, 0, 0])
            put(writer, "a.txt", "three", [0, 0, 1, 0])
            after = vectors.current()
            assert len(after.ids) == 2
            assert after.vectors.tolist() == [[0, 1, 0, 0], [0, 0, 1, 0]]


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="JM-950"):
        open_index(tmp_path / "none.db")
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE t (x)")
    for is_writer in (True, False):
        with pytest.raises(KnowledgeError, match="JM-951"):
            open_index(foreign, is_writer=is_writer)
    text = tmp_path / "text.db"
    text.write_text("no database at all, only a text that is long enough for a header" * 20)
    with pytest.raises(StoreError, match="JM-804"):
        open_index(text, is_writer=True)
    later = tmp_path / "later.db"
    open_index(later, is_writer=True).close()
    with sqlite3.connect(later) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(KnowledgeError, match="JM-952"):
        open_index(later)


def test_what_was_settled_stays(tmp_path: Path) -> None:
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        index.settle("embedder", "one")
        index.settle("embedder", "one")
        with pytest.raises(KnowledgeError, match="another embedder"):
            index.settle("embedder", "two")


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_file import put
from journeyman.knowledge.index.file import open_index
with open_index(Path({path!r}), is_writer=True) as index:
    for number in range({count}):
        put(index, f"{name}-{{number}}.txt", f"{name} text {{number}} " * 50, [1, 0, 0, 0])
        print(number, flush=True)
"""


def start(path: Path, name: str, count: int) -> "subprocess.Popen[str]":
    script = WRITER.format(tests=str(Path(__file__).parent), path=str(path), name=name, count=count)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def test_two_processes_write_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    both = [start(path, "x", 40), start(path, "y", 40)]
    for process in both:
        process.communicate(timeout=120)
        assert process.returncode == 0
    with open_index(path) as index:
        assert len(index.documents()) == 80
        assert len(Vectors(index).current().ids) == 80
        assert index.rows("PRAGMA integrity_check")[0][0] == "ok"


def test_a_killed_writer_loses_nothing_that_it_had_said(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    process = start(path, "x", 100_000)
    assert process.stdout is not None
    said = [int(process.stdout.readline()) for _ in range(25)]
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with open_index(path, is_writer=True) as index:
        names = {item.origin.name for item in index.documents()}
        assert {f"x-{number}.txt" for number in said} <= names
        assert all(item.chunks == 1 for item in index.documents())
        index.rows("INSERT INTO words (words) VALUES ('integrity-check')")
        assert index.rows("PRAGMA integrity_check")[0][0] == "ok"
        put(index, "after.txt", "goes on", [0, 0, 0, 1])
        assert len(Words(index).rank("goes on", 5)) == 1


def test_blended_vectors_keep_to_their_sections(tmp_path: Path) -> None:
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        for name, count in (("a", 5), ("b", 1), ("c", 2)):
            keys = [f"{name}{number:015}".encode() for number in range(count)]
            drawn = np.random.default_rng(count).standard_normal((count, 8)).astype(np.float32)
            ready = [
                Ready(Chunk(number, number + 1, ("Top", *"two"[number // 3 :][:1])), "", "x", key)
                for number, key in enumerate(keys)
            ]
            index.put(
                Origin("/d", name, "", "", ""),
                make_document(name, "x" * count),
                ready,
                dict(zip(keys, drawn, strict=True)),
            )
        vectors = Vectors(index)
        plain, blended = vectors.current(), vectors.current(is_blended=True)
        assert vectors.current(is_blended=True) is blended
        assert [int((plain.sections == section).sum()) for section in dict.fromkeys(plain.sections)] == [3, 2, 1, 2]
        for section in np.unique(plain.sections):
            rows = plain.sections == section
            assert np.allclose(blended.vectors[rows], blend_neighbours(plain.vectors[rows]), atol=1e-6)
        index.remove("/d", ["b"])
        assert len(vectors.current(is_blended=True).ids) == 7


READER = """
import os
from pathlib import Path
from journeyman.core.errors import StoreError
from journeyman.knowledge.index.file import open_index
if os.geteuid() == 0:  # who may write everywhere
    os.setuid(65534)
with open_index(Path({path!r})) as index:
    print(len(index.documents()), len(index.rows("SELECT rowid FROM words WHERE words MATCH 'zebras'")))
try:
    open_index(Path({path!r}), is_writer=True)
except StoreError as error:
    print(error.code)
"""


def test_an_index_in_a_folder_that_nobody_may_write_is_read() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / "index.db"
        with open_index(path, is_writer=True) as index:
            put(index, "a.txt", "zebras graze", [1, 0, 0, 0])
        path.chmod(0o444)
        folder.chmod(0o555)
        told = subprocess.run(
            [sys.executable, "-c", READER.format(path=str(path))], capture_output=True, text=True, check=False
        )
        assert told.stdout.split() == ["1", "1", "JM-802"], told.stderr
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)
