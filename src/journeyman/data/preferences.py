"""Preference files: two answers to one prompt, or one answer and whether it was wanted.

Each line is one of

    {"prompt": ..., "chosen": ..., "rejected": ...}                                      (TRL)
    {"prompt": ..., "completion": ..., "label": true}                                    (TRL, unpaired)
    {"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}    (OpenAI fine-tuning)

``prompt`` is text, an object of the task's fields, or a list of messages; an answer is text, a JSON value, or a list with one message of
the assistant. ``input`` may stand for ``prompt``. What was wanted is the row's output; what was not is an alternative.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.example import Alternative, Target, text_target
from journeyman.core.messages import messages_from_openai
from journeyman.data.record import Record, hash_content, read_group, read_target, read_time, row_error

PAIRED, SINGLE, OPENAI = {"chosen", "rejected"}, {"completion", "label"}, {"preferred_output", "non_preferred_output"}
KNOWN = frozenset({"prompt", "input", "gold", "group", "id", "time", "model"} | PAIRED | SINGLE | OPENAI)


def matches(row: Mapping[str, Json]) -> bool:
    has_prompt = "prompt" in row or "input" in row
    return has_prompt and any(keys <= row.keys() for keys in (PAIRED, SINGLE, OPENAI))


def read(row: dict[str, Json]) -> Record:
    """Raises: DataError: JM-310 or JM-311, not this shape."""
    wanted, unwanted = _answers(row)
    prompt = row["prompt"] if "prompt" in row else row["input"]
    if isinstance(prompt, dict) and "messages" in prompt:
        prompt = prompt["messages"]
    messages = messages_from_openai(prompt) if isinstance(prompt, list) else ()
    if not messages and not isinstance(prompt, str | dict):
        raise row_error("the prompt is neither text, fields nor messages", where="prompt", got=prompt)
    return Record(
        key="",
        content=hash_content(row),
        input=None if messages else cast(str | dict[str, Json], prompt),
        messages=messages,
        output=wanted,
        gold=read_target(row.get("gold")),
        alternatives=(Alternative(unwanted, verdict="rejected"),) if unwanted else (),
        feedback="up" if wanted and not unwanted else "",
        group=read_group(row.get("group")),
        model=str(row.get("model") or ""),
        time=read_time(row.get("time")),
        unused=frozenset(row) - KNOWN,
    )


def _answers(row: Mapping[str, Json]) -> tuple[Target | None, Target | None]:
    """What was wanted and what was not; one of them may be missing."""
    if row.keys() >= PAIRED:
        pair = (_answer(row["chosen"], "chosen"), _answer(row["rejected"], "rejected"))
    elif row.keys() >= OPENAI:
        pair = (
            _answer(row["preferred_output"], "preferred_output"),
            _answer(row["non_preferred_output"], "non_preferred_output"),
        )
    else:
        if not isinstance(row["label"], bool):
            raise row_error("the label is not true or false", where="label", got=row["label"])
        answer = _answer(row["completion"], "completion")
        return (answer, None) if row["label"] else (None, answer)
    if pair[0] == pair[1]:
        raise row_error("the two answers are the same", where="chosen")
    return pair


def _answer(value: Json, where: str) -> Target:
    if isinstance(value, list):
        messages = messages_from_openai(value)
        if len(messages) != 1 or messages[0].role != "assistant" or messages[0].tool_calls:
            raise row_error("an answer is one message of the assistant, in text", where=where, got=len(messages))
        return text_target(messages[0].text)
    target = read_target(value)
    if target is None:
        raise row_error("an answer is missing", where=where)
    return target
