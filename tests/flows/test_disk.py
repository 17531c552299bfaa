"""A full and a read-only disk under the whole loop: one message each time, nothing lost, the same result in the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.conftest import Loop
from tests.flows.projects import journeyman, make_project

COMMANDS = (
    ("import", "sealed.jsonl", "--task", "paint", "--split", "test"),
    ("import", "train.jsonl", "--task", "paint"),
    ("prepare", "paint"),
    ("run", "paint", "--epochs", "12", "--threads", "1", "--base-rows", "5", "--force", "tiny"),
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, whose size and rights can be changed while it is in use."""
    if os.geteuid() != 0 or not shutil.which("mount") or sys.platform != "linux":
        pytest.skip("mounting a small file system needs root on Linux")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def _remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def _one_message(text: str, code: str) -> bool:
    """The code once, no traceback, a next step."""
    return text.count("JM-") == 1 and code in text and "Traceback" not in text and "next:" in text


def _released(folder: Path) -> list[str]:
    return [path.name for path in (folder / ".journeyman/releases/paint").iterdir() if not path.name.startswith(".")]


@pytest.mark.slow
def test_a_disk_that_is_full_again_and_again_costs_time_only(disk: Path, loop: Loop, tiny_gguf: Path) -> None:
    project = make_project(disk / "project", tiny_gguf)
    size_kb, refusals = 96, 0
    for command in COMMANDS:
        while (done := journeyman(project, *command)).returncode not in (0, 1):
            assert _one_message(done.stderr, "JM-801"), (command, done.stdout, done.stderr)
            refusals += 1
            size_kb *= 2
            assert size_kb < 64_000
            _remount(disk, f"size={size_kb}k")
    assert refusals >= 4
    assert loop.result.released is not None
    assert _released(project) == [loop.result.released.hash]


@pytest.mark.slow
def test_a_read_only_folder_is_one_message_at_every_stage(disk: Path, loop: Loop, tiny_gguf: Path) -> None:
    _remount(disk, "size=64m")
    project = make_project(disk / "project", tiny_gguf)
    for command in COMMANDS:
        _remount(disk, "ro")
        done = journeyman(project, *command)
        assert done.returncode == 2, (command, done.stdout)
        assert _one_message(done.stderr, "JM-802"), (command, done.stderr)
        _remount(disk, "rw")
        done = journeyman(project, *command)
        assert done.returncode in (0, 1), (command, done.stderr)
    assert loop.result.released is not None
    assert _released(project) == [loop.result.released.hash]
