"""How much memory a worker takes: believed before it starts, read afterwards; and how much there is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from journeyman.models.gguf_header import read_fields

PROCESS_BYTES = 100_000_000
"""Of a worker without weights: interpreter, engine, buffers of a small model."""
CGROUP = Path("/sys/fs/cgroup/memory.max")


def estimate_bytes(base: Path, adapters: Mapping[str, Path], slots: int, context: int) -> int:
    """Weights, adapters, the keys and values of every slot in half precision, and the process.

    Raises:
        ModelError: JM-405 the base is not a GGUF.
    """
    fields = read_fields(base)
    name = str(fields.get("general.architecture"))

    def number(key: str, default: int) -> int:
        value = fields.get(f"{name}.{key}", default)
        return max(cast(list[int], value)) if isinstance(value, list) else int(cast(int, value))

    heads = number("attention.head_count", 1)
    width = number("attention.key_length", number("embedding_length", 0) // max(heads, 1))
    cached = 2 * 2 * number("block_count", 0) * number("attention.head_count_kv", heads) * width
    lanes = slots * (1 + len(adapters))
    weights = base.stat().st_size + sum(path.stat().st_size for path in adapters.values())
    return PROCESS_BYTES + weights + cached * context * lanes


def read_resident_bytes(process: int) -> int:
    """What the process holds now; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def machine_bytes() -> int:
    """The memory of this machine, or of the container that this process is in."""
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 8_000_000_000
    try:
        return min(found, int(CGROUP.read_text()))
    except (OSError, ValueError):  # none, or "max"
        return found
