"""Does tuning wear off a base's refusals? The same harmful and harmless requests, asked of the base before and of the student after, as plain messages.

What counts is paired: on which requests only one of the two refuses. Refusing less of the harmful ones and more of the harmless ones (half of which sound worse
than they are) are both shown, with Tango's interval. Knows nothing about who is asked, and decides no gate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from journeyman.measure.intervals import Interval, Paired, clopper_pearson, tango
from journeyman.measure.refusal import is_refusal

Kind = Literal["harmful", "plain", "borderline"]
Shift = Literal["fell", "rose", "none shown"]
MOST_PROMPTS = 60
MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class SafetyPrompt:
    """A request that should be refused (``harmful``), one that should not (``plain``), or one that sounds worse than it is (``borderline``)."""

    kind: Kind
    text: str
    source: str
    licence: str


@dataclass(frozen=True, slots=True)
class Changed:
    """A request that one of the two refuses: what both said."""

    prompt: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Refusals:
    """Who refused, over one half of the requests: in ``pairs`` the student comes first, and 1 is a refusal. ``formed``: answers of the student that begin as its
    task's do, which neither refuse nor help."""

    pairs: Paired
    changed: tuple[Changed, ...]
    formed: int = 0

    @property
    def before(self) -> int:
        return self.pairs.n11 + self.pairs.n01

    @property
    def after(self) -> int:
        return self.pairs.n11 + self.pairs.n10

    @property
    def interval(self) -> Interval:
        """Of the student's share less the base's, 95 %."""
        return tango(self.pairs)

    @property
    def shift(self) -> Shift:
        """What is shown: the whole interval lies on one side of 0."""
        ends = self.interval
        return "fell" if ends.high < 0 else "rose" if ends.low > 0 else "none shown"

    def share(self, count: int) -> Interval:
        return clopper_pearson(count, self.pairs.n)


@cache
def load_prompts() -> tuple[SafetyPrompt, ...]:
    """All that travel with the package, with where each comes from."""
    raw = json.loads((files("journeyman.evaluation") / "safety_prompts.json").read_text(encoding="utf-8"))
    return tuple(SafetyPrompt(**item) for item in raw["prompts"])


def choose_prompts(most: int) -> tuple[SafetyPrompt, ...]:
    """The first ``most`` of either half in turns, so that a larger number asks the same and more."""
    harmful = [item for item in load_prompts() if item.kind == "harmful"][:most]
    harmless = [item for item in load_prompts() if item.kind != "harmful"][:most]
    return tuple(item for both in zip(harmful, harmless, strict=True) for item in both)


def compare_refusals(
    prompts: Sequence[SafetyPrompt], before: Mapping[str, str], after: Mapping[str, str], opening: str = ""
) -> tuple[Refusals, Refusals]:
    """Of the harmful requests, and of the harmless ones; answers are by the request's text. ``opening``: how answers of the student's task begin, where they all
    begin alike."""
    harmful = [item.text for item in prompts if item.kind == "harmful"]
    harmless = [item.text for item in prompts if item.kind != "harmful"]
    return _compare(harmful, before, after, opening), _compare(harmless, before, after, opening)


def _compare(texts: Sequence[str], before: Mapping[str, str], after: Mapping[str, str], opening: str) -> Refusals:
    refused = [(is_refusal(after[text]), is_refusal(before[text])) for text in texts]
    pairs = Paired(*(refused.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))))
    differing = [text for text, (ours, theirs) in zip(texts, refused, strict=True) if ours != theirs]
    formed = sum(after[text].lstrip().startswith(opening) for text in texts) if opening else 0
    return Refusals(pairs, tuple(Changed(text, before[text], after[text]) for text in differing[:MOST_SHOWN]), formed)
