from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import settings

from tests.tiny import write_tiny_llama

settings.register_profile("untimed", deadline=None)  # tests assert no time
settings.load_profile("untimed")


LONG = (
    "test_demo.py",
    "test_loop.py",
    "test_disk.py",
    "test_methods.py",
    "test_commands.py",
    "test_kills.py",
    "test_fine_tuning.py",
    "test_story.py",
)
"""Files of minutes. They come first: where a process takes a file at a time, a long one at the end leaves the others idle."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


def all_workers() -> set[int]:
    found = psutil.Process().children(recursive=True)
    return {item.pid for item in found if "journeyman.models.llamacpp_worker" in _command(item)}


def _command(process: psutil.Process) -> str:
    """Empty where it has ended meanwhile."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.fixture
def workers() -> Callable[[], set[int]]:
    """Gives the ids of the worker processes that came since the test began; a module's fixture may hold others."""
    others = all_workers()
    return lambda: all_workers() - others
