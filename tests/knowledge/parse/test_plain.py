from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.parse.plain import read_plain

PIECES = st.sampled_from(["word", "two words", " ", "\t", "\n", "\r\n", "\r", "\f", "é", "\u2028", "\u00a0", "#", "- "])


@given(st.lists(PIECES, max_size=40).map("".join))
def test_paragraphs_hold_all_that_is_not_blank(text: str) -> None:
    document = read_plain("a.txt", text.encode())
    assert document.text == text
    position = 0
    for block in document.blocks:
        assert position <= block.start < block.end <= len(text)
        assert not text[position : block.start].strip()
        assert not text[block.start : block.end].startswith(("\n", "\r"))
        position = block.end
    assert not text[position:].strip()


def test_paragraphs_end_at_blank_lines() -> None:
    document = read_plain("a.txt", b"\none\r\ntwo  \r\n \t\r\n    three\n\nfour")
    assert [document.text[block.start : block.end] for block in document.blocks] == ["one\r\ntwo", "    three", "four"]


@pytest.mark.parametrize(
    ("data", "text", "note"),
    [
        ("grün".encode("utf-8-sig"), "grün", ""),
        ("grün\r\n".encode("utf-16"), "grün\r\n", ""),
        (b"\xfe\xff" + "grün".encode("utf-16-be"), "grün", ""),
        ("grün".encode("utf-32"), "grün", ""),
        ("“grün”".encode("cp1252"), "“grün”", "Windows-1252"),
        (b"gr\xfcn \x81", "grün \x81", "Latin-1"),
        ("grüne Wiesen, schöne Bäume, größer, übrig, Öl ".encode() * 9 + b"\xe2\x82", None, "1 place(s) are not UTF-8"),
        (b"\xff\xfea\x00b", "a\ufffd", "not utf-16-le"),
        (b"", "", ""),
    ],
)
def test_encodings(data: bytes, text: str | None, note: str) -> None:
    document = read_plain("a.txt", data)
    if text is not None:
        assert document.text == text
    assert note in "".join(document.notes)
    assert bool(note) == bool(document.notes)


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"a\0b", bytes(range(1, 32)) * 4])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(KnowledgeError, match=r"JM-906 a\.txt: this file holds no text"):
        read_plain("a.txt", data)
