"""Guards over one call: input before any model is asked, the answer before it leaves.

    texts ─► deterministic guards ─► redact ─► tasks and hooks ─► texts
                   └► block: refused

A verdict says which guard, in which mode, what came of it, how often and in how many milliseconds; never what was found.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

import orjson

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError
from journeyman.core.messages import Message, TextPart
from journeyman.gateway.guard_asking import About, Asking, GuardFailed, Told
from journeyman.gateway.spoken import said_in_request
from journeyman.guards.finders import NOTHING, Finder, Guard, Hit, Said, replace_hits
from journeyman.guards.leaves import Leaves, open_leaves
from journeyman.guards.look import Look
from journeyman.guards.window import Window
from journeyman.task.guard import GuardSpec, Side
from journeyman.task.task import Task

Outcome = Literal["passed", "blocked", "escalated", "redacted", "flagged", "shadowed", "failed"]
Support = Callable[[str, Collection[str]], Sequence[float]]
"""What each claim of an answer, or of these fields of it, has of support in the passages of its call."""
OUTCOMES: Mapping[str, Outcome] = {
    "block": "blocked",
    "escalate": "blocked",
    "redact": "redacted",
    "flag": "flagged",
    "shadow": "shadowed",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    guard: str
    on: Side
    mode: str
    outcome: Outcome
    count: int
    ms: float

    def to_json(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(slots=True)
class Watch:
    """One call and its guards. ``quotes`` are fields of the answer whose texts are quotes; ``support`` weighs its claims, where it has passages."""

    guards: tuple[Guard, ...]
    asking: Asking
    about: About
    said: Said = NOTHING
    quotes: tuple[str, ...] = ()
    support: Support | None = None
    verdicts: list[Verdict] = field(default_factory=list)

    def to_json(self) -> list[Json]:
        return [verdict.to_json() for verdict in self.verdicts]

    def header(self) -> str:
        """What the caller is told: nothing of guards in the shadow, and of those that found nothing."""
        told = [item for item in self.verdicts if item.outcome != "passed" and item.mode != "shadow"]
        return ", ".join(dict.fromkeys(f"{item.guard}={item.outcome}" for item in told))

    def of(self, side: Side) -> list[Guard]:
        return [guard for guard in self.guards if guard.spec.is_on(side)]

    def holds(self, side: Side) -> bool:
        """Whether a text of that side may not go on unchecked."""
        return any(guard.spec.holds for guard in self.of(side))

    def needs_whole(self) -> bool:
        """Whether an answer can be judged as a whole alone."""
        held = [guard for guard in self.of("output") if guard.spec.holds]
        return any(guard.finder is None or guard.finder.reach is None for guard in held)

    def window(self) -> Window:
        """For an answer that comes in pieces."""
        found = [(guard.spec, guard.finder) for guard in self.of("output") if guard.finder is not None]
        return Window(
            [finder for spec, finder in found if spec.refuses],
            [finder for spec, finder in found if spec.mode == "redact"],
            self.said,
        )

    def hear(self, task: Task, fields: Mapping[str, Json]) -> None:
        """What an answer is held against: a task's instruction and these input fields."""
        own = [name for guard in self.guards for name in guard.spec.fields]
        self.quotes = tuple(own) or task.verbatim
        self.said = Said(task.instruction, "\n".join(slot.text for slot in said_in_request({"input": dict(fields)})))

    def hear_messages(self, messages: Sequence[Message]) -> None:
        instructing = ("system", "developer")
        self.said = Said(
            "\n".join(item.text for item in messages if item.role in instructing),
            "\n".join(item.text for item in messages if item.role not in (*instructing, "assistant")),
        )

    async def check_request(self, raw: Mapping[str, Json]) -> dict[str, Json]:
        """The same with what was found replaced; raises as `check`. ``raw`` stays as it is."""
        if not self.of("input"):
            return dict(raw)
        copied = cast(dict[str, Json], orjson.loads(orjson.dumps(raw)))
        slots = list(said_in_request(copied))
        for slot, text in zip(slots, await self.check("input", [slot.text for slot in slots]), strict=True):
            slot.put(text)
        return copied

    async def check_fields(self, fields: Mapping[str, Json]) -> dict[str, Json]:
        """Input fields of a task; raises as `check`."""
        return cast(dict[str, Json], (await self.check_request({"input": dict(fields)}))["input"])

    async def check_messages(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """Raises as `check`."""
        texts = [part.text for item in messages for part in item.parts if isinstance(part, TextPart)]
        left = iter(await self.check("input", texts))
        return tuple(
            replace(
                item, parts=tuple(TextPart(next(left)) if isinstance(part, TextPart) else part for part in item.parts)
            )
            for item in messages
        )

    async def check(self, side: Side, texts: Sequence[str]) -> list[str]:
        """The texts as they may go on.

        Raises:
            ServeError: JM-780 the call is refused, JM-781 its answer is; JM-782 a guard that has to be asked cannot be.
        """
        guards = self.of(side)
        checked = self._find(side, guards, list(texts)) if any(item.finder for item in guards) else list(texts)
        for guard in guards:
            if guard.finder is None:
                checked = await self._ask(guard.spec, side, checked)
        return checked

    def escalates(self, text: str) -> bool:
        """Whether a guard sends a student's answer on to its teacher. One that does not looks again when the answer leaves, and is noted then."""
        is_found = False
        for guard in self.of("output"):
            if guard.spec.mode != "escalate" or guard.finder is None:
                continue
            started, read = time.perf_counter(), _read([text])
            if count := self._count(guard, "output", read, self._said(read)):
                self._add(guard.spec, "output", "escalated", count, started)
                is_found = True
        return is_found

    def refuse(self, guard: str, side: Side, why: str = "") -> ServeError:
        is_input = side == "input"
        return ServeError(
            "JM-780" if is_input else "JM-781",
            f"the guard {guard} refuses this call"
            if is_input
            else f"the guard {guard} refuses the answer to this call",
            where=self.about.task,
            got=why,
            hint=f"change what is asked; the call is kept as {self.about.trace}",
        )

    def _find(self, side: Side, guards: Sequence[Guard], texts: list[str]) -> list[str]:
        read = _read(texts)
        said = self._said(read) if side == "output" else self.said
        redacting: list[tuple[str, Finder]] = []
        for guard in guards:
            if guard.finder is None:
                continue
            started = time.perf_counter()
            count = self._count(guard, side, read, said)
            self._note(guard.spec, side, count, started)
            if count and guard.spec.mode == "redact":
                redacting.append((guard.spec.title, guard.finder))
        return self._redact(side, texts, redacting, said) if redacting else texts

    def _count(self, guard: Guard, side: Side, read: _Read, said: Said) -> int:
        assert guard.finder is not None
        reads, find = guard.finder.reads, guard.finder.find
        count = _count(find(read.plain if reads == "values" else read.looks, said))
        if read.inside and reads != "written":
            # What stands in a value stands in the document too, unless it is spelled with escapes there.
            more = _count(find(read.inside, said))
            count = count + more if reads == "values" else max(count, more)
        return count + (self._count_unsupported(guard.spec, read.texts) if side == "output" else 0)

    def _count_unsupported(self, spec: GuardSpec, texts: Sequence[str]) -> int:
        if spec.kind != "grounded" or not spec.threshold or self.support is None:
            return 0
        return sum(weight < spec.threshold for text in texts for weight in self.support(text, spec.fields))

    def _redact(
        self, side: Side, texts: Sequence[str], redacting: Sequence[tuple[str, Finder]], said: Said
    ) -> list[str]:
        """A JSON document stays one, or the call is refused: its values first, then what tells by its key alone."""
        inside = [finder for _, finder in redacting if finder.reads != "written"]
        across = [finder for _, finder in redacting if finder.reads != "values"]
        done = []
        for text in texts:
            opened = open_leaves(text)
            if opened is None:
                done.append(replace_hits(text, _all_hits(text, [finder for _, finder in redacting], said)))
                continue
            leaves = [replace_hits(leaf, _all_hits(leaf, inside, said)) for leaf in opened.texts]
            new = opened.write(leaves) if leaves != opened.texts else text
            done.append(replace_hits(new, _all_hits(new, across, said)))
            if open_leaves(done[-1]) is None:
                raise self.refuse(redacting[0][0], side, "it cannot be redacted without breaking the JSON")
        return done

    async def _ask(self, spec: GuardSpec, side: Side, texts: list[str]) -> list[str]:
        """All texts as one; to be redacted, each by itself."""
        started = time.perf_counter()
        asked = texts if spec.mode == "redact" else ["\n".join(texts)]
        try:
            told = await asyncio.gather(*(self.asking.ask(spec, side, text, self.about) for text in asked if text))
            found = [item for item in told if item.is_found and not item.is_flag]
            if spec.mode == "redact" and any(item.text is None for item in found):
                raise GuardFailed("it found something, and gave no text to put in its place")
        except GuardFailed as error:
            self._add(spec, side, "failed", 0, started)
            if spec.fail == "closed" and spec.holds:
                raise ServeError(
                    "JM-782",
                    f"the guard {spec.title} cannot be asked, and nothing passes without it",
                    where=self.about.task,
                    got=str(error),
                    hint=f"call again; the call is kept as {self.about.trace}",
                    retryable=True,
                ) from error
            return texts
        if any(item.is_flag for item in told) and not found:
            self._add(spec, side, "shadowed" if spec.mode == "shadow" else "flagged", len(told), started)
            return texts
        self._note(spec, side, len(found), started)
        if spec.mode != "redact":
            return texts
        left = iter(told)
        return [_told_text(text, next(left)) if text else text for text in texts]

    def _note(self, spec: GuardSpec, side: Side, count: int, started: float) -> None:
        """Raises: ServeError JM-780, JM-781."""
        self._add(spec, side, OUTCOMES[spec.mode] if count else "passed", count, started)
        if count and spec.refuses:
            raise self.refuse(spec.title, side)

    def _add(self, spec: GuardSpec, side: Side, outcome: Outcome, count: int, started: float) -> None:
        ms = round(1000 * (time.perf_counter() - started), 3)
        self.verdicts.append(Verdict(spec.title, side, spec.mode, outcome, count, ms))

    def _said(self, read: _Read) -> Said:
        """What an answer is held against, with its texts that are quotes."""
        if not self.quotes:
            return self.said
        return replace(
            self.said, quotes=frozenset(text for item in read.opened if item for text in item.under(self.quotes))
        )


@dataclass(frozen=True, slots=True)
class _Read:
    """``texts`` as they are looked at: ``opened`` where one is JSON, ``plain`` those that are none, ``inside`` the values of the others."""

    texts: Sequence[str]
    opened: Sequence[Leaves | None]
    looks: Sequence[Look]
    plain: Sequence[Look]
    inside: Sequence[Look]


def _read(texts: Sequence[str]) -> _Read:
    opened, looks = [open_leaves(text) for text in texts], [Look(text) for text in texts]
    plain = [look for look, item in zip(looks, opened, strict=True) if item is None]
    return _Read(texts, opened, looks, plain, [Look(leaf) for item in opened if item for leaf in item.texts])


def _count(found: Sequence[Sequence[Hit]]) -> int:
    return sum(map(len, found))


def _all_hits(text: str, finders: Sequence[Finder], said: Said) -> list[Hit]:
    look = Look(text)
    return [hit for finder in finders for hit in finder.find([look], said)[0]]


def _told_text(text: str, told: Told) -> str:
    return told.text if told.is_found and not told.is_flag and told.text is not None else text
