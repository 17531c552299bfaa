"""Tasks that are asked about a conversation, as their input says it: a field that is a list of turns, each with the speaker's role and a text.

    input:
      conversation: [{role: {enum: [user, assistant]}, content: string}]

The first message comes with the other fields; the further ones are written a turn at a time, by a teacher that plays the person and the assistant by turns. So each turn answers the one before
it, and the task's own answer is the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.example import Example
from journeyman.core.messages import make_message
from journeyman.data.synthesis.asking import TEMPERATURE, Sizes, ask_answer
from journeyman.models.protocol import Decoding, Request
from journeyman.task.schema import read_json
from journeyman.task.task import Task

USER = "user"
OTHERS = ("assistant", "agent", "bot", "model")
LENGTHS = (1, 3, 5)
"""Messages before the task's answer where the person speaks last: two, four or six turns with it."""
STEPS = (
    "they give what they were asked for, or go on with their matter",
    "they correct or change something that was said before",
    "they refer to something that was said before without naming it again",
    "they add something that matters for the answer",
)
PERSON = """\
You play a person who writes to an assistant. The assistant is told:

{instruction}

The conversation so far:

{turns}

Write the person's next message, in the language and the style in which they wrote before: {step}. Write that message alone."""
ASSISTANT = """\
You play an assistant that writes with a person. Later a program reads the conversation, and is told:

{instruction}

The conversation so far:

{turns}

Write the assistant's next message: it helps, asks for what is missing, and is short. Write that message alone, and not the program's answer."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """``field`` of the input; ``role`` and ``text`` are the keys of a turn, ``assistant`` is the role that is not the person's. ``is_answered``: the assistant speaks last."""

    field: str
    role: str
    text: str
    assistant: str
    is_answered: bool = False

    def opening(self, task: Task) -> Task:
        """The task as inputs are asked for: with the first message in place of the conversation."""
        node: dict[str, Json] = {"type": "string", "description": "the first message alone, which the person writes"}
        return replace(task, input={**task.input, self.field: node})

    def begin(self, fields: Mapping[str, Json]) -> dict[str, Json]:
        return self.add({**fields, self.field: []}, str(fields[self.field]))

    def add(self, fields: Mapping[str, Json], text: str) -> dict[str, Json]:
        """With one turn more, by whoever is next."""
        turns = self.turns(fields)
        role = self.assistant if len(turns) % 2 else USER
        turn: dict[str, Json] = {self.role: role, self.text: text.strip()}
        return {**fields, self.field: [*turns, turn]}

    def turns(self, fields: Mapping[str, Json]) -> list[Json]:
        return list(cast(Sequence[Json], fields[self.field]))

    def length(self, number: int) -> int:
        """Messages of conversation ``number``."""
        return LENGTHS[number % len(LENGTHS)] + self.is_answered

    @property
    def mean_length(self) -> float:
        return sum(LENGTHS) / len(LENGTHS) + self.is_answered


def find_conversation(task: Task, seeds: Sequence[Example]) -> Conversation | None:
    """None where no field of the input, or more than one, is a list of turns of a user and somebody else."""
    found = [made for name, node in task.input.items() if (made := _read_field(name, node))]
    if len(found) != 1:
        return None
    last = [turns[-1] for row in seeds if (turns := found[0].turns(row.input))]
    answered = sum(isinstance(turn, dict) and turn.get(found[0].role) == found[0].assistant for turn in last)
    return replace(found[0], is_answered=2 * answered > len(last))


def ask_turn(
    task: Task,
    conversation: Conversation,
    fields: Mapping[str, Json],
    shots: Sequence[Example],
    sizes: Sizes,
    seed: int,
) -> Request:
    """The next message: the person's, or the assistant's, which is the task's own call where its answers are texts."""
    turns = conversation.turns(fields)
    is_person = len(turns) % 2 == 0
    if not is_person and task.schema is None:
        return ask_answer(task, fields, shots, sizes, 0)
    names = {USER: "Person", conversation.assistant: "Assistant"}
    said = [cast(dict[str, str], turn) for turn in turns]
    text = (PERSON if is_person else ASSISTANT).format(
        instruction=task.instruction,
        turns="\n\n".join(f"{names[turn[conversation.role]]}: {turn[conversation.text]}" for turn in said),
        step=STEPS[(seed + len(turns) // 2) % len(STEPS)],
    )
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {"message": {"type": "string"}},
        "required": ["message"],
        "additionalProperties": False,
    }
    decoding = Decoding(schema=schema, schema_name="turn", max_tokens=sizes.input, temperature=TEMPERATURE, seed=seed)
    return Request((make_message("user", text),), decoding)


def read_turn(request: Request, text: str) -> str:
    """Empty where nothing can be read."""
    if request.decoding.schema_name != "turn":
        return text.strip()
    try:
        raw = read_json(text)
    except ValueError:
        return ""
    said = raw.get("message") if isinstance(raw, dict) else raw
    return said.strip() if isinstance(said, str) else ""


def _read_field(name: str, node: Mapping[str, Json]) -> Conversation | None:
    items = node.get("items") if node.get("type") == "array" else None
    properties = items.get("properties") if isinstance(items, dict) else None
    if not isinstance(items, dict) or not isinstance(properties, dict):
        return None
    roles = {key: part["enum"] for key, part in properties.items() if isinstance(part, dict) and "enum" in part}
    texts = [key for key, part in properties.items() if part == {"type": "string"}]
    if len(roles) != 1 or len(texts) != 1 or not set(cast(list[str], items.get("required") or [])) <= {*roles, *texts}:
        return None
    (role, listed) = next(iter(roles.items()))
    other = next((item for item in OTHERS if isinstance(listed, list) and item in listed), None)
    if not isinstance(listed, list) or USER not in listed or other is None:
        return None
    return Conversation(name, role, texts[0], other)
