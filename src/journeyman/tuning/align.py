"""A teacher's stored log-probabilities, moved onto the student's tokens by the bytes that both write.

Two tokenizers cut one answer differently. Where a student's token begins at the byte at which a token of the teacher begins, the teacher's
alternatives there say what may come next: one that goes on as the answer does speaks for the student's own token, any other for the
student's first token of its text. Where only a student's token begins, the teacher said nothing, and the position is left to the
cross-entropy. Mass that cannot be placed stays in the tail (``losses.SoftTargets``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TeacherToken:
    """One token of the teacher's answer: its bytes, its natural log-probability, and the best alternatives (itself may be among them)."""

    text: bytes
    logprob: float
    alternatives: Sequence[tuple[bytes, float]]


def without_spaces(tokens: Sequence[TeacherToken]) -> list[TeacherToken]:
    """The tokens of a JSON text with the white space outside its strings taken out, from alternatives too.

    A student writes compact JSON; what a teacher's spaces and line ends cost it is of no interest.
    """
    result = []
    is_inside = is_escaped = False
    for token in tokens:
        alternatives = [(_strip(text, is_inside, is_escaped)[0], logprob) for text, logprob in token.alternatives]
        kept, is_inside, is_escaped = _strip(token.text, is_inside, is_escaped)
        result.append(TeacherToken(kept, token.logprob, [item for item in alternatives if item[0]]))
    return result


def _strip(text: bytes, is_inside: bool, is_escaped: bool) -> tuple[bytes, bool, bool]:
    """A piece of JSON without the spaces between its parts, and whether it ends inside a string, and after a backslash there."""
    kept = bytearray()
    for byte in text:
        if is_inside or byte not in b" \t\r\n":
            kept.append(byte)
        if byte == ord('"') and not is_escaped:
            is_inside = not is_inside
        is_escaped = is_inside and byte == ord("\\") and not is_escaped
    return bytes(kept), is_inside, is_escaped


@dataclass(frozen=True, slots=True)
class Position:
    """What the teacher gives to the student's tokens at one position, by id; empty where it said nothing."""

    masses: Mapping[int, float]

    @property
    def is_known(self) -> bool:
        return bool(self.masses)


def align(
    teacher: Sequence[TeacherToken],
    student: Sequence[tuple[int, bytes]],
    first_token: Callable[[bytes], int | None],
) -> list[Position] | None:
    """One position per token of the student's answer.

    Args:
        student: ids and bytes of the answer's tokens, without the end of turn.
        first_token: the student's first token of a text; None when it has none (bytes that are no text).

    Returns:
        None when the two did not write the same bytes: stored values of another answer must not be used.
    """
    answer = b"".join(token.text for token in teacher)
    if answer != b"".join(text for _, text in student):
        return None
    begins: dict[int, int] = {}
    place = 0
    for index, token in enumerate(teacher):
        if token.text:
            begins.setdefault(place, index)
        place += len(token.text)
    positions, place = [], 0
    for own, text in student:
        start = begins.get(place)
        masses = {} if start is None else _masses(teacher, start, answer[place:], own, text, first_token)
        positions.append(Position(masses))
        place += len(text)
    return positions


def closed_masses(teacher: Sequence[TeacherToken], answers: Sequence[bytes]) -> list[float] | None:
    """What the teacher gives to each of a closed list of answers, one of which it wrote.

    The probability of another answer is that of the teacher's tokens up to where the two part, times that of an alternative there which
    goes on as the other answer does; answers that an alternative leaves open share it. What it does not name is in no mass.

    Returns:
        One mass per answer, their sum at most one; None when it wrote none of them.
    """
    written = b"".join(token.text for token in teacher)
    if written not in answers:
        return None
    masses, place, before = [0.0] * len(answers), 0, 1.0
    for token in teacher:
        open_to = [index for index, answer in enumerate(answers) if answer.startswith(written[:place])]
        for text, logprob in dict(token.alternatives).items():
            if not written.startswith(text, place):
                fitting = [index for index in open_to if answers[index].startswith(text, place)]
                for index in fitting:
                    masses[index] += before * math.exp(logprob) / len(fitting)
        before *= math.exp(token.logprob)
        place += len(token.text)
    masses[answers.index(written)] += before
    total = sum(masses)
    return [mass / total for mass in masses] if total > 1 else masses


def _masses(
    teacher: Sequence[TeacherToken],
    index: int,
    rest: bytes,
    own: int,
    text: bytes,
    first_token: Callable[[bytes], int | None],
) -> dict[int, float]:
    masses: dict[int, float] = {}
    chosen = teacher[index]
    alternatives = dict(chosen.alternatives) | {chosen.text: chosen.logprob}
    for other, logprob in alternatives.items():
        if other == chosen.text:
            continue
        target = own if other.startswith(text) else first_token(other)
        if target is not None and not _is_beginning(other, rest, text):
            masses[target] = masses.get(target, 0.0) + math.exp(logprob)
    masses[own] = masses.get(own, 0.0) + _path(teacher, index, len(text))
    total = sum(masses.values())
    return {token: mass / total for token, mass in masses.items()} if total > 1 else masses


def _is_beginning(other: bytes, rest: bytes, text: bytes) -> bool:
    """Whether an alternative is a shorter beginning of what follows, which leaves open whether the student's token would."""
    return len(other) < len(text) and rest.startswith(other)


def _path(teacher: Sequence[TeacherToken], index: int, length: int) -> float:
    """The teacher's probability of writing at least ``length`` bytes of its answer from here: the product over the tokens it takes."""
    logprob, written = 0.0, 0
    for token in teacher[index:]:
        logprob += token.logprob
        written += len(token.text)
        if written >= length:
            break
    return math.exp(logprob)
