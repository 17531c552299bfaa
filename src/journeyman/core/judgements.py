"""What people who label said of a recorded call, by name, kept in the call's feedback: erased with it, and found wherever it is.

A judgement goes before the correction of a caller that it saw; a caller's later correction goes before judgements that had not seen it. Of several people most decide, of
equals the latest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

from journeyman.core.canonical import Json, dump
from journeyman.core.example import Target

JUDGEMENTS = "judgements"
UNANSWERED: Final = "unanswered"
"""Why a row was asked about of which no model's answer was shown: what is said of it may be measured on."""
State = Literal["done", "open", "skipped"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """``done`` says that ``answer`` is the right one, ``open`` that somebody is at work on it. ``why`` the row was asked about, ``over`` the caller's correction that was there;
    ``left`` are the places in an open answer that nobody has decided yet, where they are decided one by one."""

    by: str
    state: State
    answer: Target | None
    time: str
    why: str = ""
    over: Json = None
    left: tuple[tuple[str | int, ...], ...] = ()

    @property
    def said(self) -> str:
        """To compare with what others said."""
        return dump(self.answer.to_json()) if self.answer is not None else ""

    def to_json(self) -> dict[str, Json]:
        answer = self.answer.to_json() if self.answer is not None else None
        left: list[Json] = [list(path) for path in self.left]
        known: dict[str, Json] = {"state": self.state, "answer": answer, "time": self.time, "why": self.why}
        return known | {"over": self.over} | ({"left": left} if left else {})

    @staticmethod
    def from_json(by: str, raw: Mapping[str, Json]) -> Judgement:
        answer = cast(dict[str, Json] | None, raw["answer"])
        return Judgement(
            by=by,
            state=cast(State, raw["state"]),
            answer=Target.from_json(answer) if answer else None,
            time=str(raw["time"]),
            why=str(raw.get("why") or ""),
            over=raw.get("over"),
            left=tuple(tuple(path) for path in cast(list[list[str | int]], raw.get("left") or [])),
        )


def read_judgements(feedback: Mapping[str, Json]) -> dict[str, Judgement]:
    """By person."""
    people = cast(dict[str, dict[str, Json]], feedback.get(JUDGEMENTS) or {})
    return {by: Judgement.from_json(by, raw) for by, raw in people.items()}


def settle_judgements(feedback: Mapping[str, Json]) -> Target | None:
    """The answer that people who labelled the call hold to be right; None where nobody did."""
    said = [
        item
        for item in read_judgements(feedback).values()
        if item.state == "done" and item.over == feedback.get("answer")
    ]
    if not said:
        return None
    counts = Counter(item.said for item in said)
    return max(said, key=lambda item: (counts[item.said], item.time, item.by)).answer


def is_led(feedback: Mapping[str, Json]) -> bool:
    """Whether somebody decided this call with a model's answer in sight."""
    return any(item.state == "done" and item.why != UNANSWERED for item in read_judgements(feedback).values())
