"""Safetensors files by blocks: read so that memory holds what is worked on, and written in any order."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from threading import Lock
from types import TracebackType

import numpy as np

from journeyman.core.files import disk_errors
from journeyman.models.safetensors_file import NUMBERS, Stored, to_fp32
from journeyman.tuning.merge.blocks import NAMES, Array, Block, NumberType, as_matrix, from_fp32

KINDS = {name: kind for kind, name in NAMES.items()}


def read_block(tensor: Stored, block: Block) -> Array:
    """A block as a new fp32 array [rows, width]. Not through a mapping, whose pages would count as memory in use.

    Raises:
        OSError: the file cannot be read, or became shorter.
    """
    _rows, width = as_matrix(tensor.shape)
    count, stored = (block.stop - block.start) * width, np.dtype(NUMBERS[tensor.kind])
    found = np.fromfile(tensor.path, stored, count, offset=tensor.start + block.start * width * stored.itemsize)
    if len(found) != count:
        raise OSError(f"{tensor.path} ends before its last tensor")
    return to_fp32(found.reshape(-1, width), tensor.kind)


class TensorWriter:
    """Use as a context; blocks may come in any order and from any thread. The file takes its name when the context ends well."""

    def __init__(self, path: Path, shapes: Mapping[str, tuple[int, ...]], kind: NumberType) -> None:
        self.path, self.shapes, self.kind = path, shapes, kind
        self._partial = path.with_name(path.name + ".partial")
        self._lock = Lock()

    def __enter__(self) -> TensorWriter:
        width = np.dtype(NUMBERS[NAMES[self.kind]]).itemsize
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        offsets, offset = {}, 0
        for name, shape in self.shapes.items():
            size = width * prod(shape)
            header[name] = {"dtype": NAMES[self.kind], "shape": list(shape), "data_offsets": [offset, offset + size]}
            offsets[name] = offset
            offset += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self._offsets = {name: place + 8 + len(text) for name, place in offsets.items()}
        with disk_errors(self.path):
            self._file = self._partial.open("wb")
            self._file.write(struct.pack("<Q", len(text)) + text)
            self._file.truncate(8 + len(text) + offset)
        return self

    def write(self, name: str, block: Block, values: Array) -> None:
        """Raises: StoreError JM-801 disk full."""
        rows, width = as_matrix(self.shapes[name])
        data = np.ascontiguousarray(from_fp32(values, self.kind))
        assert data.shape == (block.stop - block.start, width), (name, data.shape)
        assert block.stop <= rows
        place = self._offsets[name] + block.start * width * data.itemsize
        with disk_errors(self.path), self._lock:
            self._file.seek(place)
            self._file.write(data.data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with disk_errors(self.path):
            self._file.close()
            if kind is None:
                self._partial.replace(self.path)
            else:
                self._partial.unlink(missing_ok=True)
