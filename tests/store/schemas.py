"""Databases as earlier versions made them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine

from journeyman.store.schema import FOLDER


@contextmanager
def at_revision(url: str, revision: str) -> Iterator[Connection]:
    """One transaction on a new database of this revision."""
    engine = create_engine(url)
    if engine.url.get_backend_name() == "sqlite":
        Path(str(engine.url.database)).parent.mkdir(exist_ok=True)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(FOLDER))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        yield connection
    engine.dispose()
