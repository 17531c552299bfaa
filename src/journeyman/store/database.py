"""The store: one object over the database, used from many threads.

Every write is one transaction, durable when the method returns. Times are ISO 8601 in UTC and come from the caller.
Every method may raise ``StoreError`` for the database's own failures (see ``store.failures``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from journeyman.core.canonical import Json
from journeyman.core.example import Example
from journeyman.core.keys import Key
from journeyman.core.trace import Trace
from journeyman.store import (
    activity,
    aliases,
    budgets,
    canaries,
    datasets,
    erasure,
    jobs,
    keys,
    ledger,
    rows,
    runs,
    schema,
    traces,
)
from journeyman.store.activity import Activity
from journeyman.store.aliases import AliasEntry
from journeyman.store.budgets import Ask, Refusal, Spend
from journeyman.store.canaries import Canary, Outcome, Step
from journeyman.store.datasets import DatasetEntry
from journeyman.store.desk import Desk
from journeyman.store.engine import Database, Durability, open_database
from journeyman.store.jobs import Job
from journeyman.store.ledger import Look
from journeyman.store.rows import Assignment
from journeyman.store.runs import Run
from journeyman.store.statements import in_chunks


def open_store(url: str, *, durability: Durability = "wal", busy_timeout_s: float = 30.0) -> Store:
    """Open the database, made or brought to this version's schema first; close it after use (it is a context manager).

    ``durability``: ``wal`` survives the death of the process at any moment, ``full`` also that of the machine.
    ``busy_timeout_s``: how long a write waits for another one.

    Raises:
        StoreError: JM-801 disk full, JM-802 not writable, JM-803 made by a later version, JM-804 damaged, JM-805 locked,
            JM-810 no write-ahead log there, JM-811 not ours, JM-816 server not reached, JM-818 unknown url.
    """
    database = open_database(url, durability, busy_timeout_s)
    try:
        schema.bring_to_head(database)
    except BaseException:
        database.close()
        raise
    return Store(database)


class Store:
    """What ``open_store`` returns. Grouped as its modules are: traces, rows, datasets, ledger, aliases, canaries, runs, jobs, keys, budgets."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.alias_moves = 0
        """Moves of aliases, holds, resumptions and canaries by this object; who keeps what an alias says looks at it."""

    @property
    def desk(self) -> Desk:
        """Callers' files and jobs."""
        return Desk(self._database)

    @property
    def where(self) -> str:
        """The file's path, or the server's address without its password."""
        return self._database.where

    def close(self) -> None:
        self._database.close()

    def probe(self) -> None:
        """Raises StoreError where nothing can be read."""
        with self._database.reading() as connection:
            traces.count_traces(connection, "")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add_traces(self, items: Iterable[Trace], spends: Sequence[Spend] = ()) -> int:
        """Add traces; the number really added. One whose id, or whose (task, row_key), is there already adds nothing. What they cost is spent from
        its leases in the same transaction."""
        records = traces.make_records(items)
        if self._database.is_sqlite:

            def write(plain: sqlite3.Connection) -> int:
                if spends:
                    budgets.spend_plainly(plain, spends)
                return traces.add_plainly(plain, records)

            return self._database.write_plainly(write)
        with self._database.writing() as connection:
            if spends:
                budgets.spend(connection, spends)
            return traces.add_records(connection, records)

    def traces(self, task: str, *, origins: Collection[str] | None = None) -> Iterator[Trace]:
        """A task's traces in insertion order, a page in memory at a time; what is added meanwhile does not show."""
        return traces.read_traces(self._database, task, origins)

    def new_traces(self, task: str, after: int, *, origins: Collection[str]) -> Iterator[tuple[int, Trace]]:
        """Traces that came after the one numbered ``after`` (0: all), with their numbers."""
        return traces.read_numbered(self._database, task, origins, after)

    def trace(self, id: str) -> Trace | None:
        with self._database.reading() as connection:
            return traces.read_trace(connection, id)

    def count_traces(self, task: str, *, origins: Collection[str] | None = None) -> int:
        with self._database.reading() as connection:
            return traces.count_traces(connection, task, origins)

    def has_row_keys(self, task: str, keys: Iterable[str]) -> set[str]:
        """Those of ``keys`` that traces of the task have."""
        with self._database.reading() as connection:
            return traces.find_row_keys(connection, task, keys)

    def add_feedback(self, trace_id: str, feedback: Mapping[str, Json]) -> None:
        """Merge feedback into a trace; a later value of the same key wins. Raises JM-813: no such trace."""
        with self._database.writing() as connection:
            traces.add_feedback(connection, trace_id, feedback)

    def add_verdicts(self, changes: Mapping[str, Mapping[str, Json]]) -> None:
        """Merge verdicts into traces by their ids, all or none of it; a trace that is gone is left out."""
        with self._database.writing() as connection:
            traces.add_verdicts(connection, changes)

    def set_judgements(
        self, by: str, changes: Mapping[str, Mapping[str, Json] | None]
    ) -> dict[str, dict[str, Json] | None]:
        """What one person says of traces, all or none of it, None takes it back; what stood there before. A trace that is gone is left out."""
        with self._database.writing() as connection:
            return traces.set_judgements(connection, by, changes)

    def calls_of(self, *, key: str = "", person: str = "", id: str = "") -> Iterator[Trace]:
        """Recorded calls of a key, of a person (by hash), or one by its id, whatever their task."""
        return erasure.find_calls(self._database, key=key, person=person, id=id)

    def delete_calls(self, ids: Iterable[str]) -> int:
        """Delete traces; the number that were there. Chunk by chunk: who is stopped half way begins again."""
        gone = 0
        for chunk in in_chunks(ids):
            with self._database.writing() as connection:
                gone += erasure.delete_calls(connection, chunk)
        return gone

    def move_traces(self, changes: Sequence[tuple[Trace, Trace]]) -> int:
        """Write traces as they are now over what they were, by id; the number written. One that was changed or erased in the meantime stays as it is."""
        records = traces.make_records(after for _before, after in changes)
        with self._database.writing() as connection:
            befores = (before for before, _after in changes)
            return traces.move_records(connection, zip(befores, records, strict=True))

    def count_passed(self) -> dict[str, int]:
        """Recorded calls by ``model:NAME``, of models that calls were passed on to."""
        with self._database.reading() as connection:
            return traces.count_passed(connection)

    def count_old(self, task: str, before: str) -> int:
        """Recorded calls of a task from before a time (ISO 8601 in UTC); what was imported is none."""
        with self._database.reading() as connection:
            return erasure.count_old(connection, task, before)

    def delete_old(self, task: str, before: str) -> Iterator[int]:
        """Delete what `count_old` counts, a chunk at each step; yields its size."""
        return erasure.delete_old(self._database, task, before)

    def erase_rows(self, task: str, hashes: Iterable[str], reason: str, time: str) -> int:
        """Delete rows and leave tombstones; the number newly marked. Datasets that name them are read without them."""
        marked = 0
        for chunk in in_chunks(hashes):
            with self._database.writing() as connection:
                marked += erasure.erase_rows(connection, task, chunk, reason, time)
        return marked

    def add_rows(self, task: str, examples: Iterable[Example]) -> int:
        """Store rows by content hash; the number really added.

        A row that is there stays as it is, also in what its hash does not cover (group, count, weight, time, id, meta):
        what may differ between two datasets belongs in their manifests.
        """
        records = rows.make_records(task, examples)
        with self._database.writing() as connection:
            return rows.add_records(connection, records)

    def rows(self, hashes: Iterable[str]) -> dict[str, Example]:
        """The rows that are there, in the order of ``hashes``."""
        with self._database.reading() as connection:
            return rows.read_rows(connection, hashes)

    def assignments(self, task: str) -> dict[str, Assignment]:
        """Group and split of every input that was ever assigned, by input hash."""
        with self._database.reading() as connection:
            return rows.read_assignments(connection, task)

    def add_assignments(self, task: str, assignments: Mapping[str, Assignment]) -> int:
        """Assign new inputs, for good; the number added. Raises JM-819 when a stored one would change: nothing is stored."""
        with self._database.writing() as connection:
            return rows.add_assignments(connection, task, assignments)

    def add_dataset(self, task: str, hash: str, manifest: Mapping[str, Json], time: str) -> bool:
        """Store a manifest and make it the task's latest; False when the hash was there."""
        with self._database.writing() as connection:
            return datasets.add_dataset(connection, task, hash, manifest, time)

    def dataset(self, hash: str, *, task: str | None = None) -> Mapping[str, Json] | None:
        """A manifest by hash, or by a prefix of six characters or more. Raises JM-812 when several fit."""
        with self._database.reading() as connection:
            return datasets.read_dataset(connection, hash, task)

    def find_dataset(self, hash: str, *, task: str) -> str | None:
        """The whole hash of a manifest, by it or its beginning. Raises JM-812 when several fit."""
        with self._database.reading() as connection:
            found = datasets.find_dataset(connection, hash, task)
        return found[1] if found else None

    def latest_dataset(self, task: str) -> str | None:
        """The hash that was prepared last."""
        with self._database.reading() as connection:
            return datasets.read_latest(connection, task)

    def datasets(self, task: str) -> list[DatasetEntry]:
        """All datasets of a task, the latest last."""
        with self._database.reading() as connection:
            return datasets.read_entries(connection, task)

    def begin_look(
        self,
        task: str,
        dataset: str,
        release: str,
        time: str,
        rule: str = "",
        gate: Mapping[str, Json] | None = None,
    ) -> Look:
        """The look of this release at this dataset by this rule: the same one when it was begun before, else the task's next."""
        with self._database.writing() as connection:
            return ledger.begin_look(connection, task, dataset, release, time, rule, gate)

    def finish_look(self, task: str, number: int, verdict: Mapping[str, Json]) -> Look:
        """Write a look's verdict; returns the look as it stands: the first verdict stays. Raises JM-813: no such look."""
        with self._database.writing() as connection:
            return ledger.finish_look(connection, task, number, verdict)

    def looks(self, task: str) -> list[Look]:
        with self._database.reading() as connection:
            return ledger.read_looks(connection, task)

    def add_reveal(self, task: str, row_hashes: Iterable[str], reason: str, time: str) -> int:
        """Retire sealed rows that a person saw; the number newly retired."""
        hashes = list(row_hashes)
        with self._database.writing() as connection:
            return ledger.add_reveal(connection, task, hashes, reason, time)

    def revealed(self, task: str) -> set[str]:
        with self._database.reading() as connection:
            return ledger.read_revealed(connection, task)

    def add_tombstones(self, task: str, hashes: Iterable[str], reason: str, time: str) -> int:
        """Mark rows as erased; the number newly marked. The mark alone: it deletes nothing."""
        marked = list(hashes)
        with self._database.writing() as connection:
            return ledger.add_tombstones(connection, task, marked, reason, time)

    def tombstones(self, task: str) -> set[str]:
        with self._database.reading() as connection:
            return ledger.read_tombstones(connection, task)

    def set_alias(self, task: str, release: str, reason: str, time: str) -> AliasEntry:
        """Make a release live."""
        with self._database.writing() as connection:
            moved = aliases.set_alias(connection, task, release, reason, time)
            canaries.end_stale(connection, task, time)
        self.alias_moves += 1
        return moved

    def alias(self, task: str) -> str | None:
        """The live release, held or not."""
        entry = self.live(task)
        return entry.release if entry else None

    def live(self, task: str) -> AliasEntry | None:
        """The newest entry of the history: its release is live."""
        with self._database.reading() as connection:
            return aliases.read_live(connection, task)

    def held(self, task: str) -> AliasEntry | None:
        """The hold on the live release, if it is held."""
        with self._database.reading() as connection:
            return aliases.read_hold(connection, task)

    def resumed(self, task: str, release: str) -> AliasEntry | None:
        """When a hold on the release last ended."""
        with self._database.reading() as connection:
            return aliases.read_resume(connection, task, release)

    def hold(self, task: str, release: str, reason: str, time: str) -> AliasEntry | None:
        """Send the task's calls to the teacher while ``release`` is live; None where it is not live, or held already."""
        with self._database.writing() as connection:
            moved = aliases.hold(connection, task, release, reason, time)
        self.alias_moves += 1
        return moved

    def resume(self, task: str, reason: str, time: str) -> AliasEntry | None:
        """End the hold on the live release; None where nothing is held."""
        with self._database.writing() as connection:
            moved = aliases.resume(connection, task, reason, time)
        self.alias_moves += 1
        return moved

    def alias_history(self, task: str) -> list[AliasEntry]:
        """Newest first."""
        with self._database.reading() as connection:
            return aliases.read_history(connection, task)

    def roll_back(self, task: str, reason: str, time: str) -> AliasEntry:
        """Make the release live that was live before; again goes further back. Raises JM-814 when there is none."""
        with self._database.writing() as connection:
            moved = aliases.roll_back(connection, task, reason, time)
            canaries.end_stale(connection, task, time)
        self.alias_moves += 1
        return moved

    def canary(self, task: str) -> Canary | None:
        """The candidate release that answers a share of the task's calls now."""
        with self._database.reading() as connection:
            return canaries.read_running(connection, task)

    def last_canary(self, task: str) -> Canary | None:
        """The latest one, ended or not."""
        with self._database.reading() as connection:
            return canaries.read_last(connection, task)

    def begin_canary(self, canary: Canary) -> Canary | None:
        """None where one is running, or another release is live than it says."""
        with self._database.writing() as connection:
            begun = canaries.begin(connection, canary)
        self.alias_moves += 1
        return begun

    def change_canary(self, task: str, step: Step, *, is_promoting: bool) -> Canary | None:
        """None where none is running."""
        with self._database.writing() as connection:
            changed = canaries.change(connection, task, step, is_promoting=is_promoting)
        self.alias_moves += 1
        return changed

    def end_canary(self, canary: Canary, outcome: Outcome, why: str, time: str) -> Canary | None:
        """None where it has ended; ``promoted`` makes its release live in the same transaction."""
        with self._database.writing() as connection:
            ended = canaries.end(connection, canary, outcome, why, time)
        self.alias_moves += 1
        return ended

    def add_run(self, id: str, task: str, time: str, state: Mapping[str, Json], *, kind: str = "run") -> None:
        """Raises JM-824 when the id is taken."""
        with self._database.writing() as connection:
            runs.add_run(connection, Run(id, task, kind, time, state))

    def update_run(self, id: str, state: Mapping[str, Json]) -> None:
        """Replace a run's state. Raises JM-813: no such run."""
        with self._database.writing() as connection:
            runs.update_run(connection, id, state)

    def run(self, id: str) -> Run | None:
        with self._database.reading() as connection:
            return runs.read_run(connection, id)

    def runs(self, task: str) -> list[Run]:
        """Oldest first."""
        with self._database.reading() as connection:
            return runs.read_runs(connection, task)

    def latest_run(self, task: str, kind: str | None = None) -> Run | None:
        with self._database.reading() as connection:
            return runs.read_latest(connection, task, kind)

    def add_job(self, kind: str, payload: Json) -> str:
        """Queue work; its id."""
        with self._database.writing() as connection:
            return jobs.add_job(connection, kind, payload)

    def claim_job(self, worker: str, now: str, lease_s: float) -> Job | None:
        """The oldest job that waits or whose lease ran out, now this worker's for ``lease_s`` seconds."""
        with self._database.writing() as connection:
            return jobs.claim_job(connection, worker, now, lease_s)

    def heartbeat(self, id: str, worker: str, now: str, lease_s: float) -> bool:
        """Extend a lease. False: the job is no longer this worker's, which must stop."""
        with self._database.writing() as connection:
            return jobs.extend_lease(connection, id, worker, now, lease_s)

    def finish_job(self, id: str, *, result: Json = None, error: str = "", worker: str | None = None) -> bool:
        """Write a running job's outcome. False: it is not running, or not ``worker``'s. Raises JM-813: no such job."""
        with self._database.writing() as connection:
            return jobs.finish_job(connection, id, result, error, worker)

    def add_key(self, key: Key) -> None:
        with self._database.writing() as connection:
            keys.add_key(connection, key)

    def find_key(self, hash: str) -> Key | None:
        """The key whose secret has this hash."""
        with self._database.reading() as connection:
            return keys.find_key(connection, hash)

    def all_keys(self) -> list[Key]:
        """Oldest first, revoked ones too."""
        with self._database.reading() as connection:
            return keys.read_keys(connection)

    def activity(self, since: datetime, origins: Collection[str]) -> list[Activity]:
        """What calls that began since then came to, by task."""
        with self._database.reading() as connection:
            return activity.read_activity(connection, since, origins)

    def costs(self, since: str = "") -> dict[str, float]:
        """US dollars that recorded calls cost, from a time (ISO 8601 in UTC) on, by key; the empty one is that of calls without a key."""
        with self._database.reading() as connection:
            return traces.sum_costs(connection, since)

    def revoke_key(self, id: str, time: str) -> None:
        """Raises JM-813: no such key."""
        with self._database.writing() as connection:
            keys.revoke_key(connection, id, time)

    def take(self, asks: Sequence[Ask], now: float, until: float) -> tuple[int, ...] | Refusal:
        """Lease amounts of budgets to a server, from all that are asked or from none."""
        with self._database.writing() as connection:
            return budgets.take(connection, asks, now, until)

    def spend(self, spends: Sequence[Spend]) -> None:
        """What calls cost that are not stored."""
        with self._database.writing() as connection:
            budgets.spend(connection, spends)

    def give_back(self, unused: Sequence[Spend]) -> None:
        """Leased amounts that were not spent."""
        with self._database.writing() as connection:
            budgets.give_back(connection, unused)

    def renew(self, leases: Sequence[str], until: float) -> set[str]:
        """Extend leases; those that nobody took for ended."""
        with self._database.writing() as connection:
            return budgets.renew(connection, leases, until)

    def drop_leases(self, leases: Sequence[str]) -> None:
        with self._database.writing() as connection:
            budgets.drop(connection, leases)

    def spent(self, scope: str, period: str) -> int:
        """Billionths of a US dollar."""
        with self._database.reading() as connection:
            return budgets.read_spent(connection, scope, period)

    def leased(self, scope: str, period: str) -> int:
        """Billionths of a US dollar that servers hold."""
        with self._database.reading() as connection:
            return budgets.read_leased(connection, scope, period)

    def job(self, id: str) -> Job | None:
        with self._database.reading() as connection:
            return jobs.read_job(connection, id)

    def jobs(self) -> list[Job]:
        """Oldest first."""
        with self._database.reading() as connection:
            return jobs.read_jobs(connection)
