"""The form that texts of one prompt have: constant pieces with variable places between them, found by aligning the texts.

A piece is constant that nearly all texts have, in the same order; white space in it may differ from text to text, and the most
common spelling is kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from journeyman.data.mining.call import ASSISTANT, TOOL, USER
from journeyman.data.mining.words import TOKEN

CONSTANT = 0.95
RUN = 3
"""Tokens that a constant piece has at least, the beginning and the end of a text counted."""
PAIR = 0.98
"""Share of the texts that have a constant piece of two tokens."""
ALIGNED = 200
MARKED = re.compile(f"([{USER}{ASSISTANT}{TOOL}])\\s+")
TURN = re.compile(f"([{USER}{ASSISTANT}{TOOL}])")
SENTENCE_END = re.compile(r"[.!?]+(?=[\s\"'”»)\]]|$)")
OPENING, CLOSING = "[(<{\"'`“«#@", "])>}\"'`”»"
SENTENCE = 4
"""Words that a place's values have, mostly, where they end in a full stop of their own."""
LONGEST_VALUE, SEPARATED = 8, 0.98
BEGIN, END = "<begin>", "<end>"
Token = tuple[str, int, int]
Run = tuple[tuple[str, ...], int]


@dataclass(frozen=True, slots=True)
class Form:
    """``literals[i]`` stands before place ``i``, the last one behind them all; one literal is a constant text."""

    literals: tuple[str, ...]

    @property
    def places(self) -> int:
        return len(self.literals) - 1

    @property
    def characters(self) -> int:
        return sum(len(literal.strip()) for literal in self.literals)


@dataclass(frozen=True, slots=True)
class Matcher:
    """Whether a squeezed text has a form, whatever its white space."""

    first: str
    middle: tuple[str, ...]
    last: str
    is_constant: bool
    weight: int

    @staticmethod
    def of(form: Form) -> Matcher:
        pieces = [squeeze(literal) for literal in form.literals]
        middle = tuple(piece for piece in pieces[1:-1] if piece)
        return Matcher(pieces[0], middle, pieces[-1], form.places == 0, sum(len(piece) for piece in pieces))

    def matches(self, text: str) -> bool:
        if self.is_constant:
            return text == self.first
        if not text.startswith(self.first) or not text.endswith(self.last):
            return False
        place, end = len(self.first), len(text) - len(self.last)
        for piece in self.middle:
            found = text.find(piece, place, end)
            if found < 0:
                return False
            place = found + len(piece)
        return place <= end


def squeeze(text: str) -> str:
    """With single spaces for all white space, and none behind the mark of a turn."""
    return MARKED.sub(r"\1", " ".join(text.split()))


def align(texts: Sequence[str]) -> Form:
    """The form of these texts; of very many a part of them, evenly spread, is looked at."""
    step = max(1, len(texts) // ALIGNED)
    sample = list(texts[::step][:ALIGNED])
    if len(set(sample)) == 1 or len({squeeze(text) for text in sample}) == 1:
        return Form((Counter(sample).most_common(1)[0][0],))
    pieces = _find_pieces(sample)
    pieces = _drop_unordered(pieces, sample)
    return _spell(pieces, sample)


def read_values(form: Form, text: str) -> list[str] | None:
    """What stands at the form's places, white space in constant pieces aside; None where the text has another form."""
    spans = _spans([_Piece.of(literal) for literal in form.literals], text)
    return None if spans is None else [text[before[1] : behind[0]] for before, behind in pairwise(spans)]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A constant piece. ``begins`` and ``ends``: it stands at the text's beginning, or its end."""

    text: str
    pattern: re.Pattern[str]
    begins: bool = False
    ends: bool = False

    @staticmethod
    def of(text: str, *, begins: bool = False, ends: bool = False) -> _Piece:
        pattern = r"\s+".join(map(re.escape, text.split()))
        return _Piece(text, re.compile(TURN.sub(r"\1\\s*", pattern)), begins, ends)


def _find_pieces(texts: Sequence[str]) -> list[_Piece]:
    tokens = [_tokens(text) for text in texts]
    owned = [{run for _, run in _runs(item)} for item in tokens]
    counts = Counter(run for runs in owned for run in runs)
    least = {RUN: CONSTANT * len(texts), 2: PAIR * len(texts)}
    constant = {run for run, count in counts.items() if count >= least[len(run[0])]}
    best = max(range(len(texts)), key=lambda place: (len(owned[place] & constant), -len(tokens[place])))
    joined, bridged = [False] * len(tokens[best]), [False] * len(tokens[best])
    for place, found in _runs(tokens[best]):
        if found in constant:
            run, _ = found
            joined[place : place + len(run) - 1] = [True] * (len(run) - 1)
            bridged[place + 1] |= len(run) == RUN
    return _cut(texts[best], tokens[best], joined, bridged)


def _cut(text: str, tokens: Sequence[Token], joined: Sequence[bool], bridged: Sequence[bool]) -> list[_Piece]:
    """The pieces of a text whose tokens a constant run joins to the next one; where no run ``bridged`` a token, other texts have more behind it."""
    pieces: list[_Piece] = []
    place = 0
    while place < len(tokens):
        start = place
        while joined[place] and (place == start or bridged[place]):
            place += 1
        place += 1
        if place == start + 1:
            continue
        begin, end = tokens[start], tokens[place - 1]
        piece = text[begin[1] : end[2]]
        if piece.strip():
            pieces.append(_Piece.of(piece.strip(), begins=begin[0] == BEGIN, ends=end[0] == END))
    return pieces


def _drop_unordered(pieces: list[_Piece], texts: Sequence[str]) -> list[_Piece]:
    """Without the pieces that too few texts have in this order."""
    while pieces:
        failed: Counter[int] = Counter()
        for text in texts:
            place = 0
            for number, piece in enumerate(pieces):
                found = piece.pattern.search(text, place)
                if found is None:
                    failed[number] += 1
                    break
                place = found.end()
        if failed.total() <= 2 * (1 - CONSTANT) * len(texts):
            break
        del pieces[failed.most_common(1)[0][0]]
    return pieces


def _spell(pieces: list[_Piece], texts: Sequence[str]) -> Form:
    """The literals, each as most texts write it, with the white space that most have around it."""
    if not pieces or not pieces[0].begins:
        pieces = [_Piece.of("", begins=True), *pieces]
    if len(pieces) == 1 or not pieces[-1].ends:
        pieces = [*pieces, _Piece.of("", ends=True)]
    spelled: list[Counter[str]] = [Counter() for _ in pieces]
    before: list[Counter[str]] = [Counter() for _ in pieces]
    behind: list[Counter[str]] = [Counter() for _ in pieces]
    for text in texts:
        spans = _spans(pieces, text)
        for number, (start, end) in enumerate(spans or ()):
            spelled[number][text[start:end]] += 1
            before[number][text[len(text[:start].rstrip()) : start]] += 1
            behind[number][text[end : len(text) - len(text[end:].lstrip())]] += 1
    literals = []
    for number in range(len(pieces)):
        if not any(spelled[number]):
            literals.append("")
            continue
        core = spelled[number].most_common(1)[0][0]
        lead = _common_end([text[::-1] for text in before[number].elements()])[::-1]
        trail = _common_end(list(behind[number].elements()))
        literals.append(lead + core + trail)
    return _separate(_take_signs(_give_back(Form(tuple(literals)), texts), texts), texts)


def _take_signs(form: Form, texts: Sequence[str]) -> Form:
    """With the brackets and quotes that all values begin or end with, which are too short for pieces of their own."""
    values = [found for text in texts if (found := read_values(form, text)) is not None]
    literals = list(form.literals)
    for place in range(form.places if values else 0):
        first, last = {row[place][:1] for row in values}, {row[place][-1:] for row in values}
        if len(first) == 1 and (sign := first.pop()) and sign in OPENING and len(values) > 1:
            literals[place] += sign
        if len(last) == 1 and (sign := last.pop()) and sign in CLOSING and len(values) > 1:
            literals[place + 1] = sign + literals[place + 1]
    return Form(tuple(literals))


def _give_back(form: Form, texts: Sequence[str]) -> Form:
    """With the full stop that ends a sentence in the place before it: that all values are sentences makes no constant of it."""
    values = [found for text in texts if (found := read_values(form, text)) is not None]
    literals = [form.literals[0]]
    for place, literal in enumerate(form.literals[1:]):
        ending = SENTENCE_END.match(literal)
        sizes = sorted(len(row[place].split()) for row in values)
        is_sentence = ending is not None and bool(sizes) and sizes[len(sizes) // 2] >= SENTENCE
        literals.append(literal[ending.end() :] if ending is not None and is_sentence else literal)
    return Form(tuple(literals))


def _separate(form: Form, texts: Sequence[str]) -> Form:
    """With places cut in two at a word that all their short values have once, as in ``{one} to {other}``."""
    values = [found for text in texts if (found := read_values(form, text)) is not None]
    literals = [form.literals[0]]
    for place in range(form.places):
        word = _separator([row[place].split() for row in values])
        literals += [f" {word} "] if word else []
        literals.append(form.literals[place + 1])
    return Form(tuple(literals))


def _separator(values: Sequence[Sequence[str]]) -> str:
    if len(values) < 20 or max(map(len, values)) > LONGEST_VALUE or min(map(len, values)) < 3:
        return ""
    once = Counter(
        word for value in values for word in set(value[1:-1]) if list(value).count(word) == 1 and word.isalpha()
    )
    common = [word for word, count in once.items() if count >= SEPARATED * len(values)]
    return common[0] if len(common) == 1 else ""


def _spans(pieces: Sequence[_Piece], text: str) -> list[tuple[int, int]] | None:
    """Where the pieces stand, white space around the whole aside; None where one is missing."""
    spans: list[tuple[int, int]] = []
    place = 0
    for number, piece in enumerate(pieces):
        is_last = number == len(pieces) - 1
        if not piece.text.strip():
            end = len(text) if is_last else 0
            spans.append((end, end))
            continue
        found = _last(piece.pattern, text, place) if is_last else piece.pattern.search(text, place)
        if found is None or (number == 0 and text[: found.start()].strip()):
            return None
        if is_last and text[found.end() :].strip():
            return None
        spans.append(found.span())
        place = found.end()
    return spans


def _last(pattern: re.Pattern[str], text: str, place: int) -> re.Match[str] | None:
    last = None
    for found in pattern.finditer(text, place):
        last = found
    return last


def _common_end(texts: Sequence[str]) -> str:
    """The longest beginning that nearly all have."""
    if not texts:
        return ""
    longest = Counter(texts).most_common(1)[0][0]
    for size in range(len(longest), 0, -1):
        if sum(text.startswith(longest[:size]) for text in texts) >= CONSTANT * len(texts):
            return longest[:size]
    return ""


def _tokens(text: str) -> list[Token]:
    found = [("\n" if match.group()[0] == "\n" else match.group(), *match.span()) for match in TOKEN.finditer(text)]
    return [(BEGIN, 0, 0), *found, (END, len(text), len(text))]


def _runs(tokens: Sequence[Token]) -> Iterator[tuple[int, Run]]:
    """At each token the run of ``RUN`` that begins there, and a pair of which one is a word; each with how often it came before."""
    seen: Counter[tuple[str, ...]] = Counter()
    for place in range(len(tokens) - 1):
        one, two = tokens[place][0], tokens[place + 1][0]
        found: list[tuple[str, ...]] = []
        if place + RUN <= len(tokens):
            found.append((one, two, tokens[place + 2][0]))
        if {one, two}.isdisjoint((BEGIN, END)) and (len(one) > 2 or len(two) > 2):
            found.append((one, two))
        for run in found:
            yield place, (run, seen[run])
            seen[run] += 1
