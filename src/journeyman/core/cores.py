"""How many processor cores this process may use."""

from __future__ import annotations

import os
import sys


def count_cores() -> int:
    """Those of its affinity mask where the system has one (containers and ``taskset`` set it), else all."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
