"""Watching a release: tests that may be looked at after every row, and whose chance of a false alarm holds over all looks together.

`AgreementWatch` bets against the promise that accepted answers are wrong at most so often, on rows that were audited: the wealth of a gambler
who wins nothing while the promise holds (Waudby-Smith and Ramdas 2024; an e-process). `ExchangeWatch` bets against the claim that new rows are
like those a release was calibrated on, by the rank of one number per row (a confidence, a distance from known inputs): a conformal test martingale
with the simple jumper of Vovk et al. (arXiv:2102.10439). Both alarm when the wealth passes 1/alpha (Ville's inequality).
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf, log, sqrt
from random import Random

from journeyman.core.canonical import Json

STAKE = 0.75
"""Largest share of the wealth that one bet may lose."""
JUMP = 0.01
"""Share of the jumper's wealth that is dealt out anew before each row."""
SLOPES = (-1.0, 0.0, 1.0)


@dataclass(slots=True)
class AgreementWatch:
    """``error`` is the promised share of wrong answers, ``alpha`` the chance of a false alarm. State is a few numbers: see ``to_json``."""

    error: float
    alpha: float = 0.01
    seen: int = 0
    wrong: float = 0.0
    log_wealth: float = 0.0
    highest: float = 0.0

    def add(self, is_wrong: bool, weight: float = 1.0) -> bool:
        """One audited row; ``weight`` in (0, 1] for rows that were audited with unequal chances. True once there is an alarm, for good.

        Raises:
            ValueError: a weight outside (0, 1], an error outside (0, 1).
        """
        if not 0 < weight <= 1 or not 0 < self.error < 1:
            raise ValueError(f"expected a weight and an error between 0 and 1, got {weight} and {self.error}")
        value = float(is_wrong)
        # The bet looks at the rows before this one alone: half a pseudo-row keeps the first ones small.
        mean = (self.wrong + 0.5 * self.error) / (self.seen + 0.5)
        spread = max(mean * (1 - mean), self.error * (1 - self.error))
        bet = min(max(0.0, (mean - self.error) / spread), STAKE / self.error)
        bet = max(bet, min(0.1 / self.error, STAKE / self.error))
        self.log_wealth += log(max(1 + bet * weight * (value - self.error), 1e-12))
        self.seen += 1
        self.wrong += value
        self.highest = max(self.highest, self.log_wealth)
        return self.is_alarm

    @property
    def is_alarm(self) -> bool:
        return self.highest >= -log(self.alpha)

    def to_json(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(slots=True)
class ExchangeWatch:
    """``known`` are the numbers of the rows that a release was calibrated on, sorted; they are never added to, so that a slow drift is not
    learned as the new normal. Given them, the p-values of new rows are uniform only up to how well ``known`` shows its distribution: with half of ``alpha``
    that is no further off than Dvoretzky, Kiefer, Wolfowitz and Massart (1990) say, and each bet pays that much (``slack``) beforehand. So the other half
    of ``alpha`` holds for any number of new rows, and a shift smaller than the slack is not found."""

    known: list[float]
    alpha: float = 0.01
    seed: int = 0
    wealth: dict[float, float] = field(default_factory=lambda: {slope: 1 / len(SLOPES) for slope in SLOPES})
    highest: float = 0.0
    seen: int = 0

    @staticmethod
    def of(known: Iterable[float], alpha: float = 0.01, seed: int = 0) -> ExchangeWatch:
        return ExchangeWatch(sorted(known), alpha, seed)

    def add(self, value: float) -> bool:
        """One new row. True once there is an alarm, for good."""
        slack = self.slack
        below, upto = bisect.bisect_left(self.known, value), bisect.bisect_right(self.known, value)
        tie = Random(f"{self.seed}:{self.seen}").random()
        p = (below + tie * (upto - below + 1)) / (len(self.known) + 1)
        total = sum(self.wealth.values())
        dealt = {slope: (1 - JUMP) * own + JUMP * total / len(SLOPES) for slope, own in self.wealth.items()}
        self.wealth = {slope: own * (1 + slope * (p - 0.5) - abs(slope) * slack) for slope, own in dealt.items()}
        self.seen += 1
        now = sum(self.wealth.values())
        self.highest = max(self.highest, log(now) if now > 0 else -inf)
        return self.is_alarm

    @property
    def slack(self) -> float:
        """How far the mean p-value of rows like the known ones may be from one half."""
        n = len(self.known)
        return min(0.5, sqrt(log(4 / self.alpha) / (2 * n)) + 1 / (n + 1)) if n else 0.5

    @property
    def is_alarm(self) -> bool:
        return self.highest >= -log(self.alpha / 2)
