"""Guards of a task: what is looked for in a call and its answer, and what comes of finding it.

This module knows nothing about how anything is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from journeyman.core.canonical import Json

GuardKind = Literal["secrets", "personal", "invisible", "size", "deny", "allow", "echo", "grounded", "task", "http"]
Side = Literal["input", "output"]
On = Literal["input", "output", "both"]
Mode = Literal["block", "escalate", "redact", "flag", "shadow"]
Fail = Literal["open", "closed"]
ECHO_SHARE = 0.5
HOOK_MS = 500
OWN_KEYS: dict[GuardKind, tuple[str, ...]] = {
    "personal": ("kinds",),
    "size": ("most",),
    "deny": ("words", "patterns"),
    "allow": ("words", "patterns"),
    "echo": ("share",),
    "grounded": ("fields", "threshold"),
    "task": ("task", "field", "answer", "threshold", "fail"),
    "http": ("url", "timeout_ms", "fail"),
}
"""Keys that belong to some kinds alone."""
OUTPUT_ONLY = ("echo", "grounded")
WITHOUT_SPANS = ("size", "allow", "task")
"""What these find is a text as a whole, so there is nothing to replace."""


@dataclass(frozen=True, slots=True)
class GuardSpec:
    """One guard, ``on`` a call's input, its answer, or both.

    ``block`` refuses, ``escalate`` asks the teacher where a student answered, and else refuses, ``redact`` replaces what is found, ``flag`` says so in the reply's header, ``shadow`` in the record alone. ``most`` counts characters, ``kinds``
    are those of personal data (empty: all), ``share`` is that of the instruction's words which an echo has in a row, ``fields`` are fields of the answer whose texts
    are quotes. With a ``threshold`` the claims of a ``grounded`` answer must have as much support in the passages that it was given. A ``task`` finds something where it answers ``answer`` (in its ``field``; empty: in its only one) with a chance of ``threshold`` or more. ``fail`` says
    what counts where ``task`` or ``url`` cannot be asked: ``closed`` as if something was found, ``open`` as if nothing was.
    """

    kind: GuardKind
    mode: Mode
    on: On = "both"
    name: str = ""
    kinds: tuple[str, ...] = ()
    most: int = 0
    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    share: float = ECHO_SHARE
    fields: tuple[str, ...] = ()
    task: str = ""
    field: str = ""
    answer: Json = None
    threshold: float = 0.0
    url: str = ""
    timeout_ms: int = HOOK_MS
    fail: Fail = "closed"

    @property
    def title(self) -> str:
        return self.name or self.kind

    @property
    def is_asked(self) -> bool:
        """Whether somebody else is asked, who may fail."""
        return self.kind in ("task", "http")

    @property
    def holds(self) -> bool:
        """Whether a text may not go on before it is checked."""
        return self.mode != "flag" and self.mode != "shadow"

    @property
    def refuses(self) -> bool:
        """Whether what it finds may not leave."""
        return self.mode in ("block", "escalate")

    def is_on(self, side: Side) -> bool:
        return self.on in ("both", side)
