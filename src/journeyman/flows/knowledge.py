"""Documents into an index of the project, and questions to it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from journeyman.core.canonical import bytes_hash
from journeyman.core.cores import count_cores
from journeyman.core.errors import KnowledgeError
from journeyman.core.progress import Progress
from journeyman.core.settings import environment
from journeyman.flows.knowledge_vectors import forget_candidates, least_chunks, open_candidates, update_candidates
from journeyman.flows.workspace import Workspace
from journeyman.knowledge.chunk.chunkers import DEFAULT as DEFAULT_CHUNKER
from journeyman.knowledge.chunk.chunkers import find_chunker
from journeyman.knowledge.chunk.context import write_above
from journeyman.knowledge.chunk.tokens import find_tokens
from journeyman.knowledge.document import Box, Document
from journeyman.knowledge.index.file import Index, Shelved, open_index
from journeyman.knowledge.ingest import Floats, Ingest, Ingested, Parsed
from journeyman.knowledge.parse.archive import Limits as Sizes
from journeyman.knowledge.parse.fetched import is_address
from journeyman.knowledge.parse.process import MB, Limits, read_all
from journeyman.knowledge.parse.reader import Reader, Wishes
from journeyman.knowledge.parse.sources import Refused, find_sources, show_path, unpack, unpack_attached
from journeyman.knowledge.retrieve.filters import Filter
from journeyman.knowledge.retrieve.nearest import Candidates
from journeyman.knowledge.retrieve.recipe import Recipe
from journeyman.knowledge.retrieve.search import Found, Search
from journeyman.knowledge.source import Source
from journeyman.models.embedder import DEFAULT as DEFAULT_EMBEDDER
from journeyman.models.embedder import Embedder, open_embedder

NAME = "documents"
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Added:
    """What one thing that was handed in came to."""

    given: str
    done: Ingested


def index_path(workspace: Workspace, name: str = NAME) -> Path:
    """
    Raises:
        KnowledgeError: JM-956 the name is none for a file.
    """
    if not name or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise KnowledgeError(
            "JM-956",
            "this name cannot be used for knowledge",
            got=name,
            expected="letters, digits, - and _",
        )
    return workspace.project.state / "knowledge" / f"{name}.db"


class Library:
    """One index with the encoder that its vectors come from, which is loaded when it is first needed; ``candidates`` are asked from ``least`` chunks on."""

    def __init__(
        self, index: Index, threads: int | None = None, candidates: Candidates | None = None, least: int = 0
    ) -> None:
        self.index = index
        self._threads, self._candidates, self._least = threads, candidates, least

    @cached_property
    def embedder(self) -> Embedder:
        """Raises: KnowledgeError JM-953 when the index's vectors are another encoder's."""
        found = open_embedder(self.index.setting("model") or DEFAULT_EMBEDDER, self._threads)
        if self.index.is_writer:
            self.index.settle("model", DEFAULT_EMBEDDER)
            self.index.settle("embedder", found.id)
        else:
            self.index.expect("embedder", found.id)
        return found

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> Floats:
        return self.embedder.embed(texts, progress).vectors

    @cached_property
    def search(self) -> Search:
        return Search(self.index, self.embed, self._candidates, self._least)

    def boxes(self, found: Found) -> list[Box]:
        """Where a passage stands on its pages; nothing where its document has none."""
        return self.index.document(found.piece.document).places.find(found.start, found.end)

    def find(self, question: str, recipe: Recipe | None = None, where: Filter | None = None) -> list[Found]:
        return self.search.find(question, recipe or Recipe(), where)


@contextmanager
def open_library(workspace: Workspace, name: str = NAME, *, is_writer: bool = False) -> Iterator[Library]:
    project = workspace.project
    with (
        open_index(index_path(workspace, name), is_writer=is_writer) as index,
        open_candidates(project, index) as candidates,
    ):
        yield Library(index, candidates=candidates, least=least_chunks(project))


def add(
    workspace: Workspace,
    given: Sequence[str],
    name: str = NAME,
    *,
    stdin: Callable[[], bytes] | None = None,
    stdin_name: str = "stdin.txt",
    is_anew: bool = False,
) -> list[Added]:
    """Bring the index up to date with what is handed in; what is as it was costs nothing."""
    with open_library(workspace, name, is_writer=True) as library:
        if is_anew:
            forget_candidates(workspace.project, library.index)
            _forget(library.index)
        library.index.settle("chunker", f"{DEFAULT_CHUNKER}:1")
        added, sizes = [], Sizes(file_bytes=reading_limits(workspace).file_bytes)
        for one in given:
            sources: Iterable[Source | Refused]
            if one == STDIN:
                sources, root = unpack(show_path(stdin_name), stdin() if stdin else b"", sizes), STDIN
            else:
                sources, root = find_sources([one], sizes), _root(workspace, one)
            added.append(Added(one, _add_root(workspace, library, root, sources)))
        update_candidates(workspace, library.index)
        return added


def _add_root(workspace: Workspace, library: Library, root: str, sources: Iterable[Source | Refused]) -> Ingested:
    """The encoder is loaded with the first document, while the next ones are read; not at all where nothing has changed."""
    chunker, progress = find_chunker(DEFAULT_CHUNKER), workspace.progress
    ingest = Ingest(
        library.index,
        root,
        chunk=chunker,
        tokenize=lambda text: find_tokens(text, library.embedder.tokenizer),
        above=lambda document, chunk, tokens: write_above(document, chunk, tokens, library.embedder.tokenizer),
        embed=library.embed,
        progress=progress,
    )
    reading = Reading(reading_wishes(workspace), reading_limits(workspace), partial(_sift, ingest))
    progress.start(f"read {root}", unit="files")
    ingest.write(reading.parse(sources, count_cores()))
    progress.finish()
    if ingest.has_found or os.path.isdir(root_path(workspace, root)):
        ingest.sweep()  # a path that leads nowhere may be a drive that is not there today
    return ingest.done


def _sift(ingest: Ingest, sources: Iterable[Source | Refused]) -> Iterator[Source]:
    """Those that must be read."""
    from journeyman.knowledge.parse.table import is_current  # all readers, which a question needs not

    for source in sources:
        if isinstance(source, Refused):
            ingest.refuse(source.name, "", "", source.error)
        elif not ingest.is_known(source, is_current):
            yield source


class Reading:
    """Keeps the hash of what was read and who read it, beside the results as they come. What came with a mail is read next."""

    def __init__(self, wishes: Wishes, limits: Limits, sift: Callable[[Iterable[Source | Refused]], Iterator[Source]]):
        self._wishes, self._limits, self._sift = wishes, limits, sift
        self._hashes: dict[str, str] = {}
        self._readers: dict[str, str] = {}
        self._depths: dict[str, int] = {}
        self._attached: deque[tuple[Source, Mapping[str, bytes]]] = deque()

    def parse(self, sources: Iterable[Source | Refused], workers: int) -> Iterator[Parsed]:
        yield from self._parse(self._sift(sources), workers)
        while self._attached:  # with the last mails
            yield from self._parse(iter(()), workers)

    def _parse(self, wanted: Iterator[Source], workers: int) -> Iterator[Parsed]:
        hashing = (replace(source, read=partial(self._read, source)) for source in self._weave(wanted))
        for source, result in read_all(hashing, self._find, workers, self._limits):
            if isinstance(result, Document):
                if result.attached:
                    self._attached.append((source, result.attached))
                result = replace(result, facts={**source.facts, **result.facts}, attached={})
            yield Parsed(source, self._readers.get(source.name, ""), self._hashes.get(source.name, ""), result)

    def _weave(self, wanted: Iterator[Source]) -> Iterator[Source]:
        """Attachments before what follows, so that few are held at a time."""
        for source in wanted:
            yield from self._unpack()
            yield source
        yield from self._unpack()

    def _unpack(self) -> Iterator[Source]:
        while self._attached:
            mail, files = self._attached.popleft()
            depth = self._depths.get(mail.name, 0) + 1
            for source in self._sift(unpack_attached(mail, files, Sizes(file_bytes=self._limits.file_bytes), depth)):
                self._depths[source.name] = depth
                yield source

    def _read(self, source: Source) -> bytes:
        data = source.read()
        self._hashes[source.name] = bytes_hash(data)
        return data

    def _find(self, name: str, head: bytes) -> Reader:
        from journeyman.knowledge.parse.table import find_reader

        reader = find_reader(name, head, self._wishes)
        if reader is None:
            raise KnowledgeError(
                "JM-958",
                "nobody here reads files of this kind",
                where=name,
                got=repr(head[:8])[2:-1],
                hint="export it as PDF, HTML or text",
            )
        self._readers[name] = f"{reader.name}:{reader.version}"
        return reader


def reading_wishes(workspace: Workspace) -> Wishes:
    project = workspace.project
    passwords = environment(project.text("knowledge", "passwords_env")).splitlines()
    return Wishes(tuple(filter(None, passwords)), project.text("knowledge", "ocr") == "auto")


def reading_limits(workspace: Workspace) -> Limits:
    file_mb, read_s, read_mb = (
        workspace.project.number("knowledge", key) or 0 for key in ("file_mb", "read_s", "read_mb")
    )
    return Limits(seconds=read_s, memory_bytes=int(read_mb * MB), file_bytes=int(file_mb * MB))


def _root(workspace: Workspace, given: str) -> str:
    """Where it stands: below the project's folder as seen from there, else the whole path, so that a project can be moved with its documents. An address is one."""
    if is_address(given):
        return given
    path, base = os.path.abspath(given), str(workspace.project.root)
    return show_path(os.path.relpath(path, base) if Path(path).is_relative_to(base) else path)


def read_most(workspace: Workspace) -> int:
    """How many bytes of standard input are looked at: one more than may be read."""
    return reading_limits(workspace).file_bytes + 1


def root_path(workspace: Workspace, root: str) -> Path:
    return workspace.project.root / root


def remove(workspace: Workspace, given: Sequence[str], name: str = NAME) -> int:
    """Take out what was added from these paths, or from below them. Returns how many documents left.

    Raises:
        KnowledgeError: JM-963 nothing was added from there.
    """
    removed = 0
    with open_library(workspace, name, is_writer=True) as library:
        for one in given:
            found = _find_below(library.index, one if one == STDIN else _root(workspace, one))
            if not found:
                raise KnowledgeError(
                    "JM-963", "nothing was added from there", where=one, hint=f"journeyman knowledge list --name {name}"
                )
            removed += sum(library.index.remove(root, names) for root, names in found.items())
        library.index.compact()
        update_candidates(workspace, library.index)
    return removed


def _find_below(index: Index, path: str) -> dict[str, list[str]]:
    """Names by root: of the root itself, or of what stands there under the root's folder."""
    found: dict[str, list[str]] = {}
    kept = [(item.origin.root, item.origin.name) for item in index.documents()]
    for root, name in (*kept, *((item.root, item.name) for item in index.refusals())):
        place = os.path.join(os.path.dirname(root), name)
        if path in (root, place) or place.startswith(f"{path}/"):
            found.setdefault(root, []).append(name)
    return found


def _forget(index: Index) -> None:
    with index.writing() as connection:
        for table in ("documents", "refused", "vectors", "meta"):
            connection.execute(f"DELETE FROM {table}")


def list_documents(workspace: Workspace, name: str = NAME) -> list[Shelved]:
    with open_library(workspace, name) as library:
        return library.index.documents()
