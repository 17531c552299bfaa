"""Reads files in processes of their own, several at a time, each file within limits of time and memory.

A file that hangs its reader, ends it with a signal or fills its memory costs that file and one process; the next file gets a new one. Results
come in the order of the sources. Knows nothing about formats.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document
from journeyman.knowledge.parse.reader import Reader
from journeyman.knowledge.parse.worker import LENGTH_BYTES, WAITS, Answer
from journeyman.knowledge.source import Source

HEAD_BYTES = 4096  # of a file, for finding its reader
AHEAD = 3  # files per worker that wait, are read or are read already
START_S = 60.0
FULL = 0.8  # of the memory a reader may use: one that ended so full ran out of it
MB = 1_000_000
MOST_SAID = 400

Result = tuple[Source, "Document | KnowledgeError"]
FindReader = Callable[[str, bytes], Reader]


@dataclass(frozen=True, slots=True)
class Limits:
    """For one file: processor seconds (``WAITS`` times as many on the clock), and more for each megabyte; bytes of memory above what a reader needs at rest; bytes of the file."""

    seconds: float = 60.0
    seconds_per_mb: float = 2.0
    memory_bytes: int = 2 << 30
    file_bytes: int = 1 << 28

    def seconds_for(self, size_bytes: int) -> float:
        return self.seconds + self.seconds_per_mb * size_bytes / MB


def read_all(
    sources: Iterable[Source], readers: FindReader, workers: int = 1, limits: Limits | None = None
) -> Iterator[Result]:
    """Each source with its document or with why there is none, in their order; at most ``AHEAD * workers`` are under way.

    ``readers`` finds the reader by name and first bytes, or raises the error that the source gets. What ``sources`` itself raises is raised here.
    """
    with ReadingPool(workers, limits or Limits()) as pool:
        waiting: deque[tuple[Source, Future[Document | KnowledgeError]]] = deque()
        for source in sources:
            waiting.append((source, pool.submit(source, readers)))
            if len(waiting) >= AHEAD * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()


class ReadingPool:
    """Threads, each with a reading process that it starts at its first file. Leaving the block ends them all at once."""

    def __init__(self, workers: int, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="reading")
        self._mine = threading.local()
        self._processes: list[ReadingProcess] = []
        self._one_at_a_time = threading.Lock()  # sources share archives

    def __enter__(self) -> ReadingPool:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._processes:
            process.stop()
        self._threads.shutdown(wait=True)
        for process in self._processes:
            process.close()

    def submit(self, source: Source, readers: FindReader) -> Future[Document | KnowledgeError]:
        return self._threads.submit(self._read, source, readers)

    def _read(self, source: Source, readers: FindReader) -> Document | KnowledgeError:
        try:
            _check_size(source.name, source.size_bytes, self._limits.file_bytes)
            with self._one_at_a_time:
                data = source.read()
            _check_size(source.name, len(data), self._limits.file_bytes)
            reader = readers(source.name, data[:HEAD_BYTES])
            return self._process().read(reader, source.name, data)
        except KnowledgeError as error:
            return error
        except OSError as error:
            return KnowledgeError(
                "JM-930", "this file cannot be opened", where=source.name, got=str(error), retryable=True
            )
        except Exception as error:  # noqa: BLE001 - a defect of ours costs the file that shows it
            got = f"{type(error).__name__}: {error}"[:MOST_SAID]
            return KnowledgeError(
                "JM-930", "this file cannot be opened", where=source.name, got=got, hint="please report this file"
            )

    def _process(self) -> ReadingProcess:
        process: ReadingProcess | None = getattr(self._mine, "process", None)
        if process is None:
            process = self._mine.process = ReadingProcess(self._limits)
            self._processes.append(process)
        return process


def _check_size(name: str, size_bytes: int, most: int) -> None:
    if size_bytes > most:
        raise KnowledgeError(
            "JM-929",
            "this file is too large",
            where=name,
            expected=f"at most {most / MB:,.0f} MB",
            got=f"{size_bytes / MB:,.0f} MB",
            hint="split it, or raise `file_mb` under [knowledge] in journeyman.toml",
        )


class ReadingProcess:
    """One process at a time that reads; a new one is started where the last has ended. For one thread; ``stop`` from any."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False
        self._changing = threading.Lock()

    def __enter__(self) -> ReadingProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stop(self) -> None:
        """Ends what is being read, and takes no more."""
        with self._changing:
            self._is_closed = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        self.stop()
        if self._process is not None:
            _end(self._process)

    def read(self, reader: Reader, name: str, data: bytes) -> Document:
        """
        Raises:
            KnowledgeError: what the reader raised; JM-931 it took too long, JM-932 it was ended by a signal, JM-933 it ran out of memory,
                JM-934 it failed; JM-928 no process could be started, JM-927 reading was ended.
        """
        process = self._running(name)
        limit_s = self._limits.seconds_for(len(data))
        request = pickle.dumps((reader.read, name, data, limit_s), protocol=5)
        is_late = threading.Event()
        answer = _with_limit(process, WAITS * limit_s, is_late, lambda: _ask(process, request))
        if answer is not None and answer[0] == "document" and isinstance(answer[1], Document):
            return answer[1]
        raise self._refusal(process, reader, name, answer, limit_s, is_late.is_set())

    def _running(self, name: str) -> subprocess.Popen[bytes]:
        with self._changing:
            if self._is_closed:
                raise KnowledgeError("JM-927", "reading was ended before this file", where=name, retryable=True)
            if self._process is not None and self._process.poll() is None:
                return self._process
            with tempfile.TemporaryFile() as said:
                process = self._process = _start(self._limits.memory_bytes, said)
                ready = _with_limit(process, START_S, threading.Event(), lambda: _receive(process))
                if ready != ("ready", None):
                    _end(process)
                    said.seek(0)
                    lines = said.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
                    raise KnowledgeError(
                        "JM-928", "no process for reading files could be started", got="".join(lines[-1:])
                    )
        return process

    def _refusal(
        self,
        process: subprocess.Popen[bytes],
        reader: Reader,
        name: str,
        answer: Answer | None,
        limit_s: float,
        is_late: bool,
    ) -> KnowledgeError:
        """Why there is no document; a process that is not to be trusted any more is ended."""
        match answer:
            case ("refused", dict() as said):
                return _restore(said)
            case ("failed", str() as said):
                return KnowledgeError(
                    "JM-934",
                    f"the reader for {reader.name} failed",
                    where=name,
                    got=said,
                    hint="please report this file",
                )
        peak_bytes = _end(process)
        if is_late or (sys.platform != "win32" and process.returncode == -signal.SIGXCPU):
            return KnowledgeError(
                "JM-931",
                "reading this file took too long",
                where=name,
                expected=f"at most {limit_s:,.0f} s of a processor",
                hint="split it, or raise `read_s` under [knowledge] in journeyman.toml",
            )
        if answer == ("memory", None) or peak_bytes > FULL * self._limits.memory_bytes:
            return KnowledgeError(
                "JM-933",
                "reading this file takes too much memory",
                where=name,
                expected=f"at most {self._limits.memory_bytes / MB:,.0f} MB",
                hint="split it, or raise `read_mb` under [knowledge] in journeyman.toml",
            )
        return KnowledgeError(
            "JM-932",
            f"the reader for {reader.name} broke on this file",
            where=name,
            got=_describe_end(process.returncode),
        )


def _start(memory_bytes: int, said: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "journeyman.knowledge.parse.worker", str(memory_bytes)]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OMP_NUM_THREADS": "1",  # one process reads one file: threads of number libraries only take memory
        "OPENBLAS_NUM_THREADS": "1",
    }
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=environment)


def _with_limit(
    process: subprocess.Popen[bytes], limit_s: float, is_late: threading.Event, ask: Callable[[], Answer | None]
) -> Answer | None:
    """What ``ask`` returns; the process is killed after ``limit_s``, so that ``ask`` ends."""

    def end() -> None:
        is_late.set()
        process.kill()

    timer = threading.Timer(limit_s, end)
    timer.daemon = True
    timer.start()
    try:
        return ask()
    finally:
        timer.cancel()


def _ask(process: subprocess.Popen[bytes], request: bytes) -> Answer | None:
    """A process reads all of a request before it writes, and is asked once at a time: neither waits for the other."""
    assert process.stdin is not None
    try:
        process.stdin.write(len(request).to_bytes(LENGTH_BYTES, "big"))
        process.stdin.write(request)
        process.stdin.flush()
    except OSError:
        return None
    return _receive(process)


def _receive(process: subprocess.Popen[bytes]) -> Answer | None:
    """The next answer; None where the process ended before it was whole."""
    assert process.stdout is not None
    head = process.stdout.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    size = int.from_bytes(head, "big")
    data = process.stdout.read(size)
    if len(data) < size:
        return None
    kind, content = pickle.loads(data)
    return str(kind), content


def _end(process: subprocess.Popen[bytes]) -> int:
    """Ends it, closes its pipes, and tells how much memory it held at most, in bytes; 0 where the system does not say, or that was less than we held ourselves."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    process.kill()
    if sys.platform == "win32" or process.returncode is not None:
        process.wait()
        return 0
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except ChildProcessError:  # another thread was told first
        process.wait()
        return 0
    process.returncode = os.waitstatus_to_exitcode(status)
    most = int(usage.ru_maxrss)
    return most * (1 if sys.platform == "darwin" else 1024) if most > _own_most() else 0


def _own_most() -> int:
    """What this process held at most, in the system's unit: a child begins as its copy, and the system counts that as the child's."""
    import resource

    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _restore(said: dict[str, object]) -> KnowledgeError:
    return KnowledgeError(
        str(said["code"]),
        str(said["message"]),
        where=str(said["where"]),
        expected=str(said["expected"]),
        got=str(said["got"]),
        hint=str(said["hint"]),
        retryable=bool(said["retryable"]),
    )


def _describe_end(status: int | None) -> str:
    if status is None or status >= 0:
        return f"its process ended with status {status}"
    try:
        return f"its process was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"its process was ended by signal {-status}"
