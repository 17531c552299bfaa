"""What the server can answer with, by name.

    task:tickets      the task's live release, whichever the alias names at that moment
    tickets@4f2a      one release, by its hash or a prefix of it that only it has
    base:smollm2      an untuned base model, with its own chat template

Knows nothing about folders and databases: releases come in loaded, ``live`` tells which hash is live, ``held`` why it may not answer.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError
from journeyman.core.messages import Message
from journeyman.gateway.points import Point
from journeyman.guards.finders import Guard
from journeyman.models.protocol import Decoding, Model
from journeyman.store.canaries import Canary
from journeyman.task.prompt import student_messages
from journeyman.task.task import Cache, Shadow, Task

WriteMessages = Callable[[Task, Mapping[str, Json]], tuple[Message, ...]]
PREFIX_LENGTH = 4
LOG = logging.getLogger("journeyman.gateway")


DEFAULT = Decoding()
NO_SHADOW = Shadow()


@dataclass(frozen=True, slots=True)
class Served:
    """Something that answers: a release of a task, or (``task`` None) a base model.

    ``write`` makes the model's messages from the input fields: a student gets no instruction, a prompted base does.
    ``decoding`` is what the release says; a request may state its own tokens, temperature, seed and stop. ``calibrate`` maps the model's confidence to
    the chance that an answer is right, and ``calibrate_field`` that of one value, where the release was assessed with calibration rows; ``threshold`` is the chance from which on its promise holds.
    ``usd_per_million`` is the price of input and output tokens; ``is_paid`` where somebody takes one, known or not.
    """

    name: str
    model: Model
    task: Task | None = None
    release: str = ""
    decoding: Decoding = DEFAULT
    write: WriteMessages = student_messages
    calibrate: Callable[[float], float] | None = None
    calibrate_field: Callable[[float], float] | None = None
    threshold: float | None = None
    usd_per_million: tuple[float, float] | None = None
    is_paid: bool = False
    owner: str = ""
    """The key whose own it is while it is not live; empty: nobody's."""


Policy = Literal["teacher", "student", "cascade", "shadow"]


@dataclass(frozen=True, slots=True)
class Way:
    """How a task's calls are answered, as its file says; ``policy`` None leaves it to what there is."""

    teacher: Served | None = None
    policy: Policy | None = None
    audit: float = 0.0
    point: Point | None = None
    """Where the teacher is, for calls that do not have the task's shape."""
    sample: float = 1.0
    """The share of the student's own answers that is recorded whole."""
    fallback: bool = False
    """Whether the student's answer stands where the teacher fails."""
    shadow: Shadow = NO_SHADOW
    cache: Cache | None = None
    guards: tuple[Guard, ...] = ()
    patience_s: float = 2.0
    """How long a call waits for a student that is asleep or busy before its teacher is asked."""


@dataclass(frozen=True, slots=True)
class Arm:
    """A call's side of a canary: the candidate's (``is_candidate``) or the live release's; ``other`` is the release of the other side, which is asked too where the
    call ``is_compared``."""

    canary: Canary
    is_candidate: bool
    other: Served
    is_compared: bool = False

    def to_json(self) -> dict[str, Json]:
        side = "candidate" if self.is_candidate else "live"
        return {"canary": self.canary.id, "side": side} | ({"compared": True} if self.is_compared else {})


@dataclass(frozen=True, slots=True)
class Passed:
    """A model that is not ours: its provider, and what that calls it."""

    point: Point
    model: str
    guards: tuple[Guard, ...] = ()
    patience_s: float = 2.0
    """How long a call waits for a student that is asleep or busy before its teacher is asked."""


@dataclass(frozen=True, slots=True)
class Routed:
    """What answers one call. ``held`` says why the release may not answer now; ``audit`` is the share of sure answers that are audited; ``live`` is the release
    that should answer, loaded or not."""

    task: str
    student: Served | None
    teacher: Served | None = None
    policy: Policy = "student"
    audit: float = 0.0
    held: str = ""
    live: str = ""
    fallback: bool = False
    """Whether the student's answer stands where the teacher fails, also one that it is not sure of."""
    passed: Passed | None = None
    """Where calls go that do not have the task's shape."""
    sample: float = 1.0
    """The share of the student's own answers that is recorded whole."""
    shadow: Shadow = NO_SHADOW
    cache: Cache | None = None
    guards: tuple[Guard, ...] = ()
    patience_s: float = 2.0
    """How long a call waits for a student that is asleep or busy before its teacher is asked."""
    canary: tuple[Canary, Served] | None = None
    """A candidate that answers a share of the calls, and is loaded."""
    arm: Arm | None = None
    """The side that this call is on."""

    @property
    def is_alone(self) -> bool:
        """Whether the student answers whatever it says: nobody stands behind it, and nothing holds it."""
        return self.policy == "student" and self.student is not None and self.teacher is None and not self.held

    @property
    def model(self) -> Served:
        """Whichever there is: both have the task."""
        found = self.student or self.teacher
        assert found is not None
        return found


class Registry:
    """``live`` maps a task's name to the hash of its live release, or None; ``held`` to why that release may not answer, or nothing."""

    def __init__(
        self,
        served: Iterable[Served],
        live: Callable[[str], str | None],
        ways: Mapping[str, Way] | None = None,
        held: Callable[[str], str] = lambda _task: "",
        points: Iterable[Point] = (),
        wanted: Callable[[str, str], None] = lambda _task, _release: None,
        canary: Callable[[str], Canary | None] = lambda _task: None,
        guards: tuple[Guard, ...] = (),
    ) -> None:
        """``canary`` tells which candidate answers a share of a task's calls. ``points`` are providers that calls to models which are not ours are passed on to, the default
        one first. ``wanted`` is told, once each, of a live release or a candidate that is not here: a task and a hash, for `add`. ``guards`` are those of models that are
        no task's."""
        self._live = live
        self._guards = guards
        self._points = {point.name: point for point in points}
        self._held = held
        self._wanted = wanted
        self._canary = canary
        self._missed: set[str] = set()
        self._last: dict[str, str] = {}
        self._heard: list[Callable[[], None]] = []
        self._ways = dict(ways or {})
        self._releases: dict[str, dict[str, Served]] = {
            name: {} for name, way in self._ways.items() if way.teacher is not None
        }
        self._loaded = dict(self._releases)
        """The releases of every task, also of one whose file is gone: it may come back."""
        self._bases: dict[str, Served] = {}
        for item in served:
            if item.task is None:
                self._bases[item.name] = item
            else:
                self._loaded.setdefault(item.task.name, {})[item.release] = item
        self._releases |= self._loaded

    def add(self, item: Served) -> None:
        """A release that was loaded since."""
        assert item.task is not None, "a release has a task"
        name = item.task.name
        self._loaded.setdefault(name, {})[item.release] = item
        if name in self._ways or not self._ways:
            self._releases[name] = self._loaded[name]
        self._tell()

    def take_over(self, ways: Mapping[str, Way]) -> None:
        """Other tasks, or others' ways, for the calls from now on; those under way end as they began."""
        named = {name: self._loaded.setdefault(name, {}) for name in ways}
        self._ways = dict(ways)
        self._releases = {name: found for name, found in named.items() if found or ways[name].teacher is not None}
        for name, found in named.items():
            live = self._live(name)
            if live is not None and live not in found:
                self._want(name, live, "live release")
        self._tell()

    def on_change(self, heard: Callable[[], None]) -> None:
        """``heard`` is called after the tasks, or what answers them, have changed."""
        self._heard.append(heard)

    def _tell(self) -> None:
        for heard in self._heard:
            heard()

    def has(self, task: str, release: str) -> bool:
        return release in self._releases.get(task, ())

    def remove(self, task: str, release: str) -> None:
        self._releases[task].pop(release, None)
        self._missed.discard(release)  # it may be live again

    def owner(self, name: str) -> str:
        """The key that alone may know of this release, by its name; empty where the task's rights decide."""
        task, mark, prefix = name.partition("@")
        fitting = [hash for hash in self._releases.get(task, ()) if mark and hash.startswith(prefix)]
        return self._releases[task][fitting[0]].owner if len(fitting) == 1 and fitting[0] != self._live(task) else ""

    def is_private(self, task: str, caller: str) -> bool:
        """Whether all that there is of a task is another key's own."""
        owners = {item.owner for hash, item in self._releases[task].items() if hash != self._live(task)}
        is_open = self._live(task) in self._releases[task] or self._ways.get(task, Way()).teacher is not None
        return not is_open and bool(owners) and not owners & {"", caller}

    def find_passed(self, name: str) -> Passed | None:
        """The provider's model of that name; None where it is one of ours or looks like one, or nothing is passed on."""
        prefix, slash, rest = name.partition("/")
        if slash and rest and prefix in self._points:
            return Passed(self._points[prefix], rest, self._guards)
        is_ours = name.startswith(("task:", "base:", "embed:")) or name.partition("@")[0] in self._releases
        if is_ours or not name or not self._points:
            return None
        return Passed(next(iter(self._points.values())), name, self._guards)

    def find(self, name: str) -> Routed:
        """Raises: ServeError JM-704 unknown name, JM-714 ambiguous prefix, JM-715 the live release is not loaded."""
        if name.startswith("task:"):
            return self.find_task(name.removeprefix("task:"))
        task, mark, prefix = name.partition("@")
        if mark and task in self._releases:
            return self._route_release(task, prefix)
        if name in self._bases:
            return Routed("", self._bases[name], guards=self._guards)
        raise self._unknown(name)

    def find_task(self, name: str) -> Routed:
        """A task by its bare name, whoever answers it; ``name@hash`` is one release."""
        task, mark, prefix = name.partition("@")
        if task not in self._releases:
            raise self._unknown(f"task:{name}")
        if mark:
            return self._route_release(task, prefix)
        live, way = self._live(task), self._ways.get(task, Way())
        student = self._find_live(task, live, has_teacher=way.teacher is not None)
        if student is None and way.teacher is None:
            raise ServeError(
                "JM-715",
                f"the task {task} has no live release here",
                expected=", ".join(sorted(f"{task}@{hash[:12]}" for hash in self._releases[task])),
                got=f"live is {live[:12]}, which this server did not load" if live else "no release is live",
                hint="call again in a moment: it is being loaded, or the server's log says why not"
                if live
                else f"run `journeyman release {task}` first",
                retryable=live is not None,
            )
        teacher = way.teacher
        if teacher is not None and student is not None:
            teacher = replace(teacher, task=student.task)  # one endpoint, one schema: the file may have changed since
        is_sure_enough = student is not None and student.threshold is not None and teacher is not None
        policy = way.policy or ("cascade" if is_sure_enough else "student")
        passed = Passed(way.point, teacher.name, way.guards) if way.point and teacher else None
        return Routed(
            task,
            student,
            teacher,
            policy,
            way.audit,
            self._held(task),
            live or "",
            fallback=way.fallback,
            passed=passed,
            sample=way.sample,
            shadow=way.shadow,
            cache=way.cache,
            canary=self._find_canary(task, student, policy),
            guards=way.guards,
            patience_s=way.patience_s,
        )

    def names(self) -> list[str]:
        """Every name that `find` takes, in the form that is listed to clients."""
        tasks = [
            f"task:{task}"
            for task, found in self._releases.items()
            if self._live(task) in found or self._ways.get(task, Way()).teacher is not None
        ]
        releases = [f"{task}@{hash}" for task, found in self._releases.items() for hash in found]
        return [*tasks, *releases, *self._bases]

    def tasks(self) -> list[Task]:
        """The tasks that have a release or a teacher here, each as its live one (or any) states it."""
        found = []
        for name, releases in self._releases.items():
            way = self._ways.get(name, Way())
            live = releases.get(self._live(name) or "") or next(iter(releases.values()), way.teacher)
            if live is not None and live.task is not None:
                found.append(live.task)
        return found

    def live(self, task: str) -> str | None:
        return self._live(task)

    def _route_release(self, task: str, prefix: str) -> Routed:
        way = self._ways.get(task, Way())
        return Routed(task, self._find_release(task, prefix), sample=way.sample, guards=way.guards)

    def _find_live(self, task: str, live: str | None, *, has_teacher: bool) -> Served | None:
        """The live release. While it is not here yet the teacher answers, and where there is none the release that was live before."""
        if live is None:
            return None
        found = self._releases[task].get(live)
        if found is not None:
            self._last[task] = live
            return found
        self._want(task, live, "live release")
        return None if has_teacher else self._releases[task].get(self._last.get(task, ""))

    def _want(self, task: str, release: str, what: str) -> None:
        if release not in self._missed:
            self._missed.add(release)
            LOG.warning("%s: the %s %s is not loaded here", task, what, release[:12])
            self._wanted(task, release)

    def _find_canary(self, task: str, live: Served | None, policy: Policy) -> tuple[Canary, Served] | None:
        """None while the candidate is not loaded, and where the live release does not answer either."""
        canary = self._canary(task)
        if canary is None or live is None or live.release != canary.live or policy in ("teacher", "shadow"):
            return None
        found = self._releases[task].get(canary.release)
        if found is None:
            self._want(task, canary.release, "candidate")
            return None
        return None if policy == "cascade" and found.threshold is None else (canary, found)

    def _find_release(self, task: str, prefix: str) -> Served:
        fitting = [hash for hash in self._releases[task] if hash.startswith(prefix)]
        if len(fitting) == 1 and (len(prefix) >= PREFIX_LENGTH or fitting[0] == prefix):
            return self._releases[task][fitting[0]]
        if len(fitting) > 1 or (fitting and len(prefix) < PREFIX_LENGTH):
            raise ServeError(
                "JM-714",
                "this release hash is not unique" if len(fitting) > 1 else "this release hash is too short",
                where=f"{task}@{prefix}",
                expected=f"{PREFIX_LENGTH} or more characters that name one of "
                + ", ".join(hash[:12] for hash in sorted(fitting)),
                hint="give more characters of the hash",
            )
        raise self._unknown(f"{task}@{prefix}")

    def _unknown(self, name: str) -> ServeError:
        names = self.names()
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        return ServeError(
            "JM-704",
            f"there is no model {name} here",
            expected="one of " + ", ".join(names) if names else "this server has nothing to serve",
            got=name,
            hint=f"did you mean {close[0]}?" if close else "GET /v1/models lists the names",
        )
