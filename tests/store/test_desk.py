"""Callers' files and jobs in the store: whose they are, pages of them, leases, and what a worker that lost its job may still write."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from journeyman.core.errors import StoreError
from journeyman.store.database import Store, open_store
from journeyman.store.files import StoredFile
from tests.store.schemas import at_revision

NOW, LATER = "2026-11-21T10:00:00Z", "2026-11-21T10:01:00Z"


def add(store: Store, owner: str = "a", kind: str = "tuning") -> str:
    return store.desk.add_job(kind, {"of": owner}, owner, NOW, "ftjob")


def test_files_are_their_owners_own_and_come_in_pages(store: Store) -> None:
    made = [
        StoredFile(f"file-{number}", "a", f"{number}.jsonl", "fine-tune", NOW, 7, {"rows": 1}) for number in range(3)
    ]
    for file in [*made, StoredFile("file-9", "b", "x", "fine-tune", NOW, 1)]:
        store.desk.add_file(file)
    assert store.desk.file("file-1", "a") == made[1]
    assert store.desk.file("file-9", "a") is None
    assert store.desk.files("a", limit=2) == [made[2], made[1]]
    assert store.desk.files("a", after="file-1", limit=9) == [made[0]]
    assert store.desk.files("a", after="file-1", is_ascending=True) == [made[2]]
    assert store.desk.files("a", purpose="other") == []
    with pytest.raises(StoreError, match="JM-813"):
        store.desk.files("a", after="file-9")
    assert not store.desk.delete_file("file-1", "b")
    assert store.desk.delete_file("file-1", "a")
    assert store.desk.file("file-1", "a") is None


def test_jobs_are_listed_to_their_owner_alone(store: Store) -> None:
    first, second, other = add(store), add(store), add(store, "b")
    add(store, kind="else")
    assert first.startswith("ftjob-")
    assert [job.id for job in store.desk.jobs("tuning", "a")] == [second, first]
    assert [job.id for job in store.desk.jobs("tuning", "a", after=second)] == [first]
    assert store.desk.job(other, "a") is None
    with pytest.raises(StoreError, match="JM-813"):
        store.desk.jobs("tuning", "a", after=other)


def test_a_cancelled_job_is_no_workers(store: Store) -> None:
    id = add(store)
    assert not store.desk.has_claimable("else", NOW)
    assert store.desk.has_claimable("tuning", NOW)
    assert store.desk.claim("else", "w", NOW, 30) is None
    assert store.desk.claim("tuning", "w", NOW, 30) is not None
    assert not store.desk.has_claimable("tuning", NOW)
    assert store.desk.write_state(id, "w", {"dataset": "d"})
    assert store.desk.cancel(id, LATER)
    assert not store.desk.cancel(id, LATER)
    assert not store.heartbeat(id, "w", NOW, 30)
    assert not store.desk.write_state(id, "w", {"dataset": "e"})
    assert not store.desk.put_back(id, "w", is_counted=True)
    assert not store.desk.finish(id, "w", LATER, result={})
    assert store.desk.claim("tuning", "w", LATER, 30) is None
    job = store.desk.job(id, "a")
    assert job is not None
    assert (job.status, job.finished, job.state) == ("cancelled", LATER, {"dataset": "d"})


def test_put_back_counted_or_not(store: Store) -> None:
    id = add(store)
    for is_counted, attempts in ((True, 1), (False, 2), (True, 2)):
        job = store.desk.claim("tuning", "w", NOW, 30)
        assert job is not None
        assert job.attempts == attempts
        assert store.desk.put_back(id, "w", is_counted=is_counted)
    assert not store.desk.put_back(id, "w", is_counted=True)


def test_what_was_done_comes_latest_first(store: Store) -> None:
    ids = [add(store), add(store, "b"), add(store)]
    assert all(store.desk.claim("tuning", "w", NOW, 30) for _ in ids)
    for id, time in ((ids[1], NOW), (ids[0], LATER)):
        assert store.desk.finish(id, "w", time, result={"id": id})
    assert store.desk.finish(ids[2], "w", LATER, error="JM-1 no", result={"param": "x"})
    assert [job.id for job in store.desk.done_jobs("tuning", 5)] == [ids[0], ids[1]]
    failed = store.desk.job(ids[2], "a")
    assert failed is not None
    assert (failed.status, failed.error, failed.result) == ("failed", "JM-1 no", {"param": "x"})


def test_events_come_in_pages_the_latest_first(store: Store) -> None:
    for number in range(3):
        store.desk.add_event("job-1", NOW, f"line {number}", data={"step": number} if number else None)
    store.desk.add_event("job-2", NOW, "other", "warn")
    found = store.desk.events("job-1", limit=2)
    assert [(event.message, event.data, event.level) for event in found] == [
        ("line 2", {"step": 2}, "info"),
        ("line 1", {"step": 1}, "info"),
    ]
    assert [event.message for event in store.desk.events("job-1", found[-1].number)] == ["line 0"]


def test_jobs_of_an_earlier_schema_come_along(url: str) -> None:
    with at_revision(url, "0004") as connection:
        columns = "id, kind, status, worker, attempts, error"
        connection.execute(text(f"INSERT INTO jobs ({columns}) VALUES ('job-1', 'tune', 'queued', '', 0, '')"))
    with open_store(url) as store:
        claimed = store.claim_job("w", NOW, 30)
        assert claimed is not None
        assert (claimed.id, claimed.owner, claimed.created, claimed.state) == ("job-1", "", "", None)
        assert store.desk.files("") == []
