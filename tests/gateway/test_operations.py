"""What those who run the server ask it: its numbers count what is stored, and it is ready while its store can be read."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from journeyman.core.errors import StoreError
from journeyman.core.keys import Key, hash_secret, make_secret
from journeyman.core.trace import Trace
from journeyman.gateway.app import make_app
from journeyman.gateway.callers import Doorkeeper
from journeyman.gateway.metrics import Metrics
from journeyman.gateway.operations import Operations, add_operations
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry
from journeyman.gateway.server import serve_in_background
from journeyman.store.database import open_store


def trace(number: int, **changes: Any) -> Trace:
    given = {"task": "tickets", "latency_ms": 20.0, "input_tokens": 5, "cost_usd": 0.25, "verdicts": {"route": {"by": "teacher", "why": "unsure"}}}  # fmt: skip
    return Trace(
        **(
            {"id": f"t{number}", "time": "t", "origin": "serve", "input": {}, "messages": (), "output": None}
            | given
            | changes
        )
    )  # type: ignore[arg-type]


def numbers(text: str) -> dict[tuple[str, str], float]:
    """By a sample's name and its label ``task``."""
    found: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            place = sample.name, sample.labels.get("task", "")
            found[place] = found.get(place, 0.0) + sample.value
    return found


def test_numbers_and_readiness(tmp_path: Path) -> None:
    secret = make_secret()
    key = Key("key-1", "prometheus", hash_secret(secret), "", "t")
    broken: list[StoreError] = []

    def probe() -> None:
        if broken:
            raise broken[0]

    async def work() -> None:
        with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
            metrics = Metrics()
            recorder = Recorder(store, metrics.observe)
            extend = partial(add_operations, Operations(metrics, recorder, probe))
            keeper = Doorkeeper({key.hash: key}.get, is_open=False)
            app = make_app(Registry([], lambda _task: None), recorder, keeper=keeper, extend=extend)
            async with serve_in_background(app) as url, aiohttp.ClientSession() as http:
                await asyncio.gather(*(recorder.record(trace(number)) for number in range(10)))
                await recorder.record(trace(10, task="model:whatever-a-caller-says", cost_usd=None, status="http-500"))
                async with http.get(f"{url}/metrics") as refused:
                    assert refused.status == 401
                async with http.get(f"{url}/metrics", headers={"authorization": f"Bearer {secret}"}) as reply:
                    text = await reply.text()
                found = numbers(text)
                assert found["journeyman_calls_total", "tickets"] == 10
                assert found["journeyman_calls_total", "(another model)"] == 1
                assert "whatever" not in text
                assert found["journeyman_tokens_total", "tickets"] == 50
                assert found["journeyman_cost_usd_total", "tickets"] == 2.5
                assert found["journeyman_call_seconds_count", "tickets"] == 10
                assert found["journeyman_records_waiting", ""] == 0
                assert 'why="unsure"' in text
                async with http.get(f"{url}/readyz") as ready:
                    assert ready.status == 200
                broken.append(StoreError("JM-816", "gone", where="postgresql://secret-host/db"))
                async with http.get(f"{url}/readyz") as ready:
                    assert (ready.status, await ready.json()) == (503, {"status": "not ready", "code": "JM-816"})
            recorder.close()

    asyncio.run(work())


def test_what_is_not_stored_is_not_counted() -> None:
    class Full:
        def add_traces(self, traces: Any, spends: Any = ()) -> int:
            raise StoreError("JM-801", "the disk is full")

    async def work() -> None:
        metrics = Metrics()
        recorder = Recorder(Full(), metrics.observe)
        try:
            await recorder.record(trace(1))
        except StoreError:
            assert "journeyman_calls_total{" not in metrics.write(recorder.waiting).decode()
        else:
            raise AssertionError("it was acknowledged")
        finally:
            recorder.close()

    asyncio.run(work())
