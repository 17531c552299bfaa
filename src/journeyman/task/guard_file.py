"""Guards as a task file, or the project's file of guards, describes them, and what cannot be meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from journeyman.core.errors import TaskError
from journeyman.task.document import Document, Place
from journeyman.task.guard import (
    ECHO_SHARE,
    HOOK_MS,
    OUTPUT_ONLY,
    OWN_KEYS,
    WITHOUT_SPANS,
    Fail,
    GuardKind,
    GuardSpec,
    Mode,
    On,
)

MOST_PATTERN = 1000
Text = Annotated[str, Field(max_length=MOST_PATTERN, pattern=r"\S")]


class GuardList(BaseModel):
    """A file of guards for calls that are no task's."""

    model_config = ConfigDict(extra="forbid", strict=True)

    guards: list[GuardFile]


class GuardFile(BaseModel):
    """Something that is looked for in the task's calls and answers."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: GuardKind = Field(description="What is looked for, or who is asked.")
    mode: Mode = Field(
        description="block: the call is refused; escalate: the teacher answers where a student did, else the call is refused; redact: what is found is replaced; flag: a header of the reply says so; shadow: the record alone says so."
    )
    on: On | None = Field(default=None, description="input, output or both. Default both; echo and grounded: output.")
    name: str = Field(
        default="", pattern=r"^[A-Za-z0-9_-]{0,40}$", description="How replies and records call it; default: its kind."
    )
    kinds: list[str] = Field(
        default_factory=list,
        description="With personal: EMAIL, IBAN, CARD, SSN, IP, PHONE, DOMAIN; default: all but DOMAIN.",
    )
    most: Annotated[int, Field(ge=1)] | None = Field(default=None, description="With size: characters at the most.")
    words: list[Text] = Field(
        default_factory=list,
        description="With deny: words that may not stand in a text; with allow: all that a text may be.",
    )
    patterns: list[Text] = Field(
        default_factory=list,
        description="With deny and allow: regular expressions in RE2's syntax, which takes time linear in the text.",
    )
    share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=ECHO_SHARE, description="With echo: so much of the instruction's words in a row is an echo."
    )
    fields: list[str] = Field(
        default_factory=list,
        description="With grounded: fields of the answer whose texts must stand in the input, beside what is in quotation marks. Default: the task's verbatim fields.",
    )
    task: str = Field(
        default="", description="With task: the task that is asked; it has one text field, and an answer to choose."
    )
    field: str = Field(default="", description="With task: the field of its answer; default: the only one.")
    answer: bool | int | str | None = Field(default=None, description="With task: the answer that counts as found ...")
    threshold: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="... where its chance is at least this. With grounded: what each claim of an answer must have of support in the passages of the task's knowledge, as a share of its words.",
    )
    url: str = Field(default="", description="With http: the address that texts are posted to.")
    timeout_ms: Annotated[int, Field(ge=1, le=60_000)] = Field(
        default=HOOK_MS, description="With http: milliseconds that it may take."
    )
    fail: Fail = Field(
        default="closed",
        description="With task and http: what counts where it cannot be asked: closed as found, open as not found.",
    )

    def spec(self) -> GuardSpec:
        given = self.model_dump() | {
            name: tuple(getattr(self, name)) for name in ("kinds", "words", "patterns", "fields")
        }
        on = self.on or ("output" if self.kind in OUTPUT_ONLY else "both")
        return GuardSpec(**given | {"on": on, "most": self.most or 0})


def read_guards(files: list[GuardFile], document: Document, *, has_passages: bool = False) -> tuple[GuardSpec, ...]:
    """``has_passages``: the task answers from some. Raises: TaskError JM-264 what cannot be meant."""
    for index, guard in enumerate(files):
        for what, key, expected in _contradictions(guard, has_passages):
            place: Place = ("guards", index, key)
            raise TaskError(
                "JM-264",
                f"{guard.kind} as a guard: {what}",
                where=document.where(place),
                expected=expected,
                got=f"{key}: {getattr(guard, key)!r:.80}",
                hint=f"correct {key}, or remove it",
            )
    return tuple(guard.spec() for guard in files)


def _contradictions(guard: GuardFile, has_passages: bool) -> Iterator[tuple[str, str, str]]:
    """What is wrong, under which key, and what would be right."""
    kind, own = guard.kind, OWN_KEYS.get(guard.kind, ())
    for key in sorted({key for keys in OWN_KEYS.values() for key in keys} - set(own)):
        if key in guard.model_fields_set:
            yield f"{key} belongs to others", key, ", ".join(("kind", "mode", "on", "name", *own))
    if kind in OUTPUT_ONLY and guard.on not in (None, "output"):
        yield "it looks at answers alone", "on", "on: output"
    if kind in WITHOUT_SPANS and guard.mode == "redact":
        yield "it finds nothing that could be replaced", "mode", "block, flag or shadow"
    if guard.mode == "escalate" and guard.on != "output" and not (guard.on is None and kind in OUTPUT_ONLY):
        yield "a teacher is asked for another answer, so it looks at answers alone", "on", "on: output"
    if guard.mode == "escalate" and kind in ("task", "http"):
        yield "the teacher is asked where a guard finds something by itself", "mode", "block, flag or shadow"
    if kind == "grounded" and guard.threshold and not has_passages:
        yield "a threshold is one of support in passages", "threshold", "a task with knowledge:, or no threshold"
    if kind == "grounded" and guard.threshold and guard.mode == "redact":
        yield "claims without support are not replaced", "mode", "block, escalate, flag or shadow"
    if kind in ("deny", "allow") and not (guard.words or guard.patterns):
        yield "it needs words or patterns", "words", "words: [...], or patterns: [...]"
    if kind == "size" and guard.most is None:
        yield "it needs a size", "most", "most: 8000"
    if kind == "task" and not guard.task:
        yield "it needs a task", "task", "the name of a task"
    if kind == "task" and guard.answer is None:
        yield "it needs an answer that counts as found", "answer", "one of the task's answers"
    if kind == "http" and not _is_address(guard.url):
        yield "it needs an address", "url", "http://HOST/PATH or https://HOST/PATH"


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
