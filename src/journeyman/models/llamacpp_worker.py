"""The worker process that holds llama.cpp: `python -m journeyman.models.llamacpp_worker`.

Reads one JSON line (``WorkerConfig``) on stdin, answers one JSON line with its address on stdout, then serves HTTP on a
free loopback port until stdin ends, which is when its parent closes it or dies. Everything else it says goes to stderr.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What a worker is started with. ``context_tokens`` is per slot; ``key`` is the only one that may call it. After ``sleep_after_s`` seconds
    without a call the weights are given back until the next one; -1: never."""

    base: str
    adapters: tuple[str, ...]
    threads: int
    slots: int
    context_tokens: int
    key: str
    sleep_after_s: int = -1

    def to_line(self) -> str:
        return json.dumps({name: getattr(self, name) for name in self.__slots__}) + "\n"

    @staticmethod
    def from_line(line: str) -> WorkerConfig:
        raw = json.loads(line)
        return WorkerConfig(**raw | {"adapters": tuple(raw["adapters"])})


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides when we end
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    config = WorkerConfig.from_line(sys.stdin.readline())
    try:
        server = _serve(config)
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    answer.write(json.dumps({"url": server.listening_address}) + "\n")
    answer.flush()
    sys.stdin.read()
    os._exit(0)  # the engine's own threads have nothing to save


def _serve(config: WorkerConfig):  # type: ignore[no-untyped-def]  # xllamacpp carries no types
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config.base
    params.n_parallel = config.slots
    params.n_ctx = config.context_tokens * config.slots
    params.cpuparams.n_threads = config.threads
    params.cpuparams_batch.n_threads = config.threads
    params.n_gpu_layers = 0
    params.fit_params = False
    params.warmup = False
    params.sleep_idle_seconds = config.sleep_after_s
    # Slots are pinned by the caller: nothing may move a prompt's cache between them, least of all between adapters.
    params.slot_prompt_similarity = 0.0
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [config.key]
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 2
    params.lora_adapters = [_adapter(path) for path in config.adapters]
    params.lora_init_without_apply = True
    return xllamacpp.Server(params)


def _adapter(path: str):  # type: ignore[no-untyped-def]
    import xllamacpp

    adapter = xllamacpp.CommonAdapterLoraInfo()
    adapter.path = path
    adapter.scale = 0.0
    return adapter


if __name__ == "__main__":
    sys.exit(main())
