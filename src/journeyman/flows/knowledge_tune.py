"""An index's retriever tuned on questions whose answers are known, and kept only where it is better on questions that it has not seen.

Half of the questions are sealed, by the documents that answer them. On the others a map for questions' vectors, the vectors' share of a hybrid ranking and an order of the first hits are learned, each judged across folds; what
comes of it meets the sealed half once, beside what the index does today, in the gate that decides over students: the right passage must come first more often, and must be among the first ones as often.
Each further look at sealed questions of one index is decided at half the level of the look before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

from journeyman.core.canonical import content_hash
from journeyman.core.errors import KnowledgeError
from journeyman.core.progress import Progress
from journeyman.data.near import Groups
from journeyman.evaluation.gate import Score, Verdict, decide
from journeyman.flows.knowledge import NAME, Library, index_path, open_library
from journeyman.flows.knowledge_eval import read_questions
from journeyman.flows.workspace import Workspace
from journeyman.knowledge.index.file import Index, open_index
from journeyman.knowledge.index.matrix import Matrix, Vectors
from journeyman.knowledge.retrieve.dense import pick, rank_dense, take_best
from journeyman.knowledge.retrieve.filters import find_allowed
from journeyman.knowledge.retrieve.lexical import Words
from journeyman.knowledge.retrieve.pairs import Pairs
from journeyman.knowledge.retrieve.ranking import Hit, fuse_scores
from journeyman.knowledge.retrieve.recipe import DENSE_WEIGHT, Recipe
from journeyman.knowledge.retrieve.rerank import DEPTH as ORDERED
from journeyman.knowledge.retrieve.rerank import Order
from journeyman.knowledge.retrieve.search import Search
from journeyman.knowledge.retrieve.trial import Question, Scores, try_recipe
from journeyman.knowledge.retrieve.tuned import Tuned, count_look, drop_tuned, write_tuned
from journeyman.measure.bootstrap import bootstrap_ratio
from journeyman.measure.intervals import Interval
from journeyman.task.task import Gate
from journeyman.tuning.reranker import Judged, train_order
from journeyman.tuning.retriever import Asked, train_turn

LEVEL = 0.025
"""Of the first look, one-sided."""
MARGIN = 0.02
"""How much rarer the right passage may be among the first ones."""
LEAST = 40
"""Questions to learn from, and as many sealed."""
LEAST_DOCUMENTS = 30
FOLDS = 2
DEPTH = 50
HARD = 50
MOST_CHUNKS = 2048
"""Chunks that every question is held against: what answers one, what ranks high for one, and others, drawn."""
SINGLE = 0.9
WEIGHTS = tuple(step / 20 for step in range(6, 21))

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
FIRST, FOUND = Gate("right_first", "teacher", 0.0), Gate("right_found", "teacher", MARGIN)


@dataclass(frozen=True, slots=True)
class Change:
    """A mean over the sealed questions before and after, and the paired difference with a 95 % interval."""

    before: float
    after: float
    difference: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Retuned:
    """``fitted`` questions taught, ``sealed`` ones decided, split by ``unit``; ``unusable`` are answered by no chunk. Nothing was looked at where ``tuned`` is None: what was learned was no better on the taught ones.
    ``by_order`` is what the order adds to the rest that was learned; ``median_ms`` a question takes, before and after."""

    kept: bool
    tuned: Tuned | None
    pull: float | None
    fitted: int
    sealed: int
    unusable: int
    unit: str
    top: int
    level: float = LEVEL
    looks: int = 0
    first: Verdict | None = None
    found: Verdict | None = None
    changes: Mapping[str, Change] | None = None
    by_order: Mapping[str, Change] | None = None
    median_ms: tuple[float, float] = (0.0, 0.0)


def tune_retriever(workspace: Workspace, path: Path, name: str = NAME, top: int = 5) -> Retuned:
    """
    Raises:
        KnowledgeError: JM-973 too few questions; as `knowledge_eval.evaluate`.
    """
    with open_library(workspace, name) as library:
        asking = _Asking(library, read_questions(library, path), workspace.progress)
        taught, sealed = asking.split(path)
        tuned, pull = _learn(asking, taught, top, workspace.progress)
        plain = Retuned(False, tuned, pull, len(taught), len(sealed), asking.unusable, asking.unit, top)
        return plain if tuned is None else _look(workspace, asking, plain, sealed, tuned, index_path(workspace, name))


def undo_tuning(workspace: Workspace, name: str = NAME) -> bool:
    """Whether there was something to undo.

    Raises:
        KnowledgeError: JM-950 no index.
    """
    with open_library(workspace, name):
        pass
    with open_index(index_path(workspace, name), is_writer=True) as index:
        return drop_tuned(index)


class _Asking:
    """Questions with their vectors, the chunks that answer them, and what keeps those together that one answer answers."""

    def __init__(self, library: Library, questions: Sequence[Question], progress: Progress) -> None:
        self.index: Index = library.index
        self.words = Words(library.index)
        self.matrix: Matrix = Vectors(library.index).current(is_blended=True)
        rights = _find_right(library.index, questions)
        kept = [row for row, right in enumerate(rights) if len(right)]
        self.unusable = len(questions) - len(kept)
        self.questions = [questions[row] for row in kept]
        self.right = [rights[row] for row in kept]
        self.vectors = library.embed([question.text for question in self.questions], progress)
        self.allowed = [_find_rows(self.index, self.matrix, item) for item in self.questions]
        self._by_text = {item.text: vector for item, vector in zip(self.questions, self.vectors, strict=True)}
        self._embed = library.embed
        names = {item.id: item.origin.name for item in self.index.documents()}
        self.unit, self.groups = _find_groups(self.questions, self.right, names)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Parts of questions are embedded when they are met."""
        if lacking := [text for text in texts if text not in self._by_text]:
            self._by_text |= zip(lacking, self._embed(lacking), strict=True)
        return np.stack([self._by_text[text] for text in texts])

    def split(self, path: Path) -> tuple[list[int], list[int]]:
        """Rows that teach, and sealed ones: a group is whole on one side, by a hash of what it holds on to.

        Raises:
            KnowledgeError: JM-973 too few on one side.
        """
        sides: tuple[list[int], list[int]] = ([], [])
        for row, group in enumerate(self.groups):
            sides[_draw(group) % 2].append(row)
        taught, sealed = sides[0], self._thin(sides[1])
        if min(len(taught), len(sealed)) < LEAST:
            raise KnowledgeError(
                "JM-973",
                "these are too few questions to tune on and to prove it",
                where=str(path),
                expected=f"{LEAST} to learn from and {LEAST} that other {self.unit}s answer; some hundreds show a gain",
                got=f"{len(taught)} and {len(sealed)}, {self.unusable} answered by no chunk",
                hint="add questions; journeyman knowledge eval compares recipes on fewer",
            )
        return taught, sealed

    def _thin(self, rows: Sequence[int]) -> list[int]:
        """One question of each group where nearly all have no more: each is a draw of its own then, and the gate has more power."""
        groups = {self.groups[row]: row for row in reversed(rows)}
        return sorted(groups.values()) if len(groups) >= SINGLE * len(rows) else list(rows)


def _find_rows(
    index: Index, matrix: Matrix, question: Question
) -> tuple[list[int] | None, npt.NDArray[np.bool_] | None]:
    """The documents and the chunks that its filter allows."""
    if not question.where:
        return None, None
    documents = find_allowed(index.documents(), question.where)
    return documents, np.isin(matrix.documents, np.array(documents, np.int64))


def _find_right(index: Index, questions: Sequence[Question]) -> list[Ints]:
    """Of each question, which rows of the matrix (chunks by their numbers) hold some of what answers it."""
    spans: dict[int, list[tuple[int, int, int]]] = {}
    for row, (document, start, end) in enumerate(index.rows('SELECT document, start, "end" FROM chunks ORDER BY id')):
        spans.setdefault(document, []).append((row, start, end))
    return [
        np.array(
            sorted(
                {
                    row
                    for gold in question.gold
                    for row, start, end in spans.get(gold.document, ())
                    if start < gold.end and gold.start < end
                }
            ),
            np.int64,
        )
        for question in questions
    ]


def _find_groups(
    questions: Sequence[Question], right: Sequence[Ints], names: Mapping[int, str]
) -> tuple[str, list[str]]:
    """What questions are split by, and each one's group: those of one document, or of one passage where documents are few; the same words are never on both sides. A group is named by the first place in
    it, so that a sealed question stays sealed when others come."""
    unit = (
        "document" if len({gold.document for item in questions for gold in item.gold}) >= LEAST_DOCUMENTS else "passage"
    )
    groups, seen, first = Groups(len(questions)), dict[object, int](), dict[int, str]()
    for row, question in enumerate(questions):
        places = {gold.document for gold in question.gold} if unit == "document" else set(right[row].tolist())
        for key in (*places, " ".join(question.text.lower().split())):
            groups.join(row, seen.setdefault(key, row))
    for row, question in enumerate(questions):
        place = min((names[gold.document], gold.start if unit == "passage" else 0) for gold in question.gold)
        leader, name = groups.find(row), f"{place[0]}:{place[1]:012}"
        first[leader] = min(first.get(leader, name), name)
    return unit, [first[groups.find(row)] for row in range(len(questions))]


def _draw(text: str) -> int:
    return int.from_bytes(sha256(text.encode("utf-8", "replace")).digest()[:4], "big")


def _learn(asking: _Asking, taught: Sequence[int], top: int, progress: Progress) -> tuple[Tuned | None, float | None]:
    """The map and the share that put right chunks highest for questions that taught neither; None where what there is by default does as well."""
    asked = Asked(asking.vectors[taught], [asking.right[row] for row in taught])
    kept, right = _choose_chunks(asking.matrix.vectors, asked)
    folds = np.array([_draw(f"fold {asking.groups[row]}") % FOLDS for row in taught], np.int64)
    progress.start("learn", unit="maps")
    turned = train_turn(Asked(asked.vectors, right), folds, asking.matrix.vectors[kept], progress.advance)
    progress.finish()
    words = _rank_words(asking, taught, progress)
    weights = {None: asked.vectors} | ({turned.pull: turned.held} if turned.turn is not None else {})
    tried = {
        (pull, weight): value
        for pull, vectors in weights.items()
        for weight, value in _try_weights(asking, taught, vectors, words).items()
    }
    default = tried[None, DENSE_WEIGHT]
    pull, weight = max(tried, key=lambda key: (tried[key], key[0] is None, -abs(key[1] - DENSE_WEIGHT)))
    if tried[pull, weight] <= default:
        pull, weight = None, DENSE_WEIGHT
    order = _learn_order(asking, taught, weights[pull], words, weight, folds, top, progress)
    if order is None and (pull, weight) == (None, DENSE_WEIGHT):
        return None, None
    turn = turned.turn if pull is not None else None
    questions = content_hash(
        [
            [item.text, [[g.document, g.start, g.end] for g in item.gold]]
            for item in map(asking.questions.__getitem__, taught)
        ]
    )
    kept_turn = None if turn is None else turn.astype("<f2").astype(np.float32)
    return Tuned(kept_turn, weight, questions, len(taught), order), pull


def _learn_order(
    asking: _Asking,
    rows: Sequence[int],
    vectors: Floats,
    words: Sequence[Sequence[Hit]],
    weight: float,
    folds: Ints,
    top: int,
    progress: Progress,
) -> Order | None:
    """Of the first hits; None where right ones do not come clearly earlier for questions that did not teach it, by more than the standard error of the gain, or are rarer among the first ``top``."""
    pairs, judged = Pairs(asking.index, asking.words), []
    progress.start("compare", total=len(rows), unit="questions")
    for row, vector, by_words in zip(rows, vectors, words, strict=True):
        by_vectors = rank_dense(asking.matrix, vector, DEPTH, asking.allowed[row][1])
        hits = fuse_scores([by_vectors, by_words], [weight, 1 - weight])[:ORDERED]
        ids = [hit.id for hit in hits]
        near = pick(asking.matrix, ids) @ vector
        numbers = pairs.describe(asking.questions[row].text, hits, near, by_vectors, by_words)
        judged.append(Judged(numbers, np.isin(ids, asking.matrix.ids[asking.right[row]])))
        progress.advance()
    progress.finish()
    ordered = train_order(judged, folds)
    if ordered is None:
        return None
    ranked = [item.right[np.argsort(-held, kind="stable")] for item, held in zip(judged, ordered.held, strict=True)]
    gains = np.array([_reciprocal(new) - _reciprocal(item.right) for new, item in zip(ranked, judged, strict=True)])
    found = sum(int(new[:top].any()) - int(item.right[:top].any()) for new, item in zip(ranked, judged, strict=True))
    if gains.mean() <= gains.std() / np.sqrt(len(gains)) or found < 0:
        return None
    return Order(tuple(ordered.weights.tolist()))


def _reciprocal(right: npt.NDArray[np.bool_]) -> float:
    """1 / rank of the first right one, in the order of ``right``."""
    return 1 / (1 + int(right.argmax())) if right.any() else 0.0


def _choose_chunks(chunks: Floats, asked: Asked) -> tuple[Ints, list[Ints]]:
    """Rows of chunks to learn against, and where in them each question's right ones stand."""
    wanted = np.unique(np.concatenate(asked.right))
    if len(chunks) > MOST_CHUNKS:
        hard = np.concatenate([take_best(chunks @ vector, HARD) for vector in asked.vectors])
        draw, others = np.random.default_rng(0), np.setdiff1d(np.arange(len(chunks)), wanted)
        weights = np.where(np.isin(others, hard), float(len(others)), 1.0)
        room = min(len(others), max(MOST_CHUNKS - len(wanted), MOST_CHUNKS // 2))
        wanted = np.sort(np.concatenate([wanted, draw.choice(others, room, replace=False, p=weights / weights.sum())]))
    else:
        wanted = np.arange(len(chunks))
    return wanted, [np.searchsorted(wanted, right) for right in asked.right]


def _rank_words(asking: _Asking, rows: Sequence[int], progress: Progress) -> list[list[Hit]]:
    found = []
    progress.start("words", total=len(rows), unit="questions")
    for row in rows:
        found.append(asking.words.rank(asking.questions[row].text, DEPTH, asking.allowed[row][0]))
        progress.advance()
    progress.finish()
    return found


def _try_weights(
    asking: _Asking, rows: Sequence[int], vectors: Floats, words: Sequence[Sequence[Hit]]
) -> dict[float, float]:
    """The mean of 1 / rank of the first right chunk, by the vectors' share."""
    total = dict.fromkeys(WEIGHTS, 0.0)
    for row, vector, by_words in zip(rows, vectors, words, strict=True):
        by_vectors = rank_dense(asking.matrix, vector, DEPTH, asking.allowed[row][1])
        right = set(asking.matrix.ids[asking.right[row]].tolist())
        for weight in WEIGHTS:
            hits = fuse_scores([by_vectors, by_words], [weight, 1 - weight])
            total[weight] += 1 / next((rank for rank, hit in enumerate(hits, 1) if hit.id in right), float("inf"))
    return {weight: value / len(rows) for weight, value in total.items()}


def _look(
    workspace: Workspace, asking: _Asking, plain: Retuned, sealed: Sequence[int], tuned: Tuned, path: Path
) -> Retuned:
    """Meet the sealed questions; write what was learned where they are answered better."""
    learned = [tuned.questions, tuned.dense_weight, *(["order"] if tuned.order else [])]
    look = content_hash([*learned, sorted(asking.questions[row].text for row in sealed)])
    with open_index(path, is_writer=True) as index:
        looks = count_look(index, look)  # before anything is seen: a look that is broken off was one
    level = LEVEL / 2**looks
    recipe = Recipe(top=plain.top, depth=max(DEPTH, 2 * plain.top))
    questions = [asking.questions[row] for row in sealed]
    before = _measure(asking, recipe, questions, None, workspace.progress)
    after = _measure(asking, recipe, questions, lambda: tuned, workspace.progress)
    without = (
        _measure(asking, replace(recipe, rerank=0), questions, lambda: tuned, workspace.progress)
        if tuned.order
        else after
    )
    groups = [asking.groups[row] for row in sealed]
    first = decide(FIRST, _pair(after, before, groups, _is_first), level)
    found = decide(FOUND, _pair(after, before, groups, _is_found), level)
    kept = first.verdict == found.verdict == "pass"
    if kept:
        with open_index(path, is_writer=True) as index:
            write_tuned(index, tuned)
    changes = _compare_all(before, after, first, found)
    by_order = _compare_all(without, after) if tuned.order else None
    median_ms = tuple(float(np.median([scores.ms for scores in some])) for some in (before, after))
    return Retuned(
        kept=kept,
        tuned=tuned,
        pull=plain.pull,
        fitted=plain.fitted,
        sealed=plain.sealed,
        unusable=plain.unusable,
        unit=plain.unit,
        top=plain.top,
        level=level,
        looks=looks + 1,
        first=first,
        found=found,
        changes=changes,
        by_order=by_order,
        median_ms=(median_ms[0], median_ms[1]),
    )


def _compare_all(
    before: Sequence[Scores], after: Sequence[Scores], first: Verdict | None = None, found: Verdict | None = None
) -> dict[str, Change]:
    return {
        "right_first": _compare(before, after, _is_first, first),
        "right_found": _compare(before, after, _is_found, found),
        "reciprocal_rank": _compare(before, after, lambda scores: scores.reciprocal),
        "recall": _compare(before, after, lambda scores: scores.recall),
    }


def _measure(
    asking: _Asking,
    recipe: Recipe,
    questions: Sequence[Question],
    tuned: Callable[[], Tuned | None] | None,
    progress: Progress,
) -> list[Scores]:
    """Through the search that will serve; without ``tuned`` with what the index has learned already."""
    search, scores = Search(asking.index, asking.embed, tuned=tuned), []
    progress.start("before" if tuned is None else "after", total=len(questions), unit="questions")
    for question in questions:
        scores += try_recipe(search.find, recipe, [question])
        progress.advance()
    progress.finish()
    return scores


def _is_first(scores: Scores) -> float:
    return float(scores.reciprocal == 1)


def _is_found(scores: Scores) -> float:
    return float(scores.reciprocal > 0)


def _pair(
    after: Sequence[Scores], before: Sequence[Scores], groups: Sequence[str], value: Callable[[Scores], float]
) -> list[Score]:
    return [
        Score(value(one), value(other), group=group) for one, other, group in zip(after, before, groups, strict=True)
    ]


def _compare(
    before: Sequence[Scores], after: Sequence[Scores], value: Callable[[Scores], float], verdict: Verdict | None = None
) -> Change:
    """With the interval of the gate that decides on it, or one for drawing."""
    old, new = (np.array([value(item) for item in some]) for some in (before, after))
    interval = Interval(verdict.low_95, verdict.high_95) if verdict else bootstrap_ratio(new - old)
    return Change(float(old.mean()), float(new.mean()), float((new - old).mean()), interval)
