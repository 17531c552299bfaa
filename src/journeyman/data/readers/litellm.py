"""LiteLLM's logs: its StandardLoggingPayload (buckets, queues, callbacks), and rows of its proxy's spend logs.

    {"id", "call_type": "acompletion", "status", "messages": [...], "response": {...}, "model", "startTime", "prompt_tokens", ...}

Calls of another kind (embeddings, images) are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping

from journeyman.core.canonical import Json
from journeyman.data.readers.calls import Noted, parse_text, read_call, to_request
from journeyman.data.record import Record, read_time, row_error
from journeyman.models.counts import read_count

KINDS = (
    "completion",
    "acompletion",
    "text_completion",
    "atext_completion",
    "anthropic_messages",
    "aanthropic_messages",
)
REDACTED = "redacted-by-litellm"


def matches(row: Mapping[str, Json]) -> bool:
    return "call_type" in row and "response" in row and ("messages" in row or "request_id" in row)


def read(row: dict[str, Json]) -> Record | None:
    """Raises: DataError: JM-310 or JM-311, a failed call, or one whose texts were left out of the log."""
    if str(row["call_type"]).rpartition("/")[2] not in KINDS:
        return None
    if row.get("status") == "failure":
        raise row_error("the recorded call failed", where="status", got=row.get("error_str"))
    asked, answered = parse_text(row.get("messages")), parse_text(row["response"])
    if not asked or not answered or REDACTED in str(asked) or answered == {"text": REDACTED}:
        raise row_error(
            "the log has no text of this call",
            where="messages",
            expected="a log with messages and response; LiteLLM leaves them out when it is told to",
        )
    body: Json = {"messages": asked} if isinstance(asked, list) else asked
    given = row.get("model_parameters")
    if isinstance(body, dict) and isinstance(given, dict):
        body |= {
            name: given[name] for name in ("tools", "response_format", "system", "user", "metadata") if given.get(name)
        }
    elif isinstance(asked, str):
        body = {"messages": [{"role": "user", "content": asked}]}
    noted = Noted(
        key=str(row.get("id") or row.get("request_id") or ""),
        model=str(row.get("model") or ""),
        user=row.get("end_user"),
        time=read_time(row.get("startTime")),
        input_tokens=read_count(row.get("prompt_tokens")),
        output_tokens=read_count(row.get("completion_tokens")),
    )
    if to_request(body) is None:
        raise row_error("the messages cannot be read", where="messages", got=asked)
    return read_call(row, body, answered, noted)
