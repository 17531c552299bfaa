"""What this machine does best, by trying: number type, threads, and whether a run fits in memory.

Decisions are made once per run and stored with it, because another thread count or type gives other bits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import psutil
import torch

from journeyman.core.canonical import Json
from journeyman.core.cores import count_cores
from journeyman.core.errors import TuneError
from journeyman.models.families import DecoderConfig
from journeyman.models.torch_weights import Number
from journeyman.tuning.plan import Plan

BF16_GAIN = 1.3
PACKED_BYTES = 0.5 + 4 / 64  # of a number in 4 bits with its share of a scale
# A training step's product on a CPU; on a GPU one that fills it.
CPU_SHAPE, GPU_SHAPE = (768, 576, 1536), (8192, 8192, 8192)


@dataclass(frozen=True, slots=True)
class Machine:
    """Decisions with their reasons. ``peak_gflops`` is the measured rate of a large product in ``number``."""

    number: Number
    number_reason: str
    threads: int
    threads_reason: str
    peak_gflops: float
    device: str = "cpu"

    def to_json(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> Machine:
        return Machine(
            number=cast(Number, raw["number"]),
            number_reason=str(raw["number_reason"]),
            threads=cast(int, raw["threads"]),
            threads_reason=str(raw["threads_reason"]),
            peak_gflops=cast(float, raw["peak_gflops"]),
            device=str(raw.get("device", "cpu")),
        )


def probe_machine(number: Number | None = None, threads: int | None = None) -> Machine:
    """Time products of a training step's shape; a value that the caller gives is never overridden. A GPU is used where there is one."""
    if torch.cuda.is_available():
        return _probe_gpu(number, threads)
    chosen_threads, threads_reason = (threads, "given") if threads else _probe_threads()
    torch.set_num_threads(chosen_threads)
    fp32, bf16 = _gflops(torch.float32), _gflops(torch.bfloat16)
    ratio = bf16 / fp32
    if number is None:
        number = "bfloat16" if ratio >= BF16_GAIN else "float32"
        reason = f"bfloat16 products ran at {ratio:.1f} times the speed of float32 (needed: {BF16_GAIN})"
    else:
        reason = "given"
    return Machine(number, reason, chosen_threads, threads_reason, round(bf16 if number == "bfloat16" else fp32, 1))


def count_flops(config: DecoderConfig, plan: Plan, tokens: int, supervised: int, head: int = 0) -> int:
    """Operations of steps over ``tokens`` of which ``supervised`` reach the head: what the model needs, not what padding costs.

    Per token 2P forward, and in the layers that are tuned 2P for the gradients of the inputs and two thin products each for A and B,
    or 2P for all weights; per supervised token two products with the ``head`` tokens of the vocabulary (0: all). Attention's own products are left out (under 2 % at 100
    positions).
    """
    tuned = min(plan.whole("layers") or config.layers, config.layers)
    share = tuned / config.layers
    thin = sum(out + size for out, size in config.shapes().values())
    own = 2 * config.body_parameters * share if plan.text("kind") == "full" else 4 * plan.whole("rank") * tuned * thin
    body = int(2 * config.body_parameters * (1 + share) + own)
    return tokens * body + supervised * 4 * (head or config.vocabulary) * config.hidden


def use_machine(machine: Machine) -> None:
    """Set this process to the run's thread count and device: what is made from now on is made there."""
    torch.set_num_threads(machine.threads)
    torch.set_default_device(machine.device)


def estimate_bytes(config: DecoderConfig, plan: Plan, longest: int, number: Number) -> dict[str, int]:
    """Peak bytes by part: weights (frozen and merged), what is tuned with gradients, moments and best values, activations, head."""
    width = 2 if number == "bfloat16" else 4
    body = PACKED_BYTES if plan.text("kind") == "qlora" else 2 * width
    tokens = max(plan.whole("batch_tokens"), longest)
    inner = sum(out for out, _ in config.shapes().values())
    thin = config.layers * sum(out + size for out, size in config.shapes().values())
    tuned = config.body_parameters if plan.text("kind") == "full" else plan.whole("rank") * thin
    return {
        "weights": int(body * config.body_parameters) + width * config.vocabulary * config.hidden,
        "tuned": 4 * 5 * tuned,
        "activations": width * tokens * config.layers * (6 * config.hidden + 2 * inner),
        "head": 1 << 28,
        "runtime": 600 << 20,
    }


def free_bytes(device: str) -> int:
    """What a run can still take on this device."""
    return int(torch.cuda.mem_get_info()[0]) if device == "cuda" else int(psutil.virtual_memory().available)


def check_memory(parts: Mapping[str, int], available: int) -> None:
    """Refuse before the work begins.

    Raises:
        TuneError: JM-504 with what would fit.
    """
    needed = sum(parts.values())
    if needed <= available:
        return
    fixed = needed - parts["activations"]
    share = (available - fixed) / parts["activations"] if available > fixed else 0.0
    raise TuneError(
        "JM-504",
        "this run does not fit in memory",
        expected=f"at most {available / 1e9:.1f} GB, which is what is free",
        got=f"{needed / 1e9:.1f} GB: " + ", ".join(f"{name} {size / 1e9:.2f}" for name, size in parts.items()),
        hint=f"use --batch-tokens at {share:.2f} of the present value" if share > 0.02 else "use a smaller base model",
    )


def _probe_threads() -> tuple[int, str]:
    """The fewest threads within 5 % of the fastest; neighbours on the machine can make more threads slower."""
    cores = count_cores()
    candidates = sorted({1, max(1, cores // 2), cores})
    rates = {}
    for count in candidates:
        torch.set_num_threads(count)
        rates[count] = _gflops(torch.float32)
    best = max(rates.values())
    chosen = min(count for count in candidates if rates[count] >= 0.95 * best)
    return chosen, "products at " + ", ".join(f"{rate:.0f} GF/s on {count}" for count, rate in rates.items())


def _probe_gpu(number: Number | None, threads: int | None) -> Machine:
    chosen: Number = number or ("bfloat16" if torch.cuda.is_bf16_supported() else "float32")
    reason = "given" if number else f"{torch.cuda.get_device_name()} computes in it"
    dtype = torch.bfloat16 if chosen == "bfloat16" else torch.float32
    peak = _gflops(dtype, "cuda", GPU_SHAPE)
    return Machine(chosen, reason, threads or torch.get_num_threads(), "the GPU works", round(peak, 1), "cuda")


def _gflops(
    dtype: torch.dtype, device: str = "cpu", shape: tuple[int, int, int] = CPU_SHAPE, seconds: float = 0.15
) -> float:
    """Best rate of a [n, k] x [k, m] product in 10^9 operations per second; the first one starts threads and is not timed."""
    n, k, m = shape
    a, b = torch.ones(n, k, dtype=dtype, device=device), torch.ones(k, m, dtype=dtype, device=device)
    wait = torch.cuda.synchronize if device == "cuda" else _no_wait
    torch.mm(a, b)
    wait()
    best, count, until = float("inf"), 0, time.perf_counter() + seconds
    while count < 5 or time.perf_counter() < until:
        started = time.perf_counter()
        torch.mm(a, b)
        wait()
        best = min(best, time.perf_counter() - started)
        count += 1
    return 2 * n * k * m / best / 1e9


def _no_wait() -> None:
    """A CPU's products are over when they return."""
