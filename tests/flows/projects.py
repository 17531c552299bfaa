"""A small project on the tiny model: the whole loop in seconds, with real tuning, a real engine and a real server."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.workspace import Workspace

# Thirty rows can never show this floor, so the gate never passes here.
TASK = """\
edition: 1
name: paint
instruction: Name the colour that the line asks for.
input:
  line: string
output:
  colour: {enum: [red, green, blue]}
  many: boolean
gate:
  metric: exact_match
  against: floor
  floor: 0.99
"""
COLOURS = ("red", "green", "blue")


def paint_rows(count: int, seed: int) -> list[dict[str, object]]:
    """Lines of random words, so that none is a near copy of another; the colour stands in the middle."""
    draw = random.Random(seed)
    rows: list[dict[str, object]] = []
    for _ in range(count):
        words = ["".join(draw.choice("bcdfghklmnprstvz") for _ in range(5)) for _ in range(4)]
        colour, many = draw.choice(COLOURS), draw.random() < 0.5
        line = " ".join([*words[:2], "two" if many else "one", colour, *words[2:]])
        rows.append({"input": {"line": line}, "gold": {"colour": colour, "many": many}})
    return rows


def write_rows(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def make_project(folder: Path, base: Path, *, rows: int = 90, sealed: int = 30, settings: str = "") -> Path:
    """Settings, task and import files; nothing is imported yet."""
    (folder / "tasks").mkdir(parents=True)
    (folder / "tasks/paint.yaml").write_text(TASK, encoding="utf-8")
    (folder / "journeyman.toml").write_text(f'[base]\nmodel = "{base}"\n{settings}', encoding="utf-8")
    write_rows(folder / "train.jsonl", paint_rows(rows, 1))
    write_rows(folder / "sealed.jsonl", paint_rows(sealed, 2))
    return folder


def fill_project(workspace: Workspace) -> None:
    """Both files imported, and the dataset made of them."""
    folder = workspace.project.root
    import_sources(workspace, "paint", [str(folder / "sealed.jsonl")], split="test")
    import_sources(workspace, "paint", [str(folder / "train.jsonl")])
    prepare_task(workspace, "paint")


def journeyman(folder: Path, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "journeyman", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Any]:
    """The server on a free port, and what it says of itself; told to stop at the end, which it does with status 0."""
    command = [sys.executable, "-m", "journeyman", "serve", "--port", "0", "--json", *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            lines = []
            for line in server.stdout:
                lines.append(line)
                if line.rstrip() == "}":
                    break
            yield json.loads("".join(lines))
        finally:
            server.terminate()
        assert server.wait(timeout=30) == 0
