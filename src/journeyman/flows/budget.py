"""The time that a search may take, over all commands that work on it: what was spent before a kill counts when it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from journeyman.flows.runs import RunFolder

SPENT = "spent.json"


@dataclass(frozen=True, slots=True)
class Budget:
    """``seconds`` in all; ``began`` on the clock, less what earlier commands spent."""

    run: RunFolder
    seconds: float
    clock: Callable[[], float]
    began: float

    def has_time(self, share: float = 1.0) -> bool:
        """Whether this share of it is not spent yet; what is spent is kept in the run."""
        spent = self.clock() - self.began
        self.run.write(SPENT, {"seconds": round(spent, 3)})
        return spent <= share * self.seconds


def open_budget(run: RunFolder, seconds: float, clock: Callable[[], float], started: float) -> Budget:
    """``started`` on the clock: when this command began."""
    before = cast(float, (run.read(SPENT) or {}).get("seconds", 0.0))
    return Budget(run, seconds, clock, started - before)
