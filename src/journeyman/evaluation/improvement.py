"""The one JSON document of `improve --json`: what was tried, what was chosen, and its gain on rows that chose nothing. Shares are 0 to 1."""

from __future__ import annotations

from typing import Literal

from journeyman.evaluation.comparison import DifferencePart, describe_difference
from journeyman.evaluation.document import Figure, Part


class ArmPart(Part):
    """An arm at the end of the last round that it was in: its mean on the first ``rows`` rows. ``failed``: why it has none."""

    phase: Literal["examples", "instruction"]
    name: str
    rows: int
    score: float | None
    failed: str = ""


class ChosenPart(Part):
    """``shots`` nearest train rows, or the rows ``examples`` by hash, before every input."""

    name: str
    instruction: str
    shots: int
    examples: tuple[str, ...] = ()


class Improvement(Part):
    """``picked`` is the gain over the task's own instruction on the rows that chose the variant, which is too good by that choice; ``measured`` the gain on
    the other half of dev. ``look``: how often that half was looked at for this dataset, this time included, which widens the interval."""

    edition: Literal[1] = 1
    task: str
    dataset: str
    metric: str
    model: str
    arms: tuple[ArmPart, ...]
    chosen: ChosenPart
    picked: DifferencePart | None = None
    measured: DifferencePart | None = None
    own: Figure | None = None
    improved: Figure | None = None
    look: int = 0
    budget_s: float
    is_cut: bool = False
    rewrites: int = 0
    problem: str = ""


def describe_improvement(found: Improvement) -> list[str]:
    """Both figures and what they show, in plain sentences."""
    picked, measured = found.picked, found.measured
    if measured is None:
        return ["Nothing better than the task's own instruction without examples was found."]
    level = 100 * (1 - measured.error)
    verdict = (
        "the variant is shown to be better"
        if measured.low > 0
        else "the variant is shown to be worse"
        if measured.high < 0
        else "that shows no difference: import more rows, or take a larger budget"
    )
    again = f", look {found.look} at these rows" if found.look > 1 else ""
    return [
        f"{found.metric}, in points over the task's own instruction without examples:",
        *(
            [f"  on the {picked.n} rows that chose it: {describe_difference(picked)}, too good by the choice"]
            if picked
            else []
        ),
        f"  on {measured.n} other rows, measured once: {describe_difference(measured)} at {level:.4g} %{again}; {verdict}",
    ]
