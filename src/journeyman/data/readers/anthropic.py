"""Logs of Anthropic's Messages: the request as it was sent, the message that came back.

{"request" or "body": {"model", "system", "messages", "tools", ...}, "response": {"type": "message", "content": [...]}, "gold": ...}
{"model", "system", "messages", ..., "response": {"type": "message", ...}}
"""

from __future__ import annotations

from collections.abc import Mapping

from journeyman.core.canonical import Json
from journeyman.data.readers.calls import Noted, read_anthropic, read_call
from journeyman.data.record import Record, read_feedback, read_group, read_time, row_error
from journeyman.models.anthropic_reply import is_message

KNOWN = frozenset({"request", "body", "response", "gold", "feedback", "group", "id", "custom_id", "time", "created"})
REQUEST = frozenset({"model", "system", "messages", "tools", "max_tokens", "output_config", "output_format"})


def matches(row: Mapping[str, Json]) -> bool:
    request = _request(row)
    if not isinstance(request.get("messages"), list):
        return False
    return is_message(_response(row)) or (request.get("system") is not None and request is not row)


def read(row: dict[str, Json]) -> Record:
    """Raises: DataError: JM-310 or JM-311, not this shape."""
    response = _response(row)
    if isinstance(response, dict) and response.get("type") == "error":
        raise row_error("the recorded response is an error", where="response.error", got=response.get("error"))
    if response is not None and not is_message(response):
        raise row_error("the response is no message", where="response", expected='"type": "message"', got=response)
    request = _request(row)
    noted = Noted(
        feedback=read_feedback(row.get("feedback")),
        group=read_group(row.get("group")),
        time=read_time(row.get("created") or row.get("time")),
        gold=row.get("gold"),
        unused=frozenset(row) - KNOWN - (REQUEST if request is row else frozenset()),
    )
    return read_call(row, read_anthropic(dict(request)), response, noted)


def _request(row: Mapping[str, Json]) -> Mapping[str, Json]:
    inner = row.get("request", row.get("body"))
    return inner if isinstance(inner, dict) else row


def _response(row: Mapping[str, Json]) -> Json:
    response = row.get("response")
    if isinstance(response, dict) and isinstance(response.get("body"), dict):
        return response["body"]
    return response
