"""The process of a user's function: `python -m journeyman.measure.worker FILE NAME`, a line of JSON in, a line of JSON out."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path


def main() -> int:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    asked = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(2, 1)  # what the function prints is not an answer
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # and what its own processes read are not the rows
    path, name = Path(sys.argv[1]), sys.argv[2]

    def say(answer: dict[str, object]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        function = _load(path, name)
    except BaseException as error:  # noqa: BLE001 - whatever a user's file does is told
        say({"error": _describe(error)})
        return 1
    say({"ready": True})
    for line in asked:
        try:
            value = function(**json.loads(line))
            number = _to_number(value)
        except Exception as error:  # noqa: BLE001
            say({"error": _describe(error)})
            continue
        say({"value": number, "shown": repr(value)[:200]})
    return 0


def _to_number(value: object) -> float | None:
    """Numbers of any kind, numpy's too; None for anything else, and for NaN."""
    if value is None or isinstance(value, str | bytes):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number == number else None


def _load(path: Path, name: str) -> Callable[..., object]:
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, name)
    if not callable(function):
        raise TypeError(f"{name} is no function")
    return function  # type: ignore[no-any-return]


def _describe(error: BaseException) -> str:
    """Type, message and the line of the user's file."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    line = f", line {place.tb_lineno}" if place is not None else ""
    return f"{type(error).__name__}: {str(error)[:200]}{line}"


if __name__ == "__main__":
    sys.exit(main())
