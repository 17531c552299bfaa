from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from journeyman.core.errors import ServeError, StoreError
from journeyman.core.trace import Trace
from journeyman.gateway.recorder import Recorder
from journeyman.store.database import Store, open_store


def _trace(number: int) -> Trace:
    return Trace(f"t{number}", "tickets", "2026-01-01T00:00:00+00:00", "serve", {"message": str(number)}, (), None)


class Slow:
    """A store whose first commit waits until it is let go; counts what each commit held."""

    def __init__(self, store: Store) -> None:
        self.store, self.gate, self.sizes = store, threading.Event(), list[int]()

    def add_traces(self, traces: Iterable[Trace], /) -> int:
        self.gate.wait(20)
        batch = list(traces)
        self.sizes.append(len(batch))
        return self.store.add_traces(batch)


class Full:
    def add_traces(self, traces: Iterable[Trace], /) -> int:
        raise StoreError("JM-801", "the disk is full")


def test_a_recorded_trace_is_in_the_store(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'a.db'}") as store:
        recorder = Recorder(store)
        asyncio.run(recorder.record(_trace(1)))
        assert store.trace("t1") is not None
        recorder.close()


def test_calls_that_wait_share_one_commit(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'a.db'}") as store:
        slow = Slow(store)
        recorder = Recorder(slow)

        async def main() -> None:
            calls = [asyncio.create_task(recorder.record(_trace(number))) for number in range(40)]
            await asyncio.sleep(0.05)
            assert not any(call.done() for call in calls)
            slow.gate.set()
            await asyncio.gather(*calls)

        asyncio.run(main())
        assert sum(slow.sizes) == store.count_traces("tickets") == 40
        assert len(slow.sizes) <= 3
        recorder.close()


def test_a_failed_commit_fails_its_calls_and_not_the_recorder() -> None:
    recorder = Recorder(Full())
    for _ in range(2):
        with pytest.raises(StoreError, match="JM-801 the disk is full"):
            asyncio.run(recorder.record(_trace(1)))
    recorder.close()
    with pytest.raises(ServeError, match="JM-716 the server is stopping"):
        asyncio.run(recorder.record(_trace(1)))


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    code = (
        "import asyncio, sys\n"
        "from journeyman.core.trace import Trace\n"
        "from journeyman.gateway.recorder import Recorder\n"
        "from journeyman.store.database import open_store\n"
        "async def main():\n"
        f"    recorder = Recorder(open_store({url!r}))\n"
        "    for n in range(10_000):\n"
        "        await recorder.record(Trace(f't{n}', 'tickets', '2026', 'serve', {}, (), None))\n"
        "        print(n, flush=True)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 50:
                break
        process.kill()
        seen = 50 + len(process.stdout.readlines())
    with open_store(url) as store:
        kept = {trace.id for trace in store.traces("tickets")}
    assert {f"t{number}" for number in range(seen + 1)} <= kept
