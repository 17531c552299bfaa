"""What an index has learned from its questions: a linear map for their vectors, the vectors' share of a hybrid ranking, and an order of the first hits.

Chunks keep their vectors: a question's is turned towards what answers questions like it, which costs one product a question. It stands in the index file, so it is
copied and deleted with it, and `--anew` forgets it.

Legend: ``d`` numbers of a vector.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.index.file import Index
from journeyman.knowledge.retrieve.rerank import Order, read_order, write_order

Floats = npt.NDArray[np.float32]
Current = Callable[[], "Tuned | None"]
KEY, LOOKS = "tuned", "tuned_looks"


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """``turn`` float32 [d, d], or None where no map was learned; ``order`` likewise; ``questions`` is the hash of those that it was made from, ``count`` how many they were."""

    turn: Floats | None
    dense_weight: float
    questions: str
    count: int
    order: Order | None = None

    def turned(self, vector: Floats) -> Floats:
        """Of a question [d], of length one again."""
        if self.turn is None:
            return vector
        found: Floats = vector @ self.turn
        length = float(np.linalg.norm(found))
        return found / np.float32(length) if length else vector


class Tuning:
    """What one index has learned, read again when its file has changed."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._version = -1
        self._tuned: Tuned | None = None

    def current(self) -> Tuned | None:
        """Raises: KnowledgeError JM-972 it is damaged."""
        version = self._index.version()
        if version != self._version or self._index.is_writer:
            self._tuned, self._version = read_tuned(self._index), version
        return self._tuned


def read_tuned(index: Index) -> Tuned | None:
    """
    Raises:
        KnowledgeError: JM-972 it is damaged.
    """
    text = index.setting(KEY)
    if not text:
        return None
    try:
        row = json.loads(text)
        packed = base64.b64decode(row["turn"])
        if sha256(packed).hexdigest() != row["sha256"]:
            raise ValueError("another hash")
        turn = np.frombuffer(packed, "<f2").reshape(row["dimension"], -1).astype(np.float32) if packed else None
        order = read_order(row["order"]) if row.get("order") else None
        return Tuned(turn, float(row["dense_weight"]), str(row["questions"]), int(row["count"]), order)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KnowledgeError(
            "JM-972",
            "what this index has learned from questions cannot be read",
            where=index.where,
            got=str(error)[:200],
            hint="journeyman knowledge tune --undo takes it out",
        ) from None


def write_tuned(index: Index, tuned: Tuned) -> None:
    """In place of what it had learned before."""
    packed = b"" if tuned.turn is None else tuned.turn.astype("<f2").tobytes()
    row = {
        "dense_weight": tuned.dense_weight,
        "questions": tuned.questions,
        "count": tuned.count,
        "dimension": 0 if tuned.turn is None else len(tuned.turn),
        "sha256": sha256(packed).hexdigest(),
        "turn": base64.b64encode(packed).decode(),
        "order": write_order(tuned.order) if tuned.order else None,
    }
    _keep(index, KEY, json.dumps(row))


def drop_tuned(index: Index) -> bool:
    """Whether there was something. The looks at sealed questions stay counted."""
    with index.writing() as connection:
        return bool(connection.execute("DELETE FROM meta WHERE key = ?", (KEY,)).rowcount)


def count_look(index: Index, look: str) -> int:
    """How many other looks at sealed questions came before this one; the same look again is the same one."""
    looks = index.setting(LOOKS).split()
    if look not in looks:
        looks.append(look)
        _keep(index, LOOKS, " ".join(looks))
    return looks.index(look)


def _keep(index: Index, key: str, value: str) -> None:
    with index.writing() as connection:
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
