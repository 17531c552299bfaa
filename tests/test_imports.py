"""What a fresh interpreter loads and touches: measured in child processes, for this one has loaded everything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "torch",
    "transformers",
    "peft",
    "uvicorn",
    "starlette",
    "fastapi",
    "httptools",
    "sqlalchemy",
    "xllamacpp",
    "onnxruntime",
    "numpy",
)

WATCH = """
import json, sys

opened: list[str] = []

def watch(event: str, arguments: tuple) -> None:
    if event.startswith("socket."):
        opened.append(event)

sys.addaudithook(watch)
"""
TELL = """
print(json.dumps({"modules": sorted({name.partition(".")[0] for name in sys.modules}), "sockets": opened}))
"""


def _watched(statements: str) -> dict[str, list[str]]:
    """Run ``statements`` in a fresh interpreter; the top-level modules that it holds then and its socket events."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH + statements + TELL], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_the_watch_itself_sees_sockets_and_modules() -> None:
    seen = _watched("import socket, numpy\nsocket.socket().close()")
    assert "numpy" in seen["modules"]
    assert "socket.__new__" in seen["sockets"]


def test_importing_journeyman_loads_nothing_heavy_and_opens_no_socket() -> None:
    seen = _watched("import journeyman")
    assert "journeyman" in seen["modules"]
    assert not set(HEAVY) & set(seen["modules"])
    assert seen["sockets"] == []


def test_the_core_needs_the_standard_library_only() -> None:
    names = ["canonical", "errors", "example", "files", "ids", "messages", "progress", "settings", "trace"]
    seen = _watched("\n".join(f"import journeyman.core.{name}" for name in names))
    ours = set(seen["modules"]) - set(_watched("import site")["modules"]) - set(sys.stdlib_module_names)
    assert ours == {"journeyman"}


def test_the_typed_function_is_loaded_at_its_first_use() -> None:
    assert "pydantic" not in _watched("import journeyman")["modules"]
    assert "pydantic" in _watched("import journeyman\njourneyman.task")["modules"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    statements = "import journeyman\ntry:\n    journeyman.nothing\nexcept AttributeError as error:\n    assert 'nothing' in str(error)"
    assert "journeyman" in _watched(statements)["modules"]


@pytest.mark.parametrize("arguments", [["--help"], ["tune", "--help"], ["serve", "--help"]])
def test_help_needs_no_torch_and_no_network(arguments: list[str]) -> None:
    seen = _watched(f"from journeyman.cli.main import run\nassert run({arguments!r}) == 0\n")
    assert not {"torch", "transformers", "peft"} & set(seen["modules"])
    assert seen["sockets"] == []


def test_serving_loads_no_torch_and_no_scipy() -> None:
    seen = _watched("import journeyman.flows.serving, journeyman.flows.answers\n")
    assert "numpy" in seen["modules"]
    assert not {"torch", "transformers", "peft", "scipy"} & set(seen["modules"])


def test_the_command_is_installed() -> None:
    command = [str(Path(sys.executable).with_name("journeyman")), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage: journeyman" in done.stdout


@pytest.mark.parametrize("before", ["", "import journeyman.task.file\n", "import journeyman.cli.main\n"])
def test_the_decorator_is_no_module_whatever_was_imported_before(before: str) -> None:
    statements = (
        before + "import journeyman as jm\nfrom journeyman import task\nassert callable(jm.task) and task is jm.task\n"
    )
    assert "pydantic" in _watched(statements)["modules"]
