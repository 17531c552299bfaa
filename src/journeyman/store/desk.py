"""Callers' files and jobs: what they may list, and what workers claim and write. Every write is one transaction.

Times are ISO 8601 in UTC and come from the caller.
"""

from __future__ import annotations

from journeyman.core.canonical import Json
from journeyman.store import files, job_events, jobs
from journeyman.store.engine import Database
from journeyman.store.files import StoredFile
from journeyman.store.job_events import JobEvent, Level
from journeyman.store.jobs import Job


class Desk:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add_file(self, file: StoredFile) -> None:
        with self._database.writing() as connection:
            files.add_file(connection, file)

    def file(self, id: str, owner: str) -> StoredFile | None:
        """None as well where it is another owner's."""
        with self._database.reading() as connection:
            return files.read_file(connection, id, owner)

    def files(
        self, owner: str, purpose: str = "", after: str = "", limit: int = 100, *, is_ascending: bool = False
    ) -> list[StoredFile]:
        """Raises JM-813: ``after`` is no file of this owner."""
        with self._database.reading() as connection:
            return files.read_page(connection, owner, purpose, after, limit, is_ascending=is_ascending)

    def delete_file(self, id: str, owner: str) -> bool:
        """False: it is not there."""
        with self._database.writing() as connection:
            return files.delete_file(connection, id, owner)

    def add_job(self, kind: str, payload: Json, owner: str, now: str, prefix: str) -> str:
        """Queue work; its id."""
        with self._database.writing() as connection:
            return jobs.add_job(connection, kind, payload, owner, now, prefix)

    def job(self, id: str, owner: str) -> Job | None:
        """None as well where it is another owner's."""
        with self._database.reading() as connection:
            found = jobs.read_job(connection, id)
        return found if found is not None and found.owner == owner else None

    def jobs(self, kind: str, owner: str, after: str = "", limit: int = 20) -> list[Job]:
        """Newest first. Raises JM-813: ``after`` is no job of this owner."""
        with self._database.reading() as connection:
            return jobs.read_page(connection, kind, owner, after, limit)

    def done_jobs(self, kind: str, limit: int) -> list[Job]:
        """The last that were done, the latest first, whoever asked."""
        with self._database.reading() as connection:
            return jobs.read_done(connection, kind, limit)

    def claim(self, kind: str, worker: str, now: str, lease_s: float) -> Job | None:
        """The oldest of a kind that waits or whose lease ran out, now this worker's."""
        with self._database.writing() as connection:
            return jobs.claim_job(connection, worker, now, lease_s, kind)

    def has_claimable(self, kind: str, now: str) -> bool:
        """Whether `claim` would find one: a look that takes no lock."""
        with self._database.reading() as connection:
            return jobs.has_claimable(connection, kind, now)

    def put_back(self, id: str, worker: str, *, is_counted: bool) -> bool:
        """Let the next worker have a job at once. False: it is not this worker's."""
        with self._database.writing() as connection:
            return jobs.put_back_job(connection, id, worker, is_counted=is_counted)

    def cancel(self, id: str, now: str) -> bool:
        """False: it has ended, or is not there."""
        with self._database.writing() as connection:
            return jobs.cancel_job(connection, id, now)

    def write_state(self, id: str, worker: str, state: Json) -> bool:
        """What the next worker needs to go on. False: it is not this worker's, which must stop."""
        with self._database.writing() as connection:
            return jobs.write_state(connection, id, worker, state)

    def finish(self, id: str, worker: str, now: str, *, result: Json = None, error: str = "") -> bool:
        """False: it is not running, or not this worker's."""
        with self._database.writing() as connection:
            return jobs.finish_job(connection, id, result, error, worker, now)

    def add_event(self, job: str, now: str, message: str, level: Level = "info", data: Json = None) -> None:
        with self._database.writing() as connection:
            job_events.add_event(connection, job, now, level, message, data)

    def events(self, job: str, before: int | None = None, limit: int = 20) -> list[JobEvent]:
        """The latest first."""
        with self._database.reading() as connection:
            return job_events.read_events(connection, job, before, limit)
