"""The examples that a teacher is shown: recorded rows that are, or become, train rows; never dev or sealed ones, and no made-up ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import fsum

from journeyman.core.canonical import Json
from journeyman.core.example import Example
from journeyman.core.trace import Trace
from journeyman.data.candidates import ORIGINS, SYNTHETIC, hash_input, read_trace
from journeyman.data.near import near_text
from journeyman.data.synthesis.cells import Aim
from journeyman.store.database import Store
from journeyman.store.rows import Assignment
from journeyman.task.task import Task

MOST_SEEDS = 200
WORD = re.compile(r"\w+")
MADE_BY = "synthesis"
"""In a made-up row's ``meta``: the run that made it."""
UNPREPARED_SHARE = 0.6
"""Of rows that no dataset has placed yet: the others are left for dev and the sealed split."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """``rows`` to show, in the order of their hashes; ``fresh`` those of them that no split has yet. ``known``: the texts of all inputs there are, sealed ones too: a
    made-up input near to one of them is dropped."""

    rows: tuple[Example, ...]
    fresh: frozenset[str]
    known: tuple[str, ...]

    def turn(self, number: int, count: int, wanted: tuple[str, Json] | None = None) -> tuple[Example, ...]:
        """The examples of one call: each is shown as often as the others, and those that have what is wanted first."""
        if not self.rows:
            return ()
        count = min(count, len(self.rows))
        turned = [self.rows[(number * count + place) % len(self.rows)] for place in range(len(self.rows))]
        if wanted is not None and wanted[1] is None:
            aim = Aim(wanted[0])
            turned.sort(key=lambda row: row.answer is None or not aim.fits(row.answer.value))
        return tuple(turned[:count])

    def nearest(self, text: str, count: int) -> tuple[Example, ...]:
        """Answered examples that share the most, and the rarest, words with a text, the nearest last."""
        own = set(_words(text))
        answered = [row for row in self.rows if row.answer is not None]
        said = [set(_words(near_text(row))) for row in answered]
        common = Counter(word for words in said for word in words)
        # exactly rounded: sets have another order in every process
        scores = [fsum(1 / common[word] for word in own & words) for words in said]
        order = sorted(range(len(answered)), key=lambda place: (-scores[place], place))[:count]
        return tuple(answered[place] for place in reversed(order))

    def only(self, ids: Sequence[str]) -> Seeds:
        kept = {row.id: row for row in self.rows}
        return replace(self, rows=tuple(kept[id] for id in ids if id in kept))

    def pin(self, store: Store, task: str) -> None:
        """From now on they are train rows."""
        names = [hash_input(row) for row in self.rows]
        store.add_assignments(task, {name: Assignment(name, "train") for name in names if name in self.fresh})


def find_seeds(task: Task, store: Store, run: str) -> Seeds:
    """Rows with an answer first. What the ``run`` itself made is not known: it makes it again when it goes on."""
    assigned = store.assignments(task.name)
    tombstones = frozenset(store.tombstones(task.name))
    rows: dict[str, Example] = {}
    known: dict[str, str] = {}
    kept_back: set[str] = set()
    for trace in store.traces(task.name, origins=ORIGINS):
        example, reason = read_trace(task, trace)
        name = hash_input(example)
        if trace.has_content and trace.meta.get(MADE_BY) != run:
            known.setdefault(name, near_text(example, task.filled))
        if trace.split not in ("", "train"):
            kept_back.add(name)
        if not reason and example.hash not in tombstones and _may_be_shown(trace, assigned.get(name)):
            rows.setdefault(name, example)
    rows = {name: row for name, row in rows.items() if name not in kept_back}
    fresh = [name for name in rows if name not in assigned]
    if len(fresh) == len(rows) and not assigned:
        fresh = sorted(fresh)[: max(1, round(UNPREPARED_SHARE * len(fresh)))]
        rows = {name: rows[name] for name in fresh}
    elif assigned:
        rows = {name: row for name, row in rows.items() if name in assigned}
        fresh = []
    ordered = sorted(rows, key=lambda name: (rows[name].answer is None, name))[:MOST_SEEDS]
    return Seeds(tuple(rows[name] for name in ordered), frozenset(fresh) & set(ordered), tuple(known.values()))


def _words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def _may_be_shown(trace: Trace, assigned: Assignment | None) -> bool:
    is_train = trace.split in ("", "train") and (assigned is None or assigned.split == "train")
    return is_train and trace.origin != SYNTHETIC
