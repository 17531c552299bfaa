"""Rows of a dataset in the forms of other tools, a row at a time; what a form cannot say is left out with the reason.

    openai   {"messages": [system, ..., user, assistant]}                        fine-tuning by answers
    dpo      {"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}
    alpaca   {"instruction", "input", "output"}
    chatml   {"text": "<|im_start|>system ..."}
    columns  input fields, output, gold, split, group, count, provenance, terms, time

The instruction is the system message. ``import`` reads each of them back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import TaskError
from journeyman.core.example import Example, Split, Target
from journeyman.core.messages import Message, make_message, message_to_openai
from journeyman.core.nodes import EXACT, write_json
from journeyman.data.readers import chatml
from journeyman.task.answer import answer_text
from journeyman.task.prompt import teacher_messages, user_text
from journeyman.task.task import Task

COLUMNS = ("output", "gold", "split", "group", "count", "provenance", "terms", "time")
Node = dict[str, Json]


class Unsayable(Exception):
    """Why this form has no word for a row."""


def to_openai(task: Task, example: Example) -> Node:
    """Raises: Unsayable, there is no answer, or none that is text or calls."""
    return {
        "messages": [message_to_openai(message) for message in (*_asked(task, example), _answer(task, example.answer))]
    }


def to_dpo(task: Task, example: Example, better: Target, worse: Target) -> Node:
    """Raises: Unsayable, one of the answers is calls of tools."""
    if "tool_calls" in (better.kind, worse.kind):
        raise Unsayable("an answer of a pair calls tools")
    return {
        "input": {"messages": [message_to_openai(message) for message in _asked(task, example)]},
        "preferred_output": [message_to_openai(_answer(task, better))],
        "non_preferred_output": [message_to_openai(_answer(task, worse))],
    }


def to_alpaca(task: Task, example: Example) -> Node:
    """Raises: Unsayable, there is no answer in text, or there are earlier turns."""
    if example.context:
        raise Unsayable("the row has earlier turns")
    said = user_text(task, example.input)
    return {"instruction": task.instruction, "input": said, "output": _text(task, example.answer)}


def to_chatml(task: Task, example: Example) -> Node:
    """Raises: Unsayable, there is no answer in text, or a text holds a mark of ChatML."""
    messages = [*_asked(task, example), make_message("assistant", _text(task, example.answer))]
    if not all(message.is_plain_text for message in messages):
        raise Unsayable("a message is not only text")
    try:
        return {"text": chatml.write(messages)}
    except ValueError as error:
        raise Unsayable(str(error)) from None


def to_columns(task: Task, example: Example, split: Split) -> Node:
    """Objects are JSON texts; a field that is called like another column is ``input.FIELD``.

    Raises:
        Unsayable: there is no answer in text, there are earlier turns, or a number is too large for a column.
    """
    if example.context:
        raise Unsayable("the row has earlier turns")
    if example.answer is None:
        raise Unsayable("the row has no answer")
    fields = {column_of(name): example.input[name] for name in task.input}
    written = {
        name: _write(value, task.input[field]) for (name, value), field in zip(fields.items(), task.input, strict=True)
    }
    return written | {
        "output": _text(task, example.target) if example.target is not None else None,
        "gold": _text(task, example.gold) if example.gold is not None else None,
        "split": split,
        "group": example.group,
        "count": example.count,
        "provenance": example.provenance,
        "terms": example.terms,
        "time": example.time,
    }


def column_of(field: str) -> str:
    return f"input.{field}" if field in COLUMNS else field


def find_unsaid(example: Example, form: str) -> list[str]:
    """What a row that was written has and the form no place for."""
    found = ["how often the row came"] if example.count > 1 and form != "parquet" else []
    found += ["the passages beside the input"] if example.passages else []
    if form == "dpo":
        return found
    if example.gold is not None and example.target is not None and form != "parquet":
        found.append("the teacher's answer beside the gold")
    return found + (["other answers"] if example.alternatives else [])


def plain_type(schema: Json) -> str:
    """The type of a field's values where all are of one that a column can have; else nothing."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    choices = schema.get("enum") if isinstance(schema, dict) else None
    if isinstance(choices, list) and all(isinstance(item, str) for item in choices):
        return "string"
    return kind if isinstance(kind, str) and kind in ("string", "integer", "number", "boolean") else ""


def _write(value: Json, schema: object) -> Json:
    kind = plain_type(cast(Json, schema))
    if isinstance(value, int) and not isinstance(value, bool) and not _fits(value, kind):
        raise Unsayable("a number is larger than a column of Parquet holds exactly")
    return value if kind or value is None else write_json(value)


def _fits(value: int, kind: str) -> bool:
    return -(2**63) <= value < 2**63 if kind == "integer" else kind != "number" or abs(value) <= EXACT


def _asked(task: Task, example: Example) -> Sequence[Message]:
    system, user = teacher_messages(task, example.input)
    return (system, *example.context, user)


def _answer(task: Task, target: Target | None) -> Message:
    if target is not None and target.kind == "tool_calls":
        return Message("assistant", tool_calls=target.tool_calls)
    return make_message("assistant", _text(task, target))


def _text(task: Task, target: Target | None) -> str:
    """An answer that broke the schema (a rejected one, or a wrong one beside its gold) is its own text."""
    if target is None:
        raise Unsayable("the row has no answer")
    if target.kind == "text":
        return target.text
    try:
        return answer_text(task, target)
    except TaskError as error:
        raise Unsayable(error.what) from None
