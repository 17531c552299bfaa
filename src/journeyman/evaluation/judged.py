"""A judge's measured agreement with people, as it is kept in ``judges/``: one JSON document, edition 1; and whether it may decide a gate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from journeyman.core.canonical import Json
from journeyman.core.errors import GateError
from journeyman.core.files import write_atomic
from journeyman.evaluation.document import Figure, Part
from journeyman.measure.judged import Worth

LEAST_GROUPS = 50
"""Independent pairs that a measurement needs to let a judge decide."""

OBJECTIONS: Mapping[str, tuple[str, str]] = {
    "JM-651": ("the judge was not measured, so it may decide no gate", "journeyman judge TASK --labels FILE.jsonl"),
    "JM-652": ("the judge was measured on too few pairs to decide a gate", "journeyman judge TASK --labels FILE.jsonl"),
    "JM-653": (
        "the judge agrees too little with people to decide a gate",
        "try another model or rubric: journeyman judge TASK --labels FILE.jsonl",
    ),
}
"""By an error's code: what it says, and the next step."""


class WhoPart(Part):
    """What proves a judge: ``hash`` of all the rest. A model is a local file's ``sha256``, or a name and a ``url``."""

    model: str
    sha256: str
    url: str
    rubric: str
    prompt: int
    asked: str
    hash: str


class Measurement(Part):
    """See ``measure.judged.Worth``. ``unreadable`` verdicts counted as ties; ``kappa`` is null where people and judge say tie throughout; ``labels`` is
    the SHA-256 of the file that people labelled."""

    edition: Literal[1] = 1
    task: str
    metric: str
    judge: WhoPart
    labels: str
    time: str
    n: int
    groups: int
    accuracy: Figure
    kappa: Figure | None
    position_bias: Figure
    first: int
    second: int
    ties: int
    ties_of_people: int
    unreadable: int

    def to_json(self) -> dict[str, Json]:
        raw: dict[str, Json] = self.model_dump(mode="json")
        return raw


def make_measurement(
    worth: Worth, task: str, metric: str, judge: WhoPart, labels: str, unreadable: int, time: str
) -> Measurement:
    return Measurement(
        task=task,
        metric=metric,
        judge=judge,
        labels=labels,
        time=time,
        n=worth.n,
        groups=worth.groups,
        accuracy=Figure.of(worth.accuracy),
        kappa=Figure.of(worth.kappa) if worth.kappa else None,
        position_bias=Figure.of(worth.position_bias),
        first=worth.first,
        second=worth.second,
        ties=worth.ties,
        ties_of_people=worth.ties_of_people,
        unreadable=unreadable,
    )


def write_measurement(path: Path, measurement: Measurement) -> None:
    """Raises: StoreError JM-801, JM-802."""
    write_atomic(path, json.dumps(measurement.to_json(), indent=2, ensure_ascii=False) + "\n")


def load_measurement(path: Path) -> Measurement | None:
    """None where there is none.

    Raises:
        GateError: JM-658 not a measurement of an edition that is known here.
    """
    if not path.is_file():
        return None
    try:
        return Measurement.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(item) for item in first["loc"])
        raise GateError(
            "JM-658",
            "this measurement of a judge cannot be read",
            where=str(path),
            expected=first["msg"],
            got=f"{place}: {first['input']!r:.80}",
            hint="restore the file from a copy, or remove it and measure again: journeyman judge TASK --labels FILE",
        ) from error


def find_objection(measurement: Measurement | None, least_kappa: float) -> tuple[str, str]:
    """Why this judge may decide no gate, as a code of ``OBJECTIONS`` and what was found; empty texts where it may."""
    if measurement is None:
        return "JM-651", "not measured"
    if measurement.groups < LEAST_GROUPS:
        return "JM-652", f"measured on {measurement.groups} independent pairs, fewer than {LEAST_GROUPS}"
    kappa = measurement.kappa
    if kappa is None:
        return "JM-653", "kappa is not defined: people and judge say tie throughout"
    if kappa.low < least_kappa:
        shown = f"kappa {kappa.value:.3f}, shown to be at least {kappa.low:.3f}"
        return "JM-653", f"{shown} and not {least_kappa:g} (n = {kappa.n:,})"
    return "", ""
