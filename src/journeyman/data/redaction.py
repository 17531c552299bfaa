"""Redaction of one row before it is stored: one Redactor for input, output and gold, so that surrogates agree.

The input comes first: when serving it is all there is, and training must see the same surrogates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.example import Target, object_target, text_target
from journeyman.guards.messages import redact_calls
from journeyman.guards.redact import Redactor
from journeyman.task.task import Task


class RowRedaction:
    """Redacts one row of a task. ``keeps_text``: personal data stays (public imports); secrets go in any case."""

    def __init__(self, task: Task, *, keeps_text: bool = False) -> None:
        self._redactor = Redactor(is_personal=task.redact and not keeps_text, more=task.redact_also)
        self._verbatim = task.verbatim

    def fields(self, fields: Mapping[str, Json]) -> dict[str, Json]:
        redacted = cast(dict[str, Json], self._redactor.value(dict(fields), self._verbatim))
        return dict(zip(fields, redacted.values(), strict=True))

    def text(self, text: str) -> str:
        return self._redactor.text(text)

    def target(self, target: Target) -> Target:
        if target.kind == "object":
            return object_target(self._redactor.value(target.value, self._verbatim))
        if target.kind == "text":
            return text_target(self.text(target.text))
        return Target(
            target.kind, text=self.text(target.text), tool_calls=redact_calls(target.tool_calls, self._redactor)
        )


def remove_secrets(text: str) -> str:
    """A text for people to read, in a report or an error: without secrets and personal data."""
    return Redactor().text(text)
