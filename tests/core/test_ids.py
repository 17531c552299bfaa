from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.ids import make_id, make_trace_id

MOMENTS = st.integers(100_000, 7_000_000_000_000).map(lambda ms: datetime.fromtimestamp(ms / 1000, UTC))
ENTROPY = st.integers(0, 2**30 - 1)


@given(MOMENTS, MOMENTS, ENTROPY, ENTROPY)
def test_ids_sort_by_time_to_the_second(one: datetime, other: datetime, left: int, right: int) -> None:
    if one.replace(microsecond=0) < other.replace(microsecond=0):
        assert make_id("run", one, left) < make_id("run", other, right)


@given(MOMENTS, ENTROPY, ENTROPY)
def test_within_a_second_the_random_bits_tell_apart(moment: datetime, left: int, right: int) -> None:
    one, other = make_id("run", moment, left), make_id("run", moment, right)
    assert (one < other, one == other) == (left < right, left == right)


@given(MOMENTS, st.integers(-12, 12))
def test_the_time_zone_of_the_clock_does_not_matter(moment: datetime, hours: int) -> None:
    elsewhere = moment.astimezone(timezone(timedelta(hours=hours)))
    assert make_id("run", elsewhere, 0) == make_id("run", moment, 0)


def test_an_id_reads_as_prefix_time_and_tail() -> None:
    assert make_id("run", datetime(2026, 11, 21, 10, 15, tzinfo=UTC), 33) == "run-20261121T101500-000011"


def test_ids_are_safe_file_names_on_every_system() -> None:
    made = [make_id("run") for _ in range(500)]
    assert all(re.fullmatch(r"run-\d{8}T\d{6}-[0-9a-hjkmnp-tv-z]{6}", name) for name in made)
    assert len({name.lower() for name in made}) == len(made)


def test_a_hundred_thousand_traces_of_one_second_are_apart() -> None:
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    ids = {make_trace_id(moment) for _ in range(100_000)}
    assert len(ids) == 100_000
    assert len({len(id) for id in ids}) == 1
