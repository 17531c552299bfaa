"""`knowledge questions`: an evaluation set from the documents themselves.

    chunks by turns ──► questions with quotes by the teacher ──► aligned, sifted ──► (checked by a second call) ──► new ones ──► a file that `knowledge eval` reads

Chunks are asked about in an order that the index and the seed decide, a round at a time, so that the same command after a kill makes the same questions from the calls
that were answered, and one for more questions goes on. What was asked about a passage is known by the passage: documents that are added later leave it as it is.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Literal, cast

from journeyman.core.canonical import Json, content_hash
from journeyman.core.errors import KnowledgeError
from journeyman.core.files import disk_errors, write_atomic
from journeyman.data.near import Known
from journeyman.flows.knowledge import NAME, index_path
from journeyman.flows.paid_calls import Forecast, PaidCalls, Receipt, count_bytes
from journeyman.flows.paid_teacher import PaidTeacher, open_local_teacher, open_upstream_teacher, refuse_unbounded
from journeyman.flows.runs import RunFolder, find_run
from journeyman.flows.upstream import find_upstream
from journeyman.flows.workspace import Workspace
from journeyman.knowledge.index.file import Index, Piece, Shelved, open_index
from journeyman.knowledge.questions.asking import A_CALL, ask_check, ask_questions, read_check, read_questions
from journeyman.knowledge.questions.sample import sample_chunks
from journeyman.knowledge.questions.sift import Kept, is_right, sift

CALLS, WRITTEN = "calls.jsonl", "written.json"
NEAR = 0.8
"""Jaccard similarity from which on a question is no new one."""
CALLS_A_ROUND = 8
SURPLUS = 1.5
LETTERS_A_TOKEN = 4.0
WRITTEN_TOKENS, CHECKED_TOKENS = 120, 60
"""What a call is expected to write."""
Why = Literal["complete", "the budget is spent", "no passages are left"]


@dataclass(frozen=True, slots=True)
class Options:
    """``questions`` in all, those of earlier commands of the same settings included, as ``budget_usd`` is of all of them. ``teacher``: empty for the project's, else a model that runs here."""

    questions: int = 100
    budget_usd: float | None = None
    teacher: str = ""
    is_checked: bool = False
    seed: int = 0
    out: Path | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """``questions`` kept of ``wanted`` about so many ``documents``, in the file ``path``; ``dropped`` by reason."""

    name: str
    run: str
    path: Path
    teacher: str
    wanted: int
    questions: int
    documents: int
    passages: int
    dropped: dict[str, int]
    forecast: Forecast
    receipt: Receipt
    why: Why

    def to_json(self) -> dict[str, Json]:
        own: dict[str, Json] = {
            name: getattr(self, name)
            for name in self.__dataclass_fields__
            if name not in ("path", "forecast", "receipt")
        }
        return own | {"path": str(self.path), "forecast": self.forecast.to_json(), "receipt": self.receipt.to_json()}


@dataclass(frozen=True, slots=True)
class _Found:
    piece: Piece
    kept: Kept


@dataclass(slots=True)
class _Tally:
    rows: list[dict[str, Json]] = field(default_factory=list)
    documents: set[int] = field(default_factory=set)
    passages: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


def make_questions(workspace: Workspace, options: Options, name: str = NAME) -> Made:
    """Write questions until there are enough; the same command continues one that was killed, or whose budget ended.

    Raises:
        KnowledgeError: JM-912 no passage to ask about, JM-913 no teacher, JM-914 the file was changed by somebody else, JM-950 no index. DataError: JM-360 a budget is missing, JM-361 the teacher's
            price is not known. ModelError: JM-40x, JM-42x of a local model, JM-43x of a provider. StoreError: JM-821 another process is at it.
    """
    return asyncio.run(_with_teacher(workspace, options, name, is_dry=False))


def forecast_questions(workspace: Workspace, options: Options, name: str = NAME) -> Made:
    """What it would take, without a call. Raises as `make_questions` does."""
    return asyncio.run(_with_teacher(workspace, options, name, is_dry=True))


async def _with_teacher(workspace: Workspace, options: Options, name: str, *, is_dry: bool) -> Made:
    async with AsyncExitStack() as stack:
        index = stack.enter_context(open_index(index_path(workspace, name)))
        teacher = await _open_teacher(workspace, options, stack, is_dry=is_dry)
        key: dict[str, Json] = {
            "knowledge": name,
            "teacher": teacher.identity,
            "seed": options.seed,
            "checked": options.is_checked,
        }
        run = find_run(workspace.project.runs, name, "questions", key)
        with run.lock():
            work = _Work(workspace, index, name, options, teacher, run)
            if is_dry:
                return work.tell("complete")
            command = f"journeyman knowledge questions --name {name} --n {options.questions}"
            refuse_unbounded(teacher, options.budget_usd, work.forecast, command)
            work.refuse_changed()
            return await work.make()


class _Work:
    """One set of questions."""

    def __init__(
        self, workspace: Workspace, index: Index, name: str, options: Options, teacher: PaidTeacher, run: RunFolder
    ) -> None:
        self.workspace, self.index, self.name = workspace, index, name
        self.options, self.teacher, self.run = options, teacher, run
        self.path = options.out or index_path(workspace, name).with_suffix(".questions.jsonl")
        self.shelved = {item.id: item for item in index.documents()}
        self.chunks = sample_chunks(index, options.seed)
        if not self.chunks:
            raise KnowledgeError(
                "JM-912",
                "there is nothing in this index to ask about",
                where=index.where,
                expected="passages of a few sentences",
                got=f"{len(self.shelved):,} documents",
                hint=f"journeyman knowledge add FILE... --name {name}",
            )
        price = teacher.price or (0.0, 0.0)
        budget = options.budget_usd if teacher.price is not None else None
        self.calls = PaidCalls(run.path / CALLS, teacher.model, price, budget, teacher.identity, teacher.in_flight)
        self.tally = _Tally()
        self.known = Known(NEAR)
        self.forecast = self._forecast()

    def refuse_changed(self) -> None:
        """Raises: KnowledgeError: JM-914."""
        if self.path.exists() and _hash_file(self.path) not in self._hashes():
            raise KnowledgeError(
                "JM-914",
                "this file is not as it was written by this command",
                where=str(self.path),
                expected="no file, or the questions of an earlier run with the same settings",
                hint="take another one: --out FILE",
            )

    async def make(self) -> Made:
        self.workspace.progress.start("questions", self.options.questions, "questions")
        why = await self._fill()
        self.workspace.progress.finish(f"{len(self.tally.rows):,} questions")
        lines = "".join(_write_line(row) for row in self.tally.rows)
        made = self.tell(why)
        hashes: list[Json] = [*self._hashes(), content_hash(lines)]
        self.run.write(WRITTEN, {"hashes": hashes, **made.to_json()})
        write_atomic(self.path, lines)
        return made

    def _hashes(self) -> list[str]:
        """Of all files that this run wrote, the one that a kill may have kept it from writing among them."""
        return cast(list[str], (self.run.read(WRITTEN) or {}).get("hashes", []))

    def tell(self, why: Why) -> Made:
        return Made(
            name=self.name,
            run=self.run.id,
            path=self.path,
            teacher=self.teacher.name,
            wanted=self.options.questions,
            questions=len(self.tally.rows),
            documents=len(self.tally.documents),
            passages=self.tally.passages,
            dropped=dict(self.tally.dropped.most_common()),
            forecast=self.forecast,
            receipt=self.calls.receipt(),
            why=why,
        )

    async def _fill(self) -> Why:
        for start in range(0, len(self.chunks), CALLS_A_ROUND):
            if len(self.tally.rows) >= self.options.questions:
                return "complete"
            pieces = self.index.pieces(self.chunks[start : start + CALLS_A_ROUND])
            found, is_cut = await self._ask(pieces)
            had = len(self.tally.rows)
            self._keep(found)
            spent = f"{self.calls.spent_usd:.4f} USD" if self.teacher.price else ""
            self.workspace.progress.advance(len(self.tally.rows) - had, spent)
            if is_cut:
                return "the budget is spent"
        return "complete" if len(self.tally.rows) >= self.options.questions else "no passages are left"

    async def _ask(self, pieces: Sequence[Piece]) -> tuple[list[_Found], bool]:
        """What is kept of a round, up to the first call that the budget does not cover; and whether there was one."""
        requests = [ask_questions(self._above(piece), piece.text, self.options.seed) for piece in pieces]
        replies, is_cut = await self.calls.ask_all(requests)
        found: list[_Found] = []
        for piece, reply in zip(pieces, replies, strict=True):
            if reply is None:
                break
            self.tally.passages += 1
            asked, unread = read_questions(reply.text or "")
            self.tally.dropped["cannot be read"] += unread
            for item in asked:
                kept = sift(item, piece.text)
                if isinstance(kept, str):
                    self.tally.dropped[kept] += 1
                else:
                    found.append(_Found(piece, kept))
        new = [item for item in found if self.known.add(item.kept.question)]
        self.tally.dropped["near copies of others"] += len(found) - len(new)
        if not self.options.is_checked:
            return new, is_cut
        right, is_short = await self._check(new)
        return right, is_cut or is_short

    async def _check(self, found: Sequence[_Found]) -> tuple[list[_Found], bool]:
        requests = [ask_check(item.kept.question, item.piece.text) for item in found]
        replies, is_cut = await self.calls.ask_all(requests)
        right: list[_Found] = []
        for item, reply in zip(found, replies, strict=True):
            if reply is None:
                break
            if is_right(item.kept, read_check(reply.text or ""), item.piece.text):
                right.append(item)
            else:
                self.tally.dropped["a second reading does not confirm it"] += 1
        return right, is_cut

    def _keep(self, found: Sequence[_Found]) -> None:
        room = self.options.questions - len(self.tally.rows)
        for item in found[:room]:
            start, end = item.piece.start + item.kept.start, item.piece.start + item.kept.end
            place: dict[str, Json] = {
                "document": self._document(item.piece).origin.name,
                "start": start,
                "end": end,
                "quote": item.piece.text[item.kept.start : item.kept.end],
            }
            self.tally.rows.append({"question": item.kept.question, **place})
            self.tally.documents.add(item.piece.document)

    def _document(self, piece: Piece) -> Shelved:
        return self.shelved[piece.document]

    def _above(self, piece: Piece) -> str:
        document = self._document(piece)
        return " > ".join(dict.fromkeys(filter(None, (document.title or document.origin.name, *piece.headings))))

    def _forecast(self) -> Forecast:
        """Of all calls for so many questions; what is lost on the way is in the surplus."""
        asked = min(len(self.chunks), ceil(SURPLUS * self.options.questions / A_CALL))
        checks = ceil(min(SURPLUS * self.options.questions, asked * A_CALL)) if self.options.is_checked else 0
        some = self.index.pieces(self.chunks[:50])
        read = sum(count_bytes(ask_questions(self._above(piece), piece.text, 0)) for piece in some) / len(some)
        again = sum(count_bytes(ask_check("x" * 80, piece.text)) for piece in some) / len(some)
        tokens = ceil((asked * read + checks * again) / LETTERS_A_TOKEN)
        written = asked * WRITTEN_TOKENS + checks * CHECKED_TOKENS
        price = self.teacher.price
        usd = (tokens * price[0] + written * price[1]) / 1e6 if price is not None else None
        return Forecast(asked + checks, tokens, written, usd)


async def _open_teacher(workspace: Workspace, options: Options, stack: AsyncExitStack, *, is_dry: bool) -> PaidTeacher:
    if options.teacher:
        return await open_local_teacher(workspace, options.teacher, stack, is_dry=is_dry)
    upstream = find_upstream(workspace.project)
    if not upstream.is_ready:
        raise KnowledgeError(
            "JM-913",
            "there is no teacher to write questions",
            expected="teacher.model in journeyman.toml and its key in the environment, or --teacher MODEL that runs here",
            got=upstream.describe(),
            hint="set the teacher, or: journeyman knowledge questions --teacher base",
        )
    return open_upstream_teacher(upstream, stack)


def _write_line(row: dict[str, Json]) -> str:
    line = json.dumps(row, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:  # half of a pair, as some files have
        line = json.dumps(row)
    return f"{line}\n"


def _hash_file(path: Path) -> str:
    with disk_errors(path):
        return content_hash(path.read_text(encoding="utf-8", errors="replace"))
