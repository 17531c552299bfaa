"""What was asked lately is read through the index of the calls' ids, on both databases alike."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path

from sqlalchemy import text

from journeyman.core.ids import make_trace_id
from journeyman.core.trace import Trace
from journeyman.store.activity import OTHERS, select_activity
from journeyman.store.database import Store, open_store
from journeyman.store.engine import sqlite_url

NOW = datetime(2026, 11, 23, 4, 47, tzinfo=UTC)
ORIGINS = ("ask", "serve")


def make(draw: random.Random, task: str, ago_s: float, **given: object) -> Trace:
    moment = NOW - timedelta(seconds=ago_s)
    made = {"release": draw.choice(["", "r"]), "status": draw.choice(["ok", "ok", "JM-430"]), "latency_ms": draw.choice([None, draw.random() * 100]),
            "cost_usd": draw.choice([None, 0.25])}  # fmt: skip
    return Trace(make_trace_id(moment), task, moment.isoformat(), "serve", {}, (), None, **(made | given))  # type: ignore[arg-type]


def test_it_is_what_counting_by_hand_gives(store: Store) -> None:
    draw = random.Random(5)
    recent = [make(draw, draw.choice(["a", "b", "model:x", "embed:y"]), draw.random() * 290) for _ in range(400)]
    store.add_traces([*recent, *(make(draw, "a", 302 + number) for number in range(100))])
    found = {item.task: item for item in store.activity(NOW - timedelta(minutes=5), ORIGINS)}
    assert set(found) == {"a", "b", OTHERS}
    for name, item in found.items():
        mine = [trace for trace in recent if (OTHERS if ":" in trace.task else trace.task) == name]
        well = [trace for trace in mine if trace.status == "ok"]
        took = sorted(trace.latency_ms or 0.0 for trace in mine)
        assert (item.calls, item.failed) == (len(mine), len(mine) - len(well))
        assert item.student == sum(bool(trace.release) for trace in well)
        assert item.p50_ms == took[ceil(0.5 * len(took)) - 1]
        assert item.p95_ms == took[ceil(0.95 * len(took)) - 1]
        assert item.usd == sum(trace.cost_usd or 0.0 for trace in mine)
    assert store.activity(NOW + timedelta(minutes=1), ORIGINS) == []


def test_it_looks_at_no_call_of_another_time(sqlite_file: Path) -> None:
    with open_store(sqlite_url(sqlite_file)) as store, store._database.reading() as connection:
        query = select_activity(NOW, ORIGINS).compile(connection.engine, compile_kwargs={"literal_binds": True})
        plan = [str(row[-1]) for row in connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))]
    assert any(line.startswith("SEARCH traces USING INDEX") and "(id>?)" in line for line in plan), plan
    assert not any(line.startswith("SCAN traces") for line in plan)
