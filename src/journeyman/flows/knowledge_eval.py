"""Questions whose answers are known, read from a file, and the recipes of retrieval compared on them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from journeyman.core.canonical import Json, content_hash, file_hash
from journeyman.core.errors import KnowledgeError
from journeyman.core.files import disk_errors
from journeyman.flows.knowledge import NAME, Library, open_library
from journeyman.flows.workspace import Workspace
from journeyman.knowledge.ground.align import align
from journeyman.knowledge.index.file import Shelved
from journeyman.knowledge.retrieve.abstain import try_abstention
from journeyman.knowledge.retrieve.grid import Compared, compare_recipes, make_grid
from journeyman.knowledge.retrieve.trial import Gold, Question
from journeyman.knowledge.retrieve.tuned import read_tuned

KEYS = frozenset(("question", "gold", "document", "quote", "start", "end", "where"))
SHAPE = '{"question": "...", "document": "handbook/returns.md", "quote": "within thirty days"}'


def evaluate(workspace: Workspace, path: Path, name: str = NAME, top: int = 5) -> Compared:
    """
    Raises:
        KnowledgeError: JM-959 the file has no questions, JM-960 a row that cannot be read, JM-961 a document that is not in the index,
            JM-962 a quote that does not stand in its document, JM-950 no index.
    """
    with open_library(workspace, name) as library:
        questions = read_questions(library, path)
        answered = [question for question in questions if question.gold]
        if not answered:
            raise KnowledgeError(
                "JM-959",
                "there are no questions in this file that the documents answer",
                where=str(path),
                expected=SHAPE,
            )
        tuned = read_tuned(library.index)
        grid = make_grid(top, has_order=tuned is not None and tuned.order is not None)
        look = _begin_look(workspace, library, path, name, [asdict(recipe) for recipe in grid.values()])
        compared = compare_recipes(library.find, grid, answered, workspace.progress)
        abstention = try_abstention(library.search.weigh, compared.recipe, questions)
        verdict: dict[str, Json] = {"best": compared.best, "recommended": compared.recommended}
        workspace.store.finish_look(look.task, look.number, verdict)
        return replace(compared, abstention=abstention, look=look.number)


@dataclass(frozen=True, slots=True)
class _Look:
    task: str
    number: int


def _begin_look(workspace: Workspace, library: Library, path: Path, name: str, recipes: list[dict[str, Json]]) -> _Look:
    """In the ledger, as of any sealed split: the same recipes on the same documents are the same look."""
    with disk_errors(path):
        dataset = file_hash(path)
    task = f"knowledge:{name}:{dataset[:12]}"
    documents: list[Json] = [[item.origin.name, item.origin.hash] for item in library.index.documents()]
    rule = content_hash(cast(Json, recipes))
    return _Look(task, workspace.store.begin_look(task, dataset, content_hash(documents), workspace.now(), rule).number)


def read_questions(library: Library, path: Path) -> list[Question]:
    """A JSON object a line: ``question``, and one right place as ``document`` with ``quote`` or ``start`` and ``end``, or several such in a list ``gold``, which is empty where the documents do not answer it; ``where`` filters."""
    with disk_errors(path):
        lines = path.read_text(encoding="utf-8").split("\n")
    reading = _Reading(library, path)
    questions = [reading.question(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not questions:
        raise KnowledgeError("JM-959", "there are no questions in this file", where=str(path), expected=SHAPE)
    return questions


class _Reading:
    def __init__(self, library: Library, path: Path) -> None:
        self._index, self._path = library.index, path
        self._documents: Mapping[str, Shelved] = {item.origin.name: item for item in library.index.documents()}
        self._texts: dict[int, str] = {}

    def question(self, number: int, line: str) -> Question:
        where = f"{self._path}:{number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise _wrong(where, str(error)) from None
        if not isinstance(row, dict) or not isinstance(row.get("question"), str) or not row["question"].strip():
            raise _wrong(where, line[:80])
        if unknown := sorted(set(row) - KEYS):
            raise _wrong(where, f"the key {unknown[0]}")
        places = row.get("gold", [row])
        if not isinstance(places, list) or not all(isinstance(place, dict) for place in places):
            raise _wrong(where, "gold that is no list of places")
        if not isinstance(row.get("where", {}), dict):
            raise _wrong(where, "conditions (where) that are no object")
        return Question(row["question"], tuple(self._places(where, places)), row.get("where"))

    def _places(self, where: str, places: Sequence[Mapping[str, object]]) -> Iterator[Gold]:
        for place in places:
            shelved = self._find(where, place.get("document"))
            quote, text = place.get("quote"), self._text(shelved.id)
            span = _read_span(place, text)
            if span and (not quote or text[slice(*span)] == quote):
                yield Gold(shelved.id, *span)
            elif isinstance(quote, str) and quote.strip():
                yield self._align(where, shelved, quote)
            else:
                raise _wrong(where, "a place with neither a quote nor a start before an end in the document")

    def _find(self, where: str, name: object) -> Shelved:
        if not isinstance(name, str) or name not in self._documents:
            raise KnowledgeError(
                "JM-961",
                "this document is not in the index",
                where=where,
                got=str(name),
                hint="journeyman knowledge list names all",
            )
        return self._documents[name]

    def _align(self, where: str, shelved: Shelved, quote: str) -> Gold:
        found = align([quote], self._text(shelved.id))[0]
        if not found.is_grounded:
            raise KnowledgeError(
                "JM-962",
                "this quote does not stand in its document",
                where=where,
                expected=f"text of {shelved.origin.name}",
                got=quote[:200],
            )
        return Gold(shelved.id, found.start, found.end)

    def _text(self, id: int) -> str:
        if id not in self._texts:
            self._texts[id] = self._index.document(id).text
        return self._texts[id]


def _read_span(place: Mapping[str, object], text: str) -> tuple[int, int] | None:
    start, end = place.get("start"), place.get("end")
    return (start, end) if isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text) else None


def _wrong(where: str, got: str) -> KnowledgeError:
    return KnowledgeError("JM-960", "this line is no question", where=where, expected=SHAPE, got=got)
