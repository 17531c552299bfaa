"""How long work reports itself: a protocol here, a terminal bar in ``cli``, silence by default."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """``start`` a stage with its total in units, ``advance`` it, ``finish`` it; ``note`` says one line."""

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None: ...
    def advance(self, amount: float = 1.0, detail: str = "") -> None: ...
    def finish(self, detail: str = "") -> None: ...
    def note(self, text: str) -> None: ...


class Silent:
    """Reports nothing."""

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
        pass

    def advance(self, amount: float = 1.0, detail: str = "") -> None:
        pass

    def finish(self, detail: str = "") -> None:
        pass

    def note(self, text: str) -> None:
        pass
