"""Import: files of recorded answers into traces. Nothing stops it half-way, nothing vanishes, running it again adds nothing.

    read == added + repeated + quarantined      (blank lines are counted apart, and so are spans and calls of other models than language models)

Work is committed in batches; after a kill the same command finds the finished rows by their keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from journeyman.core.errors import DataError, KnowledgeError, UserError
from journeyman.core.example import Split, Terms
from journeyman.core.ids import make_id
from journeyman.core.progress import Progress, Silent
from journeyman.core.trace import Trace
from journeyman.data.columnar import is_columnar
from journeyman.data.folders import find_files
from journeyman.data.formats import Row, Rows, open_rows
from journeyman.data.intake import SAID, Fill, Intake, hash_said, make_trace, make_trace_id, refuse_to_fill
from journeyman.data.lines import Line, Source, file_source, show_path
from journeyman.data.quarantine import Quarantine
from journeyman.data.record import Record, detail_of
from journeyman.store.database import Store
from journeyman.task.task import Task

BATCH_ROWS = 500
BATCH_CHARACTERS = 8_000_000
MARK_BYTES = 12


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file's rows. ``reasons`` counts the quarantined ones, ``unused`` are keys nobody reads, ``others`` what is no call of a
    language model."""

    file: str
    format: str
    added: int
    repeated: int
    blank: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    others: int = 0

    @property
    def quarantined(self) -> int:
        return sum(self.reasons.values())

    @property
    def read(self) -> int:
        return self.added + self.repeated + self.quarantined


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of every row of an import; ``quarantine`` is the file with the bad ones, if there are any."""

    id: str
    files: tuple[FileReport, ...]
    quarantine: Path | None

    @property
    def read(self) -> int:
        return sum(file.read for file in self.files)

    @property
    def added(self) -> int:
        return sum(file.added for file in self.files)

    @property
    def repeated(self) -> int:
        return sum(file.repeated for file in self.files)

    @property
    def quarantined(self) -> int:
        return sum(file.quarantined for file in self.files)

    @property
    def blank(self) -> int:
        return sum(file.blank for file in self.files)

    @property
    def reasons(self) -> Mapping[str, int]:
        return sum((Counter(file.reasons) for file in self.files), Counter[str]())


def import_files(
    task: Task,
    sources: Sequence[Source | Path],
    store: Store,
    *,
    quarantine_folder: Path,
    now: datetime,
    split: Split | None = None,
    provenance: str = "",
    terms: Terms = "unknown",
    is_private: bool = False,
    fill: Fill = refuse_to_fill,
    progress: Progress | None = None,
) -> ImportReport:
    """Import files of any known format, and folders of data sets.

    Every file is looked at before the first is imported, so that a wrong path leaves nothing half done. ``split``
    assigns all rows beforehand; their text is kept as it is but for secrets, unless they are ``is_private``. ``provenance`` defaults to a file's name. ``fill`` retrieves
    the passages that rows of a task with knowledge lack.

    Raises:
        DataError: JM-301 a file cannot be read, JM-302 it is empty, JM-303 its format is unknown, JM-304 not one row
            could be used (the quarantine file says why), JM-308 a folder is no data set, JM-309 it holds several splits,
            JM-313 a form of its format is unknown.
        StoreError: the database or the quarantine file cannot be written; finished batches are kept.
    """
    opened = [source for item in sources for source in find_sources(item)]
    for source in opened:
        if source.path is not None:
            with open_rows(source, task):
                pass
    identity = make_id("import", now)
    intake = Intake(task, now, split, provenance, terms, is_private, fill)
    with Quarantine(quarantine_folder / f"{identity}.jsonl") as quarantine:
        files = tuple(_import_file(source, intake, store, quarantine, progress or Silent()) for source in opened)
    report = ImportReport(identity, files, quarantine.path)
    if report.added + report.repeated == 0:
        raise _nothing_imported(report)
    return report


def _import_file(
    source: Source, intake: Intake, store: Store, quarantine: Quarantine, progress: Progress
) -> FileReport:
    progress.start(f"import {source.name}", source.size_bytes, "bytes")
    with open_rows(source, intake.task) as opened:
        work = _FileImport(source.name, replace(intake, provenance=intake.provenance or source.name), store, quarantine)
        done_bytes = 0
        for row in opened.rows.rows:
            if work.take(row):
                progress.advance(opened.position_bytes() - done_bytes, f"{work.added + work.repeated:,} rows")
                done_bytes = opened.position_bytes()
        work.flush()
        progress.advance(opened.position_bytes() - done_bytes)
    report = work.report(opened.rows)
    progress.finish(f"{report.read:,} rows: {report.added:,} new, {report.quarantined:,} in quarantine")
    return report


def find_sources(item: Source | Path) -> list[Source]:
    """A file, or the files of a folder. Raises: DataError: JM-301, JM-302, JM-303, JM-308, JM-309."""
    if isinstance(item, Source):
        return [item]
    paths = find_files(item) if item.is_dir() else [item]
    return [Source(show_path(path), path=path) if is_columnar(path) else file_source(path) for path in paths]


class _FileImport:
    """One file on its way into the store: keys, batches and counts."""

    def __init__(self, name: str, intake: Intake, store: Store, quarantine: Quarantine) -> None:
        self._name = name
        self._intake = intake
        self._store = store
        self._quarantine = quarantine
        self._batch: list[tuple[str, Line, Record]] = []
        self._batch_characters = 0
        self._occurrences: Counter[bytes] = Counter()
        self._provider_rows: dict[bytes, bytes] = {}
        self._reasons: Counter[str] = Counter()
        self._unused: set[str] = set()
        self._blank = 0
        self._others = 0
        self.added = 0
        self.repeated = 0

    def take(self, row: Row) -> bool:
        """Take one row; True when a batch was written."""
        if row.is_blank:
            self._blank += 1
        elif row.is_other:
            self._others += 1
        elif row.record is None:
            self._refuse(row.line)
        else:
            self._queue(row.line, row.record)
        if len(self._batch) < BATCH_ROWS and self._batch_characters < BATCH_CHARACTERS:
            return False
        self.flush()
        return True

    def flush(self) -> None:
        """Write what is queued, in one transaction."""
        known = self._store.has_row_keys(self._intake.task.name, [key for key, _, _ in self._batch])
        traces = [
            trace for key, line, record in self._batch if key not in known for trace in self._read(key, line, record)
        ]
        added = self._store.add_traces(traces)
        changed = [line for key, line, record in self._batch if key in known and self._has_changed(key, record)]
        for line in changed:
            self._refuse(replace(line, problem="this id is recorded already, with other content"))
        self.added += added
        self.repeated += len(known) - len(changed) + len(traces) - added
        self._quarantine.flush()
        self._batch.clear()
        self._batch_characters = 0

    def report(self, rows: Rows) -> FileReport:
        unused = tuple(sorted(self._unused | rows.unused))
        reasons = dict(self._reasons)
        return FileReport(
            self._name, rows.format, self.added, self.repeated, self._blank, reasons, unused, self._others
        )

    def _queue(self, line: Line, record: Record) -> None:
        self._unused |= record.unused
        if record.key:
            mark, content = _mark(record.key), bytes.fromhex(hash_said(record))
            earlier = self._provider_rows.setdefault(mark, content)
            if self._occurrences[mark] and earlier == content:
                self.repeated += 1
                return
            if earlier != content:
                self._refuse(replace(line, problem="the provider's id came before with other content"))
                return
        mark = _mark(record.key or record.content)
        self._occurrences[mark] += 1
        key = make_row_key(record, self._occurrences[mark], self._intake.split)
        self._batch.append((key, line, record))
        self._batch_characters += len(line.text)

    def _has_changed(self, key: str, record: Record) -> bool:
        """Whether the call of this id was imported before and said something else then."""
        before = self._store.trace(make_trace_id(self._intake.task.name, key)) if record.key else None
        return before is not None and before.meta.get(SAID, hash_said(record)) != hash_said(record)

    def _read(self, key: str, line: Line, record: Record) -> Iterable[Trace]:
        try:
            return (make_trace(record, self._intake, key),)
        except KnowledgeError:
            raise  # what is missing is missing for every row
        except UserError as error:
            self._refuse(replace(line, problem=error.what, detail=detail_of(error)))
            return ()

    def _refuse(self, line: Line) -> None:
        self._reasons[line.problem] += 1
        self._quarantine.add(self._name, line)


def _mark(name: str) -> bytes:
    """What a name is remembered by while a file is read: a file may have millions."""
    return sha256(name.encode("utf-8", "surrogatepass")).digest()[:MARK_BYTES]


def make_row_key(record: Record, occurrence: int, split: Split | None) -> str:
    """The provider's id, else content and occurrence number.

    A split given beforehand is part of it: the same row as test and as something else is two rows, for else an earlier
    import could take a row away from a public benchmark's test file.
    """
    name = f"id:{record.key}" if record.key else f"{record.content}:{occurrence}"
    return f"{name}{split_suffix(split or '')}"


def split_suffix(split: str) -> str:
    return f"#{split}" if split else ""


def _nothing_imported(report: ImportReport) -> DataError:
    reasons = Counter(report.reasons).most_common(3)
    return DataError(
        "JM-304",
        "not one row could be imported",
        where=", ".join(file.file for file in report.files),
        expected="rows of this task",
        got="; ".join(f"{count:,} x {reason}" for reason, count in reasons) or _passed_over(report),
        hint=f"read the reasons in {report.quarantine}" if report.quarantine else "check how the file was written",
    )


def _passed_over(report: ImportReport) -> str:
    others = sum(file.others for file in report.files)
    return f"{others:,} spans or calls that are none of a language model" if others else f"{report.blank} blank lines"
