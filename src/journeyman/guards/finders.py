"""The deterministic guards, by kind: what each finds in texts that belong together, and how far its findings reach.

Knows nothing about calls, and nothing about what comes of a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from journeyman.guards.detect import ASKED_FOR, SECRET
from journeyman.guards.echo import find_echo, read_runs
from journeyman.guards.grounded import Source, find_ungrounded
from journeyman.guards.invisible import find_invisible
from journeyman.guards.listed import compile_list
from journeyman.guards.look import Look
from journeyman.guards.redact import KINDS, USUAL_KINDS
from journeyman.task.guard import GuardKind, GuardSpec

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer is held against: the ``instruction``, and the ``source``, which is all that was asked; ``quotes`` are texts of the answer that are quotes as a whole."""

    instruction: str = ""
    source: str = ""
    quotes: frozenset[str] = frozenset()


NOTHING = Said()


@dataclass(frozen=True, slots=True)
class Hit:
    """``text[start:end]``, and what it becomes where it is replaced."""

    start: int
    end: int
    replacement: str = ""


Find = Callable[[Sequence[Look], Said], list[list[Hit]]]
"""Hits in each text, in order of place."""


@dataclass(frozen=True, slots=True)
class Finder:
    """``reach`` tells how many characters behind a place decide whether a finding begins before it; None: only the whole text does. ``reads`` says what is
    looked at where the text is a JSON document: as it is written, the values in it, or both."""

    find: Find
    reach: Callable[[Said], int] | None = None
    reads: Literal["both", "written", "values"] = "both"


@dataclass(frozen=True, slots=True)
class Guard:
    """``finder`` is None where somebody is asked."""

    spec: GuardSpec
    finder: Finder | None


INVISIBLE_REACH, SECRET_REACH, PERSONAL_REACH = 16, 640, 480


def compile_guards(specs: Iterable[GuardSpec]) -> tuple[Guard, ...]:
    """Raises: ValueError, as `make_finder`."""
    return tuple(Guard(spec, make_finder(spec)) for spec in specs)


def make_finder(spec: GuardSpec) -> Finder | None:
    """None for a kind that asks somebody.

    Raises:
        ValueError: a pattern is not taken, or there is no such kind of personal data; with the reason.
    """
    make = MAKERS.get(spec.kind)
    return make(spec) if make else None


def _secrets(_spec: GuardSpec) -> Finder:
    return Finder(_each(lambda look, _said: _found(look, (SECRET,))), lambda _said: SECRET_REACH)


def _personal(spec: GuardSpec) -> Finder:
    kinds = spec.kinds or USUAL_KINDS
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"{unknown[0]} is none of {', '.join(KINDS)}")
    return Finder(_each(lambda look, _said: _found(look, kinds)), lambda _said: PERSONAL_REACH)


def _invisible(_spec: GuardSpec) -> Finder:
    return Finder(_each(lambda look, _said: _hits(find_invisible(look.text), "")), lambda _said: INVISIBLE_REACH)


def _size(spec: GuardSpec) -> Finder:
    def find(looks: Sequence[Look], _said: Said) -> list[list[Hit]]:
        is_long = sum(len(look.text) for look in looks) > spec.most
        return [[Hit(0, len(look.text))] if is_long and index == 0 else [] for index, look in enumerate(looks)]

    return Finder(find, reads="written")


def _deny(spec: GuardSpec) -> Finder:
    listed = compile_list(spec.words, spec.patterns)
    reach = listed.reach
    find = _each(lambda look, _said: _hits(sorted(listed.find(look)), "<REMOVED>"))
    return Finder(find, None if reach is None else lambda _said: reach + 2)


def _allow(spec: GuardSpec) -> Finder:
    listed = compile_list(spec.words, spec.patterns)
    return Finder(_each(lambda look, _said: [] if listed.is_all(look) else [Hit(0, len(look.text))]), reads="values")


def _echo(spec: GuardSpec) -> Finder:
    def find(look: Look, said: Said) -> list[Hit]:
        return _hits(find_echo(look, read_runs(said.instruction, spec.share)), "<INSTRUCTION>")

    return Finder(_each(find), lambda said: read_runs(said.instruction, spec.share).reach)


def _grounded(_spec: GuardSpec) -> Finder:
    def find(looks: Sequence[Look], said: Said) -> list[list[Hit]]:
        source = Source(said.source)
        return [_ungrounded(look, said, source) for look in looks]

    return Finder(find, reads="values")


def _ungrounded(look: Look, said: Said, source: Source) -> list[Hit]:
    if look.text in said.quotes:
        return [] if source.has(look.plain) else [Hit(0, len(look.text), "<UNGROUNDED>")]
    return _hits(find_ungrounded(look, source), "<UNGROUNDED>")


MAKERS: Mapping[GuardKind, Callable[[GuardSpec], Finder]] = {
    "secrets": _secrets,
    "personal": _personal,
    "invisible": _invisible,
    "size": _size,
    "deny": _deny,
    "allow": _allow,
    "echo": _echo,
    "grounded": _grounded,
}


def replace_hits(text: str, hits: Iterable[Hit]) -> str:
    """Hits that overlap are replaced as one, by what the first of them becomes."""
    pieces, place = list[str](), 0
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end)):
        if hit.start >= place:
            pieces += [text[place : hit.start], hit.replacement]
        place = max(place, hit.end)
    return "".join([*pieces, text[place:]])


def _each(find: Callable[[Look, Said], list[Hit]]) -> Find:
    return lambda looks, said: [find(look, said) for look in looks]


def _found(look: Look, kinds: Sequence[str]) -> list[Hit]:
    findings = look.findings if ASKED_FOR.isdisjoint(kinds) else look.all_findings
    return [Hit(*look.span(item.start, item.end), f"<{item.kind}>") for item in findings if item.kind in kinds]


def _hits(spans: Iterable[Span], replacement: str) -> list[Hit]:
    return [Hit(start, end, replacement) for start, end in spans]
