"""The requests: inputs for a cell, the answers to one input, and whether an answer is right; and how the replies are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from journeyman.core.canonical import Json, dump
from journeyman.core.errors import TaskError
from journeyman.core.example import Example, Target
from journeyman.core.grammar import COPY
from journeyman.core.messages import make_message
from journeyman.data.synthesis.cells import Cell
from journeyman.models.protocol import Decoding, Request
from journeyman.task.answer import answer_text, read_answer
from journeyman.task.prompt import check_input, teacher_messages, user_text
from journeyman.task.schema import constraint_schema, read_json
from journeyman.task.task import Task

TEMPERATURE = 0.8
MOST_SCHEMA = 6000
LEAST_TOKENS = 64
LETTERS_A_TOKEN = 2.0
"""For limits on what is written: few languages have fewer."""
MOST_TOPIC = 80
"""Letters of a topic."""
TOPICS = """\
A program is told:

{instruction}

Its input: {fields}.
{examples}
List {count} different things that inputs could be about: situations, people, places, objects, values, a few words each. Go far from the examples and from each other."""
INPUTS = """\
You write test inputs for a program. The program is told:

{instruction}

Its input: {fields}.
{answers}{examples}{passage}
Write {count} new inputs, as different people would write them: {cell}. They must differ from the examples and from each other in content, names, numbers and wording, \
not in form. Do not answer them."""
JUDGED = """\
A program is told:

{instruction}

It was given this input:

{input}

and answered:

{answer}

Is the answer right and complete, by what the program is told? Say first what is wrong with it, if anything."""
VERDICT: dict[str, Json] = {
    "type": "object",
    "properties": {"wrong": {"type": "string"}, "is_right": {"type": "boolean"}},
    "required": ["wrong", "is_right"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Most tokens that are written: of one input and of one answer."""

    input: int
    answer: int


def find_sizes(task: Task, seeds: Sequence[Example]) -> Sizes:
    """Twice the longest example, or what the task states."""
    inputs = [len(dump(dict(row.input))) for row in seeds] or [400]
    answers = [len(answer_text(task, row.answer)) for row in seeds if row.answer is not None] or [400]
    own = task.max_output_tokens
    return Sizes(_tokens(max(inputs)), own if own is not None else _tokens(max(answers)))


def ask_inputs(
    task: Task, cell: Cell, shown: Sequence[Example], count: int, sizes: Sizes, seed: int, passage: str = ""
) -> Request:
    """``count`` inputs of a cell, after a few examples."""
    text = INPUTS.format(
        instruction=task.instruction,
        fields=_name_fields(task),
        answers=f"Its answers fit this JSON Schema: {json.dumps(task.schema, ensure_ascii=False)[:MOST_SCHEMA]}\n"
        if task.schema is not None
        else "",
        examples="".join(f"\nExample: {_show(task, row)}" for row in shown),
        passage=f"\n\nTake the content from this text:\n\n{passage}\n" if passage else "\n",
        count=count,
        cell=_describe(cell),
    )
    one: dict[str, Json] = {
        "type": "object",
        "properties": {name: dict(node) for name, node in task.input.items()},
        "required": list(task.input),
        "additionalProperties": False,
    }
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {"inputs": {"type": "array", "items": one, "minItems": 1, "maxItems": count}},
        "required": ["inputs"],
        "additionalProperties": False,
    }
    decoding = Decoding(
        schema=schema,
        schema_name="inputs",
        max_tokens=LEAST_TOKENS + count * sizes.input,
        temperature=TEMPERATURE,
        seed=seed,
    )
    return Request((make_message("user", text),), decoding)


def ask_topics(task: Task, shown: Sequence[Example], count: int, seed: int) -> Request:
    """What inputs could be about: a model that is asked for inputs alone writes the same few again and again."""
    text = TOPICS.format(
        instruction=task.instruction,
        fields=_name_fields(task),
        examples="".join(f"\nExample: {dump(_asked(task, row))}" for row in shown),
        count=count,
    )
    item: dict[str, Json] = {"type": "string"}
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {"topics": {"type": "array", "items": item, "minItems": 1, "maxItems": count}},
        "required": ["topics"],
        "additionalProperties": False,
    }
    most = LEAST_TOKENS + count * int(MOST_TOPIC / LETTERS_A_TOKEN)
    decoding = Decoding(schema=schema, schema_name="topics", max_tokens=most, temperature=TEMPERATURE, seed=seed)
    return Request((make_message("user", text),), decoding)


def read_topics(text: str) -> list[str]:
    """Each once; none of a reply that cannot be read."""
    try:
        raw = read_json(text)
    except ValueError:
        return []
    items = raw.get("topics") if isinstance(raw, dict) else raw
    said = (
        [" ".join(item.split())[:MOST_TOPIC] for item in items if isinstance(item, str)]
        if isinstance(items, list)
        else []
    )
    return list(dict.fromkeys(item for item in said if item))


def read_inputs(task: Task, text: str, most: int) -> tuple[list[dict[str, Json]], int]:
    """The inputs of a reply that are of the task's shape and not empty, and how many were not; a reply that cannot be read is one."""
    try:
        raw = read_json(text)
    except ValueError:
        return [], 1
    items = raw.get("inputs") if isinstance(raw, dict) else raw
    if not isinstance(items, list):
        return [], 1
    kept: list[dict[str, Json]] = []
    for item in items[:most]:
        if isinstance(item, dict) and is_input(task, item):
            kept.append({name: _trim(item[name]) for name in task.input})
    return kept, len(items[:most]) - len(kept)


def is_input(task: Task, item: Mapping[str, Json]) -> bool:
    """Whether fields are of the task's shape, and none of them is an empty text."""
    try:
        check_input(task, item)
    except TaskError:
        return False
    return all(not isinstance(value, str) or bool(value.strip()) for value in item.values())


def ask_answer(task: Task, fields: Mapping[str, Json], shots: Sequence[Example], sizes: Sizes, sample: int) -> Request:
    """The task's own call, after answered examples as turns; the first sample is greedy."""
    system, user = teacher_messages(task, fields)
    turns = [
        message
        for row in shots
        if row.answer is not None
        for message in (
            make_message("user", user_text(task, row.input)),
            make_message("assistant", answer_text(task, row.answer)),
        )
    ]
    return Request(
        (system, *turns, user),
        Decoding(
            schema=constraint_schema(task.schema, fields) if task.schema is not None else None,
            max_tokens=sizes.answer,
            temperature=TEMPERATURE if sample else 0.0,
            seed=sample or None,
        ),
    )


def ask_verdict(task: Task, fields: Mapping[str, Json], answer: Target) -> Request:
    text = JUDGED.format(instruction=task.instruction, input=user_text(task, fields), answer=answer_text(task, answer))
    return Request((make_message("user", text),), Decoding(schema=VERDICT, schema_name="verdict", max_tokens=256))


def read_verdict(text: str) -> bool:
    """Whether the answer is right; a verdict that cannot be read is none."""
    try:
        raw = read_json(text)
    except ValueError:
        return False
    return isinstance(raw, dict) and raw.get("is_right") is True


def vote(
    task: Task, texts: Sequence[str | None], asked: int, is_fit: Callable[[Target], bool] = lambda _target: True
) -> tuple[Target | None, float, list[tuple[Target, int]]]:
    """The answer that came most often (of equals the one that came first), its share of all that were asked for, and the others with their counts. Answers that
    cannot be read, or do not fit, are votes for nothing."""
    counts: dict[str, tuple[Target, int]] = {}
    for text in texts:
        target = read_answer(task, text)[0] if text is not None else None
        if target is not None and is_fit(target):
            key = dump(target.to_json())
            counts[key] = (target, counts[key][1] + 1 if key in counts else 1)
    if not counts:
        return None, 0.0, []
    ranked = sorted(counts.values(), key=lambda item: -item[1])
    return ranked[0][0], ranked[0][1] / asked, ranked[1:]


def find_uncopied(node: Json, value: Json, fields: Mapping[str, Json]) -> bool:
    """Whether a value that the schema has copied out of an input field (``x-copy``) does not stand there."""
    if not isinstance(node, dict):
        return False
    if isinstance(value, str):
        return COPY in node and value not in str(fields.get(str(node[COPY]), ""))
    if isinstance(value, dict):
        known = node.get("properties")
        return isinstance(known, dict) and any(
            find_uncopied(known.get(key), item, fields) for key, item in value.items()
        )
    return isinstance(value, list) and any(find_uncopied(node.get("items"), item, fields) for item in value)


def _describe(cell: Cell) -> str:
    said = [f"length: {cell.length}", f"style: {cell.style}", f"writing: {cell.noise}", f"kind: {cell.case}"]
    said += [f"language: {cell.language}"] if cell.language else []
    said += [f"about: {cell.topic}"] if cell.topic else []
    if cell.need:
        said.append(cell.need)
    elif cell.wanted is not None:
        field, value = cell.wanted
        said.append(f"the right answer {f'has {field}' if field else 'is'}{'' if value is None else f' {dump(value)}'}")
    return "; ".join(said)


def _name_fields(task: Task) -> str:
    return ", ".join(f"{name} ({dump(dict(node))})" for name, node in task.input.items())


def _show(task: Task, row: Example) -> str:
    answer = f" -> {answer_text(task, row.answer)}" if row.answer is not None else ""
    return f"{dump(_asked(task, row))}{answer}"


def _asked(task: Task, row: Example) -> dict[str, Json]:
    """The fields that are to be made up."""
    return {name: value for name, value in row.input.items() if name in task.input}


def _trim(value: Json) -> Json:
    return value.strip() if isinstance(value, str) else value


def _tokens(letters: int) -> int:
    return LEAST_TOKENS + int(2 * letters / LETTERS_A_TOKEN)
