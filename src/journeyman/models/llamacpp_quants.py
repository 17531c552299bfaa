"""ggml's own quantizers, called in the library that serves: what we write is what it would write.

``ggml_quantize_chunk`` knows every block type and takes importance weights. Knows nothing about files or which tensor gets which type.
"""

from __future__ import annotations

import ctypes
import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def quantize(weight: Floats, kind: GGMLQuantizationType, importance: Floats | None = None) -> NDArray[np.uint8]:
    """Blocks of a matrix: [rows, columns] -> [rows, bytes of a row].

    Args:
        weight: fp32; columns must be a multiple of the type's block.
        kind: any quantized type of ggml.
        importance: [columns], how much an error in each column matters (mean square of what it is multiplied with).
    """
    values, size = GGML_QUANT_SIZES[kind]
    rows, columns = weight.shape
    if columns % values:
        raise ValueError(f"{columns} columns are not a multiple of {values}, the block of {kind.name}")
    source = np.ascontiguousarray(weight, dtype=np.float32)
    target = np.empty((rows, columns // values * size), dtype=np.uint8)
    weights = None if importance is None else np.ascontiguousarray(importance, dtype=np.float32)
    _library().ggml_quantize_chunk(
        int(kind),
        source.ctypes.data_as(ctypes.c_void_p),
        target.ctypes.data_as(ctypes.c_void_p),
        0,
        rows,
        columns,
        None if weights is None else weights.ctypes.data_as(ctypes.c_void_p),
    )
    return target


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """The extension module of xllamacpp, which carries ggml; loaded as a library, so that the engine itself does not start."""
    found = importlib.util.find_spec("xllamacpp")
    assert found is not None
    assert found.origin is not None
    (path,) = [*Path(found.origin).parent.glob("xllamacpp*.so"), *Path(found.origin).parent.glob("xllamacpp*.pyd")][:1]
    library = ctypes.CDLL(str(path))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_void_p,
    ]
    return library
