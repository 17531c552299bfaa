"""Start, watch and stop one llama.cpp worker process, and find how many threads suit this machine now.

A worker that was killed or could not load is an error with the last lines that it wrote; which calls are made to it is
the business of ``llamacpp``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from journeyman.core.cores import count_cores
from journeyman.core.errors import ModelError
from journeyman.models.llamacpp_worker import WorkerConfig

LOG_LINES = 200
LOG_LINE_CHARACTERS = 400
START_TIMEOUT_S = 600
PROBE_PROMPT_TOKENS = 48
PROBE_ANSWER_TOKENS = 16
WORTH_MORE_THREADS = 1.1  # a thread count must be this much faster than a smaller one: idle cores are somebody's


class Worker:
    """A running worker. ``url`` and ``key`` reach it; ``log_tail`` is the end of what it wrote."""

    def __init__(self, process: subprocess.Popen[str], url: str, key: str, log: deque[str]) -> None:
        self.process = process
        self.url = url
        self.key = key
        self._log = log

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    @property
    def log_tail(self) -> str:
        return " | ".join(list(self._log)[-4:])

    def wait_for_end(self) -> None:
        """Give the system a moment to tell that a worker which stopped talking has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=2)

    def stop(self) -> None:
        """Ask by closing its stdin, then insist."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@dataclass(frozen=True, slots=True)
class ThreadProbe:
    """The chosen thread count, why, and the speeds that were measured (tokens per second by thread count)."""

    value: int
    reason: str
    tokens_per_s: Mapping[int, float]


def make_config(
    base: Path,
    adapters: tuple[Path, ...],
    threads: int,
    slots: int,
    context_tokens: int,
    sleep_after_s: int | None = None,
) -> WorkerConfig:
    """A worker's configuration with a fresh random key."""
    paths = tuple(str(path) for path in adapters)
    return WorkerConfig(str(base), paths, threads, slots, context_tokens, secrets.token_hex(24), sleep_after_s or -1)


def start_worker(config: WorkerConfig) -> Worker:
    """Start a worker and wait until it serves.

    Raises:
        ModelError: JM-420 it did not start; the last lines that it wrote are in ``got``.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "journeyman.models.llamacpp_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    log: deque[str] = deque(maxlen=LOG_LINES)
    reader = threading.Thread(target=_drain, args=(process, log), daemon=True)
    reader.start()
    url = _handshake(process, config)
    if url:
        return Worker(process, url, config.key, log)
    process.kill()
    process.wait()
    reader.join(timeout=2)
    raise ModelError(
        "JM-420",
        "the local engine could not load this model",
        where=config.base,
        expected="a GGUF model" + (f" and {len(config.adapters)} LoRA adapters made for it" if config.adapters else ""),
        got=" | ".join([line for line in log if " E " in line][:3] or list(log)[-3:]) or "the worker ended silently",
        hint="`journeyman doctor` checks the installation; pull the model again if its file is damaged",
    )


def probe_threads(config: WorkerConfig) -> tuple[Worker, ThreadProbe]:
    """Generate a little with 1, 2, 4, … threads and keep the fastest; cores that others use make more threads slower."""
    speeds: dict[int, float] = {}
    best, worker = 0, None
    for count in thread_counts():
        if worker is not None:
            worker.stop()
        worker = start_worker(replace(config, threads=count))
        speeds[count] = _measure_speed(worker)
        if best and speeds[count] < speeds[best] * WORTH_MORE_THREADS:
            break
        best = count
    assert worker is not None
    if best != count:
        worker.stop()
        worker = start_worker(replace(config, threads=best))
    measured = ", ".join(f"{count}: {speed:.0f}" for count, speed in speeds.items())
    return worker, ThreadProbe(best, f"tokens/s by threads, {measured}", speeds)


def thread_counts() -> list[int]:
    """1, 2, 4, … up to the cores that this process may use."""
    cores = count_cores()
    counts = [1]
    while counts[-1] * 2 <= cores:
        counts.append(counts[-1] * 2)
    return counts if counts[-1] == cores else [*counts, cores]


def _handshake(process: subprocess.Popen[str], config: WorkerConfig) -> str:
    """Send the configuration, read the address; empty when the worker ended instead."""
    assert process.stdin is not None
    assert process.stdout is not None
    guard = threading.Timer(START_TIMEOUT_S, process.kill)
    guard.start()
    try:
        process.stdin.write(config.to_line())
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        return ""
    finally:
        guard.cancel()
    return str(json.loads(line)["url"]) if line else ""


def _drain(process: subprocess.Popen[str], log: deque[str]) -> None:
    assert process.stderr is not None
    with process.stderr as stream:
        for line in stream:
            log.append(line.strip()[:LOG_LINE_CHARACTERS])


def _measure_speed(worker: Worker) -> float:
    """Tokens per second, prompt and answer together, better of two runs of the same short work."""
    body = {
        "prompt": list(range(100, 100 + PROBE_PROMPT_TOKENS)),
        "n_predict": PROBE_ANSWER_TOKENS,
        "ignore_eos": True,
        "temperature": 0,
        "top_k": 1,
        "cache_prompt": False,
    }
    seconds = min(_time_once(worker, body) for _ in range(2))
    return (PROBE_PROMPT_TOKENS + PROBE_ANSWER_TOKENS) / seconds


def _time_once(worker: Worker, body: Mapping[str, object]) -> float:
    address = urlsplit(worker.url)
    connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=START_TIMEOUT_S)
    headers = {"Authorization": f"Bearer {worker.key}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/completion", json.dumps(body), headers)
        timings = json.loads(connection.getresponse().read())["timings"]
    finally:
        connection.close()
    return float(timings["prompt_ms"] + timings["predicted_ms"]) / 1000
