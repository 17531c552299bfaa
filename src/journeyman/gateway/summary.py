"""A stored call in a few words, for logs and spans: who was asked, who answered and what it took. Nothing of what was said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.trace import Trace

PASSED = "model:"


@dataclass(frozen=True, slots=True)
class CallSummary:
    """``model`` answered, or was to answer; ``by`` is student, teacher or embedder, ``why`` the router's reason. ``of`` is the call that an audit, or a failed try, belongs
    to; ``student`` what was tried first where the teacher answered, ``student_ms`` what that took, ``error`` the code of whoever failed. Times are ISO 8601 in UTC."""

    time: str
    trace: str
    task: str
    model: str
    release: str
    by: str
    why: str
    policy: str
    status: str
    origin: str
    latency_ms: float | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    key: str
    of: str
    student: str
    student_ms: float | None
    error: str
    finish: str

    @property
    def asked(self) -> str:
        """What the client called it, as far as it is recorded."""
        if self.task.startswith(PASSED):
            return self.task.removeprefix(PASSED)
        return self.task if ":" in self.task else f"task:{self.task}"

    @property
    def has_failed(self) -> bool:
        return self.status != "ok"

    def to_json(self) -> dict[str, Json]:
        """Without its time, and without what is empty."""
        named: dict[str, Json] = {
            "trace": self.trace,
            "task": self.task,
            "model": self.model,
            "release": self.release,
            "by": self.by,
            "why": self.why,
            "status": self.status,
            "origin": self.origin,
            "latency_ms": None if self.latency_ms is None else round(self.latency_ms, 3),
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": self.cost_usd,
            "key": self.key,
            "of": self.of,
        }
        return {name: value for name, value in named.items() if value not in (None, "")}


def summarize(trace: Trace) -> CallSummary:
    route = trace.verdicts.get("route")
    said = cast(Mapping[str, Json], route) if isinstance(route, Mapping) else {}
    taken = said.get("student_ms")
    return CallSummary(
        time=trace.time,
        trace=trace.id,
        task=trace.task,
        model=trace.model,
        release=trace.release,
        by=str(said.get("by") or _guess_side(trace)),
        why=str(said.get("why") or ""),
        policy=str(said.get("policy") or ""),
        status=trace.status,
        origin=trace.origin,
        latency_ms=trace.latency_ms,
        input_tokens=trace.input_tokens,
        output_tokens=trace.output_tokens,
        cost_usd=trace.cost_usd,
        key=str(trace.meta.get("key") or ""),
        of=str(trace.meta.get("of") or ""),
        student=_name_student(trace),
        student_ms=float(taken) if isinstance(taken, int | float) else None,
        error=str(said.get("error") or ""),
        finish=str(trace.verdicts.get("finish") or ""),
    )


def _name_student(trace: Trace) -> str:
    tried = trace.verdicts.get("student")
    release = tried.get("release") if isinstance(tried, Mapping) else ""
    return f"{trace.task}@{release}" if release else f"task:{trace.task}"


def _guess_side(trace: Trace) -> str:
    """Of what has no route."""
    if trace.task.startswith("embed:"):
        return "embedder"
    return "teacher" if trace.origin == "audit" or (not trace.release and ":" not in trace.task) else "student"
