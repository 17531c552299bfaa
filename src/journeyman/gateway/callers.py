"""Who calls, what they may ask, how often, and which budgets their calls come out of."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from journeyman.core.errors import ServeError
from journeyman.core.keys import Key, hash_secret
from journeyman.gateway.purse import Limit, Meter, Purse, nano

FRESH_S = 1.0
"""How long a key that was found, or was not, is taken for that: a revoked one may answer so much longer."""
MOST_KNOWN = 10_000
PARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
FIND_HINT = "send it as `Authorization: Bearer jm-...`; `journeyman key add NAME` makes one"


@dataclass(frozen=True, slots=True)
class Caps:
    """US dollars a day, of the project and by task; None or missing: no limit."""

    project: float | None = None
    tasks: Mapping[str, float] = field(default_factory=dict)


class Budgets:
    """The budgets that hold for a call. ``now`` tells which day it is, in UTC."""

    def __init__(self, purse: Purse, caps: Caps, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._purse = purse
        self._caps = caps
        self._now = now
        self._limits: dict[tuple[object, ...], tuple[Limit, ...]] = {}

    def set_caps(self, caps: Caps) -> None:
        """For the calls from now on."""
        self._caps = caps
        self._limits.clear()

    def meter(self, task: str, key: Key | None = None) -> Meter:
        """``task`` is empty where none is asked."""
        day = self._now().astimezone(UTC).date()
        place = (day, task, key and (key.id, key.name, key.usd, key.usd_per_day))
        limits = self._limits.get(place)
        if limits is None:
            if len(self._limits) >= MOST_KNOWN:
                self._limits.clear()
            limits = self._limits[place] = tuple(self._find_limits(task, key, day.isoformat()))
        return Meter(self._purse, limits)

    def _find_limits(self, task: str, key: Key | None, day: str) -> Iterator[Limit]:
        if key is not None and key.usd is not None:
            yield Limit(f"key/{key.id}", "", nano(key.usd), f"the key {key.name}")
        if key is not None and key.usd_per_day is not None:
            yield Limit(f"key/{key.id}", day, nano(key.usd_per_day), f"the key {key.name} for {day}")
        if (most := self._caps.tasks.get(task)) is not None:
            yield Limit(f"task/{task}", day, nano(most), f"the task {task} for {day}")
        if self._caps.project is not None:
            yield Limit("project", day, nano(self._caps.project), f"the project for {day}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Without a key: this machine's own."""

    key: Key | None = None
    person: str = ""
    """Whom the call is made for, as `core.person` has it."""
    parent: str = ""
    """The client's span that the call belongs to (W3C ``traceparent``), where spans are made."""

    @property
    def id(self) -> str:
        return self.key.id if self.key else ""

    def may_ask(self, task: str) -> bool:
        return self.key is None or self.key.may_ask(task)

    def may_pass(self, model: str) -> bool:
        return self.key is None or self.key.may_pass(model)

    def check_tuner(self) -> None:
        """Raises: ServeError: JM-776 this key may not upload files and tune."""
        if self.key is not None and not self.key.may_tune:
            raise ServeError(
                "JM-776",
                "this key may not tune",
                expected="a key that was made with --tune",
                got=self.key.name,
                hint="journeyman key add NAME --tune",
            )

    @property
    def is_limited(self) -> bool:
        """Whether there are tasks or models that it may not even know of."""
        return self.key is not None and not ("*" in self.key.tasks and "*" in self.key.models)

    def refuse(self, name: str) -> ServeError:
        assert self.key is not None, "without a key all may be asked"
        return ServeError(
            "JM-741",
            f"this key may not ask {name}",
            expected="tasks: "
            + (", ".join(self.key.tasks) or "none")
            + "; models: "
            + (", ".join(self.key.models) or "none"),
            hint="use another key, or another model",
        )


class Doorkeeper:
    """``find`` gives the key whose secret has a hash. ``is_open``: who has no key is let in too. ``is_traced``: callers' spans are noted."""

    def __init__(
        self,
        find: Callable[[str], Key | None] = lambda _hash: None,
        *,
        is_open: bool = True,
        is_traced: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_open = is_open
        self._is_traced = is_traced
        self._find = find
        self._now = now
        self._clock = clock
        self._known: dict[str, tuple[Key | None, float]] = {}
        self._next: dict[str, float] = {}

    async def admit(self, headers: Mapping[str, str]) -> Caller:
        """Raises: ServeError JM-740 no valid key, JM-743 too many calls in a minute."""
        parent = read_parent(headers) if self._is_traced else ""
        if self.is_open:
            return Caller(parent=parent)
        secret = _read_secret(headers)
        key = await self._look_up(hash_secret(secret)) if secret else None
        if key is None or not key.is_valid(self._now()):
            raise ServeError(
                "JM-740",
                "this server wants a key" if not secret else "this key is not known here, has expired or was revoked",
                hint=FIND_HINT,
            )
        self._count(key)
        return Caller(key, parent=parent)

    async def _look_up(self, hash: str) -> Key | None:
        known = self._known.get(hash)
        if known is not None and self._clock() < known[1]:
            return known[0]
        key = await asyncio.to_thread(self._find, hash)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[hash] = key, self._clock() + FRESH_S
        return key

    def _count(self, key: Key) -> None:
        """A minute's calls may come at once, and then one as each minute's share of time passes (the generic cell rate algorithm)."""
        if key.calls_per_minute is None:
            return
        now, step = self._clock(), 60.0 / key.calls_per_minute
        due = max(self._next.get(key.id, now), now)
        if due - now > 60.0 - step + 1e-9:
            error = ServeError(
                "JM-743",
                f"the key {key.name} has no more calls for now",
                expected=f"at most {key.calls_per_minute:,} a minute",
                hint=f"call again in {due - now - 60.0 + step:.1f} s",
                retryable=True,
            )
            error.retry_after_s = due - now - 60.0 + step
            raise error
        self._next[key.id] = due + step


def read_parent(headers: Mapping[str, str]) -> str:
    """The ``traceparent``; empty where it is none."""
    parent = headers.get("traceparent", "").strip()
    return parent if PARENT.fullmatch(parent) else ""


def _read_secret(headers: Mapping[str, str]) -> str:
    """From ``Authorization: Bearer``, or from ``x-api-key``, as Anthropic's clients send it."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" and rest.strip() else headers.get("x-api-key", "").strip()
