"""Fields to messages and back. The same template serves import, tuning and serving.

    input fields ── user_text ──► user message ── read_messages ──► input fields

Knows nothing about chat templates or providers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from journeyman.core.canonical import Json
from journeyman.core.errors import TaskError
from journeyman.core.messages import Message, make_message
from journeyman.core.nodes import write_json
from journeyman.task.schema import read_json, verifier
from journeyman.task.task import Task
from journeyman.task.verify import has_lone_surrogate

PLACE = re.compile(r"\{\{|\}\}|\{([^{}\n]*)\}|[{}]")


@dataclass(frozen=True, slots=True)
class Template:
    """A user message with places: ``literals[i]`` stands before ``fields[i]``, the last literal after them all."""

    literals: tuple[str, ...]
    fields: tuple[str, ...]


def user_text(task: Task, input: Mapping[str, Json]) -> str:
    """The user message of these fields."""
    return _fill(_template(_prompt(task)), input)


def question_text(task: Task, input: Mapping[str, Json]) -> str:
    """The user message without what retrieval filled in."""
    if not task.filled:
        return user_text(task, input)
    names = tuple(task.asked)
    return _fill(_template((_default_prompt(names), names)), input)


def student_messages(task: Task, input: Mapping[str, Json]) -> tuple[Message, ...]:
    """The user message alone: the instruction is in the student's weights."""
    return (make_message("user", user_text(task, input)),)


def teacher_messages(task: Task, input: Mapping[str, Json]) -> tuple[Message, ...]:
    """The instruction as system message, then the user message."""
    return (make_message("system", task.instruction), make_message("user", user_text(task, input)))


def read_messages(task: Task, messages: Sequence[Message]) -> dict[str, Json]:
    """The input fields that these messages were made from.

    Raises:
        TaskError: JM-240 other system text, JM-241 earlier turns, JM-242 tool calls or results, JM-243 images,
            JM-244 no user message, JM-245 the prompt does not match, JM-246 it matches in several ways,
            JM-247 a field's text is not of its type, and those of ``check_input``.
    """
    where = f"task {task.name}"
    users = []
    for message in messages:
        if message.role in ("system", "developer"):
            _check_system(task, message, where)
        elif message.role == "tool" or message.tool_calls:
            raise _unlike("JM-242", "a tool call or its result", "a single user message", where)
        elif message.role == "assistant":
            raise _unlike("JM-241", "an earlier assistant turn", "a single user message", where)
        else:
            users.append(message)
    if len(users) > 1:
        raise _unlike("JM-241", f"{len(users)} user messages", "a single user message", where)
    if not users:
        raise _unlike("JM-244", "no user message", "a single user message", where)
    if not users[0].is_plain_text:
        raise _unlike("JM-243", "an image", "text only", where)
    return read_user_text(task, users[0].text)


def read_user_text(task: Task, text: str) -> dict[str, Json]:
    """The input fields of one user text; raises as ``read_messages`` does.

    Where a field is filled by retrieval, a text without it is read too: the other fields as a task with these alone and no prompt of its own would write them.
    """
    try:
        return _read_user_text(task, text, tuple(task.input))
    except TaskError:
        if not task.filled:
            raise
    return _read_user_text(task, text, tuple(task.asked))


def _read_user_text(task: Task, text: str, names: tuple[str, ...]) -> dict[str, Json]:
    where = f"task {task.name}"
    template = _template(_prompt(task) if len(names) == len(task.input) else (_default_prompt(names), names))
    values = _match(template, text, where)
    fields = {
        name: _read(task.input[name], name, value, where) for name, value in zip(template.fields, values, strict=True)
    }
    found = {name: fields[name] for name in names}
    check_input(task, found, may_lack=task.filled)
    return found


def check_input(task: Task, input: Mapping[str, Json], may_lack: str = "") -> None:
    """Validate input fields; the one that ``may_lack`` is yet to be filled.

    Raises:
        TaskError: JM-230 unknown field, JM-231 missing field, JM-232 wrong value; each names the field.
    """
    where = f"task {task.name}"
    expected = ", ".join(task.input)
    for name in input:
        if name not in task.input:
            raise TaskError(
                "JM-230", f"unknown input field {name!r}", where=where, expected=expected, hint="remove or rename it"
            )
    for name, schema in task.input.items():
        if name not in input and name == may_lack:
            continue
        if name not in input:
            raise TaskError(
                "JM-231",
                f"the input field {name!r} is missing",
                where=where,
                expected=expected,
                got=", ".join(input) or "no field",
                hint=f"add {name!r}",
            )
        problem = _problem(schema, input[name])
        if problem:
            raise TaskError(
                "JM-232",
                f"the input field {name!r} has a wrong value",
                where=where,
                expected=write_json(dict(schema)),
                got=problem,
                hint="correct the value, or the field's type in the task file",
            )


def parse_template(text: str, fields: Sequence[str], where: str) -> Template:
    """Read ``{field}`` places; ``{{`` and ``}}`` stand for braces.

    Raises:
        TaskError: JM-207 unknown or missing field, a stray brace, a field twice, or two places side by side.
    """
    literals, names = [""], list[str]()
    start = 0
    for match in PLACE.finditer(text):
        literals[-1] += text[start : match.start()]
        start = match.end()
        if match.group() in ("{{", "}}"):
            literals[-1] += match.group()[0]
            continue
        name = match.group(1)
        if name not in fields:
            raise _wrong_template(f"the prompt names {match.group()!r}, which is no input field", fields, where)
        if name in names:
            raise _wrong_template(f"the prompt names {{{name}}} twice", fields, where)
        if names and not literals[-1]:
            raise _wrong_template(f"nothing stands between {{{names[-1]}}} and {{{name}}}", fields, where)
        names.append(name)
        literals.append("")
    literals[-1] += text[start:]
    for name in fields:
        if name not in names:
            raise _wrong_template(f"the prompt leaves out {{{name}}}", fields, where)
    return Template(tuple(literals), tuple(names))


def has_words(task: Task) -> bool:
    """Whether the user message says more than the input fields."""
    return any(literal.split() for literal in _template(_prompt(task)).literals)


def is_text(schema: Mapping[str, Json]) -> bool | None:
    """Whether a field's values are all text (True), never text (False), or of both or unknown kinds (None)."""
    if "enum" in schema or "const" in schema:
        listed = schema.get("enum", [schema.get("const")])
        kinds = {isinstance(value, str) for value in listed} if isinstance(listed, list) else set()
    else:
        types = schema.get("type")
        kinds = {name == "string" for name in (types if isinstance(types, list) else [types]) if name is not None}
    return kinds.pop() if len(kinds) == 1 else None


def _prompt(task: Task) -> tuple[str, tuple[str, ...]]:
    fields = tuple(task.input)
    return task.prompt or _default_prompt(fields), fields


def _default_prompt(fields: tuple[str, ...]) -> str:
    if len(fields) == 1:
        return "{" + fields[0] + "}"
    return "\n".join(f"{name}: {{{name}}}" for name in fields)


@lru_cache(maxsize=256)
def _template(prompt: tuple[str, tuple[str, ...]]) -> Template:
    return parse_template(prompt[0], prompt[1], "prompt")


def _match(template: Template, text: str, where: str) -> list[str]:
    """The values between the literals; there must be one way to find them."""
    first, *middle, last = template.literals
    if not (text.startswith(first) and text.endswith(last) and len(text) >= len(first) + len(last)):
        raise _no_match(template, text, where)
    body = text[len(first) : len(text) - len(last)]
    early, rest = list[str](), body
    for literal in middle:
        value, found, rest = rest.partition(literal)
        if not found:
            raise _no_match(template, text, where)
        early.append(value)
    early.append(rest)
    late, rest = list[str](), body
    for literal in reversed(middle):
        rest, _, value = rest.rpartition(literal)
        late.append(value)
    if early != [rest, *reversed(late)]:
        raise _unlike("JM-246", "a text that fits the prompt in several ways", _shown(template), where)
    return early


def _no_match(template: Template, text: str, where: str) -> TaskError:
    got = f"a user message of {len(text)} characters that does not fit"
    return _unlike("JM-245", got, _shown(template), where, "set prompt in the task file to the form of your messages")


def _shown(template: Template) -> str:
    places = [f"{{{name}}}" for name in template.fields]
    shown = "".join(literal + place for literal, place in zip(template.literals, [*places, ""], strict=True))
    return f"the prompt {shown!r:.200}"


def _check_system(task: Task, message: Message, where: str) -> None:
    if not message.is_plain_text or message.text.split() != task.instruction.split():
        raise _unlike(
            "JM-240",
            f"another {message.role} text, of {len(message.text)} characters",
            "the task's instruction or none",
            where,
            "send this call to the teacher, or make a task with this instruction",
        )


def _fill(template: Template, input: Mapping[str, Json]) -> str:
    values = [_write(input[name]) for name in template.fields]
    return "".join(literal + value for literal, value in zip(template.literals, [*values, ""], strict=True))


def _write(value: Json) -> str:
    return value if isinstance(value, str) else write_json(value)


def _read(schema: Mapping[str, Json], name: str, text: str, where: str) -> Json:
    if is_text(schema):
        return text
    try:
        return read_json(text)
    except ValueError as error:
        raise TaskError(
            "JM-247",
            f"the text of field {name!r} is not JSON: {error}",
            where=where,
            expected=write_json(dict(schema)),
            hint="correct the message, or make the field a string in the task file",
        ) from None


def _problem(schema: Mapping[str, Json], value: Json) -> str:
    if has_lone_surrogate(value):
        return "half a surrogate pair, which is not Unicode text"
    return verifier(schema).check_value(value).problem


def _unlike(code: str, got: str, expected: str, where: str, hint: str = "") -> TaskError:
    return TaskError(
        code,
        "this call does not have the task's shape",
        where=where,
        expected=expected,
        got=got,
        hint=hint or "send this call to the teacher, or make another task for it",
    )


def _wrong_template(what: str, fields: Sequence[str], where: str) -> TaskError:
    return TaskError(
        "JM-207",
        what,
        where=where,
        expected="each of " + ", ".join(f"{{{name}}}" for name in fields) + " once, with text between them",
        hint="write {{ and }} for braces",
    )
