"""An answer's values by their paths: all there are, null ones too; read, set and taken out, each in a copy."""

from __future__ import annotations

from collections.abc import Iterator

from journeyman.core.canonical import Json
from journeyman.knowledge.extract.leaves import Path


def find_paths(answer: Json, path: Path = ()) -> Iterator[Path]:
    """Of every value that holds no other, in the answer's order; an empty list is one."""
    if isinstance(answer, dict) and answer:
        for key, item in answer.items():
            yield from find_paths(item, (*path, key))
    elif isinstance(answer, list) and answer:
        for place, item in enumerate(answer):
            yield from find_paths(item, (*path, place))
    else:
        yield path


def get_at(answer: Json, path: Path) -> Json:
    """None where there is nothing."""
    for step in path:
        if isinstance(answer, dict) and step in answer:
            answer = answer[str(step)]
        elif isinstance(answer, list) and isinstance(step, int) and step < len(answer):
            answer = answer[step]
        else:
            return None
    return answer


def put_at(answer: Json, path: Path, value: Json) -> Json:
    """With this value there; a path that leads nowhere changes nothing but the last key of an object."""
    if not path:
        return value
    step, *rest = path
    if isinstance(answer, dict):
        return {**answer, str(step): put_at(answer.get(str(step)), tuple(rest), value)}
    if isinstance(answer, list):
        return [put_at(item, tuple(rest), value) if place == step else item for place, item in enumerate(answer)]
    return answer


def drop_at(answer: Json, path: Path) -> Json:
    """Without the key or the list's item that stands there."""
    *rest, last = path
    if isinstance(answer, dict):
        if not rest:
            return {key: item for key, item in answer.items() if key != last}
        return {key: drop_at(item, path[1:]) if key == path[0] else item for key, item in answer.items()}
    if isinstance(answer, list):
        if not rest:
            return [item for place, item in enumerate(answer) if place != last]
        return [drop_at(item, path[1:]) if place == path[0] else item for place, item in enumerate(answer)]
    return answer


def row_of(path: Path) -> Path:
    """The list's item that a value stands in, of the innermost list; nothing for a value outside lists."""
    places = [number for number, step in enumerate(path) if isinstance(step, int)]
    return path[: places[-1] + 1] if places else ()


def without_row(path: Path, row: Path) -> Path | None:
    """Where a value stands once a list's item is gone; None where it stood in it."""
    *before, place = row
    if path[: len(row)] == row:
        return None
    depth = len(before)
    step = path[depth] if len(path) > depth else None
    is_after = path[:depth] == tuple(before) and isinstance(step, int) and isinstance(place, int) and step > place
    return (*path[:depth], int(step) - 1, *path[depth + 1 :]) if is_after and step is not None else path
