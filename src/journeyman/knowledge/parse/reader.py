"""What a reader is: a function from a name and bytes to a document, with a version that changes when what it makes of a file does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from journeyman.knowledge.document import Document


@dataclass(frozen=True, slots=True)
class Reader:
    """``suffixes`` with their dot, lower case. ``read`` stands at the top of a module, or is a ``partial`` of such: another process must find it."""

    name: str
    version: int
    suffixes: tuple[str, ...]
    read: Callable[[str, bytes], Document]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a user may say about reading: ``passwords`` that are tried, ``ocr`` for pages without text where RapidOCR is installed."""

    passwords: tuple[str, ...] = ()
    ocr: bool = True
