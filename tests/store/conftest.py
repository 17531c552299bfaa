"""A store of each kind. PostgreSQL is a server that the environment names, or a cluster of our own on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from journeyman.core.example import Example, object_target
from journeyman.core.messages import make_message
from journeyman.core.trace import Trace
from journeyman.store.database import Store, open_store
from journeyman.store.engine import sqlite_url
from journeyman.store.tables import METADATA

NOW = "2026-11-21T10:15:00+00:00"
SERVER_VARIABLE = "JOURNEYMAN_TEST_POSTGRES"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    if url := os.environ.get(SERVER_VARIABLE):
        yield url
        return
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip(f"no PostgreSQL: {SERVER_VARIABLE} is unset and /usr/lib/postgresql has no initdb")
    yield from run_cluster(programs[-1].parent)


def run_cluster(programs: Path) -> Iterator[str]:
    user = _find_user()
    folder = Path(tempfile.mkdtemp(prefix="journeyman-postgres-"))
    if user:
        shutil.chown(folder, user)
    try:
        initdb = [
            str(programs / "initdb"),
            "-D",
            str(folder / "data"),
            "-U",
            "tester",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        subprocess.run(initdb, user=user, cwd=folder, check=True, capture_output=True)
        port = _free_port()
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (folder / "log").open("w") as log:
            command = [str(programs / "postgres"), "-D", str(folder / "data"), *options]
            server = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
        try:
            url = f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
            _wait(url, server, folder / "log")
            yield url
        finally:
            server.terminate()
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _find_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    engine = create_engine(url)
    for _ in range(300):
        if server.poll() is not None:
            break
        try:
            with engine.connect():
                engine.dispose()
                return
        except OperationalError:
            time.sleep(0.1)
    pytest.fail(f"PostgreSQL did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def postgres_engine(postgres_url: str) -> Iterator[Engine]:
    engine = create_engine(postgres_url)
    yield engine
    engine.dispose()


@contextmanager
def _make_schema(engine: Engine) -> Iterator[str]:
    """The URL of an empty schema, dropped afterwards."""
    name = f"jm_{uuid.uuid4().hex[:12]}"
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    yield engine.url.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {name} CASCADE"))


@pytest.fixture
def postgres_schema(postgres_engine: Engine) -> Iterator[str]:
    with _make_schema(postgres_engine) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_store(postgres_engine: Engine) -> Iterator[Store]:
    with _make_schema(postgres_engine) as url, open_store(url) as opened:
        yield opened


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    return tmp_path / ".journeyman" / "journeyman.db"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return sqlite_url(request.getfixturevalue("sqlite_file"))
    found: str = request.getfixturevalue("postgres_schema")
    return found


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store. The one on PostgreSQL is made once and emptied after each test."""
    if request.param == "sqlite":
        with open_store(sqlite_url(request.getfixturevalue("sqlite_file"))) as opened:
            yield opened
        return
    shared: Store = request.getfixturevalue("postgres_store")
    yield shared
    with shared._database.writing() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(METADATA.tables)}"))


@pytest.fixture(scope="session")
def make_trace() -> Callable[..., Trace]:
    def make(id: str, task: str = "tickets", **fields: object) -> Trace:
        values: dict[str, object] = {
            "time": NOW,
            "origin": "import",
            "input": {"message": f"where is my card, {id}?"},
            "messages": (make_message("user", f"where is my card, {id}?"),),
            "output": object_target({"urgent": True, "intent": "card_lost"}),
        }
        return Trace(id=id, task=task, **(values | fields))  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def make_example() -> Callable[..., Example]:
    def make(message: str, **fields: object) -> Example:
        return Example(input={"message": message}, target=object_target({"intent": "refund"}), **fields)  # type: ignore[arg-type]

    return make
