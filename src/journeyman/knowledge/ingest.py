"""Files into an index: what has not changed costs a look at its stamp, what is new is read, cut, embedded and written, a document at a time.

Reading runs in other processes; embedding is done for many documents at once, so that texts of one length meet in a batch. A text that the index has
a vector of, in whatever document, is not embedded again. What a root no longer has leaves the index after everything else is done.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from journeyman.core.errors import KnowledgeError
from journeyman.core.progress import Progress, Silent
from journeyman.knowledge.chunk.chunk import Chunk, Chunker, Tokens
from journeyman.knowledge.chunk.context import join_context
from journeyman.knowledge.document import ATTACHMENTS, MAIL, Document, mend, mend_text
from journeyman.knowledge.index.file import Index, Lacking, Origin, Ready, Refusal, Shelved
from journeyman.knowledge.source import Source

Floats = npt.NDArray[np.float32]
Embed = Callable[[Sequence[str]], Floats]
Tokenize = Callable[[str], Tokens]
Above = Callable[[Document, Chunk, Tokens], str]
ASKED_AGAIN = frozenset(f"JM-{code}" for code in (920, 924, *range(926, 934)))
"""Refusals that another setting, password, package or machine may undo, so that the file is read at the next run too."""
TOGETHER = 512  # chunks that are embedded at once


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a reader made of a source: a document, or the error that says why not. ``hash`` is that of the file's bytes."""

    source: Source
    reader: str
    hash: str
    result: Document | KnowledgeError


@dataclass(slots=True)
class Ingested:
    """Counts of files, and what was refused."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0
    embedded: int = 0
    refused: list[Refusal] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Cut:
    origin: Origin
    document: Document
    chunks: list[Ready]
    texts: dict[bytes, str]


class Ingest:
    """One run over one root."""

    def __init__(
        self,
        index: Index,
        root: str,
        *,
        chunk: Chunker,
        tokenize: Tokenize,
        above: Above,
        embed: Embed,
        progress: Progress | None = None,
    ) -> None:
        self._index, self._root = index, root
        self._chunk, self._tokenize, self._above, self._embed = chunk, tokenize, above, embed
        self._progress = progress or Silent()
        self._before: Mapping[str, Shelved] = {item.origin.name: item for item in index.documents(root)}
        self._refused: Mapping[str, Refusal] = {item.name: item for item in index.refusals(root)}
        self._names = sorted({*self._before, *self._refused})
        self._seen: set[str] = set()
        self.done = Ingested()

    def is_known(self, source: Source, is_current: Callable[[str], bool]) -> bool:
        """Whether this source is here as it stands, read by a reader that is still the same; then it need not be opened."""
        self._seen.add(source.name)
        before, refused = self._before.get(source.name), self._refused.get(source.name)
        if before and before.origin.stamp == source.stamp and self._is_whole(before, is_current):
            self.done.unchanged += 1
            self._keep_below(source.name)
            return True
        is_final = refused is not None and refused.code not in ASKED_AGAIN
        if refused and is_final and refused.stamp == source.stamp and is_current(refused.reader):
            self.done.refused.append(refused)
            return True
        return False

    def _is_whole(self, item: Shelved, is_current: Callable[[str], bool]) -> bool:
        """Whether neither it nor what came with it has to be read: somebody may have been killed between the two."""
        attached = item.facts.get(ATTACHMENTS, ()) if item.media == MAIL else ()
        return is_current(item.origin.reader) and all(
            self._has(f"{item.origin.name}/{file}", is_current)
            for file in (attached if isinstance(attached, tuple) else ())
        )

    def _has(self, name: str, is_current: Callable[[str], bool]) -> bool:
        """Whether an attachment, or what was in it, is here and need not be read again."""
        names = [name, *self._below(name)] if name in self._before or name in self._refused else self._below(name)
        return bool(names) and all(
            self._is_whole(self._before[each], is_current)
            if each in self._before
            else self._refused[each].code not in ASKED_AGAIN
            for each in names
        )

    def _below(self, name: str) -> list[str]:
        return self._names[bisect_left(self._names, f"{name}/") : bisect_left(self._names, f"{name}0")]  # 0 follows /

    def _keep_below(self, name: str) -> None:
        for each in self._below(name):
            self._seen.add(each)
            if each in self._before:
                self.done.unchanged += 1
            else:
                self.done.refused.append(self._refused[each])

    @property
    def has_found(self) -> bool:
        """Whether there was anything but refusals."""
        return len(self._seen) > len(self.done.refused)

    def write(self, parsed: Iterable[Parsed]) -> None:
        """All of them, as they come."""
        waiting: list[_Cut] = []
        chunks = 0
        for item in parsed:
            self._seen.add(item.source.name)
            cut = self._cut(item)
            if cut is not None:
                waiting.append(cut)
                chunks += len(cut.chunks)
            if max(chunks, len(waiting)) >= TOGETHER:
                self._put(waiting)
                waiting, chunks = [], 0
        self._put(waiting)

    def sweep(self) -> None:
        """What the root no longer has leaves the index; what is in a folder or archive that could not be opened this time stays."""
        closed = tuple(f"{refusal.name}/" for refusal in self.done.refused)
        gone = [name for name in self._names if name not in self._seen and not name.startswith(closed)]
        self.done.removed += self._index.remove(self._root, gone)

    def refuse(self, name: str, stamp: str, reader: str, error: KnowledgeError) -> None:
        """What could not be opened, but may be another time, leaves the document as it was."""
        self._seen.add(name)
        refusal = Refusal(self._root, name, stamp, reader, error.code, mend_text(error.reason))
        if not (error.retryable and name in self._before):
            self._index.refuse(refusal)
        self.done.refused.append(refusal)

    def _cut(self, item: Parsed) -> _Cut | None:
        source, result, before = item.source, item.result, self._before.get(item.source.name)
        if isinstance(result, KnowledgeError):
            self.refuse(source.name, source.stamp, item.reader, result)
            return None
        if before and (before.origin.hash, before.origin.reader) == (item.hash, item.reader):
            self._index.restamp(before.id, source.stamp)
            self.done.unchanged += 1
            return None
        result = mend(result)
        self.done.notes += [(source.name, note) for note in result.notes]
        texts, ready = {}, []
        tokens = self._tokenize(result.text)
        for chunk in self._chunk(result, tokens):
            text = result.text[chunk.start : chunk.end]
            above = self._above(result, chunk, tokens)
            whole = join_context(above, text)
            key = hashlib.sha256(whole.encode("utf-8")).digest()[:16]
            texts[key] = whole
            ready.append(Ready(chunk, above, text, key))
        origin = Origin(self._root, source.name, source.stamp, item.hash, item.reader, source.size_bytes)
        return _Cut(origin, result, ready, texts)

    def _put(self, waiting: Sequence[_Cut]) -> None:
        texts = {key: text for item in waiting for key, text in item.texts.items()}
        lacking = self._index.missing(texts)
        missing = [key for key in texts if key in lacking]
        vectors = dict(zip(missing, self._embed([texts[key] for key in missing]), strict=True)) if missing else {}
        self.done.embedded += len(missing)
        for item in waiting:
            own = {key: vectors.pop(key) for key in list(item.texts) if key in vectors}
            self._shelve(item, own)
            self.done.chunks += len(item.chunks)
            if item.origin.name in self._before:
                self.done.changed += 1
            else:
                self.done.added += 1
            self._progress.advance(1, item.origin.name)

    def _shelve(self, item: _Cut, vectors: dict[bytes, Floats]) -> None:
        """Another process may have dropped vectors since they were asked for; those are made again."""
        while True:
            try:
                self._index.put(item.origin, item.document, item.chunks, vectors)
                return
            except Lacking as found:
                keys = sorted(found.hashes)
                vectors |= zip(keys, self._embed([item.texts[key] for key in keys]), strict=True)
                self.done.embedded += len(keys)
