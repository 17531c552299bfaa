"""The Record: one row as a file states it, before a task has read it, and how JSON text becomes values safely."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from journeyman.core.canonical import Json, bytes_hash, dump
from journeyman.core.errors import DataError, UserError
from journeyman.core.example import Alternative, Target, object_target, text_target
from journeyman.core.messages import Message

DEPTH_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Record:
    """One row.

    Either ``messages`` (what was said to the model) or ``input`` (fields, or plain text for a task with one) is given.
    ``output`` and ``gold`` are unread: text targets may hold JSON. ``flaw`` says why the output is no full answer
    (cut off, filtered). ``group`` names a conversation, document or person that several rows come from. ``key`` is the provider's id, ``time`` what the provider recorded; either may be empty.
    ``alternatives`` are other answers to the same input, unread; ``feedback`` is what people said of the output: ``up``, ``down``
    or nothing; ``person`` whom it was made for, as ``core.person`` keeps it; ``is_restricted`` where the row itself says that its terms restrict training; ``logprobs`` are its tokens as ``logprobs.read_logprobs`` gives them. ``unused`` are keys that no format gives a
    meaning to.
    """

    key: str
    content: str
    input: Mapping[str, Json] | str | None = None
    messages: tuple[Message, ...] = ()
    tools: tuple[Mapping[str, Json], ...] = ()
    schema: Mapping[str, Json] | None = None
    output: Target | None = None
    gold: Target | None = None
    alternatives: tuple[Alternative, ...] = ()
    feedback: str = ""
    logprobs: tuple[Json, ...] = ()
    flaw: str = ""
    group: str = ""
    person: str = ""
    is_restricted: bool = False
    model: str = ""
    time: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    unused: frozenset[str] = frozenset()


def read_group(value: Json) -> str:
    """Raises: DataError: JM-311, neither a text nor a number."""
    if value is None or isinstance(value, bool) or not isinstance(value, str | int):
        if value is None:
            return ""
        raise row_error("group is neither a text nor a number", where="group", got=value)
    return str(value).strip()


def row_error(what: str, *, where: str = "", expected: str = "", got: object = None) -> DataError:
    """A row that cannot be read; the import puts it into quarantine and goes on."""
    return DataError("JM-311", what, where=where, expected=expected, got="" if got is None else f"{got!r:.80}")


def detail_of(error: UserError) -> str:
    """Where, what was expected and what was found, as one line for the quarantine file."""
    parts = [error.where] if error.where else []
    parts += [f"expected {error.expected}"] if error.expected else []
    parts += [f"got {error.got}"] if error.got else []
    return "; ".join(parts)


def parse_object(text: str) -> dict[str, Json]:
    """Read one JSON object that can be stored and hashed.

    Raises:
        DataError: JM-311, with the position, for broken JSON, NaN, lone surrogates, NUL characters, deep nesting, or
            anything that is not an object.
    """
    value = parse_json(text)
    if not isinstance(value, dict):
        raise row_error("this row is not a JSON object", got=type(value).__name__)
    return value


def parse_json(text: str) -> Json:
    try:
        value = cast(Json, json.loads(text, parse_constant=_refuse_constant))
    except RecursionError:
        raise row_error(f"the JSON is nested deeper than {DEPTH_LIMIT} levels") from None
    except ValueError as error:
        raise row_error("this is not valid JSON", got=str(error)) from None
    if find_depth(value) > DEPTH_LIMIT:
        raise row_error(f"the JSON is nested deeper than {DEPTH_LIMIT} levels")
    return value


def hash_row(value: Json) -> str:
    """Content hash of a parsed row.

    Raises:
        DataError: JM-311, the row holds something that no store keeps: lone surrogates, NUL characters, infinities.
    """
    try:
        written = dump(value)
        data = written.encode("utf-8")
    except ValueError as error:
        raise row_error("this row holds what no store keeps", got=str(error)) from None
    if re.search(r"(?<!\\)(\\\\)*\\u0000", written):
        raise row_error("this row holds NUL characters")
    return bytes_hash(data)


def hash_content(row: Mapping[str, Json]) -> str:
    """`hash_row` without ``group``: where a row comes from is not what it says, and the same row imported with it is the same row."""
    return hash_row({key: value for key, value in row.items() if key != "group"})


def read_target(value: Json) -> Target | None:
    """An output or gold as written: text stays text (it may hold JSON), null is none, any other value is an object."""
    if value is None:
        return None
    return text_target(value) if isinstance(value, str) else object_target(value)


def read_alternatives(value: Json) -> tuple[Alternative, ...]:
    """``[{"output": ..., "weight": 1.0, "verdict": "chosen" | "rejected" | ""}]``, or a list of bare outputs.

    Raises:
        DataError: JM-311, not this shape.
    """
    if value is None:
        return ()
    if not isinstance(value, list):
        raise row_error("the alternatives are not a list", where="alternatives", got=value)
    return tuple(_read_alternative(item, f"alternatives[{index}]") for index, item in enumerate(value))


def _read_alternative(value: Json, where: str) -> Alternative:
    raw = value if isinstance(value, dict) and "output" in value else {"output": value}
    target, weight, verdict = read_target(raw["output"]), raw.get("weight", 1.0), raw.get("verdict", "")
    if target is None:
        raise row_error("an alternative has no output", where=where)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < 1e6:
        raise row_error("an alternative's weight is no positive number", where=where, got=weight)
    if verdict not in ("", "chosen", "rejected"):
        raise row_error("an alternative's verdict is unknown", where=where, expected="chosen or rejected", got=verdict)
    return Alternative(target, float(weight), str(verdict))


def read_feedback(value: Json) -> str:
    """Thumbs: ``up`` or ``down``, true or false, 1 or -1; an object's ``verdict`` or ``thumbs``; anything else is none.

    Raises:
        DataError: JM-311, a word that nobody knows.
    """
    if isinstance(value, dict):
        value = next((value[key] for key in ("verdict", "thumbs", "rating") if key in value), None)
    if value is None or value == "":
        return ""
    if value in (True, 1, "up", "positive", "good"):
        return "up"
    if value in (False, -1, "down", "negative", "bad"):
        return "down"
    raise row_error("this feedback is unknown", where="feedback", expected="up or down", got=value)


def read_time(value: Json) -> str:
    """Unix seconds or ISO 8601 to ISO 8601 in UTC; anything else to nothing, for a time is never content."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return aware.astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        pass
    return ""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def find_depth(value: Json) -> int:
    """Levels of nesting, counted level by level: a recursion could overflow on the very rows that this is for."""
    level: list[Json] = [value]
    depth = 0
    while level:
        depth += 1
        inner: list[Json] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        level = inner
    return depth
