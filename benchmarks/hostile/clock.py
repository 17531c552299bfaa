"""A wall clock that jumps by hours and days, forwards and back: budgets of a day, keys that expire, leases, the order of calls, and what is deleted for its age."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp

from hostile.project import Tally
from hostile.provider import USAGE, providing
from journeyman.core.keys import NANO, Key, hash_secret, make_secret
from journeyman.gateway.app import make_app
from journeyman.gateway.callers import Budgets, Caps, Doorkeeper
from journeyman.gateway.points import Point
from journeyman.gateway.purse import Purse
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry
from journeyman.gateway.server import serve_in_background
from journeyman.store.budgets import read_spent
from journeyman.store.database import Store, open_store
from journeyman.store.engine import sqlite_url

START = datetime(2027, 1, 31, 12, tzinfo=UTC)
EXPIRES = START + timedelta(days=3)
PRICES = (0.4, 1.6)
CALL_NANO = round((USAGE["prompt_tokens"] * PRICES[0] + USAGE["completion_tokens"] * PRICES[1]) * NANO / 1e6)
CALLS = 30
DAY_NANO = 20 * CALL_NANO
BODY = {"model": "big", "messages": [{"role": "user", "content": "Where is my parcel?"}], "max_tokens": 7}


@dataclass
class Clock:
    """The wall clock of a server, and one that never jumps, as the system has it."""

    now: datetime = START

    def read(self) -> datetime:
        return self.now


@dataclass
class Front:
    url: str
    http: aiohttp.ClientSession
    clock: Clock
    store: Store
    purse: Purse
    traces: list[str] = field(default_factory=list)

    async def ask(self) -> int:
        async with self.http.post(f"{self.url}/v1/chat/completions", json=BODY) as reply:
            await reply.read()
            if reply.status == 200:
                self.traces.append(reply.headers["x-journeyman-trace"])
            return reply.status


def run(folder: Path, *, is_small: bool) -> Tally:
    tally = Tally()
    asyncio.run(_jump_often(folder, tally, 20 if is_small else 300))
    return tally


async def _jump_often(folder: Path, tally: Tally, jumps: int) -> None:
    draw = random.Random(0)
    with providing() as provider:
        async with _fronting(folder, provider.url) as front:
            for _ in range(jumps):
                front.clock.now = START + timedelta(seconds=draw.uniform(-5, 5) * draw.choice((1, 3600, 86_400)))
                tally.add("jumps")
                await front.purse.renew()
                await _ask_a_while(front, tally)
            await _check(front, tally)


async def _ask_a_while(front: Front, tally: Tally) -> None:
    """Some calls at once at this time; what was spent in this day is never more than its budget."""
    is_valid = front.clock.now < EXPIRES
    await asyncio.sleep(0)
    statuses = await asyncio.gather(*(front.ask() for _ in range(CALLS)))
    for status in statuses:
        tally.add(f"status {status}")
        tally.check(status in ((200, 429) if is_valid else (401,)), f"at {front.clock.now} a call got {status}")
    day = front.clock.now.date().isoformat()
    with front.store._database.reading() as connection:
        spent = read_spent(connection, "project", day)
    tally.check(spent <= DAY_NANO, f"{spent} were spent of {DAY_NANO} on {day}")


async def _check(front: Front, tally: Tally) -> None:
    stored = list(front.store.traces("model:big"))
    ids = {trace.id for trace in stored if trace.status == "ok"}
    tally.counts["calls acknowledged"] = len(front.traces)
    tally.check(len(set(front.traces)) == len(front.traces), "two calls have one trace")
    tally.check(ids == set(front.traces), "what was acknowledged is not what is stored")
    days = {trace.time[:10] for trace in stored if trace.status == "ok"}
    tally.counts["days with calls"] = len(days)
    tally.check(len(days) > 2, "the clock never jumped to another day")
    limit = (START - timedelta(days=1)).isoformat()
    old = {trace.id for trace in stored if trace.time < limit}
    gone = sum(front.store.delete_old("model:big", limit))
    tally.counts["deleted for their age"] = gone
    left = {trace.id for trace in front.store.traces("model:big")}
    tally.check(gone == len(old) and left == {trace.id for trace in stored} - old, "others were deleted than the old")
    for period in days:
        with front.store._database.reading() as connection:
            spent = read_spent(connection, "project", period)
        tally.check(0 < spent <= DAY_NANO, f"{spent} were spent of {DAY_NANO} on {period}")
        tally.add("days that spent all they may", int(spent > DAY_NANO - 2 * CALL_NANO))
    tally.check(tally.counts["days that spent all they may"] > 0, "no budget was ever reached")


@asynccontextmanager
async def _fronting(folder: Path, provider: str) -> AsyncIterator[Front]:
    clock, secret = Clock(), make_secret()
    async with AsyncExitStack() as stack:
        store = stack.enter_context(open_store(sqlite_url(folder / "gateway.db")))
        key = Key("key-1", "app", hash_secret(secret), secret[:7], START.isoformat(), expires=EXPIRES.isoformat())
        store.add_key(key)
        recorder = Recorder(store)
        stack.callback(recorder.close)
        purse = Purse(store, now=clock.read)
        stack.push_async_callback(purse.close)
        point = Point("teacher", f"{provider}/v1", "", PRICES)
        app = make_app(
            Registry([], lambda _task: None, points=[point]),
            recorder,
            keeper=Doorkeeper(store.find_key, is_open=False, now=clock.read),
            budgets=Budgets(purse, Caps(DAY_NANO / NANO), now=clock.read),
            calls=store,
            now=clock.read,
        )
        url = await stack.enter_async_context(serve_in_background(app))
        headers = {"authorization": f"Bearer {secret}"}
        http = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
        yield Front(url, http, clock, store, purse)
