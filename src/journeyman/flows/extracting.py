"""Documents to values: read by their readers, asked of a task's live release or its teacher a window at a time, merged, and placed where the document says them.

A JSON file of the same name beside a document is its truth: what is extracted is scored against it, and documents with their truths become rows to import.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from journeyman.core.canonical import Json
from journeyman.core.cores import count_cores
from journeyman.core.errors import JourneymanError, KnowledgeError
from journeyman.core.files import disk_errors
from journeyman.core.nodes import write_json
from journeyman.core.trace import Origin
from journeyman.flows.answers import Desk, open_desk, open_measured
from journeyman.flows.knowledge import Reading, reading_limits, reading_wishes
from journeyman.flows.student import Student
from journeyman.flows.workspace import Workspace
from journeyman.gateway.answer import Wishes
from journeyman.knowledge.chunk.tokens import find_tokens
from journeyman.knowledge.document import Document
from journeyman.knowledge.extract.doubts import BELOW, Doubt, find_doubts
from journeyman.knowledge.extract.leaves import without
from journeyman.knowledge.extract.merge import Conflict, Read, merge
from journeyman.knowledge.extract.place import Placed, Ungrounded, keep_grounded, place
from journeyman.knowledge.extract.windows import MOST_TOKENS, Window, cut_windows
from journeyman.knowledge.ingest import Parsed
from journeyman.knowledge.parse.archive import Limits as Sizes
from journeyman.knowledge.parse.sources import Refused, find_sources
from journeyman.knowledge.source import Source
from journeyman.task.prompt import is_text
from journeyman.task.schema import verifier
from journeyman.task.task import Task

AT_ONCE = 4
"""Windows of one document that are asked about at the same time."""
EXTRACTED = "extracted"
"""The verdict of a call that says which document it read a window of, and which of its values are doubted."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """``answer`` is without what the document does not say, ``placed`` has it with its status. ``truth`` is what stands in the JSON file beside the document. ``doubts`` are of windows' answers; where
    there is no truth they wait for a person (``flows.review_queue``). ``seconds`` that its questions took, without the reading."""

    document: Document
    answer: Json
    placed: tuple[Placed, ...]
    conflicts: tuple[Conflict, ...]
    windows: int
    models: tuple[str, ...]
    releases: tuple[str, ...]
    traces: tuple[str, ...]
    truth: Json = None
    doubts: tuple[Doubt, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Unread:
    """A file of which nothing could be extracted, and why; ``truth`` as of one that could."""

    name: str
    code: str
    reason: str
    truth: Json = None


Outcome = Extracted | Unread
OpenDesk = Callable[[AsyncExitStack], Awaitable[Desk]]


@dataclass(frozen=True, slots=True)
class Rows:
    """``count`` rows of ``documents`` documents were written."""

    count: int
    documents: int
    unread: tuple[Unread, ...]


@dataclass(slots=True)
class Given:
    """What was handed in: documents, and truths by the name of their document without its ending."""

    documents: list[Source] = field(default_factory=list)
    truths: dict[str, Source] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)


def extract(
    workspace: Workspace,
    task_name: str,
    given: Sequence[str],
    hear: Callable[[Outcome], None],
    *,
    release: str = "",
    ungrounded: Ungrounded = "null",
    most: int = MOST_TOKENS,
    below: float = BELOW,
) -> None:
    """``hear`` is told of each document in the order of the files; one that cannot be read, or gets no answer, does not stop the others. Values of a confidence ``below`` this are doubted.

    Raises:
        KnowledgeError: JM-980 the task does not read one text and answer with an object, JM-982 no file. ServeError: JM-730 neither a release nor a teacher.
    """
    task = workspace.task(task_name)
    asked, schema = document_field(task)
    files = find_given(workspace, given)
    extracting = _Extracting(workspace, task, asked, schema, ungrounded, most, below)
    asyncio.run(extracting.run(files, hear, lambda stack: open_desk(stack, workspace, task, release)))


def extract_held(
    workspace: Workspace,
    task_name: str,
    files: Given,
    hear: Callable[[Outcome], None],
    student: Student | None,
    most: int = MOST_TOKENS,
) -> None:
    """As `extract`, by a student that need be no release, or (None) by the teacher alone. Its calls are an evaluation's: they become no rows.

    Raises:
        KnowledgeError: JM-980. ServeError: JM-730 there is no teacher.
    """
    task = workspace.task(task_name)
    asked, schema = document_field(task)
    extracting = _Extracting(workspace, task, asked, schema, "null", most, BELOW, "assess")
    asyncio.run(extracting.run(files, hear, lambda stack: open_measured(stack, workspace, task, student)))


def write_rows(workspace: Workspace, task_name: str, given: Sequence[str], path: Path, most: int = MOST_TOKENS) -> Rows:
    """Documents with their truths as rows to import, ``input`` and ``gold``; of a document of several windows each has the values that it says.

    Raises:
        KnowledgeError: JM-980, JM-982, JM-983 no document has a truth beside it. StoreError: the file cannot be written.
    """
    return write_given(workspace, task_name, find_labelled(workspace, given), path, most)


def find_labelled(workspace: Workspace, given: Sequence[str]) -> Given:
    """The documents that have their truths beside them. Raises: KnowledgeError: JM-982, JM-983 there is none."""
    files = find_given(workspace, given)
    files.documents = [source for source in files.documents if stem(source.name) in files.truths]
    if not files.documents:
        raise KnowledgeError(
            "JM-983",
            "no document has its truth beside it",
            where=" ".join(given)[:200],
            expected="for letter.pdf the values in letter.json, both in a folder that is handed in",
        )
    return files


def write_given(workspace: Workspace, task_name: str, files: Given, path: Path, most: int = MOST_TOKENS) -> Rows:
    """Raises: KnowledgeError: JM-980. StoreError: the file cannot be written."""
    asked, schema = document_field(workspace.task(task_name))
    unread, count, documents = list(files.unread), 0, 0
    with disk_errors(path), path.open("w", encoding="utf-8") as file:
        for parsed in _parse(workspace, files.documents, unread):
            known = files.truths.get(stem(parsed.source.name))
            if known is None:
                continue  # it came with a mail
            try:
                document = _document(parsed)
                truth = read_truth(known, schema)
            except KnowledgeError as error:
                unread.append(_unread(parsed.source.name, error))
                continue
            for text, gold in _cut_truth(document, truth, schema, most):
                row = {"input": {asked: text}, "gold": gold, "group": document.name}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
            documents += 1
    return Rows(count, documents, tuple(unread))


def document_field(task: Task) -> tuple[str, Mapping[str, Json]]:
    """The input field that a document's text goes into, and the schema of the answer.

    Raises:
        KnowledgeError: JM-980.
    """
    schema = task.schema
    if len(task.input) != 1 or not is_text(next(iter(task.input.values()))) or schema is None:
        got = f"input {', '.join(task.input)}; output {'text' if schema is None else 'a schema'}"
    elif schema.get("type") != "object":
        got = f"output {write_json(dict(schema)):.80}"
    else:
        return next(iter(task.input)), schema
    raise KnowledgeError(
        "JM-980",
        "nothing can be extracted with this task",
        where=f"task {task.name}",
        expected="one input field that is text, which gets the document, and an output of named fields",
        got=got,
        hint="journeyman new makes a task; examples/invoices has one of this kind",
    )


def read_truth(source: Source, schema: Mapping[str, Json]) -> Json:
    """Raises: KnowledgeError JM-981 it is no JSON, or does not fit the task's output."""
    try:
        value: Json = json.loads(source.read())
        problem = verifier(schema).check_value(value).problem
    except (ValueError, OSError) as error:
        problem = str(error)
    if problem:
        raise KnowledgeError(
            "JM-981",
            "this truth cannot be used",
            where=source.name,
            expected="JSON that fits the task's output",
            got=problem,
        )
    return value


class _Extracting:
    def __init__(
        self,
        workspace: Workspace,
        task: Task,
        asked: str,
        schema: Mapping[str, Json],
        ungrounded: Ungrounded,
        most: int,
        below: float,
        origin: Origin = "ask",
    ) -> None:
        self._workspace, self._task, self._asked, self._schema = workspace, task, asked, schema
        self._ungrounded, self._most, self._below = ungrounded, most, below
        self._origin: Origin = origin

    async def run(self, files: Given, hear: Callable[[Outcome], None], open_: OpenDesk) -> None:
        progress = self._workspace.progress
        for one in files.unread:
            hear(one)
        async with AsyncExitStack() as stack:
            desk = await open_(stack)
            progress.start("extract", len(files.documents), "files")
            refused: list[Unread] = []  # of what comes with a mail
            parsing = _parse(self._workspace, files.documents, refused)
            while (parsed := await asyncio.to_thread(_next, parsing)) is not None:
                hear(await self._extract(desk, parsed, files.truths))
                progress.advance(1, parsed.source.name)
            for one in refused:
                hear(one)
            progress.finish()

    async def _extract(self, desk: Desk, parsed: Parsed, truths: Mapping[str, Source]) -> Outcome:
        known: Json = None
        try:
            truth = truths.get(stem(parsed.source.name))
            known = read_truth(truth, self._schema) if truth else None
            return await self._ask(desk, _document(parsed), known)
        except JourneymanError as error:
            return _unread(parsed.source.name, error, known)

    async def _ask(self, desk: Desk, document: Document, truth: Json) -> Extracted:
        started = time.perf_counter()
        windows = cut_windows(document, find_tokens(document.text), self._most)
        places = asyncio.Semaphore(AT_ONCE)

        async def ask(window: Window) -> tuple[Read, str, str, str]:
            async with places:
                fields: dict[str, Json] = {self._asked: window.read(document)}
                said = await desk.ask(fields, self._origin, Wishes(confidence=True), document.name)
            answer = json.loads(said.text)
            sure = said.calibrated_fields or (said.confidence.fields if said.confidence else None)
            found = place(answer, self._schema, document, start=window.start, end=window.end, confidence=sure)
            return Read(answer, found), said.model, said.release, said.trace

        read = await asyncio.gather(*(ask(window) for window in windows))
        reads, traces = [one for one, *_ in read], tuple(trace for _, _, _, trace in read)
        merged = merge(reads)
        doubts = find_doubts(reads, merged, self._below)
        if truth is None and self._origin == "ask":
            await asyncio.to_thread(self._workspace.store.add_verdicts, _verdicts(document.name, traces, doubts))
        return Extracted(
            document,
            keep_grounded(merged.answer, merged.placed, self._ungrounded),
            merged.placed,
            merged.conflicts,
            len(windows),
            tuple(dict.fromkeys(model for _, model, _, _ in read)),
            tuple(dict.fromkeys(name for _, _, name, _ in read if name)),
            traces,
            truth,
            tuple(doubt for each in doubts for doubt in each),
            time.perf_counter() - started,
        )


def _verdicts(name: str, traces: Sequence[str], doubts: Sequence[Sequence[Doubt]]) -> Mapping[str, Mapping[str, Json]]:
    """By call, also of windows whose answers nothing speaks against: the latest reading counts."""
    return {
        trace: {
            EXTRACTED: {
                "document": name,
                "window": number,
                "windows": list(traces),
                "doubts": [doubt.to_json() for doubt in found],
            }
        }
        for number, (trace, found) in enumerate(zip(traces, doubts, strict=True))
    }


def find_given(workspace: Workspace, given: Sequence[str]) -> Given:
    """Raises: KnowledgeError JM-982 there is no file."""
    found = Given()
    limits = reading_limits(workspace)
    for one in find_sources(given, Sizes(file_bytes=limits.file_bytes)):
        if isinstance(one, Refused):
            found.unread.append(_refused(one))
        else:
            found.documents.append(one)
    names = {stem(one.name) for one in found.documents if not _is_json(one)}
    found.truths = {stem(one.name): one for one in found.documents if _is_json(one) and stem(one.name) in names}
    found.documents = [one for one in found.documents if not (_is_json(one) and stem(one.name) in names)]
    if not found.documents and not found.unread:
        raise KnowledgeError("JM-982", "there is no file here", where=" ".join(given)[:200])
    return found


def _parse(workspace: Workspace, documents: Iterable[Source], refused: list[Unread]) -> Iterator[Parsed]:
    def sift(sources: Iterable[Source | Refused]) -> Iterator[Source]:
        for source in sources:
            if isinstance(source, Refused):
                refused.append(_refused(source))
            else:
                yield source

    yield from Reading(reading_wishes(workspace), reading_limits(workspace), sift).parse(documents, count_cores())


def _refused(source: Refused) -> Unread:
    return Unread(source.name, source.code, source.reason)


def _next(parsing: Iterator[Parsed]) -> Parsed | None:
    return next(parsing, None)


def _document(parsed: Parsed) -> Document:
    """Raises: KnowledgeError why it could not be read, JM-984 it has no text."""
    if isinstance(parsed.result, KnowledgeError):
        raise parsed.result
    if not parsed.result.text.strip():
        raise KnowledgeError(
            "JM-984",
            "there is no text in this document",
            where=parsed.source.name,
            got="; ".join(parsed.result.notes)[:200],
        )
    return parsed.result


def _cut_truth(document: Document, truth: Json, schema: Mapping[str, Json], most: int) -> Iterator[tuple[str, Json]]:
    """The text of each window with the values that stand in it; all of them where there is one window."""
    windows = cut_windows(document, find_tokens(document.text), most)
    placed = place(truth, schema, document) if len(windows) > 1 else []
    for window in windows:
        elsewhere = [
            one.path
            for one in placed
            if one.status != "chosen" and not (window.start <= one.start and one.end <= window.end and one.is_grounded)
        ]
        yield window.read(document), without(truth, elsewhere)


def _is_json(source: Source) -> bool:
    return source.name.lower().endswith(".json")


def stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _unread(name: str, error: JourneymanError, truth: Json = None) -> Unread:
    return Unread(name, error.code, f"{error.what}: {error.got}" if error.got else error.what, truth)
