"""A graph of near chunks (HNSW, by usearch) in a file beside the index: extended by who writes the index, mapped by who reads it.

The index says which file is its own, with length and checksum: it changes hands in one step, and a file that is damaged, half written or of another index is never opened.
Chunks that have left stay in the graph until they are many; then it is made anew.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np

from journeyman.core.errors import KnowledgeError
from journeyman.core.files import disk_errors, locked
from journeyman.core.progress import Progress, Silent
from journeyman.knowledge.index.file import Index
from journeyman.knowledge.index.matrix import FETCHED, NONE, Floats, Ids, read_blended

KEY = "graph"  # in the index's settings
LINKS, WIDTH_ADDING, WIDTH_SEARCHING = 16, 128, 128
SAVED = 200_000  # chunks between two writes of the file: what a killed run loses
MOST_GONE = 0.2
MOST_LOOKED_AT, MOST_SHARE = 20_000, 0.1  # of the graph, for one question with a filter
BLOCK = 1 << 20
SPARE = 1.5


@dataclass(frozen=True, slots=True)
class Held:
    """Which file it is: it knows all chunks up to ``known``, of which it got ``size``."""

    file: str
    length: int
    checksum: int
    known: int
    size: int


class Graph:
    """Candidates from the file that the index names; none where that is missing or damaged."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._held: Held | None = None
        self._graph: Any = None
        self._owners: tuple[Ids, Ids] | None = None

    def renew(self) -> int:
        """Raises: KnowledgeError JM-943 usearch is not installed."""
        held, self._owners = _find_held(self._index), None
        if held != self._held:
            self._graph = _open(self._index.path, held, is_mapped=True) if held else None
            self._held = held
        return held.known if held and self._graph is not None else 0

    def find(self, vector: Floats, most: int, allowed: Sequence[int] | None = None) -> Ids:
        """With a filter: as many of the graph's nearest as hold ``most`` that are allowed; none where that would be too many to look at."""
        if self._graph is None:
            return NONE
        if allowed is None:
            return self._near(vector, most)
        ids, documents = self._read_owners()
        kept = ids[np.isin(documents, np.array(allowed, np.int64))]
        looked_at = math.ceil(SPARE * most * len(ids) / max(1, len(kept)))
        while looked_at <= max(MOST_LOOKED_AT, MOST_SHARE * len(ids)):
            near = self._near(vector, looked_at)
            found = near[np.isin(near, kept)]
            if len(found) >= most or len(near) < looked_at:
                return found[:most]
            looked_at *= 4
        return NONE

    def _near(self, vector: Floats, most: int) -> Ids:
        self._graph.expansion_search = max(WIDTH_SEARCHING, most)
        near: Ids = self._graph.search(vector, most, threads=1).keys.astype(np.int64)
        return near

    def _read_owners(self) -> tuple[Ids, Ids]:
        """Chunks and their documents, until the index changes."""
        if self._owners is None:
            rows = self._index.rows("SELECT id, document FROM chunks")
            ids, documents = np.array(rows, np.int64).reshape(-1, 2).T
            self._owners = (ids, documents)
        return self._owners


def update_graph(index: Index, threads: int, progress: Progress | None = None) -> int:
    """Bring the file up to date with the index; returns how many chunks were added to it.

    Raises:
        KnowledgeError: JM-943 usearch is not installed, JM-944 the file cannot be written.
    """
    with disk_errors(index.path), locked(index.path.with_name(f"{index.path.stem}.graph-lock")):
        ids = np.sort(np.array([row[0] for row in index.rows("SELECT id FROM chunks")], np.int64))
        held = _find_held(index)
        graph = _open(index.path, held, is_mapped=False) if held and not _is_worn(held, ids) else None
        known, size = (held.known, held.size) if held and graph is not None else (0, 0)
        new = ids[ids > known]
        if not len(new):
            return 0
        bar = progress or Silent()
        bar.start("graph of near chunks", total=len(new), unit="chunks")
        unsaved = 0
        for start in range(0, len(new), FETCHED):
            part = read_blended(index, new[start : start + FETCHED])
            if graph is None:
                graph = _make(part.vectors.shape[1])
            graph.add(part.ids.astype(np.uint64), part.vectors, threads=threads)
            size, unsaved, known = size + len(part), unsaved + len(part), int(new[start : start + FETCHED][-1])
            if unsaved >= SAVED:
                _save(index, graph, known, size)
                unsaved = 0
            bar.advance(len(part))
        _save(index, graph, known, size)
        bar.finish()
        return len(new)


def forget_graph(index: Index) -> None:
    """Take the file away."""
    _keep_only(index.path, "")


def _is_worn(held: Held, ids: Ids) -> bool:
    return int((ids <= held.known).sum()) < (1 - MOST_GONE) * held.size


def _find_held(index: Index) -> Held | None:
    written = index.setting(KEY)
    return Held(**json.loads(written)) if written else None


def _make(dimension: int) -> Any:
    """A graph of inner products, float16 inside."""
    _check_installed()
    from usearch.index import Index as Made

    return Made(
        ndim=dimension,
        metric="ip",
        dtype="f16",
        connectivity=LINKS,
        expansion_add=WIDTH_ADDING,
        expansion_search=WIDTH_SEARCHING,
    )


def _open(path: Path, held: Held, *, is_mapped: bool) -> Any:
    """None where the file is not the one that was written."""
    _check_installed()
    from usearch.index import Index as Made

    file = path.with_name(held.file)
    try:
        if file.stat().st_size != held.length or _sum(file) != held.checksum:
            return None
        return Made.restore(str(file), view=is_mapped)
    except FileNotFoundError:
        return None


def _check_installed() -> None:
    if find_spec("usearch") is None:
        raise KnowledgeError(
            "JM-943",
            "this project searches vectors with usearch, which is not installed",
            where="[knowledge] vectors in journeyman.toml",
            hint='pip install "journeyman[ann]", or set vectors = "exact"',
        )


def _save(index: Index, graph: Any, known: int, size: int) -> None:
    file = index.path.with_name(f"{index.path.stem}.graph-{token_hex(6)}")
    try:
        graph.save(str(file))
        _sync(file)
    except RuntimeError as error:  # whatever the disk did
        file.unlink(missing_ok=True)
        raise KnowledgeError(
            "JM-944",
            "the graph of near chunks cannot be written",
            where=str(file),
            got=str(error).partition("\n")[0],
            hint="free some space and run the same command again; until then every vector is compared",
        ) from error
    held = Held(file.name, file.stat().st_size, _sum(file), known, size)
    with index.writing() as connection:
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (KEY, json.dumps(asdict(held))))
    _keep_only(index.path, file.name)


def _keep_only(path: Path, name: str) -> None:
    for other in path.parent.glob(f"{path.stem}.graph-*"):
        if other.name not in (name, f"{path.stem}.graph-lock"):
            other.unlink(missing_ok=True)


def _sync(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def _sum(file: Path) -> int:
    found = 0
    with file.open("rb") as opened:
        while block := opened.read(BLOCK):
            found = zlib.crc32(block, found)
    return found
