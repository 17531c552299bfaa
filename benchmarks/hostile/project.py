"""A project in front of a provider, and `journeyman serve` in a process of its own, which may be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

Document = dict[str, Any]
OWN_KEY = "sk-the-projects-own-key-1234567890"
SILENCE_S = 2.0
TASK = """edition: 1
name: tickets
instruction: Sort the customer's message.
input: {message: string}
output: {intent: {enum: [refund, parcel, other]}}
"""
PRICES = '"*" = {input_usd_per_million = 0.4, output_usd_per_million = 1.6}\n'
SETTINGS = f"""[teacher]
model = "big"
url = "URL/v1"
[teacher.models]
{PRICES}[serve]
silence_s = {SILENCE_S}
"""


@dataclass
class Tally:
    """What a part counted, and what should not have been: nothing."""

    counts: Document = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def check(self, is_right: bool, problem: str) -> None:
        if not is_right:
            self.problems.append(problem[:600])

    def add(self, name: str, count: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + count


class Server:
    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self.url, self.process = url, process

    @property
    def bytes(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    @property
    def descriptors(self) -> int:
        return int(psutil.Process(self.process.pid).num_fds())

    def kill(self) -> None:
        """Nothing is said, and nothing is written any more."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


def make_project(folder: Path, provider: str, *, more: str = "", task: str = TASK) -> Path:
    (folder / "tasks").mkdir(parents=True)
    (folder / "tasks/tickets.yaml").write_text(task, encoding="utf-8")
    (folder / "journeyman.toml").write_text((SETTINGS + more).replace("URL", provider), encoding="utf-8")
    return folder


def name_providers(*names: str) -> str:
    """Sections for providers beside the teacher's, at the same address."""
    place = 'url = "URL/v1"\napi_key_env = "OPENAI_API_KEY"'
    return "".join(f"[providers.{name}]\n{place}\n[providers.{name}.models]\n{PRICES}" for name in names)


def journeyman(folder: Path, *words: str) -> Document:
    command = [sys.executable, "-m", "journeyman", *words, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    said: Document = json.loads(done.stdout)
    return said


@contextmanager
def serving(folder: Path, *, limit: str = "") -> Iterator[Server]:
    """On a free port; ``limit`` is what the shell's ``ulimit`` is told before. Its log is ``serve.log``."""
    command = [sys.executable, "-m", "journeyman", "serve", "--port", "0", "--json"]
    if limit:
        command = ["bash", "-c", f'ulimit {limit} && exec "$@"', "bash", *command]
    environment = os.environ | {"OPENAI_API_KEY": OWN_KEY}
    with (
        (folder / "serve.log").open("a") as log,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            yield Server(_read_url(process, folder), process)
        finally:
            process.kill()


def _read_url(process: subprocess.Popen[str], folder: Path) -> str:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.rstrip() == "}":
            told = json.loads(said)
            if "url" not in told:
                raise SystemExit(said)
            return str(told["url"])
    raise SystemExit((folder / "serve.log").read_text(encoding="utf-8")[-2000:])


def wait_until_free(read: Any, most: float, patience_s: float = 20.0) -> float:
    """What ``read`` gives once it is not above ``most``, or at the end of patience."""
    until = time.monotonic() + patience_s
    while (found := read()) > most and time.monotonic() < until:
        time.sleep(0.2)
    return float(found)
