"""What the gateway adds to a call, and how many it answers a second, beside LiteLLM's proxy on the same machine in the same run.

    python benchmarks/gateway.py [--only latency|throughput|memory] [--calls 4000] [--memory-calls 200000] [--no-rival] [--json]

A provider on loopback answers at once (`loopback.py`); it and the clients have one core, the gateway has the other. Ours is `journeyman serve` as it is, with a key, a
budget for the key, the task and the project, redaction, prices, and every call in the store before it is answered. The rival is one worker with its master key, without database and
budgets, in an environment of its own. latency: one call at a time, by turns directly and through each gateway; what is added is the difference of the medians, and of
the 99th percentiles. throughput: 32 in flight. memory: resident bytes after warm-up and at the end. Results go to benchmarks/results/gateway.json and
docs/results/gateway.md.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from machine import ROOT, describe_commit, describe_machine, make_parser, read_url, write_result
from rivals import NoRival, rival_python

Document = dict[str, Any]
RESULT, PAGE = ROOT / "benchmarks/results/gateway.json", ROOT / "docs/results/gateway.md"
LOOPBACK = ROOT / "benchmarks/loopback.py"
RIVAL_KEY = "sk-the-one-key-that-it-wants"
IN_FLIGHT, ROUNDS = 32, 5
CROWD, SERVER = 0, 1  # cores
BARS = {"p50_ms": 0.7, "p99_ms": 5.0, "per_second": 1000.0, "ratio": 20.0, "growth": 0.05}
MESSAGES = [
    {"role": "system", "content": "Sort the customer's message."},
    {
        "role": "user",
        "content": "I was charged twice for my last order and I would like to have one of them back, please.",
    },
]
TASK = """edition: 1
name: tickets
instruction: Sort the customer's message.
input: {message: string}
output: {intent: {enum: [refund, parcel, other]}}
budget: {usd_per_day: 100000}
"""
SETTINGS = """[teacher]
model = "big"
url = "URL/v1"
input_usd_per_million = 0.4
output_usd_per_million = 1.6
[teacher.models]
"other-model" = {input_usd_per_million = 0.4, output_usd_per_million = 1.6}
[budget]
usd_per_day = 100000
"""
LITELLM = """model_list:
  - model_name: big
    litellm_params: {model: openai/big, api_base: URL/v1, api_key: none}
litellm_settings: {telemetry: false}
"""
OURS = {"another model": "other-model", "a task's teacher": "task:tickets"}


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--only", choices=["latency", "throughput", "memory"])
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--memory-calls", type=int, default=200_000)
    parser.add_argument("--no-rival", action="store_true")
    given = parser.parse_args()
    document = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        provider = stack.enter_context(run_provider())
        gateway = stack.enter_context(run_gateway(folder, provider))
        rival = None if given.no_rival or given.only == "memory" else stack.enter_context(run_rival(folder, provider))
        places = {"directly": Place(provider, "big", {})}
        places |= {name: Place(gateway.url, model, gateway.headers) for name, model in OURS.items()}
        if rival is not None:
            places["LiteLLM"] = Place(rival.url, "big", rival.headers)
        parts = {
            "latency": lambda: measure_latency(places, given.calls),
            "throughput": lambda: measure_throughput(places, given.calls),
            "memory": lambda: measure_memory(gateway, given.memory_calls),
        }
        for name in [given.only] if given.only else list(parts):
            said = parts[name]()
            document[name] = said | {"commit": describe_commit(), "machine": describe_machine()}
    write_result(RESULT, document)
    PAGE.write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if given.json else describe(document))
    return 0


class Place:
    """Where calls go, under which name, with which headers."""

    def __init__(self, url: str, model: str, headers: dict[str, str]) -> None:
        self.url, self.model, self.headers = url, model, headers

    def ask(self, calls: int, connections: int, warm: int = 100) -> Document:
        job = {
            "url": f"{self.url}/v1/chat/completions",
            "body": {"model": self.model, "messages": MESSAGES, "max_tokens": 32},
            "calls": calls,
            "connections": connections,
            "warm": warm,
            "headers": self.headers,
        }
        done = subprocess.run(
            pinned(CROWD, sys.executable, str(LOOPBACK), "load"),
            input=json.dumps(job),
            capture_output=True,
            text=True,
            check=True,
        )
        found: Document = json.loads(done.stdout)
        if found["errors"]:
            raise SystemExit(f"{self.url} answered {self.model} with {found['errors']}")
        return found


class Server:
    def __init__(self, url: str, process: subprocess.Popen[str], headers: dict[str, str] | None = None) -> None:
        self.url, self.process, self.headers = url, process, headers or {}

    @property
    def bytes(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)


def pinned(core: int, *command: str) -> list[str]:
    """On one core where there are several."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return ["taskset", "-c", str(cores[core]), *command] if len(cores) > 1 else list(command)


@contextmanager
def run_provider() -> Iterator[str]:
    command = pinned(CROWD, sys.executable, str(LOOPBACK), "provider")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


@contextmanager
def run_gateway(folder: Path, provider: str) -> Iterator[Server]:
    """`journeyman serve` on a project with one task, one key and three budgets."""
    project = folder / "project"
    (project / "tasks").mkdir(parents=True)
    (project / "tasks/tickets.yaml").write_text(TASK, encoding="utf-8")
    (project / "journeyman.toml").write_text(SETTINGS.replace("URL", provider), encoding="utf-8")
    words = ["key", "add", "bench", "--usd-per-day", "100000", "--calls-per-minute", "100000000", "--json"]
    made = subprocess.run(
        [sys.executable, "-m", "journeyman", *words], cwd=project, capture_output=True, text=True, check=True
    )
    headers = {"authorization": f"Bearer {json.loads(made.stdout)['secret']}"}
    command = pinned(SERVER, sys.executable, "-m", "journeyman", "serve", "--port", "0", "--json")
    environment = os.environ | {"OPENAI_API_KEY": "none"}
    with subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Server(read_url(process), process, headers)
        finally:
            process.send_signal(signal.SIGTERM)


@contextmanager
def run_rival(folder: Path, provider: str) -> Iterator[Server | None]:
    try:
        python = rival_python("litellm")
    except NoRival as reason:
        sys.stderr.write(f"{reason}\n")
        yield None
        return
    config = folder / "litellm.yaml"
    config.write_text(LITELLM.replace("URL", provider), encoding="utf-8")
    port = "18431"
    command = pinned(
        SERVER, str(python.parent / "litellm"), "--config", str(config), "--port", port, "--num_workers", "1"
    )
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "LITELLM_LOG": "ERROR"}
    quiet |= {"LITELLM_MASTER_KEY": RIVAL_KEY}
    log = (folder / "litellm.log").open("w")
    with log, subprocess.Popen(command, env=os.environ | quiet, stdout=log, stderr=log, text=True) as process:
        try:
            place = Place(f"http://127.0.0.1:{port}", "big", {"authorization": f"Bearer {RIVAL_KEY}"})
            for _ in range(120):
                try:
                    place.ask(3, 1, warm=0)
                    break
                except (subprocess.CalledProcessError, SystemExit):
                    time.sleep(1)
            else:
                raise SystemExit((folder / "litellm.log").read_text()[-800:])
            yield Server(place.url, process, place.headers)
        finally:
            process.send_signal(signal.SIGTERM)


def measure_latency(places: dict[str, Place], calls: int) -> Document:
    """By turns, so that what disturbs one disturbs all."""
    rows: dict[str, list[Document]] = {name: [] for name in places}
    for _ in range(ROUNDS):
        for name, place in places.items():
            few = calls // ROUNDS if name != "LiteLLM" else max(50, calls // ROUNDS // 8)
            rows[name].append(place.ask(few, 1))
    middle = {
        name: {key: statistics.median(row[key] for row in found) for key in ("p50_ms", "p99_ms")}
        for name, found in rows.items()
    }
    direct = middle.pop("directly")
    return {
        "directly": direct,
        "added": {
            name: {key: round(value - direct[key], 3) for key, value in found.items()} for name, found in middle.items()
        },
        "calls": {name: sum(row["calls"] for row in found) for name, found in rows.items()},
    }


def measure_throughput(places: dict[str, Place], calls: int) -> Document:
    rows: dict[str, list[Document]] = {name: [] for name in places if name != "directly"}
    for _ in range(ROUNDS):
        for name in rows:
            few = calls if name != "LiteLLM" else max(100, calls // 20)
            rows[name].append(places[name].ask(few, IN_FLIGHT))
    return {
        name: {key: statistics.median(row[key] for row in found) for key in ("per_second", "p50_ms", "p99_ms")}
        | {"calls": sum(row["calls"] for row in found)}
        for name, found in rows.items()
    }


def measure_memory(gateway: Server, calls: int) -> Document:
    """A tenth of the calls is the warm-up."""
    places = [Place(gateway.url, model, gateway.headers) for model in OURS.values()]
    for place in places:
        place.ask(calls // 20, IN_FLIGHT)
    warm, seen = gateway.bytes, []
    for _ in range(10):
        for place in places:
            place.ask(calls // 20, IN_FLIGHT, warm=0)
        seen.append(gateway.bytes)
    return {"calls": calls, "warm_bytes": warm, "bytes": seen, "growth": round(seen[-1] / warm - 1, 4)}


def describe(document: Document) -> str:
    lines = ["# The gateway", "", "`python benchmarks/gateway.py`", ""]
    if part := document.get("latency"):
        lines += ["| one call at a time | added p50, ms | added p99, ms | calls |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {found['p50_ms']:.2f} | {found['p99_ms']:.2f} | {part['calls'][name]:,} |"
            for name, found in part["added"].items()
        ]
        direct = part["directly"]
        lines += [
            "",
            f"Directly: {direct['p50_ms']:.2f} and {direct['p99_ms']:.2f} ms. Bars: {BARS['p50_ms']} and {BARS['p99_ms']} ms. Commit `{part['commit']}`.",
            "",
        ]
    if part := document.get("throughput"):
        lines += [f"| {IN_FLIGHT} in flight | calls/s | p50, ms | p99, ms | calls |", "|---|---|---|---|---|"]
        rows = {name: found for name, found in part.items() if isinstance(found, dict) and "per_second" in found}
        lines += [
            f"| {name} | {found['per_second']:,.0f} | {found['p50_ms']:.1f} | {found['p99_ms']:.1f} | {found['calls']:,} |"
            for name, found in rows.items()
        ]
        lines.append("")
        if rival := rows.get("LiteLLM"):
            ratio = rows["another model"]["per_second"] / rival["per_second"]
            lines.append(f"{ratio:.0f} times the rival's (bar {BARS['ratio']:.0f}).")
        lines += [f"Bar: {BARS['per_second']:,.0f} a second. Commit `{part['commit']}`.", ""]
    if part := document.get("memory"):
        sizes = ", ".join(f"{size / 1e6:.0f}" for size in part["bytes"])
        lines += [
            f"**Memory** over {part['calls']:,} calls, {IN_FLIGHT} in flight: {part['warm_bytes'] / 1e6:.0f} MB after warm-up, then {sizes} MB: "
            f"{100 * part['growth']:+.1f} % (bar {100 * BARS['growth']:.0f} %). Commit `{part['commit']}`.",
            "",
        ]
    machine = next(iter(document.values()))["machine"]
    lines.append(f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
