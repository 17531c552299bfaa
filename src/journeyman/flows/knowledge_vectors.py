"""Which candidates a project's settings choose for large knowledge, and how they are kept up to date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from journeyman.core.cores import count_cores
from journeyman.core.errors import KnowledgeError
from journeyman.core.settings import Project
from journeyman.flows.workspace import Workspace
from journeyman.knowledge.index.file import Index
from journeyman.knowledge.index.graph import Graph, forget_graph, update_graph
from journeyman.knowledge.index.pgvector import Table, forget_table, update_table
from journeyman.knowledge.retrieve.nearest import Candidates
from journeyman.store.engine import Database, open_database

WAIT_S = 30.0


@contextmanager
def open_candidates(project: Project, index: Index) -> Iterator[Candidates | None]:
    """None where all vectors are compared.

    Raises:
        KnowledgeError: JM-947 pgvector without a PostgreSQL.
    """
    kind = project.text("knowledge", "vectors")
    if kind == "usearch":
        yield Graph(index)
    elif kind == "pgvector":
        with _open_postgres(project) as database:
            yield Table(index, database)
    else:
        yield None


def least_chunks(project: Project) -> int:
    return int(project.number("knowledge", "approximate_from") or 0)


def update_candidates(workspace: Workspace, index: Index) -> None:
    """After what was written; nothing in small knowledge."""
    kind = workspace.project.text("knowledge", "vectors")
    if kind == "exact" or index.rows("SELECT count(*) FROM chunks")[0][0] < max(1, least_chunks(workspace.project)):
        return
    if kind == "usearch":
        update_graph(index, count_cores(), workspace.progress)
        return
    with _open_postgres(workspace.project) as database:
        update_table(index, database, workspace.progress)


def forget_candidates(project: Project, index: Index) -> None:
    """Before the index forgets what it holds."""
    forget_graph(index)
    if project.text("knowledge", "vectors") == "pgvector":
        with _open_postgres(project) as database:
            forget_table(index, database)


@contextmanager
def _open_postgres(project: Project) -> Iterator[Database]:
    url = project.text("knowledge", "postgres_url") or project.text("store", "url")
    if not url.startswith(("postgres:", "postgresql:", "postgresql+psycopg:")):
        raise KnowledgeError(
            "JM-947",
            "pgvector needs to be told which PostgreSQL",
            where="[knowledge] vectors in journeyman.toml",
            expected="postgresql://user@host/database",
            got="no address" if not url else "another kind of database",
            hint="set postgres_url under [knowledge], or url under [store]",
        )
    database = open_database(url, "wal", WAIT_S)
    try:
        yield database
    finally:
        database.close()
