"""Follows files and folders, and brings their index up to date when they change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from journeyman.core.errors import KnowledgeError
from journeyman.flows.knowledge import NAME, STDIN, Added, add
from journeyman.flows.workspace import Workspace

STEP_MS = 200


def follow(workspace: Workspace, given: Sequence[str], name: str = NAME) -> Iterator[list[Added]]:
    """What each change came to, until the caller stops.

    Raises:
        KnowledgeError: JM-957 nothing that can be followed.
    """
    from watchfiles import watch

    paths = [one for one in given if one != STDIN and Path(one).exists()]
    if not paths:
        raise KnowledgeError(
            "JM-957", "nothing here can be followed", got=", ".join(given), hint="name files or folders that are there"
        )
    for _ in watch(*paths, step=STEP_MS, raise_interrupt=False):
        yield add(workspace, paths, name)
