"""`knowledge add` of a folder that somebody filled with harm: each file is read, or listed with its reason; a disk that is full and an index that was damaged are said in one message."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from journeyman.core.errors import JourneymanError
from journeyman.flows.knowledge import add, index_path, list_documents
from journeyman.flows.workspace import open_workspace
from journeyman.knowledge.index.file import open_index
from tests.knowledge.parse.office_files import pack, word, word_parts
from tests.knowledge.parse.test_sources import make_zip

pytestmark = pytest.mark.model
LAUGHS = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
LOOP = b"""%PDF-1.4
1 0 obj <</Type /Catalog /Pages 2 0 R /Outlines 4 0 R>> endobj
2 0 obj <</Type /Pages /Kids [2 0 R 3 0 R] /Count 1000000>> endobj
3 0 obj <</Type /Pages /Parent 2 0 R /Kids [2 0 R] /Count 1000000>> endobj
4 0 obj <</First 5 0 R /Last 5 0 R /Count 1>> endobj
5 0 obj <</Title (a) /Next 5 0 R /First 4 0 R /Parent 4 0 R>> endobj
trailer <</Root 1 0 R /Size 6>>
%%EOF
"""
FILES: dict[str, Callable[[], bytes]] = {
    "half.md": lambda: b'---\ntitle: "\\ud83d"\nnumber: 0x' + b"f" * 10_000 + b"\n---\nA text with half a character.\n",
    "bomb.zip": lambda: make_zip({"zeros.txt": bytes(30_000_000), "../up.txt": b"x", "fine.txt": b"In a bomb."}),
    "laughs.docx": lambda: pack(word_parts("") | {"word/document.xml": LAUGHS + "<w>&b;</w>"}),
    "laughs.odt": lambda: make_zip(
        {"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": (LAUGHS + "<w>&b;</w>").encode()}
    ),
    "laughs.epub": lambda: make_zip(
        {"mimetype": b"application/epub+zip", "META-INF/container.xml": (LAUGHS + "<w>&b;</w>").encode()},
        zipfile.ZIP_STORED,
    ),
    "laughs.svg": lambda: (LAUGHS + "<svg><text>&b;</text></svg>").encode(),
    "deep.html": lambda: b"<div>" * 100_000 + b"deep down",
    "deep.md": lambda: b"> " * 50_000 + b"deep down",
    "deep.rtf": lambda: b"{\\rtf1 " + b"{" * 100_000,
    "deep.json": lambda: b"[" * 100_000,
    "loop.pdf": lambda: LOOP,
    "one_line.txt": lambda: b"x" * 500_000,
    "marks.txt": lambda: ("a" + "\u0301" * 50_000).encode(),
    "empty.txt": bytes,
    "nothing.mbox": lambda: b"no message begins here\n" * 9,
    "fine.md": lambda: b"# Fine\n\nThis one is fine.\n",
    "fine.docx": lambda: word("<w:p><w:r><w:t>This one too.</w:t></w:r></w:p>"),
}
READ = {
    "half.md",
    "bomb.zip/fine.txt",
    "fine.md",
    "fine.docx",
    "empty.txt",
    "one_line.txt",
    "marks.txt",
    "deep.html",
    "deep.md",
}
REFUSED = {
    "bomb.zip/zeros.txt",
    "bomb.zip/../up.txt",
    "laughs.docx",
    "laughs.odt",
    "laughs.epub",
    "deep.rtf",
    "nothing.mbox",
    "pipe.txt",
    "huge.txt",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "journeyman.toml").touch()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.txt").write_text("A lamp stands in the hall.\n")
    return tmp_path


def command(project: Path, *words: str, before: str = "") -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own; ``before`` is run in it first."""
    script = f"{before}\nimport sys\nfrom journeyman.cli.main import main\nmain(sys.argv[1:])"
    return subprocess.run([sys.executable, "-c", script, *words], cwd=project, capture_output=True, check=False)


def test_each_file_is_read_or_has_its_reason_and_the_rest_goes_in(project: Path) -> None:
    docs = project / "docs"
    for name, make in FILES.items():
        (docs / name).write_bytes(make())
    for name in (b"caf\xe9.txt", b"caf\xe8.txt", "\x1b]0;x\x07\n\u202e.txt".encode()):
        with open(os.path.join(os.fsencode(docs), name), "wb") as file:
            file.write(b"A name that is no text.")
    os.mkfifo(docs / "pipe.txt")
    (docs / "loop").symlink_to(docs)
    with (docs / "huge.txt").open("wb") as file:
        file.truncate(2 << 30)
    told = command(project, "knowledge", "add", "docs", "--json")
    assert told.returncode == 0, told.stderr
    (done,) = json.loads(told.stdout)["added"]
    refused = {item["name"].removeprefix("docs/"): item["code"] for item in done["refused"]}
    assert set(refused) >= REFUSED
    assert "JM-934" not in refused.values()
    with open_workspace(project) as workspace:
        kept = {item.origin.name.removeprefix("docs/") for item in list_documents(workspace)}
    assert kept >= {*READ, "a.txt", "caf\\xe9.txt", "caf\\xe8.txt"}
    assert not kept & set(refused)
    again = json.loads(command(project, "knowledge", "add", "docs", "--json").stdout)["added"][0]
    assert (again["added"], again["changed"], again["embedded"]) == (0, 0, 0)
    shown = command(project, "knowledge", "list").stdout
    assert b"\x1b" not in shown
    assert "\u202e".encode() not in shown
    odd = os.fsencode(docs) + b"/d\xe9"
    os.mkdir(odd)
    with open(odd + b"/in.txt", "wb") as file:
        file.write(b"Below a name that is no text.")
    told = subprocess.run(
        [sys.executable, "-m", "journeyman", "knowledge", "add", odd, "--json"],
        cwd=project,
        capture_output=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["added"][0]["added"] == 1


FULL = """
import resource
import journeyman.flows.knowledge
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
"""


def test_a_full_disk_is_said_and_loses_nothing(project: Path) -> None:
    with open_workspace(project) as workspace:
        add(workspace, [str(project / "docs")])
    for number in range(40):
        (project / f"docs/{number}.txt").write_text(
            "\n\n".join(f"{number} {row} {os.urandom(900).hex()}" for row in range(8))
        )
    told = command(project, "knowledge", "add", "docs", "--json", before=FULL)
    assert told.returncode == 2, told.stderr
    assert json.loads(told.stdout)["error"]["code"] in ("JM-801", "JM-817")
    with open_workspace(project) as workspace:
        with open_index(index_path(workspace)) as index:
            assert index.rows("PRAGMA integrity_check") == [("ok",)]
            assert "docs/a.txt" in {item.origin.name for item in index.documents()}
        done = add(workspace, [str(project / "docs")])[0].done
        assert done.unchanged + done.added == 41
        assert len(list_documents(workspace)) == 41


def code_of(act: Callable[[], object]) -> str:
    """Of the error, if there is one."""
    try:
        act()
    except JourneymanError as error:
        return error.code
    return ""


def test_damaged_indexes_are_said(project: Path) -> None:
    with open_workspace(project) as workspace:
        add(workspace, [str(project / "docs")])
        path = index_path(workspace)
        whole = path.read_bytes()
        for data in (whole[:5_000], whole[: len(whole) // 2], b"", whole[:100] + b"\xff" * 4_000 + whole[4_100:]):
            path.write_bytes(data)
            for act in (lambda: list_documents(workspace), lambda: add(workspace, [str(project / "docs")])):
                assert code_of(act) in ("", "JM-804", "JM-951")
        path.unlink()
        assert add(workspace, [str(project / "docs")])[0].done.added == 1


def test_an_index_that_is_deleted_under_a_reader_is_made_again(project: Path) -> None:
    with open_workspace(project) as workspace:
        add(workspace, [str(project / "docs")])
        path = index_path(workspace)
        with open_index(path) as index:
            assert len(index.documents()) == 1
            for one in path.parent.glob("documents.db*"):
                if one.name != "documents.db-wal":  # what an rm of the file alone leaves
                    one.unlink()
            assert add(workspace, [str(project / "docs")])[0].done.added == 1
        assert len(list_documents(workspace)) == 1
        with open_index(path) as index:
            assert index.rows("PRAGMA integrity_check") == [("ok",)]
