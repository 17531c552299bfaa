"""Local models behind the gateway: adapters side by side, waking up, and what a small call takes end to end.

    python benchmarks/workers.py [--only adapters|wake|calls] [--rounds 12] [--data FOLDER] [--json]

adapters: SmolLM2-135M with four random adapters (rank 16, all projections), four calls at a time: all of one adapter, or one of each, by one worker with all cores and by two
copies that share them (`[serve] copies = 2`); and the base's log-probabilities before and after. wake: `journeyman serve`, from the call to the first piece of a stream, where the worker sleeps or there is none. calls: a head on all-MiniLM-L6-v2 and a
student that decides in one token, over Banking77's intents, one call at a time, one thread; both are tuned on few rows, since only time is measured here. The bar
of a decision grows with the tokens of its prompt that were not read before. Results go to benchmarks/results/workers.json and docs/results/workers.md.
"""

from __future__ import annotations

import asyncio
import csv
import json
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter
from machine import ROOT, describe_commit, describe_machine, make_parser, run_journeyman, serve, write_result

from journeyman.core.canonical import file_hash
from journeyman.core.messages import make_message
from journeyman.flows.fleet import Fleet
from journeyman.models.catalog import resolve
from journeyman.models.gguf_header import read_header
from journeyman.models.llamacpp import Generation, LlamaCpp
from journeyman.models.pool import Habits
from journeyman.models.protocol import Decoding
from journeyman.models.standby import Standby
from journeyman.models.template import Template, load_base_template
from journeyman.models.tokenizer import load_tokenizer

Document = dict[str, Any]
RESULT, PAGE = ROOT / "benchmarks/results/workers.json", ROOT / "docs/results/workers.md"
BASE = "smollm2-135m-instruct"
ADAPTERS, RANK, TOKENS, CONTEXT, COPIES, MUCH = 4, 16, 64, 512, 2, 10_000_000_000
SETTINGS = '[serve]\nstart = "call"\nsleep_after_s = 1\nstop_after_s = 5\nwait_s = 60\n'
BARS = {"share": 0.85, "asleep_s": 0.5, "no process_s": 1.5, "head_ms": 20.0, "decision_ms": 60.0, "token_ms": 7.0}
TRAINED, HELD = slice(0, 5), slice(-1, None)
QUESTIONS = [
    "Where is my card?",
    "I have waited two weeks for the new card that you promised me on the phone, where is it?",
    "Top up failed",
    "Can I get my money back for the hotel that I never stayed in, please?",
    "Which currencies do you hold?",
    "My phone was stolen this morning at the station and I think that somebody is using the app right now.",
]


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--only", choices=["adapters", "wake", "calls"])
    parser.add_argument("--rounds", type=int, default=12)
    given = parser.parse_args()
    document = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    parts = {
        "adapters": lambda: asyncio.run(measure_adapters(given.rounds)),
        "wake": lambda: measure_wake(given.rounds),
        "calls": lambda: measure_calls(given.data, 20 * given.rounds),
    }
    for name in [given.only] if given.only else list(parts):
        document[name] = parts[name]() | {"commit": describe_commit(), "machine": describe_machine()}
        write_result(RESULT, document)
        PAGE.write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if given.json else describe(document))
    return 0


async def measure_adapters(rounds: int) -> Document:
    """By turns; every answer has the same number of tokens, whichever adapter writes it."""
    base = resolve(BASE).path
    prompts = [load_base_template(base).prompt_ids([make_message("user", text)]) for text in QUESTIONS]
    decoding = Decoding(schema={"type": "string", "minLength": 2000}, max_tokens=TOKENS)
    alone = Decoding(max_tokens=32, logprobs=True)
    with tempfile.TemporaryDirectory() as folder:
        adapters = dict(write_adapter(base, Path(folder) / f"{seed}.gguf", seed) for seed in range(ADAPTERS))
        engine = await LlamaCpp.start(base, adapters, slots=ADAPTERS, context=CONTEXT)
        try:

            async def speed(names: Sequence[str], engines: Mapping[str, LlamaCpp | Standby] = {}) -> float:
                began = time.perf_counter()
                work = (
                    engines.get(name, engine).generate(prompts[number % len(prompts)], decoding, adapter=name)
                    for number, name in enumerate(names)
                )
                done: list[Generation] = await asyncio.gather(*work)
                return sum(item.output_tokens for item in done) / (time.perf_counter() - began)

            mixed, same = list(adapters), [next(iter(adapters))] * ADAPTERS
            for names in (mixed, same):
                await speed(names)
            await engine.generate(prompts[0], alone)  # fills the cache, which both then have
            before = await engine.generate(prompts[0], alone)
            async with (
                Fleet(Habits(MUCH), copies=COPIES, slots=ADAPTERS, context=CONTEXT) as fleet,
                AsyncExitStack() as stack,
            ):
                copies = {name: await fleet.open(stack, base, {name: path}) for name, path in adapters.items()}
                await speed(mixed, copies)
                rows = [
                    (await speed(same), await speed(mixed), await speed(mixed, copies), await speed(same, copies))
                    for _ in range(rounds)
                ]
            after = await engine.generate(prompts[0], alone)
        finally:
            await engine.close()
    return {
        "rounds": rounds,
        "in_flight": ADAPTERS,
        "one_tokens_per_s": statistics.median(row[0] for row in rows),
        "mixed_tokens_per_s": statistics.median(row[1] for row in rows),
        "share_of_one_worker": statistics.median(row[1] / row[0] for row in rows),
        "copies": COPIES,
        "copies_mixed_tokens_per_s": statistics.median(row[2] for row in rows),
        "copies_one_tokens_per_s": statistics.median(row[3] for row in rows),
        "share": statistics.median(row[2] / row[0] for row in rows),
        "shares": sorted(round(row[2] / row[0], 3) for row in rows),
        "base_tokens": after.output_tokens,
        "base_is_equal": before.logprobs == after.logprobs and before.token_ids == after.token_ids,
        "threads": engine.threads.value,
    }


def write_adapter(base: Path, path: Path, seed: int) -> tuple[str, Path]:
    """A random adapter on every projection: its hash and path."""
    rng, header = np.random.default_rng(seed), read_header(base)
    writer = GGUFWriter(str(path), str(header.fields["general.architecture"]))
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 2.0 * RANK)
    for name, tensor in header.tensors.items():
        if ".attn_" in name or ".ffn_" in name:
            if len(tensor.shape) != 2:
                continue
            rows, columns = tensor.shape
            writer.add_tensor(f"{name}.lora_a", rng.normal(0, 0.02, (RANK, columns)).astype(np.float32))
            writer.add_tensor(f"{name}.lora_b", rng.normal(0, 0.02, (rows, RANK)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file_hash(path), path


def measure_wake(rounds: int) -> Document:
    """Which of the two a call met is read from the server's own counts of starts and wakes."""
    found: dict[str, list[float]] = {"asleep": [], "no process": []}
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "tasks").mkdir()
        (project / "journeyman.toml").write_text(SETTINGS, encoding="utf-8")
        with serve(project, "--empty") as url:
            first_piece(url)  # the number of threads is tried here, once
            for _ in range(rounds):
                for name, wait_s, kind in (("asleep", 2.6, "wakes"), ("no process", 7.5, "starts")):
                    time.sleep(wait_s)
                    before = count(url, kind)
                    seconds = first_piece(url)
                    if count(url, kind) == before + 1:
                        found[name].append(seconds)
    return {
        name: {"p50_s": statistics.median(values), "max_s": max(values), "n": len(values)}
        for name, values in found.items()
    }


def measure_calls(data: Path, calls: int) -> Document:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        questions = make_project(data, project)
        for task, how in (("head", ["--kind", "head"]), ("decision", ["--answers", "codes", "--epochs", "1"])):
            for words in (
                ["import", "sealed.jsonl", "--task", task, "--split", "test"],
                ["import", "train.jsonl", "--task", task],
                ["prepare", task],
                ["tune", task, *how],
                ["assess", task, "--base-rows", "0"],
                ["release", task, "--force", "only its time is measured"],
            ):
                done = run_journeyman(project, *words)
                if done.status not in (0, 1):
                    raise SystemExit(done.output[-800:])
        (manifest,) = (project / ".journeyman/releases/decision").glob("*/manifest.json")
        template = json.loads(manifest.read_text(encoding="utf-8"))["template"]
        write = Template(template, load_tokenizer(resolve(BASE).path))
        rows: dict[str, list[tuple[float, int]]] = {"head": [], "decision": []}
        with serve(project, "--threads", "1") as url:
            for task, times in rows.items():
                last: list[int] = []
                for text in (questions * (1 + (calls + 10) // len(questions)))[: calls + 10]:
                    ids = write.prompt_ids([make_message("user", text)])
                    began = time.perf_counter()
                    post(url, f"/tasks/{task}", {"text": text})
                    times.append((1000 * (time.perf_counter() - began), len(ids) - common(last, ids)))
                    last = ids
                del times[:10]
    bars = [BARS["decision_ms"] + BARS["token_ms"] * fresh for _time, fresh in rows["decision"]]
    over = [time for (time, _fresh), bar in zip(rows["decision"], bars, strict=True) if time > bar]
    return {
        "n": calls,
        "fresh_tokens_p50": statistics.median(fresh for _time, fresh in rows["decision"]),
        "decisions_over_their_bar": len(over),
        "decision_bar_p50_ms": statistics.median(bars),
    } | {f"{name}_{key}": value for name, times in rows.items() for key, value in summary(times).items()}


def summary(times: list[tuple[float, int]]) -> dict[str, float]:
    values = [time for time, _fresh in times]
    return {"p50_ms": statistics.median(values), "p95_ms": float(np.percentile(values, 95))}


def common(first: Sequence[int], second: Sequence[int]) -> int:
    return next((place for place, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), 0)


def make_project(data: Path, folder: Path) -> list[str]:
    """Two tasks over the same rows; the questions that are asked afterwards, none of them tuned on."""
    (folder / "tasks").mkdir()
    (folder / "journeyman.toml").touch()
    task = (ROOT / "benchmarks/tasks/banking77.yaml").read_text(encoding="utf-8")
    for name in ("head", "decision"):
        (folder / f"tasks/{name}.yaml").write_text(task.replace("name: banking77", f"name: {name}"), encoding="utf-8")
    by_intent: dict[str, list[str]] = {}
    with (data / "banking77/train.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            by_intent.setdefault(row["category"], []).append(row["text"].strip())
    for name, part in (("train", TRAINED), ("sealed", HELD)):
        lines = (
            json.dumps({"input": {"text": text}, "gold": {"intent": intent}}) + "\n"
            for intent, texts in by_intent.items()
            for text in texts[part]
        )
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return [text for texts in by_intent.values() for text in texts[20:24]]


def post(url: str, path: str, body: Document) -> Any:
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"content-type": "application/json"})
    return urllib.request.urlopen(request)


def first_piece(url: str) -> float:
    """Seconds from the call to the first event that has text."""
    body = {
        "model": f"base:{BASE}",
        "messages": [{"role": "user", "content": "Say hello."}],
        "max_tokens": 8,
        "stream": True,
    }
    began = time.perf_counter()
    with post(url, "/v1/chat/completions", body) as reply:
        for line in reply:
            if line.startswith(b"data: {") and json.loads(line[6:])["choices"][0]["delta"].get("content"):
                return time.perf_counter() - began
    raise SystemExit("a stream without text")


def count(url: str, kind: str) -> float:
    text = urllib.request.urlopen(f"{url}/metrics").read().decode()
    (line,) = [line for line in text.splitlines() if line.startswith(f"journeyman_worker_{kind}{{")]
    return float(line.split()[-1])


def describe(document: Document) -> str:
    lines = ["# Local models behind the gateway", "", "`python benchmarks/workers.py --data FOLDER`", ""]
    if part := document.get("adapters"):
        equal = "the same to the last bit" if part["base_is_equal"] else "NOT the same"
        lines += [
            f"**Adapters.** Four calls at a time on SmolLM2-135M, tokens a second, medians of {part['rounds']} rounds by turns:",
            "",
            "| | one adapter | four different ones | of one adapter, one worker |",
            "|---|---|---|---|",
            f"| one worker, {part['threads']} thread(s) | {part['one_tokens_per_s']:.0f} | {part['mixed_tokens_per_s']:.0f} | {100 * part['share_of_one_worker']:.0f} % |",
            f"| {part['copies']} copies that share the cores | {part['copies_one_tokens_per_s']:.0f} | {part['copies_mixed_tokens_per_s']:.0f} | {100 * part['share']:.0f} % "
            f"({100 * part['shares'][0]:.0f} to {100 * part['shares'][-1]:.0f}) |",
            "",
            f"Bar: {100 * BARS['share']:.0f} %. llama.cpp decodes calls of different adapters one after the other. The base's log-probabilities of {part['base_tokens']} tokens before and after "
            f"are {equal}. Commit `{part['commit']}`.",
            "",
        ]
    if part := document.get("wake"):
        lines += ["| to the first token | p50, s | longest, s | bar, s | n |", "|---|---|---|---|---|"]
        lines += [
            f"| {name} | {part[name]['p50_s']:.2f} | {part[name]['max_s']:.2f} | {BARS[f'{name}_s']} | {part[name]['n']} |"
            for name in ("asleep", "no process")
        ]
        lines += [
            "",
            f"From the client's call to the first text of a stream over `journeyman serve`. Commit `{part['commit']}`.",
            "",
        ]
    if part := document.get("calls"):
        lines += ["| one call, one thread | p50, ms | p95, ms | bar, ms | n |", "|---|---|---|---|---|"]
        lines += [
            f"| head | {part['head_p50_ms']:.1f} | {part['head_p95_ms']:.1f} | {BARS['head_ms']:.0f} | {part['n']} |",
            f"| decision | {part['decision_p50_ms']:.1f} | {part['decision_p95_ms']:.1f} | {part['decision_bar_p50_ms']:.0f} | {part['n']} |",
            "",
            f"A decision may take 60 ms and 7 ms for each token of its prompt that was not read before, {part['fresh_tokens_p50']:.0f} in the middle: "
            f"{part['decisions_over_their_bar']} of {part['n']} took longer. Commit `{part['commit']}`.",
            "",
        ]
    machine = next(iter(document.values()))["machine"]
    lines.append(f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
