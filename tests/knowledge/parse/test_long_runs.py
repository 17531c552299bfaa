"""Long runs of one mark, which make patterns that look back again and again take their time: every reader of text is done with each in seconds of a processor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.parse.process import Limits, ReadingProcess
from journeyman.knowledge.parse.table import find_reader

CHARS = 8_000
SECONDS = 10.0  # what is linear takes 0.01; 40,000 characters of each were tried by hand
UNITS = (
    *("[", "*", "`", "<", "|", " ", '"', "'", "1", "中", "\u0301", "\u202e", "\u05d0", "\u200b", "a", "(", "]", "#", "\\", "{", "&", "\n", "\r", "\t"),
    *("![", "[[", "\\[", "> ", "- ", "# a\n", "```\n", "~~~\n", "1. a\n", "a\n===\n", "[a](", "[a]: b\n", "| a ", "|-", "`a", "_a_"),
    *("<a ", "</", "<!--", "<p>", "<li>", "<b>", "<table><tr><td>", "&#", '="', "x="),
    *("=?utf-8?q?a?=", "a.b@", "http://", "(http://a", "From a@b Mon\n", "e.g. ", "Ab 1. cd "),
)  # fmt: skip
HEADS = {
    "a.md": ("", "---\n"),
    "a.html": ("<html>", "<p "),
    "a.csv": ("a,b\n",),
    "a.rtf": ("{\\rtf1 ",),
    "a.eml": ("Subject: a\n\n", "Subject: ", "To: ", "Content-Type: multipart/mixed; boundary="),
    "a.txt": ("",),
}


@pytest.fixture(scope="module")
def process() -> Iterator[ReadingProcess]:
    with ReadingProcess(Limits(seconds=SECONDS, memory_bytes=1 << 30)) as made:
        yield made


@pytest.mark.parametrize("name", HEADS)
def test_runs_are_read_in_time(process: ReadingProcess, name: str) -> None:
    reader = find_reader(name, b"text")
    assert reader is not None
    slow = []
    for head in HEADS[name]:
        for unit in UNITS:
            data = (head + unit * (CHARS // len(unit))).encode()
            try:
                process.read(reader, name, data)
            except KnowledgeError as error:
                if error.code in ("JM-931", "JM-932", "JM-933", "JM-934"):
                    slow.append((head, unit, error.code))
    assert not slow
