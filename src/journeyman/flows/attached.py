"""What a release carries of its own evaluation, for those who serve and watch it: read without the code that made it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from journeyman.core.errors import GateError
from journeyman.flows.runs import ATTACHMENTS, EVALUATION

T = TypeVar("T")


def read_attached(release: Path, read: Callable[[dict[str, Any]], T]) -> T | None:
    """What ``read`` makes of the evaluation in a release's folder; None where it has none.

    Raises:
        GateError: JM-609 it cannot be read.
    """
    path = release / ATTACHMENTS / EVALUATION
    if not path.is_file():
        return None
    try:
        return read(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GateError(
            "JM-609",
            "this release's evaluation cannot be read",
            where=str(path),
            got=f"{type(error).__name__}: {error}"[:300],
            hint="restore the folder from a copy, or release again",
        ) from error
