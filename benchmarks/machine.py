"""What a benchmark's result says about where it was measured, and the peak memory of a process with its children."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from journeyman.core.cores import count_cores

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Ran:
    """One finished process: wall seconds, largest resident bytes of it and its children together, its output."""

    status: int
    seconds: float
    peak_bytes: int
    output: str


def describe_machine() -> dict[str, object]:
    return {
        "processor": _processor(),
        "cores": count_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def describe_commit() -> str:
    """The commit's first twelve digits, with ``+`` when files differ from it."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    changes = subprocess.run(
        ["git", "status", "--porcelain", "src"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return commit.stdout.strip()[:12] + ("+" if changes.stdout.strip() else "")


def make_parser(about: str | None) -> argparse.ArgumentParser:
    """With the options of every benchmark on public sets that makes projects."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the public sets")
    parser.add_argument("--folder", type=Path, help="keep the projects here, and continue what lies there")
    parser.add_argument("--json", action="store_true", help="one document on stdout")
    return parser


def run_journeyman(folder: Path, *arguments: str) -> Ran:
    """``journeyman ARGUMENTS`` in ``folder``; its bars go to stderr as they come."""
    return run_command([sys.executable, "-m", "journeyman", *arguments], folder)


def run_command(command: list[str], folder: Path) -> Ran:
    started = time.monotonic()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        peak = [0]
        sampler = threading.Thread(target=_sample, args=(process, peak), daemon=True)
        sampler.start()
        assert process.stdout is not None
        output = process.stdout.read()
        status = process.wait()
        sampler.join()
    return Ran(status, time.monotonic() - started, peak[0], output)


@contextmanager
def serve(project: Path, *words: str) -> Iterator[str]:
    """The URL of `journeyman serve` on a free port, until the block ends; `words` are further ones of the command."""
    command = [sys.executable, "-m", "journeyman", "serve", "--port", "0", "--json", *words]
    with subprocess.Popen(command, cwd=project, env=os.environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield read_url(process)
        finally:
            process.terminate()


def read_url(process: subprocess.Popen[str]) -> str:
    """What `serve --json` says of itself when it is ready."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.rstrip() == "}":
            break
    return str(json.loads(said)["url"])


def write_figure(figure: Mapping[str, Any]) -> str:
    """``value``, ``low``, ``high`` and ``n`` as a cell of a table."""
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f}), n = {figure['n']:,}"


def write_result(path: Path, document: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _sample(process: subprocess.Popen[str], peak: list[int]) -> None:
    while process.poll() is None:
        total = 0
        try:
            tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for member in tree:
            try:
                total += member.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        peak[0] = max(peak[0], total)
        time.sleep(0.25)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    found = {line.split(":")[0].strip(): line.split(":", 1)[1].strip() for line in lines if ":" in line}
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in found.get("flags", "").split()]
    return f"{found.get('model name', platform.machine())} ({', '.join(flags)})"
