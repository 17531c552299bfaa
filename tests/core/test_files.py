"""Full and read-only disks are real ones: small file systems made for the test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.errors import StoreError
from journeyman.core.files import disk_errors, write_atomic

Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a small file system, or changes the options of the one that is there."""
    if os.geteuid() != 0 or sys.platform != "linux" or not shutil.which("mount"):
        pytest.skip("mounting a small file system needs root on Linux")
    folder = tmp_path / "disk"
    folder.mkdir()

    def with_options(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        return folder

    yield with_options
    if folder.is_mount():
        subprocess.run(["umount", folder], check=True)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@given(st.binary(max_size=200) | st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_what_is_written_is_there_and_nothing_else(tmp_path_factory: pytest.TempPathFactory, data: bytes | str) -> None:
    path = tmp_path_factory.getbasetemp() / "written" / "file"
    write_atomic(path, data)
    assert path.read_bytes() == (data.encode() if isinstance(data, str) else data)
    assert _names(path.parent) == ["file"]


def test_others_may_read_the_file_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_atomic(path, "x")
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_full_disk_keeps_the_old_file_whole(mount: Mount) -> None:
    folder = mount("size=256k")
    path = folder / "weights"
    write_atomic(path, b"old" * 1000)
    with pytest.raises(StoreError) as caught:
        write_atomic(path, b"n" * 400_000)
    assert str(caught.value) == (
        f"JM-801 {path}: the disk is full\n"
        "  next: free some space and run the same command again; finished work is kept"
    )
    assert path.read_bytes() == b"old" * 1000
    assert _names(folder) == ["weights"]
    write_atomic(path, b"n" * 1000)
    assert path.read_bytes() == b"n" * 1000


def test_a_full_disk_without_an_old_file_leaves_nothing(mount: Mount) -> None:
    folder = mount("size=64k")
    with pytest.raises(StoreError, match="JM-801"):
        write_atomic(folder / "deep" / "weights", b"n" * 100_000)
    assert _names(folder / "deep") == []


def test_a_read_only_file_system(mount: Mount) -> None:
    folder = mount("size=256k")
    path = folder / "weights"
    write_atomic(path, b"old")
    mount("remount,ro")
    with pytest.raises(StoreError) as caught:
        write_atomic(path, b"new")
    assert str(caught.value) == (
        f"JM-802 {path}: this folder cannot be written\n  got: Read-only file system\n"
        "  next: check the folder's permissions, then run the same command again"
    )
    assert path.read_bytes() == b"old"


LIMITED = """
import resource, sys
from pathlib import Path
from journeyman.core.errors import JourneymanError
from journeyman.core.files import write_atomic

resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_atomic(Path(sys.argv[1]), b"n" * 100_000)
except JourneymanError as error:
    print(error.code)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are a POSIX thing")
def test_a_limit_on_file_size_keeps_the_old_file_whole(tmp_path: Path) -> None:
    """The form of a full disk that needs no rights."""
    path = tmp_path / "weights"
    write_atomic(path, b"old")
    done = subprocess.run([sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=True)
    assert done.stdout == "JM-801\n"
    assert path.read_bytes() == b"old"
    assert _names(tmp_path) == ["weights"]


KILLED = """
import os, signal, sys
from pathlib import Path
from journeyman.core import files

def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)

setattr(files.os, sys.argv[2], die)
files.write_atomic(Path(sys.argv[1]), b"new")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_a_kill_at_any_step_keeps_the_old_file(tmp_path: Path, step: str) -> None:
    path = tmp_path / "weights"
    write_atomic(path, b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, path, step], check=False)
    assert done.returncode == -9
    assert path.read_bytes() == b"old"
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"


def test_an_error_that_is_not_the_disks_passes_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path):
        (tmp_path / "missing").read_bytes()


def test_text_that_no_file_can_hold_leaves_no_litter(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_atomic(tmp_path / "file", "\ud800")
    assert _names(tmp_path) == []
