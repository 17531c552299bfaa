"""`/v1/files`: what callers upload to tune on. Each file is its uploader's own; nobody else learns that it is there.

A file's bytes go to the disk as they come and are kept as they came, until it is deleted.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError, StoreError
from journeyman.core.files import disk_errors, fsync_folder
from journeyman.core.ids import make_id
from journeyman.data.tuning_file import read_tuning_file
from journeyman.gateway.callers import Doorkeeper
from journeyman.gateway.failures import json_response
from journeyman.gateway.multipart import Head, find_boundary, read_form
from journeyman.gateway.pages import check_query, read_limit, write_page
from journeyman.store.desk import Desk
from journeyman.store.files import StoredFile
from journeyman.store.jobs import seconds

PURPOSE, RESULTS = "fine-tune", "fine-tune-results"
LIMIT_BYTES = 200_000_000
FIELD_LIMIT_BYTES = 1_000
STALE_S = 24 * 3600.0
PARTIAL = ".partial"


class FileRoutes:
    """``folder`` holds the bytes, each file under its id."""

    def __init__(
        self,
        desk: Desk,
        folder: Path,
        keeper: Doorkeeper,
        limit_bytes: int = LIMIT_BYTES,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._desk = desk
        self._folder = folder
        self._keeper = keeper
        self._limit_bytes = limit_bytes
        self._now = now

    async def create(self, request: Request) -> Response:
        caller = await self._keeper.admit(request.headers)
        caller.check_tuner()
        boundary = find_boundary(request.headers.get("content-type", ""))
        id = make_id("file", self._now(), bits=60)
        with disk_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(_sweep, self._folder)
        partial = self._folder / f"{id}{PARTIAL}"
        try:
            name, fields = await self._receive(request, boundary, partial)
            if fields.get("purpose") != PURPOSE:
                raise ServeError(
                    "JM-772",
                    "files are taken for tuning alone",
                    where="purpose",
                    expected=PURPOSE,
                    got=fields.get("purpose", "nothing"),
                )
            facts = await asyncio.to_thread(read_tuning_file, partial)
            size = partial.stat().st_size
            file = StoredFile(id, caller.id, name, PURPOSE, self._now().isoformat(), size, facts.to_json())
            await asyncio.to_thread(self._keep, partial, file)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return json_response(write_file(file))

    async def list(self, request: Request) -> Response:
        caller = await self._keeper.admit(request.headers)
        check_query(request, ("after", "limit", "order", "purpose"))
        asked, limit = request.query_params, read_limit(request, 10_000, 10_000)
        order = asked.get("order", "desc")
        if order not in ("asc", "desc"):
            raise ServeError("JM-772", "there is no such order", where="order", expected="asc or desc", got=order[:40])
        page = (caller.id, asked.get("purpose", ""), asked.get("after", ""), limit + 1)
        try:
            found = await asyncio.to_thread(self._desk.files, *page, is_ascending=order == "asc")
        except StoreError as error:
            raise (unknown_file(page[2]) if error.code == "JM-813" else error) from error
        return json_response(write_page([write_file(file) for file in found[:limit]], has_more=len(found) > limit))

    async def retrieve(self, request: Request) -> Response:
        return json_response(write_file(await self._find(request)))

    async def content(self, request: Request) -> Response:
        """Raises: ServeError: JM-777 the bytes are gone."""
        file = await self._find(request)
        path = self._folder / file.id
        if not path.is_file():
            raise vanished(file.id)
        return FileResponse(path, media_type="application/octet-stream")

    async def delete(self, request: Request) -> Response:
        file = await self._find(request)
        await asyncio.to_thread(self._desk.delete_file, file.id, file.owner)
        (self._folder / file.id).unlink(missing_ok=True)
        return json_response({"id": file.id, "object": "file", "deleted": True})

    async def _find(self, request: Request) -> StoredFile:
        caller = await self._keeper.admit(request.headers)
        id = request.path_params["id"]
        file = await asyncio.to_thread(self._desk.file, id, caller.id)
        if file is None:
            raise unknown_file(id)
        return file

    async def _receive(self, request: Request, boundary: bytes, path: Path) -> tuple[str, dict[str, str]]:
        """The file goes to ``path``; its name and the other fields."""
        name, fields, held = "", dict[str, str](), bytearray()
        field = ""
        with disk_errors(path):
            file = path.open("wb", buffering=0)
        with file:
            async with aclosing(read_form(self._limited(request), boundary)) as parts:
                async for part in parts:
                    if isinstance(part, Head):
                        _check_field(part, name)
                        field, held = part.name, bytearray()
                        name = (part.filename or "file") if field == "file" else name
                    elif field == "file":
                        await asyncio.to_thread(_write, file, part.data, path)
                    else:
                        held += part.data[: FIELD_LIMIT_BYTES - len(held)]
                        fields[field] = held.decode("utf-8", "replace")
            await asyncio.to_thread(_sync, file, path)
        if not name:
            raise ServeError(
                "JM-772", "the form has no file", where="file", expected="a field named file, with a filename"
            )
        return name[:200], fields

    async def _limited(self, request: Request) -> AsyncIterator[bytes]:
        """Raises: ServeError: JM-775 too long, once the client has sent it, so that it hears the answer; JM-772 the client left."""
        size = 0
        try:
            async for chunk in request.stream():
                size += len(chunk)
                if size <= self._limit_bytes:
                    yield chunk
                elif size > 16 * self._limit_bytes:
                    break
        except ClientDisconnect as error:
            raise ServeError("JM-772", "the upload broke off", where="body", hint="send it again") from error
        if size > self._limit_bytes:
            raise ServeError(
                "JM-775",
                "the file is too large",
                where="file",
                expected=f"at most {self._limit_bytes:,} bytes",
                got=f"{size:,} bytes or more",
                hint="send fewer rows",
            )

    def _keep(self, partial: Path, file: StoredFile) -> None:
        """The name on the disk before the row in the database: a kill in between leaves bytes that nobody lists, never a row without bytes."""
        path = self._folder / file.id
        with disk_errors(path):
            partial.rename(path)
            fsync_folder(self._folder)
        try:
            self._desk.add_file(file)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def write_file(file: StoredFile) -> dict[str, Json]:
    """OpenAI's file object."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(seconds(file.created)),
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
    }


def unknown_file(id: str, where: str = "") -> ServeError:
    return ServeError(
        "JM-770", "there is no such file", where=where, got=id[:80], hint="client.files.list() names yours"
    )


def vanished(id: str, where: str = "") -> ServeError:
    return ServeError(
        "JM-777", "the bytes of this file are gone", where=where, got=id, hint="upload it again, and create a new job"
    )


def _check_field(head: Head, name: str) -> None:
    if head.name not in ("file", "purpose") or (head.name == "file" and name):
        raise ServeError(
            "JM-772", "the form has a field that is not known", where=head.name[:80], expected="file, purpose"
        )


def _write(file: FileIO, data: bytes, path: Path) -> None:
    """Unbuffered, so that a full disk is met here and not again when the file is closed."""
    with disk_errors(path):
        while data:
            data = data[file.write(data) :]


def _sync(file: FileIO, path: Path) -> None:
    with disk_errors(path):
        os.fsync(file.fileno())


def _sweep(folder: Path) -> None:
    """What uploads left that were killed."""
    for path in folder.glob(f"*{PARTIAL}"):
        with suppress(FileNotFoundError):  # another upload has ended
            if time.time() - path.stat().st_mtime > STALE_S:
                path.unlink()
