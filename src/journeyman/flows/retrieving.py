"""What tasks with `knowledge:` answer from: passages found in the project's indexes before a call, citations held against them after it."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, cast

from journeyman.core.canonical import Json, content_hash
from journeyman.core.errors import KnowledgeError
from journeyman.core.example import Passage
from journeyman.data.intake import Fill
from journeyman.flows.workspace import Workspace
from journeyman.gateway.knowing import Grounding
from journeyman.task.closed import choices_of
from journeyman.task.task import Knowledge, Task

if TYPE_CHECKING:
    from journeyman.flows.knowledge import Library
    from journeyman.knowledge.document import Box
    from journeyman.knowledge.ground.citing import Citation
    from journeyman.knowledge.ground.passages import Passage as Numbered

NONE_FOUND = "(no passage)"
FileId = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Retrieved:
    """A passage that was found: ``text`` is ``start`` to ``end`` of the document ``name``, ``above`` the headings over it, ``page`` 0 where there are none."""

    document: int
    name: str
    above: str
    page: int
    start: int
    end: int
    text: str

    def record(self) -> Passage:
        return Passage(content_hash(self.text), self.text, f"{self.name}#{self.start}-{self.end}")


class Shelves:
    """The indexes of a project, each opened when it is first asked, and asked from one thread. Use as a context manager."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._stack = ExitStack()
        self._libraries: dict[str, tuple[FileId, Library]] = {}
        self._thread = ThreadPoolExecutor(1, "knowledge")

    def __enter__(self) -> Shelves:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.submit(self._stack.close).result()
        self._thread.shutdown()

    def fill(self, task: Task, fields: Mapping[str, Json]) -> Asked:
        """As `know`, for who waits; a task without knowledge needs nothing."""
        if not task.filled or task.filled in fields:
            return Asked(task, fields)
        return self._thread.submit(self._fill, task, fields).result()

    def draw(self, use: Knowledge, most: int, seed: int) -> list[str]:
        """Texts of that many chunks of an index, each as likely, in an order of chance that follows from ``seed``."""
        return self._thread.submit(self._draw, use, most, seed).result()

    def _draw(self, use: Knowledge, most: int, seed: int) -> list[str]:
        index = self._open(use.name).index
        ids = [int(row[0]) for row in index.rows("SELECT id FROM chunks ORDER BY id")]
        chosen = random.Random(seed).sample(ids, min(most, len(ids)))
        return [piece.text for piece in index.pieces(chosen)]

    async def know(self, task: Task, fields: Mapping[str, Json]) -> Asked:
        """The call's passages: those it brings, or those that are found for it.

        Raises:
            KnowledgeError: JM-950 there is no such index, JM-952, JM-953 it is of another version or encoder, JM-955 a condition that is not known.
        """
        if task.filled in fields:
            return Asked(task, fields)
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(self._fill, task, fields))

    def _fill(self, task: Task, fields: Mapping[str, Json]) -> Asked:
        from journeyman.knowledge.ground.block import write_passages

        use = cast(Knowledge, task.knowledge)
        found = self._find(use, str(fields[use.question]))
        block = write_passages((item.above, item.text) for item in found) or NONE_FOUND
        return Asked(task, {name: fields.get(name, block) for name in task.input}, tuple(found), self)

    def _find(self, use: Knowledge, question: str) -> list[Retrieved]:
        from journeyman.knowledge.retrieve.recipe import Recipe

        library = self._open(use.name)
        if not question.strip():
            return []
        recipe = Recipe(
            top=use.top,
            window=use.window,
            diversity=use.diversity,
            is_named=use.named,
            has_embeds=use.embeds,
            least=use.least,
            rerank=use.rerank,
        )
        found = library.find(question, recipe, cast(dict[str, str], use.where) or None)
        stands = library.index.standing([item.piece.id for item in found])
        return [
            Retrieved(
                *(item.piece.document, stands[item.piece.id].name, stands[item.piece.id].above, item.piece.page),
                *(item.start, item.end, item.text),
            )
            for item in found
            if item.piece.id in stands
        ]

    def boxes(self, task: Task, document: int, start: int, end: int) -> list[Box]:
        """Where text stands on its pages; nothing where its document has none, or has left."""
        use = cast(Knowledge, task.knowledge)
        with suppress(KnowledgeError):
            return self._open(use.name).index.document(document).places.find(start, end)
        return []

    def _open(self, name: str) -> Library:
        """Again where the file is another one: an index may be deleted and made anew while a server runs."""
        from journeyman.flows.knowledge import index_path, open_library

        path = index_path(self._workspace, name)
        file = (found.st_dev, found.st_ino) if (found := _stat(path)) else None
        known = self._libraries.get(name)
        if known is None or known[0] != file:
            known = self._libraries[name] = file, self._stack.enter_context(open_library(self._workspace, name))
        return known[1]


def make_fill(shelves: Shelves, task: Task) -> Fill:
    """For rows that are imported or made up."""

    def fill(fields: dict[str, Json]) -> tuple[dict[str, Json], tuple[Passage, ...]]:
        asked = shelves.fill(task, fields)
        return dict(asked.fields), asked.passages

    return fill


def _stat(path: Path) -> os.stat_result | None:
    with suppress(FileNotFoundError):
        return path.stat()
    return None


@dataclass(frozen=True, slots=True)
class Asked:
    """A call of ``task`` with its ``fields``; ``found`` are the passages that were looked up for it, in the order of their numbers."""

    task: Task
    fields: Mapping[str, Json]
    found: tuple[Retrieved, ...] = ()
    shelves: Shelves | None = None

    @property
    def passages(self) -> tuple[Passage, ...]:
        return tuple(item.record() for item in self.found)

    def ground(self, value: Json) -> Grounding:
        from journeyman.knowledge.ground.task_answers import ground

        use = cast(Knowledge, self.task.knowledge)
        done = ground(value, self._numbered(), use.ungrounded, use.absent)
        cited = done.citations
        verdict: dict[str, Json] = {
            "absent": done.is_absent,
            "citations": len(cited) + sum(statement.dropped for statement in done.checked.statements),
            "grounded": sum(citation.status != "ungrounded" for citation in cited),
        }
        return Grounding(done.value, partial(self._tell, cited), verdict, done.problem)

    def support(self, text: str, fields: Collection[str]) -> list[float]:
        from journeyman.knowledge.ground.claims import find_claims, weigh_claim

        use = cast(Knowledge, self.task.knowledge)
        value: Json = json.loads(text) if self.task.is_structured else text
        closed = {name for name, _ in choices_of(self.task.schema)}
        question, passages = str(self.fields[use.question]), self._numbered()
        return [weigh_claim(claim, question, passages) for claim in find_claims(value, use.absent, fields, closed)]

    def _numbered(self) -> Sequence[Numbered]:
        from journeyman.knowledge.ground.block import read_passages
        from journeyman.knowledge.ground.passages import Passage as Numbered

        if self.shelves is None:
            return read_passages(str(self.fields[self.task.filled]))
        return [Numbered(number, item.name, item.start, item.text) for number, item in enumerate(self.found, 1)]

    def _tell(self, cited: Sequence[Citation]) -> list[Json]:
        """Each passage with what is cited of it."""
        told: list[Json] = []
        for number, item in enumerate(self.found, 1):
            known: dict[str, Json] = {"passage": number, "document": item.name, "above": item.above}
            if item.page:
                known["page"] = item.page
            mine = [self._describe(one, item) for one in cited if one.passage == number and one.document]
            told.append(known | {"start": item.start, "end": item.end, "text": item.text, "cited": mine})
        return told

    def _describe(self, citation: Citation, item: Retrieved) -> Json:
        known: dict[str, Json] = {"quote": citation.quote, "status": citation.status}
        known |= {"start": citation.start, "end": citation.end}
        boxes = self.shelves.boxes(self.task, item.document, citation.start, citation.end) if self.shelves else []
        return known | ({"boxes": [cast(Json, asdict(box)) for box in boxes]} if boxes else {})
