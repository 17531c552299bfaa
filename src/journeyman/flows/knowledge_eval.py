"""Questions whose answers are known, read from a file, and the recipes of retrieval compared on them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from journeyman.core.errors import KnowledgeError
from journeyman.core.files import disk_errors
from journeyman.flows.knowledge import NAME, Library, open_library
from journeyman.flows.workspace import Workspace
from journeyman.knowledge.ground.align import align
from journeyman.knowledge.index.file import Shelved
from journeyman.knowledge.retrieve.grid import Compared, compare_recipes, make_grid
from journeyman.knowledge.retrieve.trial import Gold, Question

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
        return compare_recipes(library.find, make_grid(top), questions, workspace.progress)


def read_questions(library: Library, path: Path) -> list[Question]:
    """A JSON object a line: ``question``, and one right place as ``document`` with ``quote`` or ``start`` and ``end``, or several such in a list ``gold``; ``where`` filters."""
    with disk_errors(path):
        lines = path.read_text(encoding="utf-8").splitlines()
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
        if not isinstance(places, list) or not places or not all(isinstance(place, dict) for place in places):
            raise _wrong(where, "gold that is no list of places")
        if not isinstance(row.get("where", {}), dict):
            raise _wrong(where, "conditions (where) that are no object")
        return Question(row["question"], tuple(self._places(where, places)), row.get("where"))

    def _places(self, where: str, places: Sequence[Mapping[str, object]]) -> Iterator[Gold]:
        for place in places:
            shelved = self._find(where, place.get("document"))
            start, end, quote = place.get("start"), place.get("end"), place.get("quote")
            if isinstance(quote, str) and quote.strip():
                yield self._align(where, shelved, quote)
            elif isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(self._text(shelved.id)):
                yield Gold(shelved.id, start, end)
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


def _wrong(where: str, got: str) -> KnowledgeError:
    return KnowledgeError("JM-960", "this line is no question", where=where, expected=SHAPE, got=got)
