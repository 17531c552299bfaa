"""A disk that fills up under a running server: each call says so and is not acknowledged, and all goes on when there is space again."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import aiohttp

from hostile.kills import CLIENTS
from hostile.project import Server, Tally, journeyman, make_project, serving
from hostile.provider import providing
from journeyman.store.database import open_store
from journeyman.store.engine import sqlite_url

SIZE = 24 << 20
ROOM = 200_000
"""What calls find when the disk is nearly full: they fill it themselves."""
FULL = ("JM-801", "JM-817")
LONG = [{"role": "user", "content": "Where is my parcel? " * 100}]


class NoDisk(Exception):
    """None can be made here; the text says why."""


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A file system of its own. Raises: NoDisk."""
    if os.geteuid() != 0 or not shutil.which("mount") or sys.platform != "linux":
        raise NoDisk("mounting a small file system needs root on Linux")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoDisk(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def run(folder: Path, *, is_small: bool) -> Tally:
    tally = Tally()
    try:
        with small_disk(folder / "disk", SIZE) as disk, providing() as provider:
            project = make_project(disk / "project", provider.url)
            key = journeyman(project, "key", "add", "app", "--usd-per-day", "5")["secret"]
            with serving(project) as server:
                for _ in range(1 if is_small else 5):
                    _fill_once(server, key, disk, tally)
            shutil.copy(project / "serve.log", folder / "serve.log")
    except NoDisk as reason:
        tally.counts["not run"] = str(reason)
    return tally


def _fill_once(server: Server, key: str, disk: Path, tally: Tally) -> None:
    """Fill the disk, ask until it is full and for a while longer, and make room again."""
    acknowledged: list[str] = []
    ballast = disk / "ballast"
    acknowledged += asyncio.run(_ask(server, key, tally, 5 * CLIENTS, may_fail=False))
    with suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    os.truncate(ballast, ballast.stat().st_size - ROOM)
    tally.add("times full")
    failed = tally.counts.get("calls refused", 0)
    for _ in range(20):
        acknowledged += asyncio.run(_ask(server, key, tally, 4 * CLIENTS, may_fail=True))
    tally.check(tally.counts.get("calls refused", 0) > failed + CLIENTS, "the disk was never full")
    ballast.unlink()
    acknowledged += asyncio.run(_ask(server, key, tally, 5 * CLIENTS, may_fail=False))
    tally.add("calls acknowledged", len(acknowledged))
    tally.check(server.process.poll() is None, "the server ended")
    with open_store(sqlite_url(disk / "project/.journeyman/journeyman.db")) as store:
        lost = [id for id in acknowledged if store.trace(id) is None]
    tally.check(not lost, f"{len(lost)} acknowledged calls are not in the store")


async def _ask(server: Server, key: str, tally: Tally, calls: int, *, may_fail: bool) -> list[str]:
    """So many calls, whole and streamed; the traces of those that were answered whole."""
    places, acknowledged = iter(range(calls)), list[str]()

    async def work(http: aiohttp.ClientSession) -> None:
        for place in places:
            is_streamed = place % 3 == 2
            model = "task:tickets" if place % 2 else "other"
            body = {"model": model, "messages": LONG, "max_tokens": 9, "stream": is_streamed}
            try:
                async with http.post(f"{server.url}/v1/chat/completions", json=body) as reply:
                    data = await reply.read()
            except aiohttp.ClientError as error:
                tally.check(False, f"{model} stream={is_streamed}: the connection broke: {error!r}")
                continue
            is_whole = data.endswith(b"data: [DONE]\n\n") if is_streamed else True
            if reply.status == 200 and is_whole:
                acknowledged.append(reply.headers["x-journeyman-trace"])
                continue
            tally.add("calls refused")
            last = data.rstrip().rpartition(b"\n\n")[2].removeprefix(b"data: ")
            code = json.loads(last).get("error", {}).get("code") if last.startswith(b"{") else repr(data[-200:])
            told = f"{model} stream={is_streamed}: {reply.status} {data[-300:]!r}"
            tally.check(code in FULL and reply.status in (200, 503), told)
            tally.check(may_fail, f"there is room, and {told}")

    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {key}"}) as http:
        await asyncio.gather(*(work(http) for _ in range(CLIENTS)))
    return acknowledged
