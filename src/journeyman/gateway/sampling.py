"""Which calls may be recorded without their content, where a task keeps a share of them only."""

from __future__ import annotations

from journeyman.core.trace import Trace
from journeyman.gateway.purse import Meter


def is_plain(trace: Trace, meter: Meter | None) -> bool:
    """Whether a student answered by itself, well, and nobody else needs what was said: no teacher, no audit, no evaluation, no budget."""
    route = trace.verdicts.get("route")
    is_audited = isinstance(route, dict) and bool(route.get("audit"))
    is_users = trace.origin not in ("assess", "audit")
    is_metered = meter is not None and not meter.is_idle
    return bool(trace.release) and trace.status == "ok" and is_users and not is_audited and not is_metered
