"""A made template, and the calls that it makes in the form of chat-completion logs."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from traffic import words

Row = dict[str, Any]
Fill = Callable[[random.Random], str]
Reply = Callable[[random.Random], str | list[Row]]
PLACE = re.compile(r"\{(\w+)\}")
START_S, DAYS = 1_750_000_000, 20
GENERIC = "You are a helpful assistant."
NOISE_SYSTEMS = (None, None, GENERIC, "You are ChatGPT, a large language model trained by OpenAI.")


@dataclass(frozen=True)
class Template:
    """``system`` and ``user`` have ``{places}``. ``later`` is the system text of the second half of the time; ``optional`` places are left out with the line that they
    stand on; ``empty`` ones are empty now and then. ``shots`` are earlier turns that are always there, ``chat`` draws free ones. ``loose``: white space differs."""

    name: str
    user: str
    fields: Mapping[str, Fill]
    reply: Reply
    system: str | None = None
    later: str | None = None
    weight: float = 1.0
    tools: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    shots: tuple[tuple[str, str], ...] = ()
    chat: bool = False
    optional: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    loose: bool = False
    noise: Mapping[str, Fill] = field(default_factory=dict)

    @property
    def pieces(self) -> list[str]:
        """What is constant in the user message, between its places."""
        return PLACE.split(self.user)[::2]

    @property
    def names(self) -> list[str]:
        return PLACE.findall(self.user)

    @property
    def has_form(self) -> bool:
        """Whether every call's user message has one form."""
        return not (self.chat or self.shots or self.optional or self.loose)


def choice(*labels: str) -> Reply:
    return lambda draw: draw.choice(labels)


def prose(least: int = 1, most: int = 3) -> Reply:
    return lambda draw: words.text(draw, least, most)


def as_json(**values: Callable[[random.Random], Any]) -> Reply:
    return lambda draw: json.dumps({name: value(draw) for name, value in values.items()})


def calling(**tools: Callable[[random.Random], Row]) -> Reply:
    def reply(draw: random.Random) -> list[Row]:
        name = draw.choice(list(tools))
        arguments = json.dumps(tools[name](draw))
        return [{"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}]

    return reply


def make_rows(templates: Sequence[Template], count: int, noise: float, seed: int) -> Iterator[tuple[int, Row]]:
    """Calls in the order of time, each with its template's place; -1 for a chat that somebody had once."""
    draw = random.Random(seed)
    weights = [item.weight * draw.uniform(0.7, 1.3) for item in templates]
    for number in range(count):
        seconds = START_S + int(DAYS * 86_400 * number / count)
        if draw.random() < noise:
            yield (
                -1,
                _row(draw, number, seconds, _messages(draw.choice(NOISE_SYSTEMS), words.chat(draw)), words.text(draw)),
            )
            continue
        place = draw.choices(range(len(templates)), weights)[0]
        yield place, _call(templates[place], draw, number, seconds, is_late=2 * number > count)


def _call(template: Template, draw: random.Random, number: int, seconds: int, *, is_late: bool) -> Row:
    system = template.later if is_late and template.later is not None else template.system
    if system is not None:
        system = PLACE.sub(lambda found: template.noise[found[1]](draw), system)
    values = {
        name: "" if name in template.empty and draw.random() < 0.1 else fill(draw)
        for name, fill in template.fields.items()
    }
    form = template.user
    for name in template.optional:
        if draw.random() < 0.5:
            form = "\n".join(line for line in form.split("\n") if f"{{{name}}}" not in line)
    user = PLACE.sub(lambda found: values[found[1]], form)
    if template.loose and draw.random() < 0.5:
        user = draw.choice((user.replace("\n\n", "\n\n\n"), user + "\n", user.replace("\n", " \n"), "  " + user))
    shots = [turn for asked, said in template.shots for turn in (_turn("user", asked), _turn("assistant", said))]
    messages = [*([_turn("system", system)] if system is not None else []), *shots, _turn("user", user)]
    if template.chat:
        for _ in range(draw.randint(0, 3)):
            messages += [_turn("assistant", words.text(draw)), _turn("user", words.text(draw))]
    return _row(draw, number, seconds, messages, template.reply(draw), template)


def _messages(system: str | None, user: str) -> list[Row]:
    return [*([_turn("system", system)] if system is not None else []), _turn("user", user)]


def _turn(role: str, text: str) -> Row:
    return {"role": role, "content": text}


def _row(
    draw: random.Random,
    number: int,
    seconds: int,
    messages: list[Row],
    reply: str | list[Row],
    template: Template | None = None,
) -> Row:
    request: Row = {"model": "large-1", "messages": messages}
    if template is not None and template.tools:
        request["tools"] = [
            {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
            for name in template.tools
        ]
    if template is not None and template.schema is not None:
        request["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": template.schema},
        }
    message: Row = {"role": "assistant"}
    message |= {"content": reply} if isinstance(reply, str) else {"content": None, "tool_calls": reply}
    asked = sum(len(turn["content"]) for turn in messages) // 4
    return {
        "request": request,
        "response": {
            "id": f"call-{number}",
            "created": seconds,
            "model": "large-1",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": asked, "completion_tokens": len(json.dumps(reply)) // 4},
        },
    }


def without_time(row: Row) -> Row:
    return row | {"response": {name: value for name, value in row["response"].items() if name != "created"}}


__all__ = ["Template", "as_json", "calling", "choice", "make_rows", "prose", "replace", "without_time"]
