"""The headers of a call that is passed on: whose key goes where. A key of ours goes nowhere, and a provider's key to that provider alone."""

from __future__ import annotations

from collections.abc import Mapping

from journeyman.core.keys import PREFIX
from journeyman.core.providers import Kind
from journeyman.gateway.points import Point
from journeyman.models.anthropic import VERSION

PASSED_ON: Mapping[Kind, tuple[str, ...]] = {
    "openai": ("user-agent", "openai-organization", "openai-project", "openai-beta", "idempotency-key"),
    "anthropic": ("user-agent", "anthropic-version", "anthropic-beta", "idempotency-key"),
    "any-llm": (),
}
PASSED_BACK = ("content-type", "retry-after", "openai-processing-ms", "openai-version")
LIMITS = ("x-ratelimit-", "anthropic-ratelimit-")
PERSONAL = "sk-ant-oat"
"""How a person's token at Anthropic begins, which stands in another header than a key."""


def write_headers(point: Point, headers: Mapping[str, str], *, is_own_key: bool) -> dict[str, str]:
    """``headers`` are the client's; ``is_own_key``: the key in them is one of ours."""
    written = {name: headers[name] for name in PASSED_ON[point.kind] if name in headers}
    written |= {"content-type": "application/json", "accept-encoding": "identity"}
    if point.kind == "anthropic":
        written.setdefault("anthropic-version", VERSION)
    shown = f"Bearer {point.key}" if point.key else "" if is_own_key else _client_key(headers)
    if shown and point.kind == "anthropic" and not shown.startswith(f"Bearer {PERSONAL}"):
        return written | {"x-api-key": shown.rpartition(" ")[2]}
    return written | ({"authorization": shown} if shown else {})


def pass_back(headers: Mapping[str, str]) -> dict[str, str]:
    """A provider's headers for the client: without the length and encoding of the connection, which is not ours."""
    said = {name.lower(): value for name, value in headers.items()}
    shown = {name: said[name] for name in said if name in PASSED_BACK or name.startswith(LIMITS)}
    if request := said.get("x-request-id") or said.get("request-id"):
        shown["x-upstream-request-id"] = request
    return shown


def _client_key(headers: Mapping[str, str]) -> str:
    """The client's own key, as providers of OpenAI's shape take it; Anthropic's clients send theirs as ``x-api-key``. A key such as this server gives out is nobody
    else's business, also while it wants none."""
    shown = headers.get("authorization") or f"Bearer {headers.get('x-api-key', '')}"
    secret = shown.rpartition(" ")[2]
    return shown if secret and not secret.startswith(PREFIX) else ""
