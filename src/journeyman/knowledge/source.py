"""A file as it was handed in, before anybody has read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from journeyman.knowledge.document import Fact


@dataclass(frozen=True, slots=True)
class Source:
    """``name`` is its path below what was added, with ``/`` (a member of an archive: ``pack.zip/inner/a.md``).

    ``stamp`` differs when the content may differ (time and size of a file, checksum of a member), so that an unchanged file need not be read.
    ``facts`` come from outside the file: when it was changed, the Git commit that changed it last.
    """

    name: str
    size_bytes: int
    stamp: str
    read: Callable[[], bytes]
    facts: Mapping[str, Fact] = field(default_factory=dict)
