"""Costly answers about many items, kept as they come: a file with a line per item, ``[key, answer]``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from journeyman.core.canonical import Json
from journeyman.core.files import disk_errors, mend_lines
from journeyman.core.progress import Progress

Item = TypeVar("Item")


def keep_answers(
    path: Path,
    parts: Sequence[Sequence[Item]],
    key: Callable[[Item], str],
    ask: Callable[[Sequence[Item]], Sequence[Json]],
    progress: Progress,
    what: str,
) -> dict[str, Json]:
    """The answer about every item, by its key; what the file at ``path`` holds is not asked again.

    A part is asked as a whole, also when a kill has left some of it: answers that depend on their neighbours (draws from one generator,
    sums over one batch) are then those of an undisturbed run.

    Raises:
        StoreError: JM-801 disk full, JM-802 not writable.
    """
    known: dict[str, Json] = dict(map(json.loads, mend_lines(path)))
    missing = [part for part in parts if any(key(item) not in known for item in part)]
    progress.start(what, sum(map(len, missing)), "rows")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            for part in missing:
                for item, answer in zip(part, ask(part), strict=True):
                    if key(item) not in known:
                        known[key(item)] = answer
                        file.write(json.dumps([key(item), answer]) + "\n")
                file.flush()
                progress.advance(len(part))
    progress.finish()
    return known
