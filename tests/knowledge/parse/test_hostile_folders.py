"""Folders from strangers: names that are no text, files that are none, archives and mailboxes with nothing in them. One source or one reason each."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.parse.archive import Limits
from journeyman.knowledge.parse.process import Limits as Reading
from journeyman.knowledge.parse.process import ReadingPool
from journeyman.knowledge.parse.reader import Reader
from journeyman.knowledge.parse.sources import Refused, find_sources, unpack
from journeyman.knowledge.source import Source
from tests.knowledge.parse.test_sources import make_zip, sort


def write(folder: Path, name: bytes, data: bytes = b"text") -> None:
    with open(os.path.join(os.fsencode(folder), name), "wb") as file:
        file.write(data)


def test_names_that_are_no_text_stay_apart(tmp_path: Path) -> None:
    try:
        write(tmp_path, b"caf\xe9.txt", b"1")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    write(tmp_path, b"caf\xe8.txt", b"2")
    write(tmp_path, "two\nlines\x1b]0;x\x07\u202e.txt".encode(), b"3")
    taken, refused = sort(list(find_sources([tmp_path])))
    assert not refused
    assert sorted(source.read() for source in taken.values()) == [b"1", b"2", b"3"]
    for name in taken:
        name.encode()
    (tmp_path / "caf\\xe9.txt").write_bytes(b"4")
    _, refused = sort(list(find_sources([tmp_path])))
    for one in refused.values():
        assert one.code == "JM-911"
        one.reason.encode()


def test_what_is_no_file_is_said_and_nothing_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "x.pdf").mkdir()
    (tmp_path / "x.pdf" / "in.txt").write_text("in")
    (tmp_path / "empty.txt").touch()
    with (tmp_path / "sparse.txt").open("wb") as file:
        file.truncate(2 << 30)
    taken, refused = sort(list(find_sources([tmp_path])))
    base = tmp_path.name
    assert sorted(taken) == [f"{base}/empty.txt", f"{base}/x.pdf/in.txt"]
    assert {name: one.code for name, one in refused.items()} == {
        f"{base}/pipe.txt": "JM-901",
        f"{base}/sparse.txt": "JM-902",
    }
    for given in (tmp_path / "pipe.txt", "/dev/zero", "n" * 5_000, tmp_path / "empty.txt" / "below"):
        (found,) = find_sources([given])
        assert isinstance(found, Refused)
        assert found.code == "JM-901"


def test_archives_and_mailboxes_without_anything_are_said(tmp_path: Path) -> None:
    with (tmp_path / "zeros.mbox").open("wb") as file:
        file.truncate(20_000_000)
    (tmp_path / "none.mbox").touch()
    (tmp_path / "empty.zip").write_bytes(make_zip({}))
    (tmp_path / "folders.zip").write_bytes(make_zip({"a/": b""}))
    (tmp_path / "nested.zip").write_bytes(make_zip({"b.zip": make_zip({})}))
    taken, refused = sort(list(find_sources([tmp_path])))
    assert not taken
    assert sorted(name.partition("/")[2] for name in refused) == [
        "empty.zip",
        "folders.zip",
        "nested.zip/b.zip",
        "zeros.mbox",
    ]
    assert {one.code for one in refused.values()} == {"JM-989"}
    (tmp_path / "sparse.zip").touch()
    os.truncate(tmp_path / "sparse.zip", 2 << 30)
    (found,) = find_sources([tmp_path / "sparse.zip"])
    assert isinstance(found, Refused)
    assert found.code == "JM-904"


LISTED = """
import os, sys
from pathlib import Path
from journeyman.knowledge.parse.sources import find_sources
folder = Path(sys.argv[1])
if os.geteuid() == 0:  # who may look everywhere
    os.setuid(65534)
for found in [*find_sources([folder]), *find_sources([folder / "shut" / "in.txt"])]:
    print(type(found).__name__, found.name.split("/", 1)[-1], getattr(found, "code", ""))
"""


def test_a_folder_whose_files_nobody_may_look_at_is_said() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        for name in ("shut", "open"):
            (folder / name).mkdir()
            (folder / name / "in.txt").write_text("in")
        (folder / "shut").chmod(0o444)
        try:
            told = subprocess.run([sys.executable, "-c", LISTED, made], capture_output=True, text=True, check=False)
        finally:
            (folder / "shut").chmod(0o755)
    assert told.returncode == 0, told.stderr
    assert [line.split()[::2] for line in told.stdout.splitlines()] == [
        ["Source"],
        ["Refused", "JM-901"],
        ["Refused", "JM-901"],
    ]


def test_a_source_that_breaks_in_a_new_way_costs_itself() -> None:
    def read() -> bytes:
        raise OverflowError("cannot fit 'int' into an offset-sized integer")

    reader = Reader("none", 1, (".x",), lambda name, data: pytest.fail("nothing to read"))
    with ReadingPool(1, Reading()) as pool:
        result = pool.submit(Source("a.x", 1, "", read), lambda name, head: reader).result()
    assert getattr(result, "code", "") == "JM-930"


def test_offsets_beyond_the_file_are_damage() -> None:
    """Zip64's 64 bits name places where no file can be."""
    for field in (0, 1, 2):
        packed = bytearray(make_zip({"a.txt": b"text"}, 0))
        at, end = packed.index(b"PK\x01\x02"), packed.rindex(b"PK\x05\x06")
        wide = [4, 4, 0]
        wide[field] = (1 << 64) - 2
        extra = b"\x01\x00\x18\x00" + b"".join(value.to_bytes(8, "little") for value in wide)
        entry = bytearray(packed[at:end])
        entry[20:28] = b"\xff" * 8
        entry[42:46] = b"\xff" * 4
        entry[30:32] = len(extra).to_bytes(2, "little")
        entry += extra
        tail = bytearray(packed[end:])
        tail[12:16] = len(entry).to_bytes(4, "little")
        whole = bytes(packed[:at]) + bytes(entry) + bytes(tail)
        for found in unpack("wide.zip", whole, Limits()):
            if isinstance(found, Source):
                with suppress(KnowledgeError):
                    found.read()
