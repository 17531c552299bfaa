"""Quotes and extracted values in their source: where each stands, how sure that is, and which occurrence is meant.

The time is linear in the text for quotes that stand there in some writing; for others it is bounded by the number of places that their rarest words have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from journeyman.knowledge.ground.alignment import Alignment, Found, Kind
from journeyman.knowledge.ground.fuzzy import Gates
from journeyman.knowledge.ground.order import choose_in_order, choose_nearest
from journeyman.knowledge.ground.source import Source

GATES = Gates()


def align(
    quotes: Sequence[str],
    text: str | Source,
    kinds: Kind | Sequence[Kind] = "text",
    *,
    is_ordered: bool = True,
    gates: Gates | None = GATES,
) -> list[Alignment]:
    """One alignment for each quote, in the order of the quotes.

    ``kinds`` says what the quotes are: equal numbers, sums of money and dates are found in any writing, and never by likeness. ``is_ordered``: the text says them in their
    order, as far as it goes; else each goes near the others. Without ``gates`` nothing is found by likeness. Blank quotes are ungrounded.
    """
    source = text if isinstance(text, Source) else Source(text)
    each: Sequence[Kind] = [kinds] * len(quotes) if isinstance(kinds, str) else kinds
    asked = list(zip(quotes, each, strict=True))
    wanted = Counter(asked)
    found = {(quote, kind): _find(source, quote, kind, count, gates) for (quote, kind), count in wanted.items()}
    grounded = [ask for ask in asked if found[ask]]
    spans = [np.array([(one.start, one.end) for one in found[ask]], np.int64) for ask in grounded]
    chosen = choose_in_order(spans, grounded, len(source.text)) if is_ordered else choose_nearest(spans)
    choices = iter(chosen)
    return [_describe(ask[0], found[ask][next(choices)] if found[ask] else None) for ask in asked]


def _find(source: Source, quote: str, kind: Kind, count: int, gates: Gates | None) -> list[Found]:
    """Occurrences by the surest way that has any; further ways where the quote is given more often than that."""
    if not quote.strip():
        return []
    found = source.find_exact(quote, kind)
    if len(found) < count:
        taken = {(one.start, one.end) for one in found}
        found += [one for one in source.find_normalized(quote, kind) if (one.start, one.end) not in taken]
    if not found and kind == "text" and gates is not None:
        found = source.find_fuzzy(quote, gates)
    return sorted(found, key=lambda one: (one.start, one.end))


def _describe(quote: str, found: Found | None) -> Alignment:
    if found is None:
        return Alignment(quote, 0, 0, "ungrounded", 0.0)
    return Alignment(quote, found.start, found.end, found.status, found.score)
