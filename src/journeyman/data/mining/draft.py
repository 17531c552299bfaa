"""The task that a group of calls shows: its instruction, and a prompt that the calls' messages can be read by.

A task file's prompt reads one user message with places between constant words; what it cannot say is told as an ``obstacle``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from journeyman.core.errors import UserError
from journeyman.data.mining.form import Form, align, read_values, squeeze
from journeyman.data.mining.names import name_fields
from journeyman.guards.redact import Redactor
from journeyman.task.prompt import read_user_text
from journeyman.task.task import Task

MEASURED = 100
ENOUGH = 0.97
LONGEST_INSTRUCTION = 2000
WHATEVER = "Do what the message says."
GAP = "…"


@dataclass(frozen=True, slots=True)
class Draft:
    """``prompt`` has a ``{place}`` per field; without a field there is no task. ``gaps``: places at which the system text changes from call to call."""

    instruction: str
    prompt: str
    fields: tuple[str, ...]
    literals: tuple[str, ...] = ()
    gaps: int = 0
    obstacles: tuple[str, ...] = ()

    def task(self, name: str = "draft") -> Task:
        return Task(name, self.instruction, {field: {"type": "string"} for field in self.fields}, None, self.prompt)


def make_draft(systems: Sequence[str], form: Form, singles: Sequence[str]) -> Draft:
    """``systems`` in the order of time, ``form`` theirs; ``singles`` are the user messages of calls with one turn."""
    instruction, gaps, obstacles = _instruct(systems, form)
    if not singles:
        return Draft(instruction or WHATEVER, "", (), (), gaps, (*obstacles, "every call has earlier turns"))
    found = align(singles)
    if not found.places:
        return Draft(
            instruction or WHATEVER, "", (), found.literals, gaps, (*obstacles, "nothing in the message changes")
        )
    literals, notes = _fit_ends(found.literals)
    literals = _loosen(literals, singles[:MEASURED])
    said = " ".join(literal.strip() for literal in literals if literal.strip())
    fields = name_fields(literals)
    instruction = instruction or _cut(Redactor(is_personal=False).text(squeeze(said))) or WHATEVER
    return Draft(instruction, write_prompt(literals, fields), fields, literals, gaps, (*obstacles, *notes))


def write_prompt(literals: Sequence[str], fields: Sequence[str]) -> str:
    pieces = [literal.replace("{", "{{").replace("}", "}}") for literal in literals]
    return pieces[0] + "".join(f"{{{name}}}{piece}" for name, piece in zip(fields, pieces[1:], strict=True))


def share_read(draft: Draft, texts: Sequence[str]) -> float:
    """The share of these user messages that the draft's prompt reads, as an import does."""
    return sum(_reads(draft.task(), text) for text in texts) / max(1, len(texts))


def _reads(task: Task, text: str) -> bool:
    try:
        read_user_text(task, text)
    except UserError:
        return False
    return True


def clean_instruction(text: str) -> str:
    return Redactor(is_personal=False).text(text).strip("\n")


def _instruct(systems: Sequence[str], form: Form) -> tuple[str, int, tuple[str, ...]]:
    """The system text as an instruction, at how many places it changes, and what a task file cannot say of it."""
    if not form.places:
        return clean_instruction(form.literals[0]), 0, ()
    values = [found for text in systems if (found := read_values(form, text)) is not None]
    if values and len({tuple(found) for found in values}) <= 3:
        versions = "the system text has several versions; the latest is the instruction"
        return clean_instruction(systems[-1]), form.places, (versions,)
    text = clean_instruction(GAP.join(form.literals))
    hint = "the system text changes from call to call: send what changes in the user message"
    return (text if text.strip(f"{GAP} \n") else ""), form.places, (hint,)


def _fit_ends(literals: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A prompt neither begins nor ends with line ends: there the field beside takes the words in."""
    first, *middle, last = literals
    notes: tuple[str, ...] = ()
    if first != first.lstrip("\n"):
        first, notes = (
            "",
            ("messages begin with a line end, which a prompt cannot say: the first field holds the words before it",),
        )
    if last != last.rstrip("\n"):
        last, notes = (
            "",
            (
                *notes,
                "messages end with a line end, which a prompt cannot say: the last field holds the words behind it",
            ),
        )
    return (first, *middle, last), notes


def _loosen(literals: tuple[str, ...], texts: Sequence[str]) -> tuple[str, ...]:
    """Without the shortest pieces between places, as long as the messages can then be read in one way more often."""
    best, share = literals, _share(literals, texts)
    while share < ENOUGH and len(literals) > 2:
        place = min(range(1, len(literals) - 1), key=lambda number: len(literals[number].strip()))
        literals = (*literals[:place], *literals[place + 1 :])
        better = _share(literals, texts)
        if better > share:
            best, share = literals, better
    return best


def _share(literals: tuple[str, ...], texts: Sequence[str]) -> float:
    fields = name_fields(literals)
    return share_read(Draft(WHATEVER, write_prompt(literals, fields), fields), texts)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_INSTRUCTION else text[:LONGEST_INSTRUCTION].rsplit(" ", 1)[0] + f" {GAP}"
