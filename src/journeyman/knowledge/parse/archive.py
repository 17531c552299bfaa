"""Zip archives from strangers: what is in them, read a member at a time and never more than the limits.

Knows nothing about what members mean. Sizes that the archive states are believed only as upper bounds: reading stops there.
"""

from __future__ import annotations

import io
import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from journeyman.core.errors import KnowledgeError

END, END_64, ENTRY_LEAST = b"PK\x05\x06", b"PK\x06\x06", 46
TAIL_BYTES = 66_000
ENTRY_MOST_BYTES = 1_000
UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(OSError, EOFError, RuntimeError, ValueError, ArithmeticError, LookupError, MemoryError),
)
"""What the standard library raises for damaged members; RuntimeError for encrypted ones, NotImplementedError (a RuntimeError) for other methods, OverflowError for places beyond
any file."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``file_bytes`` a file or member; ``total_bytes`` and ``members`` an archive with those inside; ``ratio`` unpacked to packed, of what is over ``ratio_from_bytes``."""

    file_bytes: int = 200_000_000
    total_bytes: int = 2_000_000_000
    members: int = 20_000
    ratio: int = 200
    ratio_from_bytes: int = 10_000_000
    depth: int = 2


DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive. ``problem`` says why it is not read."""

    name: str
    info: zipfile.ZipInfo
    problem: str = ""


class Archive:
    """An open archive within the limits; it is closed when nobody holds it any more."""

    def __init__(self, name: str, file: BinaryIO, limits: Limits = DEFAULT) -> None:
        """Raises: KnowledgeError: JM-904, it is damaged or over a limit."""
        self.name = name
        self._limits = limits
        try:
            entries = _count_entries(file)
            if entries > limits.members:
                raise _not_read(name, f"{entries} members", f"at most {limits.members}")
            self._zip = zipfile.ZipFile(file)
        except UNREADABLE as error:
            raise _not_read(name, str(error), "a whole zip archive") from error
        self.total_bytes = sum(info.file_size for info in self._zip.infolist())
        if self.total_bytes > limits.total_bytes:
            raise _not_read(name, f"{self.total_bytes:,} bytes unpacked", f"at most {limits.total_bytes:,}")

    @property
    def is_empty(self) -> bool:
        return all(is_folder(info) for info in self._zip.infolist())

    def members(self) -> Iterator[Member]:
        """The files, in order of name."""
        seen: set[str] = set()
        for info in sorted(self._zip.infolist(), key=lambda info: info.filename):
            if is_folder(info):
                continue
            yield Member(info.filename, info, self._find_problem(info, info.filename in seen))
            seen.add(info.filename)

    def read(self, name: str) -> bytes:
        """Raises: KnowledgeError: JM-905, there is no such member or it cannot be read."""
        try:
            info = self._zip.getinfo(name)
        except KeyError as error:
            raise _no_member(f"{self.name}/{name}", "it is not in the archive") from error
        return self.read_member(Member(name, info, self._find_problem(info, False)))

    def read_member(self, member: Member) -> bytes:
        """Raises: KnowledgeError: JM-905, it cannot be read."""
        where = f"{self.name}/{member.name}"
        if member.problem:
            raise _no_member(where, member.problem)
        try:
            with self._zip.open(member.info) as file:
                data = file.read(self._limits.file_bytes + 1)
        except UNREADABLE as error:
            raise _no_member(where, f"it is damaged: {error}") from error
        if len(data) > self._limits.file_bytes:
            raise _no_member(where, f"it is larger than {self._limits.file_bytes:,} bytes")
        return data

    def names(self) -> list[str]:
        return self._zip.namelist()

    def _find_problem(self, info: zipfile.ZipInfo, is_second: bool) -> str:
        limits = self._limits
        parts = info.filename.replace("\\", "/").split("/")
        if ".." in parts or info.filename.startswith(("/", "\\")) or ":" in parts[0]:
            return "its name leads out of the archive"
        if not info.filename:
            return "it has no name"
        if is_second:
            return "a member of this name came before"
        if stat.S_ISLNK(info.external_attr >> 16):
            return "it is a link"
        if info.flag_bits & 1:
            return "it is encrypted"
        if info.file_size > limits.file_bytes:
            return f"it has {info.file_size:,} bytes; at most {limits.file_bytes:,} are read"
        if info.file_size > limits.ratio_from_bytes and info.file_size > limits.ratio * max(info.compress_size, 1):
            return f"it unpacks to more than {limits.ratio} times its size"
        return ""


def open_archive(name: str, data: bytes, limits: Limits = DEFAULT) -> Archive:
    """Raises: KnowledgeError: JM-904, it is damaged or over a limit."""
    return Archive(name, io.BytesIO(data), limits)


def _count_entries(file: BinaryIO) -> int:
    """As the end of the archive says, before anything is built from it; many where the list's own size belies it."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - TAIL_BYTES))
    tail = file.read(TAIL_BYTES)
    file.seek(0)
    at = tail.rfind(END)
    if at < 0 or len(tail) < at + 22:
        raise zipfile.BadZipFile("it has no list of members")
    entries, list_bytes = struct.unpack_from("<HI", tail, at + 10)
    at_64 = tail.rfind(END_64)
    if at_64 >= 0 and len(tail) >= at_64 + 56:
        entries, list_bytes = struct.unpack_from("<QQ", tail, at_64 + 32)
    if list_bytes > ENTRY_MOST_BYTES * max(entries, 1):
        return int(list_bytes) // ENTRY_LEAST
    return int(entries)


def is_folder(info: zipfile.ZipInfo) -> bool:
    """An entry without a name is none; `ZipInfo.is_dir` fails on it."""
    return info.filename.endswith("/")


def _not_read(name: str, got: str, expected: str) -> KnowledgeError:
    return KnowledgeError(
        "JM-904",
        "this archive is not read",
        where=name,
        expected=expected,
        got=got,
        hint="unpack what you need of it and add the folder",
    )


def _no_member(where: str, got: str) -> KnowledgeError:
    return KnowledgeError("JM-905", "this member of an archive is not read", where=where, got=got)
