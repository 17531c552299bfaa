"""Every error that a user can meet.

    JourneymanError
    ├── UserError                exit 2: the caller can mend it
    │   ├── SettingsError        JM-1xx  journeyman.toml, environment, flags
    │   ├── TaskError            JM-2xx  task files and schemas
    │   ├── DataError            JM-3xx  imports, datasets, splits
    │   ├── ModelError           JM-4xx  models that are missing, wrong or unreadable
    │   ├── TuneError            JM-5xx  tuning, export, parity
    │   ├── GateError            JM-6xx  evaluation and release
    │   ├── ServeError           JM-7xx  the server and calls to it
    │   ├── StoreError           JM-8xx  database, disk, folders
    │   └── KnowledgeError       JM-9xx  documents, indexes, retrieval
    └── (anything else)          exit 3: a defect of ours

An error says what is wrong, where, what was expected and what was found, and the next step.
"""

from __future__ import annotations


class JourneymanError(Exception):
    """Root of the tree. ``code`` is stable; ``str(error)`` is the whole message for people.

    Args:
        code: stable identifier, ``JM-`` and three digits.
        what: one sentence, what is wrong.
        where: ``file:line``, row, field or URL.
        expected: what would have been right.
        got: what was found instead.
        hint: the next step, a command where there is one.
        retryable: the same call may succeed later, ``retry_after_s`` seconds from now at the earliest.
    """

    retry_after_s: float = 1.0

    def __init__(
        self,
        code: str,
        what: str,
        *,
        where: str = "",
        expected: str = "",
        got: str = "",
        hint: str = "",
        retryable: bool = False,
    ) -> None:
        self.code = code
        self.what = what
        self.where = where
        self.expected = expected
        self.got = got
        self.hint = hint
        self.retryable = retryable
        super().__init__(self.message())

    @property
    def reason(self) -> str:
        """What is wrong and what was found, in one line."""
        return f"{self.what}: {self.got}" if self.got else self.what

    def message(self) -> str:
        lines = [f"{self.code} {self.where + ': ' if self.where else ''}{self.what}"]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.got:
            lines.append(f"  got: {self.got}")
        if self.hint:
            lines.append(f"  next: {self.hint}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        return {
            "code": self.code,
            "message": self.what,
            "where": self.where,
            "expected": self.expected,
            "got": self.got,
            "hint": self.hint,
            "retryable": self.retryable,
        }


class UserError(JourneymanError):
    """The caller can mend it; the command line exits with 2."""


class SettingsError(UserError):
    """JM-1xx."""


class TaskError(UserError):
    """JM-2xx."""


class DataError(UserError):
    """JM-3xx."""


class ModelError(UserError):
    """JM-4xx."""


class TuneError(UserError):
    """JM-5xx."""


class GateError(UserError):
    """JM-6xx."""


class ServeError(UserError):
    """JM-7xx."""


class StoreError(UserError):
    """JM-8xx."""


class KnowledgeError(UserError):
    """JM-9xx."""
