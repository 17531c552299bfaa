"""The graph beside an index: made, extended, left alone when it is not ours, made anew when it is broken."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.index import graph
from journeyman.knowledge.index.file import Index, open_index
from journeyman.knowledge.index.graph import Graph, forget_graph, update_graph
from journeyman.knowledge.index.matrix import Vectors
from journeyman.knowledge.retrieve import approximate
from journeyman.knowledge.retrieve.approximate import Approximate
from journeyman.knowledge.retrieve.dense import Exact
from tests.knowledge.retrieve.made import draw, files_of, put_chunks, rank_exactly, recall

ASKED = 20


@pytest.fixture(autouse=True)
def _installed() -> None:
    pytest.importorskip("usearch", reason="the extra ann is not installed")


def fill(index: Index, documents: int = 60, chunks: int = 50) -> list[int]:
    return [put_chunks(index, f"d{number}", draw(chunks, number)) for number in range(documents)]


def open_near(index: Index) -> Approximate:
    return Approximate(index, Graph(index), Exact(Vectors(index), is_blended=True))


def measure(index: Index, near: Approximate, allowed: list[int] | None = None, depth: int = 10) -> float:
    asked = draw(ASKED, 7)
    found = [near.rank(question, depth, allowed) for question in asked]
    right = [rank_exactly(index, question, depth, allowed) for question in asked]
    assert [len(hits) for hits in found] == [len(hits) for hits in right]
    return sum(map(recall, found, right)) / ASKED


class Never(Exact):
    """The exact search, where it must not be needed."""

    def rank(self, *_: object) -> list:  # type: ignore[override, type-arg]
        raise AssertionError


def test_near_chunks_are_found_by_the_graph_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approximate, "FEW", 100)
    monkeypatch.setattr(approximate, "FEW_SHARE", 0)
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        documents = fill(index)
        assert update_graph(index, 1) == 3000
        assert update_graph(index, 1) == 0
        near = Approximate(index, Graph(index), Never(Vectors(index), is_blended=True))
        assert measure(index, near) >= 0.95
        assert measure(index, near, documents[::2]) >= 0.95
        assert measure(index, near, documents[:6]) >= 0.95
        assert measure(index, near, documents[:2]) == 1.0, "so few are searched exactly"
        assert near.rank(draw(1, 1)[0], 10, []) == []


def test_what_comes_and_goes_is_seen_before_and_after_the_graph_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    with open_index(path, is_writer=True) as index, open_index(path) as reader:
        fill(index, 20)
        update_graph(index, 1)
        near = open_near(reader)
        assert measure(reader, near) >= 0.95
        before = files_of(path)
        put_chunks(index, "d3", draw(50, 500))
        put_chunks(index, "new", draw(50, 501))
        assert measure(reader, near) >= 0.95
        assert update_graph(index, 1) == 100
        assert len(files_of(path)) == 1
        assert files_of(path) != before
        assert measure(reader, near) >= 0.95
        index.remove("/made", [f"d{number}" for number in range(10)])
        assert measure(reader, near) >= 0.95
        assert update_graph(index, 1) == 550, "half has left: made anew"
        assert measure(reader, near) >= 0.95
        index.remove("/made", [item.origin.name for item in index.documents()])
        assert near.rank(draw(1, 1)[0], 5) == []


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    for place in range(100, len(data), 97):
        data[place] ^= 0xFF
    file.write_bytes(data)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("harm", [flip, cut, Path.unlink, lambda file: file.write_bytes(b"")])
def test_a_damaged_graph_is_not_opened_and_made_anew(tmp_path: Path, harm) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "index.db"
    with open_index(path, is_writer=True) as index:
        fill(index, 10)
        update_graph(index, 1)
    harm(path.with_name(files_of(path)[0]))
    with open_index(path, is_writer=True) as index:
        assert Graph(index).renew() == 0
        assert measure(index, open_near(index)) == 1.0
        assert update_graph(index, 1) == 500
        assert Graph(index).renew() == 500
        forget_graph(index)
        assert files_of(path) == []


def test_the_graph_of_another_index_under_the_same_name_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    with open_index(path, is_writer=True) as index:
        fill(index, 4)
        update_graph(index, 1)
        copy = tmp_path / "copy.db"
        index.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(path, copy)
        put_chunks(index, "later", draw(50, 77))
        update_graph(index, 1)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copy(copy, path)
    with open_index(path, is_writer=True) as index:
        put_chunks(index, "other", draw(50, 78))
        assert Graph(index).renew() == 0, "an older copy of the index names a file that is no more"
        assert update_graph(index, 1) == 250
        assert measure(index, open_near(index)) >= 0.95
    path.unlink()
    with open_index(path, is_writer=True) as index:
        assert Graph(index).renew() == 0


def test_a_run_that_ends_early_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "FETCHED", 100)
    monkeypatch.setattr(graph, "SAVED", 200)
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        fill(index, 10)
        seen = []

        def read_some(index: Index, ids: np.ndarray):  # type: ignore[no-untyped-def, type-arg]
            seen.append(int(ids[0]))
            if len(seen) == 4:
                raise KeyboardInterrupt
            return read(index, ids)

        read = graph.read_blended
        monkeypatch.setattr(graph, "read_blended", read_some)
        with pytest.raises(KeyboardInterrupt):
            update_graph(index, 1)
        assert Graph(index).renew() == 200
        assert update_graph(index, 1) == 300
        held = json.loads(index.setting("graph"))
        assert (held["known"], held["size"]) == (500, 500)
        assert measure(index, open_near(index)) >= 0.95


def test_a_filter_that_the_graph_does_not_meet_is_searched_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approximate, "FEW", 10)
    monkeypatch.setattr(approximate, "FEW_SHARE", 0)
    monkeypatch.setattr(graph, "MOST_LOOKED_AT", 300)
    monkeypatch.setattr(graph, "MOST_SHARE", 0)
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        documents = fill(index, 20)
        far = put_chunks(index, "far", -draw(40, 3))
        update_graph(index, 1)
        assert measure(index, open_near(index), [far]) == 1.0
        assert measure(index, open_near(index), [documents[0]]) == 1.0


def test_without_usearch_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "find_spec", lambda name: None)
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        fill(index, 1)
        with pytest.raises(KnowledgeError, match="JM-943") as caught:
            update_graph(index, 1)
        assert "journeyman[ann]" in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_graph_that_the_disk_has_no_room_for_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "token_hex", lambda size: "full")
    (tmp_path / "index.graph-full").symlink_to("/dev/full")
    with open_index(tmp_path / "index.db", is_writer=True) as index:
        fill(index, 1)
        with pytest.raises(KnowledgeError, match="JM-944"):
            update_graph(index, 1)
        assert index.setting("graph") == ""
