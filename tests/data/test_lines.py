from __future__ import annotations

import errno
import gzip
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.errors import DataError
from journeyman.data import lines as lines_module
from journeyman.data.columnar import is_columnar
from journeyman.data.lines import Line, file_source, open_source, stream_source


def read(data: bytes) -> list[Line]:
    with open_source(stream_source(io.BytesIO(data))) as reader:
        return list(reader)


def test_bom_crlf_and_a_last_line_without_an_end() -> None:
    assert [(line.number, line.text) for line in read(b"\xef\xbb\xbfone\r\n\r\ntwo\nthree")] == [
        (1, "one"),
        (2, ""),
        (3, "two"),
        (4, "three"),
    ]


@given(st.lists(st.binary(max_size=40).filter(lambda part: b"\n" not in part), min_size=1, max_size=20))
def test_every_line_of_any_bytes_is_named_once(parts: list[bytes]) -> None:
    data = b"ok\n" + b"\n".join(parts) + b"\n"
    found = read(data)
    assert [line.number for line in found] == list(range(1, len(parts) + 2))
    assert read(gzip.compress(data)) == found


def test_unreadable_lines_say_why() -> None:
    problems = [line.problem for line in read(b"fine\n\xff\xfebroken\nwith\0nul\n")]
    assert problems == ["", "the line is not UTF-8", "the line holds NUL bytes"]


def test_a_line_over_the_limit_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "LINE_LIMIT_BYTES", 10_000)
    first, long, last = read(b"a\n" + b"x" * 3_000_000 + b"\nb\n")
    assert (first.text, last.text, last.number) == ("a", "b", 3)
    assert "longer than" in long.problem
    assert len(long.text) == lines_module.KEPT_BYTES


def test_a_line_at_the_limit_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "LINE_LIMIT_BYTES", 10_000)
    assert [line.problem for line in read(b"x" * 9_999 + b"\n" + b"y" * 10_000)] == ["", ""]


def test_a_cut_gzip_stream_keeps_what_came_before() -> None:
    data = gzip.compress(b"".join(b"%d some text to fill the stream\n" % number for number in range(10_000)))
    found = read(data[: len(data) // 2])
    assert len(found) > 100
    assert "gzip stream is broken" in found[-1].problem
    assert not any(line.problem for line in found[:-1])


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", "JM-302"), (b"PAR1....", "a Parquet file"), (b"\xff\xfea\0", "UTF-16"), (b"PK\x03\x04..", "spreadsheet")],
)
def test_foreign_and_empty_files_are_refused(tmp_path: Path, data: bytes, expected: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(DataError, match=expected) as caught:
        file_source(path)
    assert str(path) in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"JM-301 .*nothing\.jsonl: this file cannot be read"):
        file_source(tmp_path / "nothing.jsonl")
    with pytest.raises(DataError, match="got: a folder"):
        file_source(tmp_path)


def test_a_short_gzip_stream_that_breaks_keeps_what_came_before() -> None:
    data = gzip.compress(b"one\ntwo\n") + b"garbage"
    with open_source(stream_source(io.BytesIO(data))) as reader:
        assert reader.look(65_536) == "one\ntwo\n"
        found = list(reader)
    assert [line.text for line in found] == ["one", "two", ""]
    assert found[-1].problem == lines_module.BROKEN


def test_a_pipe_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not is_columnar(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"(?s)JM-301.*got: a pipe.*import -"):
        file_source(tmp_path / "pipe")


def test_a_disk_that_fails_in_the_middle_is_named() -> None:
    class Failing(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise OSError(errno.EIO, "Input/output error")
            return super().read1(1000)

    with open_source(stream_source(Failing(b"one line\n" * 1_000), "rows.jsonl")) as reader:
        lines = iter(reader)
        assert next(lines).text == "one line"
        with pytest.raises(DataError, match=r"(?s)JM-301 rows\.jsonl.*Input/output error"):
            list(lines)


def test_a_name_that_is_not_utf_8_can_be_stored(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jsonl"))
    try:
        path.write_text("{}\n")
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    assert file_source(path).name.endswith("/\ufffd.jsonl")
