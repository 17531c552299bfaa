"""Which calls were made from one prompt: constant runs of tokens are split from the top down, the most common first.

    all calls ── peel ──► calls that share a run long enough to be a prompt ── split ──► by what excludes each other
        └── what shares nothing is nobody's

A set is split where its calls have, at the same place, one of a few runs that never come together, and where these are prompts
rather than values of a field: the answers are of other kinds, or the runs are sentences that came at the same time. Runs that
replaced each other in time, stand behind a label or are a word or two, over answers of one kind, are one prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from journeyman.data.mining.alike import Answers, are_alike
from journeyman.data.mining.call import ASSISTANT, TOOL, USER, Call
from journeyman.data.mining.words import BOUNDS, RUN, Texts, count_words, make_texts

CONSTANT = 0.95
"""Share of a set's calls that have what is constant in it."""
EVIDENCE = 7
"""Words that a prompt says at least, besides those that any could; a colon counts as three, a line end as two."""
SIGNS = {":": 3, "：": 3, "\n": 2}
OPENING = 3
"""What more a piece says that begins a message and ends in a colon."""
LOOKED_AT = 400
SEARCHED = 4000
"""Calls among which the largest prompt is looked for first; only where there is none, among all."""
PEELED, SPLIT = 150, 80
"""Runs that are tried in one round."""
REMEMBERED = 2000
"""Sets of calls of which is known what they share, while prompts are taken away."""
PIECES = 8
COVERED = 0.96
SHORT = 3
"""Words that a field's value may have where nothing says that it is one."""
SEQUENTIAL = 0.97
BOUND = frozenset(BOUNDS)
TURNS = frozenset((USER, ASSISTANT, TOOL))
OPENERS = frozenset(":：\"'`>=")
Rows = npt.NDArray[np.int64]
Known = dict[bytes, tuple[Rows, int]]
"""Of a set of calls its constant runs, and what they say."""


def find_groups(calls: Sequence[Call], least: int) -> list[list[int]]:
    """Sets of places in ``calls``, the largest first, each of ``least`` calls or more; calls with other tools are never together."""
    texts = make_texts(calls, least)
    by_tools: dict[tuple[str, ...], list[int]] = {}
    for place, call in enumerate(calls):
        by_tools.setdefault(call.tools, []).append(place)
    found: list[Rows] = []
    for tools, places in by_tools.items():
        found += _Splitter(texts, calls, least, has_tools=bool(tools)).run(np.array(places, dtype=np.int64))
    return [rows.tolist() for rows in sorted(found, key=len, reverse=True)]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Calls that have a run; ``words`` it says that the whole set does not share, ``before`` and ``behind`` it the tokens beside them."""

    rows: Rows
    words: tuple[str, ...]
    before: tuple[str, ...]
    behind: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Splitter:
    texts: Texts
    calls: Sequence[Call]
    least: int
    has_tools: bool

    def run(self, rows: Rows) -> list[Rows]:
        done: list[Rows] = []
        open_sets = [rows]
        while open_sets:
            here = open_sets.pop()
            if len(here) < self.least:
                continue
            if not self._is_prompt(here):
                parts = self._peel(here)
                open_sets += [part for part in parts if len(part) < len(here)]
                done += [part for part in parts if len(part) == len(here)]
            elif pieces := self._split(here):
                open_sets += pieces
            else:
                done.append(here)
        return done

    def _is_prompt(self, rows: Rows) -> bool:
        return self.has_tools or self._evidence(rows, self._constants(rows)) >= EVIDENCE

    def _peel(self, rows: Rows) -> list[Rows]:
        """Sets that share a prompt, taken away one after the other, the one that says the most first."""
        found: list[Rows] = []
        known: Known = {}
        while len(rows) >= self.least:
            step = max(1, len(rows) // SEARCHED)
            if len(known) > REMEMBERED:
                known.clear()
            gram = self._best_run(rows[::step], known)
            if gram is None and step > 1:
                gram = self._best_run(rows, known)
            if gram is None:
                break
            taken = self.texts.index.having(rows, gram)
            found.append(rows[taken])
            rows = rows[~taken]
        return found

    def _best_run(self, rows: Rows, known: Known) -> int | None:
        """The run whose calls share the most: their number times what their prompt says. What is ``known`` of a set of calls holds until one of them is taken away."""
        counts = np.where(self.texts.is_bound, self.texts.index.counts(rows), 0)
        tried, best, found = counts < self.least, 0, None
        for _ in range(PEELED):
            gram = int(np.where(tried, 0, counts).argmax()) if len(counts) else 0
            if not len(counts) or tried[gram]:
                break
            having = rows[self.texts.index.having(rows, gram)]
            name = having.tobytes()
            if name not in known:
                constants = self._constants(having)
                known[name] = constants, self._evidence(having, constants)
            constants, evidence = known[name]
            tried[gram] = True
            tried[constants[counts[constants] <= counts[gram] / CONSTANT]] = True
            if evidence >= EVIDENCE and evidence * len(having) > best:
                best, found = evidence * len(having), gram
        return found

    def _split(self, rows: Rows) -> list[Rows]:
        """The parts of a prompt's calls that are prompts of their own; nothing where it is one."""
        index, size = self.texts.index, len(rows)
        counts = index.counts(rows)
        if not len(counts):
            return []
        constants = self._constants(rows)
        tried = counts > 0.98 * size
        tried[constants] = True
        for _ in range(SPLIT):
            gram = int(np.where(tried, 0, counts).argmax())
            if tried[gram] or counts[gram] < max(self.least, 0.01 * size):
                return []
            taken = index.having(rows, gram)
            tried[gram] = True
            own = self._constants(rows[taken])
            tried[own[counts[own] <= counts[gram] / CONSTANT]] = True
            first = self._piece(rows[taken], gram, constants)
            if not first.words:
                continue
            pieces, left = self._rivals(rows, taken, first, constants)
            if len(left) <= (1 - COVERED) * size:
                if len(pieces) > 1 and self._are_prompts(pieces):
                    return [piece.rows for piece in pieces] + ([left] if len(left) >= self.least else [])
            elif self._begins_prompt(first):
                return [rows[taken], rows[~taken]]
        return []

    def _rivals(
        self, rows: Rows, taken: npt.NDArray[np.bool_], first: _Piece, constants: Rows
    ) -> tuple[list[_Piece], Rows]:
        """Sets with other runs at the same place, and the calls that have none."""
        index = self.texts.index
        pieces, left = [first], rows[~taken]
        against = index.counts(rows[taken]) > 0.03 * taken.sum()
        while len(left) >= self.least and len(pieces) < PIECES:
            counts = np.where(against, 0, index.counts(left))
            counts[constants] = 0
            most = counts.max(initial=0)
            if most < max(self.least, len(left) / PIECES):
                break
            piece = None
            for gram in np.flatnonzero(counts >= CONSTANT * most)[:40]:
                having = index.having(left, int(gram))
                found = self._piece(left[having], int(gram), constants)
                if found.words and (found.before == first.before or found.behind == first.behind):
                    piece, chosen = found, having
                    break
            if piece is None:
                break
            pieces.append(piece)
            left = left[~chosen]
        return pieces, left

    def _piece(self, rows: Rows, gram: int, constants: Rows) -> _Piece:
        """Around one run of a call that has it: what this set shares and the whole set does not."""
        own = self._constants(rows)
        row = self._typical(rows, own)
        places = self.texts.places[row]
        shared = self._covered(row, constants)
        new = self._covered(row, own) & ~shared
        hits = np.flatnonzero(places == gram)
        start = int(hits[0]) if len(hits) else 0
        inside = np.flatnonzero(new[start : start + RUN])
        if not len(inside):
            return _Piece(rows, (), (), ())
        begin = end = start + int(inside[0])
        while begin > 0 and new[begin - 1]:
            begin -= 1
        while end + 1 < len(new) and new[end + 1]:
            end += 1
        words = [self.texts.words[token] for token in self.texts.tokens[row]]
        return _Piece(
            rows,
            tuple(words[begin : end + 1]),
            tuple(words[max(0, begin - 2) : begin]),
            tuple(words[end + 1 : end + 3]),
        )

    def _are_prompts(self, pieces: Sequence[_Piece]) -> bool:
        """Whether runs that exclude each other are prompts of their own, and not values of a field or versions of one prompt."""
        answers = [Answers.of([self.calls[row].answer for row in piece.rows]) for piece in pieces]
        if any(not are_alike(answers[0], other) for other in answers[1:]):
            return True
        if _is_labelled(pieces[0]) or all(_size(piece) <= SHORT for piece in pieces):
            return False
        order = self._follow(pieces)
        return not order if order is not None else any(_size(piece) > SHORT + 1 for piece in pieces)

    def _follow(self, pieces: Sequence[_Piece]) -> bool | None:
        """Whether one came after the other; None where the time of most calls is not known."""
        times = [[time for row in piece.rows if (time := self.calls[row].seconds) is not None] for piece in pieces]
        if any(len(known) < 0.8 * len(piece.rows) for known, piece in zip(times, pieces, strict=True)):
            return None
        times.sort(key=np.median)
        return all(_earlier(first, second) >= SEQUENTIAL for first, second in pairwise(times))

    def _begins_prompt(self, piece: _Piece) -> bool:
        """Whether it is a prompt at a message's beginning, in calls that otherwise share the system text alone."""
        return bool(piece.before) and piece.before[-1] == USER and _weigh(piece.words) >= EVIDENCE + OPENING

    def _constants(self, rows: Rows) -> Rows:
        sample = rows[np.linspace(0, len(rows) - 1, LOOKED_AT).astype(np.int64)] if len(rows) > LOOKED_AT else rows
        return np.flatnonzero(self.texts.index.counts(sample) >= CONSTANT * len(sample))

    def _evidence(self, rows: Rows, constants: Rows) -> int:
        """What the constant pieces say that stand in system text or at the bounds of messages or lines: a phrase that people use stands anywhere."""
        if not len(constants):
            return 0
        row = self._typical(rows, constants)
        words = [self.texts.words[token] for token in self.texts.tokens[row]]
        is_constant = self._covered(row, constants)
        runs = np.split(np.arange(len(words)), _changes(is_constant))
        covered = [run for run in runs if is_constant[run[0]]]
        body = next((place for place, word in enumerate(words) if word in TURNS), len(words))
        said = [
            [words[place] for place in run]
            for run in covered
            if run[0] < body or not BOUND.isdisjoint(words[place] for place in run)
        ]
        return sum(_weigh(piece) for piece in said)

    def _typical(self, rows: Rows, constants: Rows) -> int:
        """Of the first calls the one that has most of what is constant."""
        index = self.texts.index
        return max(
            (int(row) for row in rows[:20]),
            key=lambda row: int(np.isin(constants, index.of(np.array([row])), assume_unique=True).sum()),
        )

    def _covered(self, row: int, constants: Rows) -> npt.NDArray[np.bool_]:
        """Which of a call's tokens stand in a run that is constant."""
        hits = np.flatnonzero(np.isin(self.texts.places[row], constants))
        covered = np.zeros(len(self.texts.tokens[row]), dtype=bool)
        for step in range(RUN):
            covered[hits + step] = True
        return covered


def _weigh(piece: Sequence[str]) -> int:
    telling = count_words(piece)
    is_opening = USER in piece and piece[-1] in SIGNS and telling >= 2
    return telling + sum(SIGNS.get(token, 0) for token in piece) + OPENING * is_opening


def _changes(covered: npt.NDArray[np.bool_]) -> Rows:
    """Places before which it changes."""
    return np.flatnonzero(covered[1:] != covered[:-1]) + 1


def _is_labelled(piece: _Piece) -> bool:
    """Whether it stands behind a colon, a quote or a tag, or a token after one: a field's value."""
    return not OPENERS.isdisjoint(piece.before)


def _size(piece: _Piece) -> int:
    return sum(1 for token in piece.words if token[0].isalnum())


def _earlier(first: Sequence[float], second: Sequence[float]) -> float:
    """The share of pairs in which the first came before the second."""
    places = np.searchsorted(np.sort(np.array(first)), np.array(second))
    return float(places.mean() / len(first))
