"""An answer's citations checked against the passages that the model was given, and written as places in documents.

A quote is looked for in the passage that it names; where it does not stand there but in another one that was given, word for word, the citation is moved to that one and says
so. A citation without a quote is held against its passage by words (``support``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Box, Document
from journeyman.knowledge.ground.align import align
from journeyman.knowledge.ground.alignment import Alignment, Status
from journeyman.knowledge.ground.answers import Cited, Statement
from journeyman.knowledge.ground.passages import Passage
from journeyman.knowledge.ground.support import find_support

Ungrounded = Literal["drop", "mark", "refuse"]
"""What becomes of citations that are not grounded: they are left away, they stay with their status, or the answer is refused."""


@dataclass(frozen=True, slots=True)
class Citation:
    """``start`` and ``end`` are of the document's text; an ungrounded citation has no document. ``moved_from`` is the passage that the model named, where it was another."""

    passage: int
    quote: str
    status: Status
    score: float
    document: str = ""
    start: int = 0
    end: int = 0
    text: str = ""
    boxes: tuple[Box, ...] = ()
    moved_from: int | None = None


@dataclass(frozen=True, slots=True)
class CheckedStatement:
    """``is_supported``: one citation at least is grounded. ``dropped`` counts those that were left away."""

    text: str
    is_supported: bool
    citations: tuple[Citation, ...]
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    statements: tuple[CheckedStatement, ...]

    @property
    def is_supported(self) -> bool:
        """All of it; an answer without a statement abstains, and claims nothing that could be wrong."""
        return all(statement.is_supported for statement in self.statements)

    @property
    def is_abstention(self) -> bool:
        return not self.statements

    def to_json(self) -> dict[str, object]:
        return {"supported": self.is_supported, "abstains": self.is_abstention, **asdict(self)}


def check_answer(
    statements: Sequence[Statement],
    passages: Sequence[Passage],
    documents: Mapping[str, Document] | None = None,
    ungrounded: Ungrounded = "drop",
) -> CheckedAnswer:
    """Each statement with what supports it. With ``documents`` by name, citations have their boxes on pages.

    Raises:
        KnowledgeError: JM-971 a citation is not grounded, or a statement has none, and ``ungrounded`` is ``refuse``.
    """
    given = {passage.number: passage for passage in passages}
    checked = []
    for statement in statements:
        citations = _check(statement, given, documents or {})
        grounded = tuple(citation for citation in citations if citation.status != "ungrounded")
        if ungrounded == "refuse" and (not grounded or len(grounded) < len(citations)):
            raise _refusal(statement, citations)
        kept = tuple(citations) if ungrounded == "mark" else grounded
        checked.append(CheckedStatement(statement.text, bool(grounded), kept, len(citations) - len(kept)))
    return CheckedAnswer(tuple(checked))


def _check(statement: Statement, given: Mapping[int, Passage], documents: Mapping[str, Document]) -> list[Citation]:
    """Quotes of one passage are looked for together, so that repeated ones go to successive places."""
    found: dict[int, Citation] = {}
    for number in dict.fromkeys(cited.passage for cited in statement.citations):
        places = [place for place, cited in enumerate(statement.citations) if cited.passage == number]
        quotes = [statement.citations[place].quote for place in places]
        passage = given.get(number)
        for place, alignment in zip(places, _align(statement, quotes, passage), strict=True):
            if alignment.is_grounded and passage is not None:
                found[place] = _cite(passage, alignment, documents)
            else:
                found[place] = _move(statement.citations[place], given, documents)
    return [found[place] for place in range(len(statement.citations))]


def _align(statement: Statement, quotes: Sequence[str], passage: Passage | None) -> list[Alignment]:
    if passage is None:
        return [Alignment(quote, 0, 0, "ungrounded", 0.0) for quote in quotes]
    found = align(quotes, passage.source)
    for place, quote in enumerate(quotes):
        if not quote:
            whole = align([statement.text], passage.source)[0]
            found[place] = whole if whole.is_grounded else find_support(statement.text, passage.source)
    return found


def _move(cited: Cited, given: Mapping[int, Passage], documents: Mapping[str, Document]) -> Citation:
    """To the only other passage that has the quote, in any writing but not by likeness."""
    others = [passage for passage in given.values() if passage.number != cited.passage]
    found = [(one, align([cited.quote], one.source, gates=None)[0]) for one in others]
    grounded = [(one, alignment) for one, alignment in found if alignment.is_grounded]
    if len(grounded) != 1:
        return Citation(cited.passage, cited.quote, "ungrounded", 0.0)
    return _cite(*grounded[0], documents, cited.passage)


def _cite(
    passage: Passage, alignment: Alignment, documents: Mapping[str, Document], moved_from: int | None = None
) -> Citation:
    start, end = passage.start + alignment.start, passage.start + alignment.end
    document = documents.get(passage.document)
    return Citation(
        passage.number,
        alignment.quote,
        alignment.status,
        alignment.score,
        passage.document,
        start,
        end,
        passage.text[alignment.start : alignment.end],
        tuple(document.places.find(start, end)) if document else (),
        moved_from,
    )


def _refusal(statement: Statement, citations: Sequence[Citation]) -> KnowledgeError:
    missing = next((citation for citation in citations if citation.status == "ungrounded"), None)
    said = f"passage {missing.passage}: {missing.quote or statement.text}" if missing else statement.text
    return KnowledgeError(
        "JM-971",
        "this answer says what stands in none of its passages",
        expected="quotes from the passages that were given",
        got=said[:200],
        hint="ask again, or keep what is supported with ungrounded='drop'",
    )
