"""The route of a task file: who answers, what is asked unseen, and what is kept in memory."""

from __future__ import annotations

import pytest

from journeyman.core.errors import TaskError
from journeyman.task.file import task_from_mapping
from journeyman.task.task import Cache, Route, Shadow

TASK = {"edition": 1, "name": "paint", "instruction": "Name it.", "input": {"line": "string"}, "output": "text"}


def read(route: object) -> Route:
    return task_from_mapping(TASK | {"route": route}, "tasks/paint.yaml").route


def test_shadow_and_cache_are_off_until_they_are_stated() -> None:
    assert read({}) == Route()
    assert Route().cache is None
    assert read({"policy": "shadow"}) == Route("shadow", shadow=Shadow(1.0, None))
    stated = {"policy": "shadow", "shadow": {"share": 0.2, "calls_per_minute": 60}}
    assert read(stated) == Route("shadow", shadow=Shadow(0.2, 60))
    assert read({"cache": {"seconds": 60.0}}).cache == Cache(60.0, 1000, shared=False)
    assert read({"cache": {"seconds": 60, "entries": 5, "shared": True}}).cache == Cache(60.0, 5, shared=True)
    assert read({"cache": {"seconds": 60, "semantic": 0.95}}).cache == Cache(60.0, semantic=0.95)


def test_a_shadow_without_its_policy_is_refused() -> None:
    with pytest.raises(TaskError, match="JM-270") as caught:
        read({"policy": "cascade", "shadow": {"share": 0.2}})
    assert (caught.value.expected, caught.value.got) == ("policy: shadow", "policy: cascade")


@pytest.mark.parametrize(
    ("route", "code", "told"),
    [
        ({"cache": {"secnds": 3}}, "JM-202", "seconds, entries, shared, semantic"),
        ({"shadow": {"shared": 3}}, "JM-202", "share, calls_per_minute"),
        ({"cach": {}}, "JM-202", "policy, audit, patience_s, fallback, shadow, cache"),
        ({"cache": {}}, "JM-203", "route.cache.seconds"),
        ({"cache": {"seconds": 0}}, "JM-203", "greater than 0"),
        ({"policy": "shadow", "shadow": {"share": 0.0}}, "JM-203", "greater than 0"),
    ],
)
def test_what_is_wrong_is_named(route: object, code: str, told: str) -> None:
    with pytest.raises(TaskError) as caught:
        read(route)
    assert caught.value.code == code
    assert told in str(caught.value)
