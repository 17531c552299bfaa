"""Who hears of a call once its trace is stored: numbers, log, spans. None of them can make it fail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from journeyman.core.trace import Trace

LOG = logging.getLogger("journeyman.gateway")


def telling(observers: Sequence[Callable[[Trace], None]]) -> Callable[[Trace], None]:
    """Tells each of them."""

    def tell(trace: Trace) -> None:
        for observe in observers:
            try:
                observe(trace)
            except Exception:
                LOG.exception("the call %s was stored, and not shown", trace.id)

    return tell
