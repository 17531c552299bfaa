from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from journeyman.core.errors import StoreError
from journeyman.store.database import Store, open_store
from journeyman.store.jobs import Job, seconds

START = "2026-11-21T10:00:00Z"
INSIDE = "2026-11-21T10:00:29.9+00:00"
AFTER = "2026-11-21T11:00:30+01:00"


def test_a_job_from_queue_to_result(store: Store) -> None:
    id = store.add_job("tune", {"task": "tickets"})
    assert store.job(id) == Job(id, "tune", {"task": "tickets"}, "queued", "", 0, None, "")
    job = store.claim_job("w1", START, 30)
    assert job == Job(id, "tune", {"task": "tickets"}, "running", "w1", 1, None, "")
    assert store.claim_job("w2", START, 30) is None
    assert store.finish_job(id, result={"release": "r1"}, worker="w1")
    assert store.job(id) == Job(id, "tune", {"task": "tickets"}, "done", "w1", 1, {"release": "r1"}, "")
    assert not store.finish_job(id, result={"release": "r2"})
    assert store.claim_job("w2", AFTER, 30) is None


def test_a_failed_job_says_why(store: Store) -> None:
    id = store.add_job("tune", None)
    store.claim_job("w1", START, 30)
    assert store.finish_job(id, error="JM-801 the disk is full")
    job = store.job(id)
    assert job is not None
    assert (job.status, job.error, job.result, job.payload) == ("failed", "JM-801 the disk is full", None, None)


def test_jobs_are_claimed_oldest_first(store: Store) -> None:
    ids = [store.add_job("tune", number) for number in range(3)]
    assert [job.id for job in store.jobs()] == ids
    claimed = [store.claim_job("w", START, 30) for _ in ids]
    assert [job.id for job in claimed if job] == ids


def test_an_expired_lease_is_claimable_again(store: Store) -> None:
    id = store.add_job("tune", {})
    store.claim_job("w1", START, 30)
    assert store.claim_job("w2", INSIDE, 30) is None
    taken = store.claim_job("w2", AFTER, 30)
    assert taken is not None
    assert (taken.id, taken.worker, taken.attempts) == (id, "w2", 2)
    assert not store.heartbeat(id, "w1", AFTER, 30)
    assert not store.finish_job(id, result="late", worker="w1")
    assert store.finish_job(id, result="right", worker="w2")


def test_a_heartbeat_keeps_the_job(store: Store) -> None:
    id = store.add_job("tune", {})
    store.claim_job("w1", START, 30)
    assert store.heartbeat(id, "w1", INSIDE, 30)
    assert store.claim_job("w2", AFTER, 30) is None
    store.finish_job(id, result=1)
    assert not store.heartbeat(id, "w1", AFTER, 30)


def test_an_unknown_job(store: Store) -> None:
    assert store.job("job-404") is None
    with pytest.raises(StoreError, match="JM-813 there is no such job"):
        store.finish_job("job-404", result=1)


def test_workers_at_once_never_share_a_job(url: str) -> None:
    with open_store(url) as one, open_store(url) as two, ThreadPoolExecutor(8) as pool:
        ids = [one.add_job("tune", number) for number in range(20)]
        claims = list(pool.map(lambda n: (one, two)[n % 2].claim_job(f"w{n}", START, 30), range(30)))
        got = [job.id for job in claims if job]
        assert sorted(got) == sorted(ids)
        assert all(job.attempts == 1 for job in one.jobs())


def test_times_are_utc_unless_they_say_otherwise() -> None:
    assert seconds("2026-11-21T10:00:00") == seconds("2026-11-21T10:00:00Z") == seconds("2026-11-21T12:00:00+02:00")
    with pytest.raises(ValueError):
        seconds("yesterday")
