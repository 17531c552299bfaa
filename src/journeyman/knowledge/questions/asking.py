"""The requests: questions that a passage answers, and whether a question can be answered from it alone; and how the replies are read."""

from __future__ import annotations

import json
from dataclasses import dataclass

from journeyman.core.canonical import Json
from journeyman.core.messages import make_message
from journeyman.models.protocol import Decoding, Request

A_CALL = 2
TEMPERATURE = 0.8
MOST_TOKENS, CHECK_TOKENS = 400, 300
WRITE = """\
You write questions to test a search engine with. They are asked by people who look for something and have not seen the passage below.

From: {above}

Passage:

{text}

Write up to {count} questions that this passage answers, as different people would ask them: in short and in long form, and in other words than the passage's. Name what a question is about \
(persons, products, places, laws, years), so that it can be understood by itself and has one answer. Speak of no passage, text, document, section or author. With each question copy the words \
of the passage that answer it, character for character, as few as are a whole answer. Write in the language of the passage. If it says nothing that somebody would look for, write no question."""
CHECK = """\
Question: {question}

Passage, which the person who asks does not see:

{text}

Copy the words of the passage that answer the question, or nothing if it does not answer it. Then say whether the question can be understood without the passage: it names what it is about, and \
refers to nothing that only a reader of the passage knows."""
QUESTIONS: dict[str, Json] = {
    "type": "object",
    "properties": {
        "questions": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"question": {"type": "string"}, "quote": {"type": "string"}},
                "required": ["question", "quote"],
                "additionalProperties": False,
            },
            "maxItems": A_CALL,
        }
    },
    "required": ["questions"],
    "additionalProperties": False,
}
CHECKED: dict[str, Json] = {
    "type": "object",
    "properties": {"quote": {"type": "string"}, "is_clear": {"type": "boolean"}},
    "required": ["quote", "is_clear"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with the words that answer it, as a model wrote both."""

    question: str
    quote: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What answers a question by a second reading, empty where nothing does, and whether it can be understood by itself."""

    quote: str
    is_clear: bool


def ask_questions(above: str, text: str, seed: int) -> Request:
    said = WRITE.format(above=above, text=text, count=A_CALL)
    decoding = Decoding(
        schema=QUESTIONS, schema_name="questions", max_tokens=MOST_TOKENS, temperature=TEMPERATURE, seed=seed
    )
    return Request((make_message("user", said),), decoding)


def read_questions(reply: str) -> tuple[list[Asked], int]:
    """Those with both parts, and how many had not; a reply that cannot be read is one."""
    raw = _read(reply)
    items = raw.get("questions") if isinstance(raw, dict) else None
    if not isinstance(items, list):
        return [], 1
    read = [_read_one(item) for item in items[:A_CALL]]
    kept = [item for item in read if item is not None]
    return kept, len(read) - len(kept)


def ask_check(question: str, text: str) -> Request:
    said = CHECK.format(question=question, text=text)
    return Request(
        (make_message("user", said),), Decoding(schema=CHECKED, schema_name="checked", max_tokens=CHECK_TOKENS)
    )


def read_check(reply: str) -> Checked:
    """A reply that cannot be read says that nothing answers."""
    raw = _read(reply)
    if not isinstance(raw, dict) or not isinstance(raw.get("quote"), str):
        return Checked("", False)
    return Checked(str(raw["quote"]).strip(), raw.get("is_clear") is True)


def _read_one(item: Json) -> Asked | None:
    if not isinstance(item, dict):
        return None
    question, quote = item.get("question"), item.get("quote")
    if not isinstance(question, str) or not isinstance(quote, str) or not question.strip() or not quote.strip():
        return None
    return Asked(" ".join(question.split()), quote.strip())


def _read(reply: str) -> Json:
    try:
        return json.loads(reply)  # type: ignore[no-any-return]
    except ValueError:
        return None
