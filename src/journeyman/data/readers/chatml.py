"""ChatML texts: ``{"text": "<|im_start|>system\\n...<|im_end|>\\n<|im_start|>user\\n...<|im_end|>\\n<|im_start|>assistant\\n...<|im_end|>"}``.

The last answer is the output; without ``<|im_end|>`` behind it, it was cut off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from journeyman.core.canonical import Json
from journeyman.core.messages import Message, messages_from_openai
from journeyman.data import openai
from journeyman.data.record import Record, hash_content, read_feedback, read_group, read_target, read_time, row_error

START, END = "<|im_start|>", "<|im_end|>"
COLUMNS = ("text", "prompt", "chatml")
KNOWN = frozenset({*COLUMNS, "gold", "feedback", "group", "id", "time", "model"})
TURN = re.compile(r"<\|im_start\|>(\w+)\n(.*?)(<\|im_end\|>|\Z)", re.DOTALL)


def matches(row: Mapping[str, Json]) -> bool:
    return _column(row) != ""


def read(row: dict[str, Json]) -> Record:
    """Raises: DataError: JM-310 or JM-311, the text is not made of turns."""
    turns, is_whole = _split(str(row[_column(row)]))
    record = openai.read({"messages": turns})
    return Record(
        key="",
        content=hash_content(row),
        messages=record.messages,
        output=record.output,
        gold=read_target(row.get("gold")),
        feedback=read_feedback(row.get("feedback")),
        flaw="" if is_whole or record.output is None else openai.FLAWS["length"],
        group=read_group(row.get("group")),
        model=str(row.get("model") or ""),
        time=read_time(row.get("time")),
        unused=frozenset(row) - KNOWN,
    )


def write(messages: Sequence[Message]) -> str:
    """The text of these messages.

    Raises:
        ValueError: one of them holds a mark of ChatML itself, so that it could not be read back.
    """
    if any(mark in message.text for message in messages for mark in (START, END)):
        raise ValueError(f"a text holds {START} or {END}")
    return "".join(f"{START}{message.role}\n{message.text}{END}\n" for message in messages)


def _column(row: Mapping[str, Json]) -> str:
    """The column whose text begins with a turn."""
    for name in COLUMNS:
        value = row.get(name)
        if isinstance(value, str) and value.lstrip().removeprefix("<s>").startswith(START):
            return name
    return ""


def _split(text: str) -> tuple[list[Json], bool]:
    """The turns, and whether the last one is closed. An open turn of the assistant without a word is a prompt's end."""
    turns, place, closed = list[Json](), 0, True
    for found in TURN.finditer(text):
        between = text[place : found.start()].strip()
        if between and not (place == 0 and between == "<s>"):
            raise row_error("there is text between two turns", where="text", expected=START, got=between)
        role, said, end = found.groups()
        closed = bool(end)
        if said or closed:
            turns.append({"role": role, "content": said})
        place = found.end()
    rest = text[place:].strip().removesuffix("</s>").removesuffix("<|endoftext|>")
    if rest:
        raise row_error("there is text behind the last turn", where="text", expected=START, got=rest)
    messages_from_openai(turns, "text")
    return turns, closed
