from __future__ import annotations

import io
import zipfile

import pytest

from journeyman.knowledge.parse.table import FORMATS, find_reader


def make_zip(member: str, content: str = "") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(member, content)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "head", "reader"),
    [
        ("A.MD", b"x", "Markdown"),
        ("a.htm", b"x", "HTML"),
        ("a.tsv", b"x", "CSV"),
        ("a.eml", b"x", "e-mail"),
        ("a.txt", b"<html>", "plain text"),
        ("stdin", b"\xef\xbb\xbf\n <!DOCTYPE HTML>", "HTML"),
        ("stdin", make_zip("mimetype", "application/epub+zip"), "EPUB"),
        ("setup.py", b"import x", "plain text"),
        ("a.bin", b"\0\1", None),
        ("a.zip", make_zip("a.txt"), None),
        ("noname", b"", "plain text"),
    ],
)
def test_the_name_tells_else_the_first_bytes(name: str, head: bytes, reader: str | None) -> None:
    found = find_reader(name, head)
    assert (found.name if found else None) == reader


def test_every_format_reads_with_its_reader() -> None:
    texts = {"Markdown": "# a", "HTML": "<p>a", "CSV": "a", "e-mail": "Subject: a\n\na", "plain text": "a"}
    for reader in FORMATS:
        if reader.name in texts:
            document = reader.read("name", texts.pop(reader.name).encode())
            assert document.name == "name"
            assert [document.text[block.start : block.end] for block in document.blocks][-1] == "a"
    assert not texts
