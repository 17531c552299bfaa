"""What each kind of provider can be asked, and in which dialect it is: a client may speak another one."""

from __future__ import annotations

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError
from journeyman.gateway.dialects.anthropic import MESSAGES
from journeyman.gateway.dialects.anthropic_record import PASSED_MESSAGES
from journeyman.gateway.dialects.chat import CHAT
from journeyman.gateway.dialects.chat_of_messages import pass_chat
from journeyman.gateway.dialects.dialect import Dialect
from journeyman.gateway.points import Point
from journeyman.gateway.wire import Wire


def pass_to(point: Point, dialect: Dialect, raw: dict[str, Json]) -> tuple[dict[str, Json], Wire]:
    """The body for the provider, and how it goes there.

    Raises:
        ServeError: JM-769 this provider does not answer this route, JM-763, JM-768 it cannot be asked for all of this. DataError JM-310.
    """
    if point.kind == "openai":
        return dialect.pass_on(raw)
    if dialect not in (CHAT, MESSAGES):
        raise refuse_route(point)
    if point.kind == "any-llm":
        return dialect.pass_on(raw)
    return (raw, PASSED_MESSAGES) if dialect is MESSAGES else pass_chat(raw)


def refuse_route(point: Point) -> ServeError:
    spoken = "speaks Anthropic's Messages" if point.kind == "anthropic" else "is asked through any-llm"
    return ServeError(
        "JM-769",
        f"the provider of this model {spoken}, and does not answer this route",
        where=point.name,
        expected="/v1/chat/completions or /v1/messages",
        hint="ask it there, or ask a model of a provider of OpenAI's shape",
    )


def refuse_count(name: Json) -> ServeError:
    return ServeError(
        "JM-769",
        "tokens are counted by providers that speak Anthropic's Messages, for their own models",
        where=str(name),
        expected="a model of such a provider",
        hint="the usage of an answer says how many tokens there were",
    )
