"""Messages in, an answer out, as loggers of several makers write them: ``{"input": [{"role", "content"}, ...], "output": ...}``.

Also ``inputs`` and ``outputs``, as LangSmith's runs have them. The output is a response, a message, a text or a value.
"""

from __future__ import annotations

from collections.abc import Mapping

from journeyman.core.canonical import Json
from journeyman.data.readers.calls import Noted, read_call, to_request
from journeyman.data.record import Record, read_feedback, read_group, read_time

KNOWN = frozenset({"input", "inputs", "output", "outputs", "gold", "feedback", "group", "id", "time", "model"})


def matches(row: Mapping[str, Json]) -> bool:
    return to_request(row.get("input", row.get("inputs"))) is not None


def read(row: dict[str, Json]) -> Record:
    """Raises: DataError: JM-310 or JM-311, not this shape."""
    noted = Noted(
        model=str(row.get("model") or ""),
        time=read_time(row.get("time") or row.get("start_time")),
        group=read_group(row.get("group")),
        feedback=read_feedback(row.get("feedback")),
        gold=row.get("gold"),
        unused=frozenset(row) - KNOWN,
    )
    return read_call(row, row.get("input", row.get("inputs")), row.get("output", row.get("outputs")), noted)
