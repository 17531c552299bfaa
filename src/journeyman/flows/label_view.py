"""What a person who labels is shown, and what can be done about it: plain values, so that a terminal and a page show the same session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Stage = Literal["row", "preview", "end"]


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """``letter`` chooses it; ``who`` gave it, where that may be known."""

    letter: str
    who: str
    text: str


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field of the answer as it stands: ``choices`` where its values are few, ``is_current`` where the next choice or text goes."""

    name: str
    text: str
    choices: tuple[str, ...]
    is_current: bool
    is_changed: bool


@dataclass(frozen=True, slots=True)
class View:
    """``mark`` is a stretch of the input that the row is about. ``done`` rows by this person, ``left`` in the queue beside those ``skipped`` in this session. ``note`` says what the last key did, ``problem`` why it could not. ``near``: inputs that a fix would be applied to, ``near_count`` in all."""

    stage: Stage
    title: str
    input: str = ""
    mark: tuple[int, int] | None = None
    answers: tuple[ShownAnswer, ...] = ()
    fields: tuple[ShownField, ...] = ()
    why: str = ""
    done: int = 0
    left: int = 0
    skipped: int = 0
    note: str = ""
    problem: str = ""
    near: tuple[str, ...] = ()
    near_count: int = 0


@dataclass(frozen=True, slots=True)
class Action:
    """A key, what it does in a word for the line of keys and in a sentence for the help; ``name`` is what a session is told."""

    key: str
    name: str
    word: str
    help: str


class LabelSession(Protocol):
    """Every act that decides something is kept before it returns."""

    @property
    def view(self) -> View: ...

    @property
    def actions(self) -> Sequence[Action]: ...

    def act(self, name: str) -> None:
        """One of ``actions`` by its name; another name does nothing."""

    def choose(self, letter: str) -> None:
        """The answer with this letter."""

    def set_value(self, number: int) -> None:
        """The choice of the current field with this number, from 0."""

    def draft(self, is_whole: bool) -> str:
        """The text to be edited: of the current field, or of the whole answer."""

    def write(self, text: str, is_whole: bool) -> bool:
        """Take an edited text; False where it is none, and the view says why."""
