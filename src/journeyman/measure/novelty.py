"""How much of a text is new to a release: the share of its distinct words that no train row had. One number per text, without a model, for watching inputs drift."""

from __future__ import annotations

import re
import unicodedata
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from struct import pack, unpack
from zlib import crc32

MOST = 8192
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Vocabulary:
    """``marks``: checksums of the words that train rows had, sorted; of very many the most frequent. A text cannot be read back from them."""

    marks: tuple[int, ...]

    @staticmethod
    def of(texts: Iterable[str], most: int = MOST) -> Vocabulary:
        counts = Counter(mark for text in texts for mark in _marks(text))
        kept = sorted(counts, key=lambda mark: (-counts[mark], mark))[:most]
        return Vocabulary(tuple(sorted(kept)))

    @staticmethod
    def read(text: str) -> Vocabulary:
        """What `write` wrote."""
        data = b64decode(text)
        return Vocabulary(unpack(f"<{len(data) // 4}I", data))

    def write(self) -> str:
        return b64encode(pack(f"<{len(self.marks)}I", *self.marks)).decode()

    def novelty(self, text: str) -> float:
        """From 0, every word is known, to 1; a text without words is 0."""
        found = _marks(text)
        return len(found - self._known) / len(found) if found else 0.0

    @cached_property
    def _known(self) -> frozenset[int]:
        return frozenset(self.marks)


def thin(values: Sequence[float], most: int = 500) -> tuple[float, ...]:
    """The values in order; of very many, evenly taken ones: their distribution is kept."""
    ordered = sorted(values)
    if len(ordered) <= most:
        return tuple(ordered)
    return tuple(ordered[(2 * place + 1) * len(ordered) // (2 * most)] for place in range(most))


def _marks(text: str) -> frozenset[int]:
    return frozenset(
        crc32(word.encode("utf-8", "replace")) for word in WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    )
