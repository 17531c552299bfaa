"""Names for places and prompts, taken from the words that stand before them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from journeyman.data.mining.words import GENERIC

MOST_WORDS, LONGEST = 4, 40
PLAIN = "text"
TAG = re.compile(r"<([A-Za-z][\w -]{0,30})>\s*[\"'`]*\s*$")
LABEL = re.compile(r"(?:^|[\n.;!?>*#-]\s*)(\w[\w'/()-]*(?: [\w'/()-]+){0,3})\s*[:：=]\s*[\"'`<\[({]*(?:\w+)?\s*$")
KEY = re.compile(r"(?:[\"'](\w[\w ]{0,30})[\"']\s*:|(?:^|\W)(\w{1,30})=)\s*[\"'\[]*$")
HEADING = re.compile(r"(?:^|\n)\s*(?:#+|\*\*|==+)\s*([\w][\w '-]{0,40}?)\s*(?:\*\*|==+)?:?\s*\n[\s\"'`]*$")
PREPOSITION = re.compile(r"\b(from|to|into|in|for|about|by|of|with|at|on)\s+[\"'`]*$", re.IGNORECASE)
POINTING = "a an the this that these those your my our following below given is are here"
ARTICLES = frozenset(POINTING.split())


def name_fields(literals: Sequence[str]) -> tuple[str, ...]:
    """One name for each place between the literals, none twice."""
    names: list[str] = []
    for literal in literals[:-1]:
        names.append(_unique(_guess(literal) or PLAIN, names))
    return tuple(names)


def name_task(instruction: str, taken: Collection[str]) -> str:
    """The first telling words of an instruction."""
    found = dict.fromkeys(re.findall(r"[a-z]{3,}", instruction.casefold()))
    words = [word for word in found if word not in GENERIC | ARTICLES]
    return _unique("-".join(words[:3])[:LONGEST].strip("-") or "task", taken, "-")


def _guess(literal: str) -> str:
    for pattern in (TAG, HEADING, KEY, LABEL, PREPOSITION):
        if found := pattern.search(literal[-200:]):
            name = _slug(found[found.lastindex or 0])
            if name:
                return name
    return ""


def _slug(label: str) -> str:
    words = [word for word in re.findall(r"[a-z0-9]+", label.casefold().replace("'s ", " ")) if word not in ARTICLES]
    name = "_".join(words[-MOST_WORDS:])[:LONGEST]
    return name if name[:1].isalpha() else ""


def _unique(name: str, taken: Collection[str], sign: str = "_") -> str:
    if name not in taken:
        return name
    return next(f"{name}{sign}{number}" for number in range(2, len(taken) + 3) if f"{name}{sign}{number}" not in taken)
