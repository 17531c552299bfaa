"""Figures of answers from documents: grounded, cited, absent."""

import pytest

from journeyman.core.canonical import Json
from journeyman.core.example import object_target, text_target
from journeyman.knowledge.ground.metrics import make_metrics
from journeyman.measure.metrics import Pair
from journeyman.task.file import KNOWLEDGE_METRICS
from journeyman.task.task import Knowledge

BLOCK = "[1] Returns\nGoods may be sent back within thirty days.\n\n[2] We are open from nine to five."
METRICS = make_metrics(Knowledge("handbook", "question", "passages"))
RIGHT: Json = {"source": {"passage": 1, "quote": "within thirty days"}}
OTHER: Json = {"source": {"passage": 2, "quote": "from nine to five"}}
WRONG: Json = {"source": {"passage": 2, "quote": "on the moon"}}
NOTHING: Json = {"source": None}


def test_their_names_are_those_that_a_task_file_may_gate_on() -> None:
    assert tuple(METRICS) == KNOWLEDGE_METRICS


@pytest.mark.parametrize(
    ("got", "expected", "scores"),
    [
        (RIGHT, RIGHT, (1, 1, 1)),
        (OTHER, RIGHT, (1, 0, 1)),
        (WRONG, RIGHT, (0, 0, 1)),
        (NOTHING, RIGHT, (1, 0, 0)),
        (NOTHING, NOTHING, (1, 1, 1)),
        (RIGHT, NOTHING, (1, 0, 0)),
        ({"answer": "30"}, RIGHT, (0, 0, 1)),
    ],
)
def test_scores(got: Json, expected: Json, scores: tuple[int, int, int]) -> None:
    pair = Pair(object_target(expected), object_target(got), input={"passages": BLOCK})
    assert tuple(metric.score([pair])[0][0] for metric in METRICS.values()) == scores


def test_text_and_what_cannot_be_read() -> None:
    said = text_target("Goods may be sent back within thirty days [1]. We open on Mars [2].")
    pair = Pair(said, said, input={"passages": BLOCK})
    assert [metric.score([pair])[0][0] for metric in METRICS.values()] == [0.5, 1.0, 1.0]
    unread = Pair(said, None, input={"passages": BLOCK})
    assert [metric.score([unread])[0][0] for metric in METRICS.values()] == [0, 0, 0]
