"""`kill -9` of the server while many clients ask it: what was answered whole is in the store, and no budget is passed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from hostile.project import Document, Server, Tally, journeyman, make_project, name_providers, serving
from hostile.provider import USAGE, Provider, providing
from journeyman.core.keys import NANO
from journeyman.store.database import open_store
from journeyman.store.engine import sqlite_url

CLIENTS = 16
BUDGET_USD = 0.04
CALL_NANO = round((USAGE["prompt_tokens"] * 0.4 + USAGE["completion_tokens"] * 1.6) * NANO / 1e6)
ASK = [{"role": "user", "content": "Where is my parcel?"}]


@dataclass
class Storm:
    """Clients of one key. ``acknowledged`` are the traces of the calls that were answered whole."""

    url: str
    key: str
    model: str
    acknowledged: list[str] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    async def blow(self, clients: int, until: asyncio.Event) -> None:
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(timeout=timeout, headers={"authorization": f"Bearer {self.key}"}) as http:
            await asyncio.gather(*(self._ask_on(http, place, until) for place in range(clients)))

    async def _ask_on(self, http: aiohttp.ClientSession, place: int, until: asyncio.Event) -> None:
        """One call after another; every other one is a stream."""
        body: Document = {"model": self.model, "messages": ASK, "max_tokens": 32, "stream": place % 2 == 1}
        while not until.is_set():
            try:
                async with http.post(f"{self.url}/v1/chat/completions", json=body) as reply:
                    data = await reply.read()
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.01)
                continue
            self.statuses[reply.status] = self.statuses.get(reply.status, 0) + 1
            is_whole = not body["stream"] or data.endswith(b"data: [DONE]\n\n")
            if reply.status == 200 and is_whole:
                self.acknowledged.append(reply.headers["x-journeyman-trace"])
            elif reply.status == 429:
                await asyncio.sleep(0.05)


def run(folder: Path, *, is_small: bool) -> Tally:
    tally, draw, kills = Tally(), random.Random(0), 2 if is_small else 20
    with providing() as provider:
        project = make_project(folder / "project", provider.url, more=name_providers("tight"))
        keys = [journeyman(project, "key", "add", "rich")["secret"]]
        tight = journeyman(project, "key", "add", "tight", "--usd", str(BUDGET_USD))
        keys.append(tight["secret"])
        acknowledged: list[str] = []
        for number in range(kills + 1):
            with serving(project) as server:
                storms = [Storm(server.url, keys[0], "task:tickets"), Storm(server.url, keys[1], "tight/slow")]
                asyncio.run(_blow(server, storms, draw.uniform(0.3, 1.2), is_killed=number < kills))
                tally.add("kills", int(number < kills))
            for storm in storms:
                acknowledged += storm.acknowledged
                for status, count in storm.statuses.items():
                    tally.add(f"status {status}", count)
                    is_known = status in (200, 429)
                    tally.check(is_known, f"{storm.model} was answered {status}, {count} times")
            _check_stored(project, storms, tally)
        tally.counts["acknowledged calls"] = len(acknowledged)
        tally.check(len(set(acknowledged)) == len(acknowledged), "two calls have one trace")
        tally.check(len(acknowledged) > 50 * kills, f"only {len(acknowledged)} calls were acknowledged")
        _check_budget(project, provider, tight["id"], tally)
    return tally


async def _blow(server: Server, storms: Iterable[Storm], seconds: float, *, is_killed: bool) -> None:
    until = asyncio.Event()
    blowing = [asyncio.create_task(storm.blow(CLIENTS, until)) for storm in storms]
    await asyncio.sleep(seconds)
    if is_killed:
        await asyncio.to_thread(server.kill)
    until.set()
    await asyncio.gather(*blowing)


def _check_stored(project: Path, storms: Iterable[Storm], tally: Tally) -> None:
    with open_store(sqlite_url(project / ".journeyman/journeyman.db")) as store:
        for storm in storms:
            for id in storm.acknowledged:
                trace = store.trace(id)
                tally.check(trace is not None, f"{id} was acknowledged and is not in the store")
                tally.check(trace is None or trace.status == "ok", f"{id} is stored as {trace and trace.status}")
                tally.add("traces looked up")


def _check_budget(project: Path, provider: Provider, key: str, tally: Tally) -> None:
    """What the store says was spent, and what the provider billed. A call that was under way in a killed server may have been billed and not recorded: what the server had
    leased holds it for a minute."""
    from journeyman.store.budgets import read_leased, read_spent

    limit = round(BUDGET_USD * NANO)
    with (
        open_store(sqlite_url(project / ".journeyman/journeyman.db")) as store,
        store._database.reading() as connection,
    ):
        spent = read_spent(connection, f"key/{key}", "")
        tally.counts["held of the budget at the end, USD"] = read_leased(connection, f"key/{key}", "") / NANO
    billed = provider.answered["slow"] * CALL_NANO
    tally.counts |= {"budget, USD": BUDGET_USD, "spent, USD": spent / NANO, "billed, USD": billed / NANO}
    tally.counts["billed and not recorded, calls"] = (billed - spent) // CALL_NANO
    tally.check(spent <= limit, f"{spent} were spent of {limit}")
    most = limit + tally.counts["kills"] * CLIENTS * CALL_NANO
    tally.check(billed <= most, f"{billed} were billed of {limit}, more than calls under way explain")
