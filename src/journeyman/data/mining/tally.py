"""What a group's calls took: counts, tokens, money, time and lengths, in memory that does not grow with them."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from journeyman.data.mining.call import Seen

KEPT = 1000
MOST_LABELS = 1000


@dataclass(slots=True)
class Drawn:
    """A fair sample of numbers of which there may be very many."""

    values: list[float] = field(default_factory=list)
    seen: int = 0
    draw: random.Random = field(default_factory=lambda: random.Random(0))

    def add(self, value: float) -> None:
        self.seen += 1
        if len(self.values) < KEPT:
            self.values.append(value)
        elif (place := self.draw.randrange(self.seen)) < KEPT:
            self.values[place] = value

    @property
    def median(self) -> float | None:
        return statistics.median(self.values) if self.values else None


@dataclass(slots=True)
class Tally:
    """Sums over calls. ``priced`` is how many have a known cost, ``counted`` known tokens; ``read`` those whose message the draft reads, ``instructed`` of these those that
    say its instruction, ``valid`` those whose answer has the schema."""

    calls: int = 0
    failed: int = 0
    single: int = 0
    answered: int = 0
    read: int = 0
    instructed: int = 0
    valid: int = 0
    usd: float = 0.0
    priced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    counted: int = 0
    first: str = ""
    last: str = ""
    models: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    latency_ms: Drawn = field(default_factory=Drawn)
    prompt_characters: Drawn = field(default_factory=Drawn)
    answer_characters: Drawn = field(default_factory=Drawn)

    def add(self, seen: Seen, usd: float | None) -> None:
        call, answer = seen.call, seen.call.answer
        self.calls += 1
        self.failed += seen.is_failed
        self.single += call.is_single
        self.answered += bool(answer.kind)
        if usd is not None:
            self.usd += usd
            self.priced += 1
        if seen.input_tokens is not None and seen.output_tokens is not None:
            self.input_tokens += seen.input_tokens
            self.output_tokens += seen.output_tokens
            self.counted += 1
        if call.seconds is not None:
            self.first = min(self.first or seen.time, seen.time)
            self.last = max(self.last, seen.time)
        if seen.model and (seen.model in self.models or len(self.models) < MOST_LABELS):
            self.models[seen.model] += 1
        if answer.label and (answer.label in self.labels or len(self.labels) < MOST_LABELS):
            self.labels[answer.label] += 1
        if seen.latency_ms is not None:
            self.latency_ms.add(seen.latency_ms)
        self.prompt_characters.add(len(call.system) + len(call.body))
        if answer.kind:
            self.answer_characters.add(answer.characters)

    @property
    def cost_usd(self) -> float | None:
        """What all calls cost; None where that is not known of each."""
        return self.usd if self.calls and self.priced == self.calls else None

    @property
    def tokens(self) -> int | None:
        return self.input_tokens + self.output_tokens if self.calls and self.counted == self.calls else None


def sum_known(values: Sequence[float | None]) -> float | None:
    """None where one is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
