"""Bytes to numbered lines: gzip by its magic, BOM, CRLF, and every unreadable line named instead of lost.

A line longer than ``LINE_LIMIT_BYTES`` is never held whole. This module knows nothing about formats.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from journeyman.core.errors import DataError

LINE_LIMIT_BYTES = 10_000_000
KEPT_BYTES = 8_000
CHUNK_BYTES = 1 << 18
GZIP_MAGIC = b"\x1f\x8b"
BROKEN = "the gzip stream is broken here"
UTF8_BOM = b"\xef\xbb\xbf"

# What a person may hand over by mistake: first bytes -> what it is, what to do.
FOREIGN = {
    b"\xff\xfe": ("text in UTF-16", "save the file as UTF-8"),
    b"\xfe\xff": ("text in UTF-16", "save the file as UTF-8"),
    b"PAR1": ("a Parquet file", "only `journeyman import` reads it, and from a path"),
    b"PARE": ("an encrypted Parquet file", "write it without encryption"),
    b"ARROW1": ("an Arrow file", "only `journeyman import` reads it, and from a path"),
    b"\xff\xff\xff\xff": ("an Arrow stream", "only `journeyman import` reads it, and from a path"),
    b"FEA1": ("a Feather file of version 1", "write it as Parquet"),
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "unpack it, or save the sheet as CSV"),
    b"\x28\xb5\x2f\xfd": ("a zstd archive", "unpack it first; gzip is read as it is"),
    b"BZh": ("a bzip2 archive", "unpack it first; gzip is read as it is"),
    b"\xfd7zXZ": ("an xz archive", "unpack it first; gzip is read as it is"),
    b"SQLite format 3": ("an SQLite database", "write the rows as JSON lines or CSV first"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One physical line, from 1, without its line end.

    ``problem`` says in one phrase why it makes no row, ``detail`` what exactly; ``text`` is then only what can be shown.
    """

    number: int
    text: str
    problem: str = ""
    detail: str = ""

    @property
    def is_blank(self) -> bool:
        return not self.problem and not self.text.strip()


@dataclass(frozen=True, slots=True)
class Source:
    """What is imported: a path, or an open binary ``stream`` such as stdin (read once, from where it stands)."""

    name: str
    path: Path | None = None
    stream: BinaryIO | None = None

    @property
    def size_bytes(self) -> int | None:
        """Bytes on disk; None for a stream, or for a file that is gone."""
        try:
            return self.path.stat().st_size if self.path is not None else None
        except OSError:
            return None


def file_source(path: Path) -> Source:
    """Name a file.

    Raises:
        DataError: JM-301 missing, a folder, or not readable; JM-302 empty.
    """
    if not path.is_file():
        got, hint = "a folder" if path.is_dir() else "nothing there", "check the path"
        if path.is_fifo():
            got, hint = "a pipe", "write it to a file; `journeyman import -` reads stdin"
        raise DataError(
            "JM-301", "this file cannot be read", where=show_path(path), expected="a file", got=got, hint=hint
        )
    source = Source(show_path(path), path=path)
    with open_source(source):  # unreadable and foreign files are refused before anything is imported
        pass
    return source


def show_path(path: Path) -> str:
    """Its name as text that can be stored, also where its bytes are not UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def stream_source(stream: BinaryIO, name: str = "stdin") -> Source:
    return Source(name, stream=stream)


class Reader:
    """The lines of one open source. ``position_bytes`` is how much of the file has been taken, for progress."""

    def __init__(self, raw: BinaryIO, name: str) -> None:
        self._raw = raw
        self.name = name
        buffered = cast(BinaryIO, io.BufferedReader(_Disk(raw, name), 1 << 16))
        head = cast(io.BufferedReader, buffered).peek(16)[:16]
        _refuse_foreign(head, name)
        packed = head.startswith(GZIP_MAGIC)
        self._file = cast(io.BufferedReader, gzip.GzipFile(fileobj=buffered) if packed else buffered)
        self._begin = b""
        self.is_broken = False

    @property
    def position_bytes(self) -> int:
        return self._raw.tell() if self._raw.seekable() else 0

    def look(self, size: int) -> str:
        """The first ``size`` bytes as text, which are read again afterwards; fewer where a gzip stream is broken."""
        with suppress(EOFError, gzip.BadGzipFile, zlib.error):
            while len(self._begin) < size and (block := self._file.read1(size - len(self._begin))):
                self._begin += block
        return self._begin.decode("utf-8", "replace")

    def chunks(self) -> Iterator[str]:
        """The text in pieces; what is not UTF-8 stands as lone surrogates. A broken gzip stream ends, and then ``is_broken`` is true."""
        decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        try:
            file = self._again()
            while block := file.read1(CHUNK_BYTES):
                if text := decoder.decode(block):
                    yield text
        except (EOFError, gzip.BadGzipFile, zlib.error):
            self.is_broken = True
        yield decoder.decode(b"", final=True)

    def _again(self) -> io.BufferedReader:
        """The file from its beginning, after a look. Read with ``read1``: ``read`` loses what came before the place where a gzip stream breaks."""
        begin, self._begin = self._begin, b""
        return io.BufferedReader(_Pushback(self._file, begin), 1 << 16) if begin else self._file

    def __iter__(self) -> Iterator[Line]:
        number, file = 0, self._again()
        try:
            while True:
                number += 1
                data, is_long = _read_line(file)
                if not data:
                    return
                yield _decode(number, data.removeprefix(UTF8_BOM) if number == 1 else data, is_long)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            yield Line(number, "", BROKEN, str(error))


@contextmanager
def open_source(source: Source) -> Iterator[Reader]:
    """Open for one pass.

    Raises:
        DataError: JM-301 not readable, JM-302 empty, JM-303 a kind of file that is never text.
    """
    if source.stream is not None:
        yield Reader(source.stream, source.name)
        return
    try:
        file = cast(Path, source.path).open("rb")
    except OSError as error:
        raise unreadable(source.name, error) from error
    with file:
        yield Reader(file, source.name)


class _Pushback(io.RawIOBase):
    """A readable stream as RawIOBase, so that ``BufferedReader.peek`` works on pipes and in-memory files alike; ``begin`` comes before it."""

    def __init__(self, stream: BinaryIO, begin: bytes = b"") -> None:
        self._stream = stream
        self._begin = begin

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        read1 = getattr(self._stream, "read1", self._stream.read)
        data = self._begin[: len(view)] or read1(len(view))
        self._begin = self._begin[len(data) :]
        view[: len(data)] = data
        return len(data)


class _Disk(_Pushback):
    """The file itself: what it cannot read is told by its name."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        super().__init__(stream)
        self._name = name

    def readinto(self, buffer: object) -> int:
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise unreadable(self._name, error) from error


def unreadable(name: str, error: OSError) -> DataError:
    return DataError(
        "JM-301",
        "this file cannot be read",
        where=name,
        got=error.strerror or str(error),
        hint="check the path and its permissions",
    )


def _refuse_foreign(head: bytes, name: str) -> None:
    if not head:
        raise DataError(
            "JM-302", "this file is empty", where=name, expected="at least one row", hint="check how it was written"
        )
    for magic, (what, hint) in FOREIGN.items():
        if head.startswith(magic):
            raise DataError(
                "JM-303",
                "this is no format that can be imported",
                where=name,
                expected="JSON lines or CSV in UTF-8, plain or gzipped",
                got=what,
                hint=hint,
            )


def _read_line(file: BinaryIO) -> tuple[bytes, bool]:
    """One line; of a line over the limit only the first bytes are kept, and the rest is passed over."""
    data = file.readline(LINE_LIMIT_BYTES + 1)
    if len(data) <= LINE_LIMIT_BYTES:
        return data, False
    head, block = data[:KEPT_BYTES], data
    del data
    while block and not block.endswith(b"\n"):
        block = file.readline(1 << 20)
    return head, True


def _decode(number: int, data: bytes, is_long: bool) -> Line:
    shown = data[:KEPT_BYTES].decode("utf-8", "replace")
    if is_long:
        return Line(number, shown, f"the line is longer than {LINE_LIMIT_BYTES / 1_000_000:g} MB")
    if b"\0" in data:
        return Line(number, shown, "the line holds NUL bytes")
    try:
        return Line(number, data.decode("utf-8").rstrip("\r\n"))
    except UnicodeDecodeError as error:
        return Line(number, shown, "the line is not UTF-8", f"at byte {error.start + 1}")
