"""The process in which files are read: `python -m journeyman.knowledge.parse.worker BYTES`, one file at a time.

A request is eight bytes of length and a pickle of the reader's function, the file's name, its bytes and a limit in processor seconds; an answer is the same with one
of ``document``, ``refused`` (an error for people), ``failed`` (a defect) or ``memory``. It never answers twice and never asks.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy  # noqa: F401 - what every reader needs is loaded before memory is bounded

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document

LENGTH_BYTES = 8
WAITS = 8  # times as long may go by on the clock, on a busy machine
GRACE_S = 30  # an orphan ends by itself
MOST_WRITTEN_BYTES = 1 << 24  # to files, which no reader does
MOST_MESSAGE = 400

Answer = tuple[str, object]


def main() -> int:
    answers = os.fdopen(os.dup(1), "wb")
    asked = os.fdopen(os.dup(0), "rb")
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 0)
    os.dup2(quiet, 1)
    _bound(int(sys.argv[1]))
    write_message(answers, ("ready", None))
    os.dup2(quiet, 2)
    while (message := _read_message(asked)) is not None:
        kind, content = _answer(message)
        write_message(answers, (kind, content))
        if kind == "memory":
            return 1
    return 0


def _bound(memory_bytes: int) -> None:
    """Of what is used from here on; systems that know no such limits do without."""
    try:
        import resource
    except ImportError:
        return
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_WRITTEN_BYTES, MOST_WRITTEN_BYTES))
    with suppress(OSError, ValueError):
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes, used + memory_bytes))


def _bound_time(limit_s: float) -> None:
    """Of the processor, from here on: a busy machine is not the file's fault. The kernel ends the process then, and an orphan some time later."""
    try:
        import resource
    except ImportError:
        return
    spent = resource.getrusage(resource.RUSAGE_SELF)
    _, hardest = resource.getrlimit(resource.RLIMIT_CPU)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(spent.ru_utime + spent.ru_stime + limit_s), hardest))
    signal.alarm(int(WAITS * limit_s) + GRACE_S)


def _answer(message: bytes) -> Answer:
    try:
        read, name, data, limit_s = pickle.loads(message)
        del message
        return _read(read, name, data, limit_s)
    except MemoryError:
        return "memory", None
    except Exception as error:  # noqa: BLE001 - told by the file's error
        return "failed", _describe(error)


def _read(read: Callable[[str, bytes], Document], name: str, data: bytes, limit_s: float) -> Answer:
    _bound_time(limit_s)
    try:
        return "document", read(name, data)
    except KnowledgeError as error:
        return "refused", error.to_json()
    except RecursionError as error:
        return "failed", _describe(error)
    finally:
        if hasattr(signal, "alarm"):
            signal.alarm(0)


def write_message(stream: IO[bytes], content: object) -> None:
    """Length and pickle. A document that cannot be kept twice in memory is an answer of its own."""
    try:
        data = pickle.dumps(content, protocol=5)
    except MemoryError:
        data = pickle.dumps(("memory", None), protocol=5)
    stream.write(len(data).to_bytes(LENGTH_BYTES, "big"))
    stream.write(data)
    stream.flush()


def _read_message(stream: io.BufferedReader) -> bytes | None:
    head = stream.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    size = int.from_bytes(head, "big")
    data = stream.read(size)
    return data if len(data) == size else None


def _describe(error: BaseException) -> str:
    """Type, message and where in our code."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" ({Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno})" if place is not None else ""
    return f"{type(error).__name__}: {str(error)[:MOST_MESSAGE]}{where}"


if __name__ == "__main__":
    sys.exit(main())
