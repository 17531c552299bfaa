"""A safetensors file written a tensor at a time: the header says where each will be, so no more than one is in memory.

Format: eight bytes of header length, a JSON header {name: {dtype, shape, data_offsets}}, then the tensors' bytes in that order.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from journeyman.core.files import disk_errors

NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


class TensorWriter:
    """Use as a context; tensors must be written in the order of ``shapes``. The file takes its name when all are written."""

    def __init__(self, path: Path, shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype) -> None:
        self.path, self.shapes, self.dtype = path, shapes, dtype
        self._partial = path.with_name(path.name + ".partial")
        self._expected = iter(shapes)

    def __enter__(self) -> TensorWriter:
        width = torch.empty(0, dtype=self.dtype).element_size()
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        offset = 0
        for name, shape in self.shapes.items():
            size = width * torch.Size(shape).numel()
            header[name] = {"dtype": NAMES[self.dtype], "shape": list(shape), "data_offsets": [offset, offset + size]}
            offset += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with disk_errors(self.path):
            self._file = self._partial.open("wb")
            self._file.write(struct.pack("<Q", len(text)) + text)
        return self

    def write(self, name: str, tensor: Tensor) -> None:
        """Raises: StoreError JM-801 disk full."""
        assert name == next(self._expected), name
        data = tensor.to(self.dtype).contiguous()
        assert tuple(data.shape) == tuple(self.shapes[name])
        with disk_errors(self.path):
            self._file.write(data.flatten().view(torch.uint8).numpy().data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with disk_errors(self.path):
            self._file.close()
            if kind is None:
                self._partial.replace(self.path)
            else:
                self._partial.unlink(missing_ok=True)
