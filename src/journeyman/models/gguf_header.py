"""The header of a GGUF file, read in one pass: metadata and where the tensors lie (format: ggml docs/gguf.md, version 2 and 3).

``gguf.GGUFReader`` builds an array view per string and needs 2.7 s for a 49k vocabulary; this takes a tenth of a second, which a
server's start can afford. What the tensors' bytes mean is left to ``gguf``.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from journeyman.core.errors import ModelError

STRING, ARRAY = 8, 9
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
LONGEST_ARRAY = 10_000_000


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """``shape`` is numpy's (rows first), ``kind`` ggml's number of the type, ``offset`` counts from the start of the file."""

    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True, slots=True)
class Header:
    """``kinds`` gives the number of each field's type, and of its items' type for an array."""

    fields: dict[str, object]
    kinds: dict[str, tuple[int, int | None]]
    tensors: dict[str, TensorInfo]


def read_fields(path: Path) -> dict[str, object]:
    """All metadata by key: numbers, booleans, text, lists of them.

    Raises:
        ModelError: JM-405 missing, truncated or not a GGUF.
    """
    return read_header(path).fields


@lru_cache(maxsize=4)
def read_header(path: Path) -> Header:
    """Raises: ModelError JM-405 missing, truncated or not a GGUF."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _parse(data)
    except (OSError, ValueError, IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise ModelError(
            "JM-405",
            "this is not a readable GGUF file",
            where=str(path),
            got=f"{type(error).__name__}: {error}",
            hint="pull or copy the model again",
        ) from error


def _parse(data: mmap.mmap) -> Header:
    magic, version, tensors, count = struct.unpack_from("<4sIQQ", data, 0)
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError(f"magic {magic!r}, version {version}")
    fields: dict[str, object] = {}
    kinds: dict[str, tuple[int, int | None]] = {}
    offset = 24
    for _ in range(count):
        key, offset = _string(data, offset)
        kind, item = struct.unpack_from("<II", data, offset)
        kinds[key] = (kind, item if kind == ARRAY else None)
        fields[key], offset = _value(data, offset + 4, kind)
    places: dict[str, TensorInfo] = {}
    for _ in range(tensors):
        name, offset = _string(data, offset)
        (rank,) = struct.unpack_from("<I", data, offset)
        *sizes, kind, place = struct.unpack_from(f"<{rank}QIQ", data, offset + 4)
        offset += 4 + 8 * rank + 12
        places[name] = TensorInfo(tuple(reversed(sizes)), kind, place)
    alignment = fields.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise ValueError(f"alignment {alignment!r}")
    start = -(-offset // alignment) * alignment
    return Header(fields, kinds, {name: replace(info, offset=start + info.offset) for name, info in places.items()})


def _value(data: mmap.mmap, offset: int, kind: int) -> tuple[object, int]:
    if kind == STRING:
        return _string(data, offset)
    if kind == ARRAY:
        return _array(data, offset)
    layout = SCALARS[kind]
    return struct.unpack_from(layout, data, offset)[0], offset + struct.calcsize(layout)


def _array(data: mmap.mmap, offset: int) -> tuple[list[object], int]:
    kind, count = struct.unpack_from("<IQ", data, offset)
    offset += 12
    if count > LONGEST_ARRAY:
        raise ValueError(f"an array of {count} items")
    if kind in SCALARS:
        layout = f"<{count}{SCALARS[kind][1]}"
        return list(struct.unpack_from(layout, data, offset)), offset + struct.calcsize(layout)
    read: Callable[[mmap.mmap, int], tuple[object, int]] = _string if kind == STRING else _array
    items = []
    for _ in range(count):
        item, offset = read(data, offset)
        items.append(item)
    return items, offset


def _string(data: mmap.mmap, offset: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", data, offset)
    end = offset + 8 + length
    if end > len(data):
        raise ValueError("a string reaches past the end of the file")
    return data[offset + 8 : end].decode("utf-8"), end
