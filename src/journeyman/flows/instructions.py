"""Edits of an instruction that need no model: what the schema and the train rows say, written out after it. Knows nothing about dev or sealed rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.example import Example, Target
from journeyman.core.nodes import write_json
from journeyman.measure.metrics import flatten
from journeyman.task.closed import choices_among, closed_answers
from journeyman.task.prompt import user_text
from journeyman.task.task import Task

MOST_LETTERS = 4000  # of what is added: it is read at every call
MOST_VALUES = 200  # of a choice that is listed
FEW_VALUES = 30  # with their shares
LONGEST = 120  # letters of an example
MOST_RULES = 12
RARE, OFTEN, COPIED = 0.95, 0.6, 0.95


@dataclass(frozen=True, slots=True)
class Edit:
    """A named instruction."""

    name: str
    text: str


def edit_instruction(task: Task, train: Sequence[Example]) -> list[Edit]:
    """The instruction as it is, then with each addition, then with all of them that fit; equal and overlong ones are left out."""
    parts = {
        "reminder": _reminder(task),
        "fields": _fields(train),
        "values": _values(task, train),
        "cases": _cases(task, train),
        "rules": _rules(train),
    }
    parts = {name: text for name, text in parts.items() if text and len(text) <= MOST_LETTERS}
    edits = [Edit("own", task.instruction)]
    edits += [Edit(f"own + {name}", f"{task.instruction}\n\n{text}") for name, text in parts.items()]
    whole = [text for name, text in parts.items() if name != "cases"]
    if len(whole) > 2 and len("".join(whole)) <= MOST_LETTERS:
        edits.append(Edit("own + all but cases", "\n\n".join([task.instruction, *whole])))
    return edits


def _reminder(task: Task) -> str:
    names = task.schema.get("properties") if task.schema else None
    if not isinstance(names, Mapping):
        return "Answer with the text alone, without explanation." if task.schema is None else ""
    return f"Answer with one JSON object with the keys {', '.join(names)}, and nothing else."


def _fields(train: Sequence[Example]) -> str:
    """Each field with the value that it has most often."""
    lines = [
        f"- {path}: for example {_short(counts.most_common(1)[0][0])}"
        for path, counts in _counts(train).items()
        if path
    ]
    return "\n".join(["Fields of the answer:", *lines]) if lines else ""


def _values(task: Task, train: Sequence[Example]) -> str:
    """The allowed values of each choice, with their shares where they are few."""
    counts, lines = _counts(train), list[str]()
    for name, values in _choices(task):
        said = [write_json(value) for value in values]
        if len(said) <= FEW_VALUES:
            total = max(1, sum(counts.get(name, Counter()).values()))
            said = [f"{text} ({100 * counts.get(name, Counter())[text] / total:.0f} %)" for text in said]
        lines.append(f"- {name or 'the answer'} is one of: {', '.join(said)}")
    return "\n".join(["Allowed values:", *lines]) if lines else ""


def _cases(task: Task, train: Sequence[Example]) -> str:
    """For each value of a choice the shortest input of several words that has it."""
    lines = []
    for name, values in _choices(task):
        inputs = defaultdict[str, list[str]](list)
        for row in train:
            text = " ".join(user_text(task, row.input).split())
            for path, value in _leaves(row).items():
                if path == name and len(text.split()) > 2 and len(text) <= LONGEST:
                    inputs[write_json(value)].append(text)
        for value in map(write_json, values):
            if inputs[value]:
                lines.append(
                    f"- {min(inputs[value], key=lambda text: (len(text), text))} -> {name or 'answer'}: {value}"
                )
    return "\n".join(["Cases:", *lines]) if lines else ""


def _rules(train: Sequence[Example]) -> str:
    """What holds of most train answers: fields that are left out, that have one value, that are copied from the input."""
    rules, rows = list[str](), [row for row in train if _is_object(row)]
    for path, counts in _counts(rows).items():
        given = sum(counts.values())
        if given < RARE * len(rows):
            rules.append(
                f"- {path} is left out in {100 * (1 - given / len(rows)):.0f} % of answers: give it only where the input says it."
            )
        value, most = counts.most_common(1)[0]
        if OFTEN * given <= most < given:
            rules.append(f"- {path} is mostly {_short(value)}.")
        if _copied(rows, path) >= COPIED:
            rules.append(f"- {path} is copied from the input, letter by letter.")
    return "\n".join(["Rules:", *rules[:MOST_RULES]]) if rules else ""


def _copied(rows: Sequence[Example], path: str) -> float:
    """The share of the field's texts that stand in the input; 0 where it is no text."""
    texts = [(str(value), row) for row in rows for name, value in _leaves(row).items() if name == path]
    if not texts or not all(isinstance(_leaves(row)[path], str) for _text, row in texts):
        return 0.0
    inside = sum(any(isinstance(field, str) and text in field for field in row.input.values()) for text, row in texts)
    return inside / len(texts)


def _choices(task: Task) -> list[tuple[str, list[Json]]]:
    """What is chosen from a list that can be shown, but for yes and no."""
    if task.schema is None:
        return []
    whole = closed_answers(task.schema, MOST_VALUES) if "properties" not in task.schema else None
    named = [("", whole)] if whole else choices_among(task.schema, MOST_VALUES)
    return [(name, values) for name, values in named if not all(isinstance(value, bool) for value in values)]


def _counts(train: Sequence[Example]) -> dict[str, Counter[str]]:
    """How often each field has each value, fields in the order in which they first come."""
    counts: dict[str, Counter[str]] = {}
    for row in train:
        for path, value in _leaves(row).items():
            counts.setdefault(path, Counter())[write_json(value)] += 1
    return counts


def _leaves(row: Example) -> dict[str, Json]:
    return flatten(cast(Target, row.answer).value) if _is_object(row) else {}


def _is_object(row: Example) -> bool:
    return row.answer is not None and row.answer.kind == "object"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def describe_failures(task: Task, failures: Sequence[tuple[Example, str]]) -> Iterator[str]:
    """Train rows that were answered wrong, as a proposer is shown them."""
    for row, got in failures:
        expected = write_json(cast(Target, row.answer).value) if _is_object(row) else cast(Target, row.answer).text
        shown = [
            ("Input", user_text(task, row.input)),
            ("Expected", expected),
            ("Answered", got or "(nothing readable)"),
        ]
        yield "\n".join(f"{name}: {text[:400]}" for name, text in shown)
