"""Which calls may be recorded without their content, where a task keeps a share of them only."""

from __future__ import annotations

from journeyman.core.trace import Trace


def is_plain(trace: Trace) -> bool:
    """Whether a student answered by itself, well, and nobody else needs what was said: no teacher, no audit, no comparison, no evaluation. Such a call costs nothing."""
    route = trace.verdicts.get("route")
    is_audited = isinstance(route, dict) and bool(route.get("audit"))
    is_users = trace.origin not in ("assess", "audit", "shadow")
    return bool(trace.release) and trace.status == "ok" and is_users and not is_audited
