"""Letters in pictures, by RapidOCR with the models inside its package; it comes with ``journeyman[ocr]``."""

from __future__ import annotations

from functools import cache
from typing import Any

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.parse.pdf_images import Image

SURE = 0.5  # texts that the recogniser holds for less likely are left out


def read_letters(image: Image) -> list[tuple[str, tuple[float, float, float, float]]]:
    """An ``Ocr``. Texts from top to bottom.

    Raises:
        KnowledgeError: JM-926 it is not installed.
    """
    found, _ = _engine()(image[:, :, ::-1])
    texts = []
    for corners, text, score in found or ():
        across, down = [float(corner[0]) for corner in corners], [float(corner[1]) for corner in corners]
        if float(score) >= SURE and text.strip():
            texts.append((str(text), (min(across), min(down), max(across), max(down))))
    return texts


@cache
def _engine() -> Any:
    try:
        from rapidocr_onnxruntime import RapidOCR
    except ImportError:
        raise KnowledgeError(
            "JM-926", "images cannot be read", expected="RapidOCR", hint='pip install "journeyman[ocr]"'
        ) from None
    return RapidOCR()
