"""Which side a call is on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.canonical import Json
from journeyman.core.errors import TaskError
from journeyman.core.messages import make_message
from journeyman.gateway.answer import Call
from journeyman.gateway.canary import choose, find_place, find_unit
from journeyman.gateway.registry import Routed, Served
from journeyman.store.canaries import Canary, Sticky
from tests.gateway.conftest import LIVE, OLD, TICKETS

MODEL: Any = None  # nobody is asked here
STUDENT, CANDIDATE, TEACHER = (Served(name, MODEL, TICKETS, release) for name, release in (("live", LIVE), ("candidate", OLD), ("big", "")))  # fmt: skip


def canary(share: float, sticky: Sticky = "person", audit: float = 0.0) -> Canary:
    return Canary("canary-1", "tickets", OLD, LIVE, share, "salt", sticky, audit, False, "t", ())


def routed(share: float, **more: Any) -> Routed:
    values = {"canary": (canary(share, more.pop("sticky", "person"), more.pop("audit", 0.0)), CANDIDATE)} | more
    return Routed("tickets", STUDENT, TEACHER, "student", **values)


def call(message: str = "my card is gone", meta: Mapping[str, Json] | None = None, **more: Any) -> Call:
    return Call(STUDENT, (make_message("user", message),), meta=meta or {}, **more)


def is_in(share: float, asked: Call, **more: Any) -> bool:
    chosen = choose(routed(share, **more), asked, lambda: 0.5)
    assert chosen.arm is not None
    assert chosen.student is (CANDIDATE if chosen.arm.is_candidate else STUDENT)
    assert chosen.arm.other is (STUDENT if chosen.arm.is_candidate else CANDIDATE)
    return chosen.arm.is_candidate


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_who_is_in_stays_in_when_the_share_grows(person: str, one: float, two: float) -> None:
    asked = call(meta={"person": person or "nobody"})
    if is_in(min(one, two), asked):
        assert is_in(max(one, two), asked)


def test_the_share_is_the_share_of_people_and_another_salt_draws_others() -> None:
    places = [[find_place(salt, f"person {number}") for number in range(4000)] for salt in ("a", "b")]
    assert all(0 <= place < 1 for place in places[0])
    chosen = [{number for number, place in enumerate(drawn) if place < 0.1} for drawn in places]
    assert all(330 < len(people) < 470 for people in chosen)
    assert len(chosen[0] & chosen[1]) < 100
    everybody = [call(meta={"person": f"{number}"}) for number in range(50)]
    assert not any(is_in(0.0, asked) for asked in everybody)
    assert all(is_in(1.0, asked) for asked in everybody)


def test_what_stays_on_one_side() -> None:
    key = {"key": "key-1"}
    assert find_unit("person", call("one", {"person": "p", **key})) == find_unit("person", call("two", {"person": "p"}))
    assert find_unit("person", call("one", key, conversation="c")) == find_unit("person", call("two", conversation="c"))
    assert find_unit("person", call("one", key)) == find_unit("person", call("one")) != find_unit("person", call("two"))
    assert find_unit("key", call("one", {"person": "p", **key})) == find_unit("key", call("two", key))
    assert find_unit("key", call("one", {"person": "p"})) == find_unit("person", call("two", {"person": "p"}))
    assert find_unit("input", call("one", {"person": "p", **key})) == find_unit("input", call("one"))
    typed = Call(STUDENT, input={"message": "one"})
    assert find_unit("input", typed) == find_unit("input", call("one"))
    with pytest.raises(TaskError):
        find_unit("input", Call(STUDENT, (make_message("system", "be brief"),)))


def test_an_evaluation_a_held_release_and_a_task_without_a_candidate_have_no_sides() -> None:
    assert choose(routed(1.0), call(origin="assess"), lambda: 0.0).arm is None
    assert choose(routed(1.0, held="drift"), call(), lambda: 0.0).arm is None
    assert choose(routed(1.0, canary=None), call(), lambda: 0.0).arm is None


def test_the_share_that_is_compared_is_drawn_anew_for_each_call() -> None:
    draws = iter([0.1, 0.3])
    chosen = [choose(routed(0.5, audit=0.2), call(), lambda: next(draws)).arm for _ in range(2)]
    assert [arm is not None and arm.is_compared for arm in chosen] == [True, False]
