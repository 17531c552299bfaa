"""What a user hands in as the files in it: files, folders, globs, zip archives, mailboxes, bytes from stdin.

Names are paths with ``/`` that begin with what was handed in: ``docs/sub/a.md`` for the folder ``docs``, ``pack.zip/inner/a.md`` for an archive. A file that is
not taken comes as ``Refused``, with the reason; hidden files and ``LEFT_OUT`` do not come at all. Nothing is read before ``Source.read`` but lists of members.
"""

from __future__ import annotations

import glob
import io
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Fact
from journeyman.knowledge.parse.archive import DEFAULT, Archive, Limits, Member
from journeyman.knowledge.parse.fetched import fetch, is_address
from journeyman.knowledge.parse.mailbox import find_messages, unquote
from journeyman.knowledge.parse.provenance import Commits
from journeyman.knowledge.source import Source

LEFT_OUT = frozenset({"node_modules", "__pycache__", "__MACOSX"})
MAGIC = b"PK\x03\x04"
MAILBOX = ".mbox"


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that is not read, and why."""

    name: str
    error: KnowledgeError

    @property
    def code(self) -> str:
        return self.error.code

    @property
    def reason(self) -> str:
        return self.error.reason


Found = Iterator[Source | Refused]


def find_sources(given: Iterable[str | Path], limits: Limits = DEFAULT) -> Found:
    """The files in what was given, each once, in order of name within each thing given; what stands behind an address is fetched."""
    walk = _Walk(limits)
    for one in given:
        yield from _fetch(str(one), limits) if is_address(str(one)) else walk.find(str(one))


def _fetch(address: str, limits: Limits) -> Found:
    try:
        name, data, facts = fetch(address, limits)
    except KnowledgeError as error:
        yield Refused(address, error)
        return
    for found in unpack(name, data, limits):
        yield replace(found, facts={**facts, **found.facts}) if isinstance(found, Source) else found


def unpack_attached(mail: Source, files: Mapping[str, bytes], limits: Limits = DEFAULT, depth: int = 1) -> Found:
    """What came with a mail that stands in ``depth - 1`` others, named below it as members are below their archive."""
    left = _Left(limits)
    for name, data in files.items():
        where = f"{mail.name}/{name}"
        if depth > limits.depth:
            yield _refuse(
                where, "JM-905", "this attachment is not read", f"it came in a mail inside {depth - 1} others"
            )
            continue
        for found in unpack(where, data, limits, left):
            yield replace(found, facts={**mail.facts, **found.facts}) if isinstance(found, Source) else found


def unpack(name: str, data: bytes, limits: Limits = DEFAULT, left: _Left | None = None) -> Found:
    """Bytes that have a name alone, as from stdin: one source, or those in the archive or mailbox that they are."""
    if len(data) > limits.file_bytes:
        yield _too_large(name, len(data), limits)
        return
    kind = _container(name, data[:4])
    if kind == "zip":
        yield from _open_zip(name, io.BytesIO(data), limits, left or _Left(limits), 1)
    elif kind == "mbox":
        yield from _split(name, lambda: io.BytesIO(data), limits)
    else:
        yield Source(name, len(data), f"{zlib.crc32(data):08x}:{len(data)}", lambda: data)


class _Walk:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._commits = Commits()
        self._paths: set[str] = set()
        self._names: set[str] = set()

    def find(self, given: str) -> Found:
        path = Path(given)
        try:
            is_there = path.exists()
        except OSError as error:
            yield _shut(show_path(given), error.strerror or "it cannot be looked at")
            return
        if is_there:
            yield from self._find_path(path)
        elif glob.has_magic(given):
            yield from self._find_glob(given)
        else:
            got = "a link that leads nowhere" if path.is_symlink() else "nothing there"
            yield _unreadable(show_path(given), got)

    def _find_path(self, path: Path) -> Found:
        base = Path(os.path.abspath(path))
        if base.is_dir():
            yield from self._find_folder(base, base.parent)
        else:
            yield from self._find_file(base, base.name)

    def _find_glob(self, pattern: str) -> Found:
        parts = Path(pattern).parts
        fixed = next(number for number, part in enumerate(parts) if glob.has_magic(part))
        folder = Path(os.path.abspath(Path(*parts[:fixed])))
        before = len(self._names)
        if "**" in parts:
            yield from self._find_folder(folder, folder.parent, parts[fixed:])
        else:
            for one in sorted(glob.glob(pattern)):
                path = Path(os.path.abspath(one))
                if path.is_dir():
                    yield from self._find_folder(path, folder.parent)
                else:
                    yield from self._find_file(path, _name(path, folder.parent))
        if len(self._names) == before:
            yield _unreadable(show_path(pattern), "no new file fits this pattern")

    def _find_folder(self, folder: Path, base: Path, pattern: tuple[str, ...] = ("**",)) -> Found:
        """The files below whose path fits. Without recursion: folders nest as deep as the file system lets them."""
        root = folder.resolve()
        waiting = [folder]
        while waiting:
            path = waiting.pop()
            try:
                is_link, is_folder = path.is_symlink(), path.is_dir()
            except OSError as error:  # a folder may be listed, and yet nobody may look at what is in it
                yield _shut(_name(path, base), error.strerror or "it cannot be looked at")
                continue
            if path is not folder and is_link:
                if not _is_below(path, root):
                    yield _unreadable(_name(path, base), "a link that leads out of the folder, or nowhere")
                    continue
                if is_folder or not _is_left_out(path.resolve().relative_to(root).parts):
                    continue  # its target comes under its own name
            if not is_folder:
                if _fits(path.relative_to(folder).parts, pattern):
                    yield from self._find_file(path, _name(path, base))
                continue
            try:
                entries = sorted(os.listdir(path), reverse=True)
            except OSError as error:
                yield _shut(_name(path, base), error.strerror or "it cannot be opened")
                continue
            waiting += [path / entry for entry in entries if not _is_left_out((entry,))]

    def _find_file(self, path: Path, name: str) -> Found:
        real = os.path.realpath(path)
        if real in self._paths:
            return
        self._paths.add(real)
        if name in self._names:
            yield _refuse(name, "JM-911", "another file of this name is added already", show_path(real))
            return
        self._names.add(name)
        try:
            state = path.stat()
            if not stat.S_ISREG(state.st_mode):
                yield _unreadable(name, "a pipe, socket or device")
                return
            with path.open("rb") as file:
                head = file.read(4)
        except OSError as error:
            yield _shut(name, error.strerror or "it cannot be opened")
            return
        yield from self._find_content(path, name, state, head)

    def _find_content(self, path: Path, name: str, state: os.stat_result, head: bytes) -> Found:
        limits = self._limits
        kind = _container(name, head)
        if kind == "zip":
            try:
                yield from _open_zip(name, path.open("rb"), limits, _Left(limits), 1)
            except OSError as error:
                yield _shut(name, error.strerror or "it cannot be opened")
        elif kind == "mbox":
            yield from _split(name, lambda: path.open("rb"), limits)
        elif state.st_size > limits.file_bytes:
            yield _too_large(name, state.st_size, limits)
        else:
            yield Source(
                name,
                state.st_size,
                f"{state.st_mtime_ns}:{state.st_size}",
                lambda: _read_file(path, name, limits),
                self._facts(path, state),
            )

    def _facts(self, path: Path, state: os.stat_result) -> dict[str, Fact]:
        facts: dict[str, Fact] = {"modified": _moment(state.st_mtime)}
        if commit := self._commits.find(Path(os.path.realpath(path))):
            facts["git_commit"] = commit
        return facts


@dataclass(slots=True)
class _Left:
    """What an archive and those inside may still hold."""

    members: int
    total_bytes: int

    def __init__(self, limits: Limits) -> None:
        self.members, self.total_bytes = limits.members, limits.total_bytes


def _open_zip(name: str, file: BinaryIO, limits: Limits, left: _Left, depth: int) -> Found:
    try:
        archive = Archive(name, file, limits)
    except KnowledgeError as error:
        yield Refused(name, error)
        return
    if archive.is_empty:
        yield _refuse(name, "JM-989", "there is nothing to read in this file", "an archive without files")
    for member in archive.members():
        if _is_left_out(tuple(member.name.split("/"))):
            continue
        where = f"{name}/{member.name}"
        if member.problem:
            yield _refuse(where, "JM-905", "this member of an archive is not read", member.problem)
            continue
        left.members -= 1
        left.total_bytes -= member.info.file_size
        if left.members < 0 or left.total_bytes < 0:
            yield _refuse(where, "JM-904", "this archive is not read further", "those inside are over the limits")
            return
        yield from _find_member(archive, member, where, limits, left, depth)


def _find_member(archive: Archive, member: Member, where: str, limits: Limits, left: _Left, depth: int) -> Found:
    info = member.info
    kind = _container(where, b"")
    if not kind:
        facts: dict[str, Fact] = {"modified": _zip_moment(info.date_time)}
        stamp = f"{info.CRC:08x}:{info.file_size}"
        yield Source(where, info.file_size, stamp, lambda: archive.read_member(member), facts)
        return
    if depth >= limits.depth:
        yield _refuse(where, "JM-905", "this member of an archive is not read", f"an archive {depth} archives deep")
        return
    try:
        data = archive.read_member(member)
    except KnowledgeError as error:
        yield Refused(where, error)
        return
    if kind == "zip":
        yield from _open_zip(where, io.BytesIO(data), limits, left, depth + 1)
    else:
        yield from _split(where, lambda: io.BytesIO(data), limits)


def _split(name: str, open_file: Callable[[], BinaryIO], limits: Limits) -> Found:
    """The messages of a mailbox, as mails of their own."""
    number = 0
    try:
        with open_file() as file:
            for number, (begin, end) in enumerate(find_messages(file), 1):
                where = f"{name}/{number:06}.eml"
                if end - begin > limits.file_bytes:
                    yield _too_large(where, end - begin, limits)
                    continue
                file_position = file.tell()
                stamp = f"{_checksum(file, begin, end):08x}:{end - begin}"
                file.seek(file_position)
                yield Source(where, end - begin, stamp, _reader(where, open_file, begin, end))
            if not number and file.seek(0, io.SEEK_END):
                yield _refuse(
                    name,
                    "JM-989",
                    "there is nothing to read in this file",
                    "no line of it begins a message: From sender Mon ...",
                )
    except OSError as error:
        yield _shut(name, error.strerror or "it cannot be read")


def _reader(name: str, open_file: Callable[[], BinaryIO], begin: int, end: int) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with open_file() as file:
                file.seek(begin)
                return unquote(file.read(end - begin))
        except OSError as error:
            raise _no_file(name, error.strerror or "it cannot be read") from error

    return read


def _checksum(file: BinaryIO, begin: int, end: int) -> int:
    file.seek(begin)
    found, left = 0, end - begin
    while left and (part := file.read(min(left, 1 << 20))):
        found = zlib.crc32(part, found)
        left -= len(part)
    return found


def _read_file(path: Path, name: str, limits: Limits) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limits.file_bytes + 1)
    except OSError as error:
        raise _no_file(name, error.strerror or "it cannot be read") from error
    if len(data) > limits.file_bytes:
        raise _too_large(name, len(data), limits).error
    return data


def _container(name: str, head: bytes) -> str:
    ending = os.path.splitext(name)[1].lower()
    if ending == ".zip" or (not ending and head == MAGIC):
        return "zip"
    return "mbox" if ending == MAILBOX else ""


def _is_left_out(parts: Iterable[str]) -> bool:
    return any(part in LEFT_OUT or (part.startswith(".") and part not in (".", "..")) for part in parts)


def _fits(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return len(pattern) == 1 or any(_fits(parts[number:], pattern[1:]) for number in range(len(parts)))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])


def _is_below(path: Path, root: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # RuntimeError: a circle of links
        return False


def _name(path: Path, base: Path) -> str:
    return show_path(path.relative_to(base).as_posix())


def show_path(path: str) -> str:
    """A name as text that can be stored, also where its bytes are not UTF-8: these are written ``\\xe9``, so that two names stay two."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _zip_moment(moment: tuple[int, ...]) -> str:
    """Archives say no time zone."""
    year, month, day, hour, minute, second = moment
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"


def _too_large(name: str, size: int, limits: Limits) -> Refused:
    return Refused(
        name,
        KnowledgeError(
            "JM-902",
            "this file is too large",
            where=name,
            expected=f"at most {limits.file_bytes:,} bytes",
            got=f"{size:,} bytes",
            hint="split it, or add the part that matters",
        ),
    )


def _unreadable(name: str, got: str) -> Refused:
    return Refused(
        name,
        KnowledgeError(
            "JM-901", "this cannot be read", where=name, expected="a file or a folder", got=got, hint="check the path"
        ),
    )


def _shut(name: str, got: str) -> Refused:
    return Refused(name, _no_file(name, got))


def _no_file(name: str, got: str) -> KnowledgeError:
    """What may be opened another time."""
    return KnowledgeError("JM-901", "this cannot be read", where=name, got=got, hint="check the path", retryable=True)


def _refuse(name: str, code: str, what: str, got: str) -> Refused:
    return Refused(name, KnowledgeError(code, what, where=name, got=got))
