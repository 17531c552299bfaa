"""Texts as tokens and as runs of four of them, in arrays: what many calls share is found by counting.

Legend: ``D`` calls, ``G`` runs of ``RUN`` tokens that at least ``least`` calls have, ``P`` pairs of a call and a run in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from journeyman.data.mining.call import ASSISTANT, TOOL, USER, Call

RUN = 4
SYSTEM, END = "\ue003", "\ue004"
BOUNDS = (USER, ASSISTANT, TOOL, SYSTEM, END, "\n", ":", "：")
HEAD, TAIL = 700, 300
"""Tokens of one text that are looked at: templates stand at its beginning and its end."""
UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Letters of scripts that write no spaces, or whose words carry their endings: each is a token."""
TOKEN = re.compile(rf"[{USER}{ASSISTANT}{TOOL}{SYSTEM}{END}{UNSPACED}]|[^\W{UNSPACED}]+|[^\w\s]|\n(?:\s*\n)*")
SAID_ANYWHERE = """
a able accurate advanced ai all also always am and answer answers any are as assist assistant assistants at
based be best bot but by can chat chatbot chatgpt claude clear clearly concise concisely could current cutoff
date detailed did do does dont ever follow for friendly from general get give gpt has have hello help helpful
helping hey hi honest how i if in informative instructions intelligent into is it its just know knowledge
knowledgeable language large like llm me model my need no not of on only openai or please polite politely
possible provide provides question questions reply respond response responses safe should smart so some tell
thank thanks that the their them there these they this to today trained truthful try use user users very want
was ways we well were what when where which who why will with would you your
"""
GENERIC = frozenset(SAID_ANYWHERE.split())
"""Words that a prompt can be made of without saying what is to be done."""
Ints = npt.NDArray[np.int32]
Hashes = npt.NDArray[np.uint64]


def tokenize(text: str) -> list[str]:
    """Words, signs and line ends; several line ends are one."""
    return ["\n" if token[0] == "\n" else token for token in TOKEN.findall(text)]


def tokenize_call(call: Call) -> list[str]:
    """System text and body with their bounds marked, the middle of a very long text left out."""
    return [SYSTEM, *_cut(tokenize(call.system)), *_cut(tokenize(call.body)), END]


def count_words(tokens: Sequence[str]) -> int:
    """Of the tokens those that say something about what is to be done."""
    return sum(1 for token in tokens if token[0].isalpha() and token.casefold() not in GENERIC)


@dataclass(frozen=True, slots=True)
class Index:
    """``grams[starts[d]:starts[d + 1]]`` are the runs that call ``d`` has, each once, sorted; ``size`` is G."""

    starts: npt.NDArray[np.int64]
    grams: Ints
    size: int

    def of(self, calls: npt.NDArray[np.int64]) -> Ints:
        """The runs of these calls, one after the other."""
        begin, lengths = self.starts[calls], self.starts[calls + 1] - self.starts[calls]
        ends = np.cumsum(lengths)
        if not len(ends) or not ends[-1]:
            return self.grams[:0]
        places = np.arange(ends[-1]) + np.repeat(begin - (ends - lengths), lengths)
        found: Ints = self.grams[places]
        return found

    def counts(self, calls: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """[G] how many of these calls have each run."""
        counts: npt.NDArray[np.int64] = np.bincount(self.of(calls), minlength=self.size)
        return counts

    def having(self, calls: npt.NDArray[np.int64], gram: int) -> npt.NDArray[np.bool_]:
        """Which of these calls have the run."""
        lengths = self.starts[calls + 1] - self.starts[calls]
        owners = np.repeat(np.arange(len(calls)), lengths)
        found = np.zeros(len(calls), dtype=bool)
        found[owners[self.of(calls) == gram]] = True
        return found


@dataclass(frozen=True, slots=True)
class Texts:
    """``tokens[d]`` are numbers of ``words``; ``places[d]`` the run that begins at each token, -1 for one that too few calls have. ``is_bound`` [G]: the run is of system text, or touches the
    beginning or the end of a message, a line end or a colon."""

    words: Sequence[str]
    tokens: Sequence[Ints]
    places: Sequence[Ints]
    index: Index
    is_bound: npt.NDArray[np.bool_]


def make_texts(calls: Sequence[Call], least: int) -> Texts:
    """Count the runs of all calls. Runs that fewer than ``least`` calls have are dropped."""
    numbers: dict[str, int] = {}
    tokens = [
        np.fromiter((numbers.setdefault(token, len(numbers)) for token in tokenize_call(call)), dtype=np.int32)
        for call in calls
    ]
    hashed = [_hash_runs(item) for item in tokens]
    own = [np.unique(item) for item in hashed]
    known, counts = np.unique(np.concatenate(own) if own else np.empty(0, np.uint64), return_counts=True)
    known = known[counts >= least]
    places = [_find(item, known) for item in hashed]
    grams = [np.unique(item[item >= 0]) for item in places]
    starts = np.concatenate([[0], np.cumsum([len(item) for item in grams])]).astype(np.int64)
    joined = np.concatenate(grams) if grams else np.empty(0, np.int32)
    index = Index(starts, joined.astype(np.int32), len(known))
    return Texts(list(numbers), tokens, places, index, _find_bound(numbers, tokens, places, len(known)))


def _find_bound(
    numbers: Mapping[str, int], tokens: Sequence[Ints], places: Sequence[Ints], size: int
) -> npt.NDArray[np.bool_]:
    marks = np.array([numbers[token] for token in BOUNDS if token in numbers], np.int32)
    turns = np.array([numbers[token] for token in (USER, ASSISTANT, TOOL) if token in numbers], np.int32)
    found = np.zeros(size, dtype=bool)
    for own, runs in zip(tokens, places, strict=True):
        hits = np.isin(own, marks)
        hits[: int(np.isin(own, turns).argmax())] = True
        near = np.zeros(len(runs), dtype=bool)
        for step in range(RUN):
            near |= hits[step : step + len(runs)]
        found[runs[near & (runs >= 0)]] = True
    return found


def _hash_runs(tokens: Ints) -> Hashes:
    """A 64-bit number per run of ``RUN`` tokens; a text that is shorter has none."""
    if len(tokens) < RUN:
        return np.empty(0, np.uint64)
    values = (tokens.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    values ^= values >> np.uint64(29)
    hashed = np.zeros(len(tokens) - RUN + 1, np.uint64)
    for place in range(RUN):
        hashed = (hashed ^ values[place : len(tokens) - RUN + 1 + place]) * np.uint64(0xBF58476D1CE4E5B9)
        hashed ^= hashed >> np.uint64(31)
    return hashed


def _find(hashed: Hashes, known: Hashes) -> Ints:
    if not len(known):
        return np.full(len(hashed), -1, np.int32)
    places = np.minimum(np.searchsorted(known, hashed), len(known) - 1)
    return np.where(known[places] == hashed, places, -1).astype(np.int32)


def _cut(tokens: list[str]) -> list[str]:
    return tokens if len(tokens) <= HEAD + TAIL else [*tokens[:HEAD], *tokens[-TAIL:]]
